//! Tokenizers on disk: `tokenizer.json` in MidiTok's layout.
//!
//! The keys are `config`, `tokenization` (MidiTok's class name; ours for the performance encoding is "Performance")
//! and the versions of what wrote it.

use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::tokens::Options;
use crate::tokens::scheme::Scheme;

pub(super) fn to_json(scheme: &Scheme) -> String {
    let document = json!({
        "config": scheme.options(),
        "tokenization": "Performance",
        "etude_version": env!("CARGO_PKG_VERSION"),
    });
    format!("{document:#}\n")
}

pub(super) fn from_json(json: &str) -> Result<Scheme> {
    let document: Value = serde_json::from_str(json).map_err(|e| Error::broken(format!("this is not JSON: {e}")))?;
    let tokenization = match document.get("tokenization") {
        Some(Value::String(name)) => name.as_str(),
        Some(other) => return Err(Error::broken(format!("the key 'tokenization' is {other}, not a name"))),
        None => return Err(Error::broken("there is no key 'tokenization'").with_hint("is this a tokenizer.json?")),
    };
    let config = document.get("config").cloned().unwrap_or_else(|| json!({}));
    match tokenization {
        "Performance" => {
            let options: Options = serde_json::from_value(config)
                .map_err(|e| Error::broken(e.to_string()).context("while reading the key 'config'"))?;
            Scheme::new("performance", &options)
        }
        other => Err(Error::unknown("tokenization", other, &["Performance"])),
    }
}

/// Writes a file whole or not at all.
pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let save = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    save().map_err(|e| Error::io("cannot write", path, e))
}
