//! What is known about a value without the value itself: its type, a line, what is inside. It may go to any thread.

use rhai::Dynamic;

use crate::script::catalog::Catalog;
use crate::script::one_line;
use crate::script::type_names::type_name;

/// Depth to which contents are described, and entries described at each level.
const DEPTH: usize = 4;
const KEYS: usize = 200;
const ITEMS: usize = 8;

/// An owner, a member of it, and the keys of the map it gives with their types.
type MemberShape = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// What the maps hold that members give, where it is always the same: owner, member, keys with their types.
const SHAPES: [MemberShape; 5] = [
    (
        "Score",
        "notes",
        &[("end", "float"), ("pitch", "int"), ("start", "float"), ("track", "int"), ("velocity", "int")],
    ),
    ("Score", "tracks", &[("channel", "int"), ("name", "string"), ("notes", "int"), ("program", "int")]),
    (
        "Dataset",
        "stats",
        &[("files", "int"), ("kinds", "map"), ("max_seq_len", "int"), ("rows", "map"), ("tokens", "map")],
    ),
    ("Trainer", "step", STEP),
    ("History", "", STEP),
];

/// What is measured at a step of a training.
const STEP: &[(&str, &str)] =
    &[("grad_norm", "float"), ("loss", "float"), ("lr", "float"), ("step", "int"), ("tokens_per_second", "float")];

/// A value, described.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ValueInfo {
    /// The type, as scripts name it.
    pub(crate) kind: String,
    /// The value in one line; empty when only the type is known.
    pub(crate) line: String,
    /// What a map holds.
    pub(crate) keys: Vec<(String, Self)>,
    /// The first items of an array.
    pub(crate) items: Vec<Self>,
}

impl ValueInfo {
    /// Describes a value.
    pub(crate) fn of(catalog: &Catalog, value: &Dynamic) -> Self {
        Self::within(catalog, value, DEPTH)
    }

    /// A value of which only the type is known.
    pub(crate) fn of_type(kind: impl Into<String>) -> Self {
        Self { kind: kind.into(), ..Self::default() }
    }

    /// What a member of a type gives; an index has no name.
    pub(crate) fn of_member(owner: &str, name: &str, kind: &str) -> Self {
        let mut info = Self::of_type(kind);
        if let Some((.., keys)) = SHAPES.iter().find(|shape| shape.0 == owner && shape.1 == name) {
            let keys = keys.iter().map(|(key, kind)| ((*key).to_string(), Self::of_type(*kind))).collect();
            match kind {
                "array" => info.items = vec![Self { keys, ..Self::of_type("map") }],
                _ => info.keys = keys,
            }
        }
        info
    }

    fn within(catalog: &Catalog, value: &Dynamic, depth: usize) -> Self {
        let mut info = Self::of_type(type_name(value));
        info.line = one_line::line(catalog, value);
        let Some(depth) = depth.checked_sub(1) else { return info };
        if let Ok(map) = value.as_map_ref() {
            let entries = map.iter().take(KEYS);
            info.keys = entries.map(|(key, v)| (key.to_string(), Self::inside(catalog, v, depth))).collect();
        } else if let Ok(items) = value.as_array_ref() {
            info.items = items.iter().take(ITEMS).map(|v| Self::inside(catalog, v, depth)).collect();
        }
        info
    }

    fn inside(catalog: &Catalog, value: &Dynamic, depth: usize) -> Self {
        Self::within(catalog, &value.flatten_clone(), depth)
    }

    /// What a map holds under a key.
    pub(crate) fn key(&self, key: &str) -> Option<&Self> {
        self.keys.iter().find(|(name, _)| name == key).map(|(_, info)| info)
    }

    /// What an array holds at an index; where nobody knows, what it begins with.
    pub(crate) fn item(&self, index: Option<usize>) -> Option<&Self> {
        index.and_then(|i| self.items.get(i)).or(self.items.first())
    }
}
