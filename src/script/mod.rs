//! The script language: a Rhai session, and one file for each object type. No other module uses Rhai.
//!
//! A cell runs through [`Session::eval`]: `scan` marks uses of `_`, Rhai parses, `globals` makes the session's
//! variables visible to functions, `engine` runs the program, `show` converts the value to a [`Bundle`], and `diagnose`
//! converts an error to a [`CellError`]. Objects are cheap handles in `objects`, registered through `registry`, which
//! stores signatures and documentation in the `catalog` for help and completion.

mod bundle;
mod catalog;
mod caught;
mod cell_error;
pub mod command;
mod complete;
mod context;
mod convert;
mod csv;
mod cursor;
mod diagnose;
mod doc_page;
mod engine;
mod error_context;
mod failure;
mod glob;
mod globals;
mod guide;
mod help;
mod host;
mod html;
mod inspect;
mod layout;
mod missing_key;
mod modules;
mod objects;
mod one_line;
mod panics;
mod parser;
mod paths;
pub mod programs;
mod registry;
mod remedy;
mod resolve;
pub(crate) mod scan;
mod session;
mod shell;
mod show;
mod sources;
mod stack;
mod standard;
mod sugar;
mod suggestions;
mod symbols;
mod syntax;
mod tables;
mod transcript;
mod type_names;
mod value_info;
mod variable;

pub use bundle::Bundle;
pub use cell_error::CellError;
pub use complete::Completeness;
pub use cursor::{Completion, Completions};
pub use host::{Host, InputHook, Output, OutputHook};
pub use session::Session;
pub use stack::on_big_stack;
pub use symbols::Symbols;
pub use variable::Variable;

#[cfg(test)]
mod tests;
