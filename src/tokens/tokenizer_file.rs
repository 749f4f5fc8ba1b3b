//! Tokenizers on disk: `tokenizer.json` in MidiTok's layout.
//!
//! The keys are `config`, `tokenization` (the name of MidiTok's class; ours are
//! "Performance" and "NoteDuration") and the versions of what the layout follows. The base vocabulary follows from the configuration; it
//! is written only beside a trained model: `_vocab_base` (ids by name), `_model` (a Hugging Face tokenizer as text) and
//! `_vocab_base_byte_to_token` (names by character).

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::tokens::bpe::{self, Bpe};
use crate::tokens::miditok::{BeatScheme, Config, MidiTok};
use crate::tokens::scheme::Scheme;
use crate::tokens::{Options, Vocabulary};

/// The release of MidiTok whose layout and ids these are.
const MIDITOK_VERSION: &str = "3.1.0";
/// The order of tokens of `note_duration`: 2 announces beats; 1, in files without this key, had the time before them.
const TOKEN_ORDER: u64 = 2;

pub(super) fn to_json(scheme: &Scheme, trained: Option<(&Bpe, &Vocabulary)>) -> String {
    let mut document = match scheme {
        Scheme::Performance(performance) => json!({
            "config": { "chords": performance.chords },
            "tokenization": "Performance",
            "etude_version": env!("CARGO_PKG_VERSION"),
        }),
        Scheme::NoteDuration(scheme) => json!({
            "config": {
                "chords": scheme.chords,
                "chord_relative": scheme.chord_relative,
                "beats": scheme.beats,
                "tempos": scheme.tempos,
                "styles": scheme.styles.as_ref(),
            },
            "tokenization": "NoteDuration",
            "token_order": TOKEN_ORDER,
            "etude_version": env!("CARGO_PKG_VERSION"),
        }),
        Scheme::MidiTok(miditok) => json!({
            "config": miditok.config().to_json(),
            "tokenization": miditok.style().class(),
            "miditok_version": MIDITOK_VERSION,
            "etude_version": env!("CARGO_PKG_VERSION"),
        }),
    };
    if let Some((bpe, base)) = trained {
        let names = || (0..base.len() as u32).filter_map(|id| Some((id, base.name(id)?)));
        let ids: Map<String, Value> = names().map(|(id, name)| (name.to_string(), json!(id))).collect();
        let bytes: Map<String, Value> =
            names().map(|(id, name)| (bpe::character(id).to_string(), json!(name))).collect();
        // MidiTok reads the keys in order, and needs the model before the characters.
        document["_vocab_base"] = Value::Object(ids);
        document["_model"] = json!(bpe.json());
        document["_vocab_base_byte_to_token"] = Value::Object(bytes);
    }
    format!("{document:#}\n")
}

/// Whether this is a file of Hugging Face's `tokenizers` for text: with a model and without MidiTok's keys.
pub(super) fn is_of_words(json: &str) -> bool {
    let keys = serde_json::from_str::<Map<String, Value>>(json).unwrap_or_default();
    !keys.contains_key("tokenization") && keys.get("model").is_some_and(Value::is_object)
}

/// Reads an encoding and the model trained over it, if there is one.
pub(super) fn from_json(json: &str) -> Result<(Scheme, Option<Bpe>)> {
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
    let scheme = scheme(tokenization, config)?;
    let order = document.get("token_order").and_then(Value::as_u64).unwrap_or(1);
    if matches!(&scheme, Scheme::NoteDuration(scheme) if scheme.beats) && order != TOKEN_ORDER {
        return Err(Error::broken(format!(
            "this is a NoteDuration tokenizer of token_order {order}, and {TOKEN_ORDER} is known: beats have moved"
        ))
        .with_hint("encode the pieces and train the model anew, or go on with the version of Étude that saved it"));
    }
    let trained = match document.get("_model") {
        None | Some(Value::Null) => None,
        Some(Value::String(model)) => Some(trained(&scheme, model, document.get("_vocab_base"))?),
        Some(other) => return Err(Error::broken(format!("the key '_model' is {other}, not the text of a model"))),
    };
    Ok((scheme, trained))
}

fn trained(scheme: &Scheme, model: &str, ids: Option<&Value>) -> Result<Bpe> {
    let base = scheme.vocabulary();
    if let Some(Value::Object(ids)) = ids {
        let wrong = |(name, id): &(&String, &Value)| base.id(name).ok().map(u64::from) != id.as_u64();
        if let Some((name, id)) = ids.iter().find(wrong) {
            return Err(Error::broken(format!("the key '_vocab_base' gives '{name}' the id {id}"))
                .with_hint("the configuration gives it another one"));
        }
    }
    bpe::from_json(model, &base, scheme.marks_words()).map_err(|e| e.context("while reading the key '_model'"))
}

fn scheme(tokenization: &str, mut config: Map<String, Value>) -> Result<Scheme> {
    let ours = [("Performance", "performance"), ("NoteDuration", "note_duration")];
    if let Some((_, name)) = ours.iter().find(|(class, _)| *class == tokenization) {
        if tokenization == "NoteDuration" {
            config.entry("tempos").or_insert(json!(false)); // files without the key are older than these tokens
        }
        let options: Options = serde_json::from_value(Value::Object(config))
            .map_err(|e| Error::broken(e.to_string()).context("while reading the key 'config'"))?;
        return Scheme::new(name, &options);
    }
    match BeatScheme::ALL.into_iter().find(|style| style.class() == tokenization) {
        Some(style) => Ok(Scheme::MidiTok(Arc::new(MidiTok::new(style, Config::from_json(&config)?)))),
        None => Err(Error::unknown(
            "tokenization",
            tokenization,
            &["Performance", "NoteDuration", "REMI", "TSD", "MIDILike"],
        )),
    }
}
