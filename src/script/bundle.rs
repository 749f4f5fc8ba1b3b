//! A value of the script language in several formats, by MIME type; `notebook/forms.rs` converts it for the kernel host.

use std::collections::BTreeMap;

/// The formats of a value: always `text/plain`, often `text/html`, `image/svg+xml`, `audio/wav`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bundle {
    /// MIME type to content (binary types in base64).
    pub forms: BTreeMap<&'static str, String>,
}

impl Bundle {
    /// A bundle with a `text/plain` form only.
    pub fn text(text: impl Into<String>) -> Self {
        Self { forms: BTreeMap::from([("text/plain", text.into())]) }
    }

    /// Adds a format, if there is content for it.
    #[must_use]
    pub fn with(mut self, kind: &'static str, content: Option<String>) -> Self {
        self.forms.extend(content.map(|content| (kind, content)));
        self
    }

    /// The text.
    pub fn plain(&self) -> &str {
        self.forms.get("text/plain").map_or("", String::as_str)
    }
}
