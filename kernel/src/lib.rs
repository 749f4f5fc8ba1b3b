//! A Jupyter kernel host for any language.
//!
//! A language implements [`Interpreter`]: it runs cells, says whether a text is complete, offers completions and
//! documentation. What it says while a cell runs goes through an [`Outbox`]. This crate knows nothing of any
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
//! assert_eq!(echo.completeness("how \\"), Completeness::Incomplete { indent: String::new() });
//! ```

mod bundle;
mod completion;
pub mod echo;
mod fault;
mod interpreter;
mod outbox;

pub use bundle::Bundle;
pub use completion::{Completeness, Completion, Completions};
pub use fault::Fault;
pub use interpreter::{Interpreter, Language};
pub use outbox::{Outbox, Output, Recorder};
