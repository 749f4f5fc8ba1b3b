//! The language: a Rhai session, and one file for each object a script can hold. The only place that knows Rhai.
//!
//! A cell goes through [`Session::eval`]: `scan` marks what `_` means, Rhai parses, `globals` lets functions see the
//! session's variables, `engine` runs it, `show` turns the value into a [`Bundle`], and `diagnose` turns what went wrong
//! into a [`Fault`]. Objects are cheap handles in `objects`, registered through `kit`, which keeps signatures and
//! documentation in the `catalog` that help and completion read.

mod bundle;
mod catalog;
mod caught;
pub mod command;
mod complete;
mod convert;
mod csv;
mod diagnose;
mod engine;
mod facts;
mod failure;
mod fault;
mod glob;
mod globals;
mod guide;
mod help;
mod host;
mod html;
mod inspect;
mod kit;
mod knowledge;
mod layout;
mod missing;
mod modules;
mod objects;
mod page;
mod parser;
mod paths;
pub mod programs;
mod quiet;
mod record;
mod remedy;
mod resolve;
pub(crate) mod scan;
mod session;
mod shell;
mod show;
mod sources;
mod stack;
mod standard;
mod studio;
mod sugar;
mod syntax;
mod tables;

pub use bundle::Bundle;
pub use complete::{Completeness, Completion, Completions};
pub use fault::Fault;
pub use host::{Host, InputHook, Output, OutputHook};
pub use knowledge::Knowledge;
pub use session::{Session, Variable};
pub use stack::on_big_stack;

#[cfg(test)]
mod tests;
