//! Maps into option structs, with errors that name the nearest key.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::Result;

/// Fills an option struct (`#[serde(default, deny_unknown_fields)]`) from a map; `what` names it ("sampler").
///
/// # Errors
/// An unknown key is refused with the nearest known one; a value of the wrong type is named with its key. An integer
/// is taken where a float is wanted, and a float without fraction where an integer is.
pub fn from_map<T: DeserializeOwned>(_what: &str, _map: Value) -> Result<T> {
    todo!()
}
