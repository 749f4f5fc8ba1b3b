//! The language: a Rhai session, and one file for each object a script can hold. The only place that knows Rhai.

mod bundle;
pub mod command;
mod complete;
mod fault;
mod session;

pub use bundle::Bundle;
pub use complete::{Completeness, Completion, Completions};
pub use fault::Fault;
pub use session::{Host, Output, Session, Variable};
