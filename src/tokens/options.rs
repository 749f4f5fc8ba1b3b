//! What a caller may choose about an encoding.

use serde::{Deserialize, Serialize};

/// What a caller may choose about an encoding; what is absent keeps its default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Performance: whether the vocabulary has chord tokens (it has by default).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chords: Option<bool>,
}
