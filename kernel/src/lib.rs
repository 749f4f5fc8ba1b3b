//! A Jupyter kernel host for any language.
//!
//! A language implements [`Interpreter`]: it runs cells, says whether a text is complete, offers completions and
//! documentation. The output of a cell goes through an [`Outbox`]. This crate is independent of any
//! particular language; [`echo`] is the smallest one, and proves that the trait suffices.
//!
//! ```
//! use etude_kernel::{Completeness, Interpreter, Outbox, Output, echo::Echo};
//!
//! let (outbox, seen) = Outbox::recorder();
//! let mut echo = Echo::new(outbox);
//! let value = echo.execute("print hello\nhow are you").expect("nothing fails here").expect("it has a value");
//! assert_eq!(value.plain(), "how are you");
//! assert_eq!(seen.take(), [Output::Stdout("hello\n".into())]);
//! assert_eq!(echo.assistant().completeness("how \\"), Completeness::Incomplete { indent: String::new() });
//! ```

mod bundle;
mod completion;
mod connection;
pub mod echo;
mod error;
mod fault;
mod history;
mod host;
mod install;
mod interpreter;
mod iopub;
mod outbox;
mod places;
mod shell;
mod stdin;
mod subscribers;
mod usage;
mod wire;
mod worker;

pub use bundle::Bundle;
pub use completion::{Completeness, Completion, Completions};
pub use connection::{parse_connection, read_connection};
pub use error::{Error, Result};
pub use fault::Fault;
pub use host::{Exit, Stop, serve};
pub use install::{Installed, Kernelspec, install, installed, uninstall};
pub use interpreter::{Assistant, Interpreter, Language};
pub use outbox::{Outbox, Output, Recorder};
pub use places::Place;
pub use stdin::Stdin;
