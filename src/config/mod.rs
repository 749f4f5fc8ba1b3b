//! Settings: YAML files and overrides of the command line become typed options, all through one deserialiser.
//!
//! [`read_yaml`] makes a map, [`set`] changes a key of it (`train.lr=1e-4`), [`from_map`] fills an option struct.
//! Scripts, files and the command line meet here, so that a mistake reads the same wherever it is made.

mod fault;
mod keys;
mod reader;
mod set;
mod yaml;

pub use keys::from_map;
pub use set::set;
pub use yaml::read_yaml;
