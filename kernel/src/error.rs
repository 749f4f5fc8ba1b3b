//! What can go wrong with the host itself (what a cell does wrong is a [`Fault`](crate::Fault)).

use std::path::PathBuf;

/// A failure of the host.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection file cannot be read.
    #[error("cannot read the connection file {path}: {source}")]
    ConnectionFile {
        /// The file.
        path: PathBuf,
        /// The error of the file system or the parser.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The connection file asks for something this host does not speak.
    #[error("{0}")]
    Unsupported(String),
    /// A socket cannot be opened.
    #[error("cannot open the {channel} socket: {message}")]
    Socket {
        /// "shell", "iopub", …
        channel: &'static str,
        /// The message of the library.
        message: String,
    },
    /// The interpreter could not be made.
    #[error("the interpreter did not start: {0}")]
    Interpreter(crate::Fault),
    /// The kernelspec cannot be written.
    #[error("cannot write {path}: {source}")]
    Install {
        /// The file or folder.
        path: PathBuf,
        /// The error of the file system.
        source: std::io::Error,
    },
    /// The system refused a thread or an event loop.
    #[error("the system refused: {0}")]
    System(#[from] std::io::Error),
}

/// The result of what the host does.
pub type Result<T, E = Error> = std::result::Result<T, E>;
