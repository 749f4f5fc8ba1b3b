//! Errors of the host itself (the error of a cell is a [`Fault`](crate::Fault)).

use std::path::PathBuf;

/// An error of the host.
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
    /// The connection file asks for something that this host does not support.
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
    /// The interpreter could not be created.
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

/// The result of functions of the host.
pub type Result<T, E = Error> = std::result::Result<T, E>;
