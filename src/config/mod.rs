//! Configuration: YAML files and command-line overrides become typed options, all through one deserialiser.
//!
//! [`read_yaml`] reads a map, [`set`] changes a key of it (`train.lr=1e-4`), [`flags()`] parses a command line into
//! one, [`from_map`] fills an option struct, [`Recipe`] those of a whole fine-tuning run. Scripts, files and the
//! command line share this code, so that the errors for a mistake are the same.

mod flags;
mod foreign;
mod keys;
mod reader;
mod recipe;
mod set;
mod value_error;
mod yaml;

pub use flags::flags;
pub use keys::from_map;
pub use recipe::{AdapterMethod, DataSources, Recipe};
pub use set::set;
pub use yaml::{parse_yaml, read_yaml};
