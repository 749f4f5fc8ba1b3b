//! Settings: YAML files and overrides of the command line become typed options, all through one deserialiser.

mod keys;
mod yaml;

pub use keys::from_map;
pub use yaml::read_yaml;
