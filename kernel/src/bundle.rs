//! A value in several formats, by MIME type.

use std::collections::BTreeMap;

use jupyter_protocol::Media;
use serde_json::{Value, json};

/// The formats of a value: `text/plain` always, others beside it; a front end shows the richest that it supports.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Bundle {
    forms: BTreeMap<String, Value>,
    metadata: BTreeMap<String, Value>,
}

impl Bundle {
    /// A bundle with a `text/plain` form only.
    ///
    /// ```
    /// use etude_kernel::Bundle;
    ///
    /// let bundle = Bundle::text("a note").with("text/html", "<b>a note</b>");
    /// assert_eq!((bundle.plain(), bundle.forms().len()), ("a note", 2));
    /// ```
    pub fn text(text: impl Into<String>) -> Self {
        Self::default().with("text/plain", text.into())
    }

    /// Adds a format: a string (binary types in base64), or JSON for `application/json` and its like.
    #[must_use]
    pub fn with(mut self, mime: &str, content: impl Into<Value>) -> Self {
        self.forms.insert(mime.to_owned(), content.into());
        self
    }

    /// Adds metadata for a format, such as `{"width": 720}` for an `image/png`.
    #[must_use]
    pub fn about(mut self, mime: &str, what: Value) -> Self {
        self.metadata.insert(mime.to_owned(), what);
        self
    }

    /// The metadata of the forms, by MIME type.
    pub fn metadata(&self) -> &BTreeMap<String, Value> {
        &self.metadata
    }

    /// The text form, or an empty string.
    pub fn plain(&self) -> &str {
        self.forms.get("text/plain").and_then(Value::as_str).unwrap_or("")
    }

    /// All forms by MIME type.
    pub fn forms(&self) -> &BTreeMap<String, Value> {
        &self.forms
    }

    /// Converts to the protocol's media; a format for which the protocol has no type is passed on unchanged.
    pub fn to_media(&self) -> Media {
        serde_json::from_value(json!(self.forms)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use jupyter_protocol::MediaType;

    use super::*;

    #[test]
    fn every_form_reaches_the_protocol() {
        let media = Bundle::text("a note").with("image/svg+xml", "<svg/>").to_media();
        assert_eq!(media.content.len(), 2);
        assert!(media.content.contains(&MediaType::Plain("a note".into())));
        assert!(media.content.contains(&MediaType::Svg("<svg/>".into())));
    }

    #[test]
    fn a_bundle_without_text_has_an_empty_one() {
        assert_eq!(Bundle::default().with("text/html", "<b>x</b>").plain(), "");
    }
}
