//! Tokenizers on disk: `tokenizer.json` in MidiTok's layout.
//!
//! The keys are `config`, `tokenization` (the name of MidiTok's class; ours for the performance encoding is
//! "Performance") and the versions of what the layout follows. No vocabulary is written: it follows from the
//! configuration.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::tokens::Options;
use crate::tokens::miditok::{Config, MidiTok, Style};
use crate::tokens::scheme::Scheme;

/// The release of MidiTok whose layout and ids these are.
const MIDITOK_VERSION: &str = "3.1.0";

pub(super) fn to_json(scheme: &Scheme) -> String {
    let document = match scheme {
        Scheme::Performance(performance) => json!({
            "config": { "chords": performance.chords },
            "tokenization": "Performance",
            "etude_version": env!("CARGO_PKG_VERSION"),
        }),
        Scheme::MidiTok(miditok) => json!({
            "config": miditok.config().to_json(),
            "tokenization": miditok.style().class(),
            "miditok_version": MIDITOK_VERSION,
            "etude_version": env!("CARGO_PKG_VERSION"),
        }),
    };
    format!("{document:#}\n")
}

pub(super) fn from_json(json: &str) -> Result<Scheme> {
    let document: Value = serde_json::from_str(json).map_err(|e| Error::broken(format!("this is not JSON: {e}")))?;
    let tokenization = match document.get("tokenization") {
        Some(Value::String(name)) => name.as_str(),
        Some(other) => return Err(Error::broken(format!("the key 'tokenization' is {other}, not a name"))),
        None => return Err(Error::broken("there is no key 'tokenization'").with_hint("is this a tokenizer.json?")),
    };
    let config = match document.get("config") {
        Some(Value::Object(config)) => config.clone(),
        Some(other) => return Err(Error::broken(format!("the key 'config' is {other}, not an object"))),
        None => Map::new(),
    };
    if tokenization == "Performance" {
        let options: Options = serde_json::from_value(Value::Object(config))
            .map_err(|e| Error::broken(e.to_string()).context("while reading the key 'config'"))?;
        return Scheme::new("performance", &options);
    }
    match Style::ALL.into_iter().find(|style| style.class() == tokenization) {
        Some(style) => Ok(Scheme::MidiTok(Arc::new(MidiTok::new(style, Config::from_json(&config)?)))),
        None => Err(Error::unknown("tokenization", tokenization, &["Performance", "REMI", "TSD", "MIDILike"])),
    }
}
