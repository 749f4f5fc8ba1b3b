//! Keys of `config.json` and the file `generation_config.json` that are not used here but written again on saving: the ids
//! of eos, bos and pad, and the generation settings of `transformers`.

use std::path::Path;

use serde_json::{Map, Value};

use crate::atomic;
use crate::error::{Error, Result};
use crate::files::{read_text, remove};

/// The generation settings of `transformers`.
const GENERATION: &str = "generation_config.json";

/// Keys of `config.json` that describe how weights were stored and are not kept.
const STORAGE: [&str; 5] = ["quantization_config", "torch_dtype", "dtype", "_name_or_path", "transformers_version"];

/// The keys and the file that are written back.
#[derive(Debug, Default)]
pub(crate) struct Passthrough {
    /// The keys of `config.json`.
    config: Map<String, Value>,
    /// The text of `generation_config.json`.
    generation: Option<String>,
}

impl Passthrough {
    /// Reads them from the folder `dir`, whose `config.json` has the text `config`.
    pub(in crate::nn) fn read(dir: &Path, config: &str) -> Self {
        let mut kept = Self::of(config);
        let path = dir.join(GENERATION);
        kept.generation = read_text(&path).ok().filter(|text| serde_json::from_str::<Map<_, _>>(text).is_ok());
        kept
    }

    /// Reads them from the text of a `config.json`.
    pub(in crate::nn) fn of(config: &str) -> Self {
        let mut config: Map<String, Value> = serde_json::from_str(config).unwrap_or_default();
        config.retain(|key, _| !STORAGE.contains(&key.as_str()));
        Self { config, generation: None }
    }

    /// The text of a `config.json` with the kept keys added where it has none of its own.
    ///
    /// # Errors
    /// A text that is not a JSON object.
    pub(in crate::nn) fn laid_under(&self, config: &str) -> Result<String> {
        let mut file: Map<String, Value> = serde_json::from_str(config).map_err(Error::internal)?;
        for (key, value) in &self.config {
            file.entry(key.as_str()).or_insert_with(|| value.clone());
        }
        Ok(format!("{:#}\n", Value::Object(file)))
    }

    /// Writes the file, or removes that of another model.
    pub(in crate::nn) fn write(&self, dir: &Path) -> Result<()> {
        match &self.generation {
            Some(text) => atomic::write(&dir.join(GENERATION), text.as_bytes()),
            None => remove(&dir.join(GENERATION)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_generation_are_written_again_and_storage_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let text = r#"{"eos_token_id": [2, 7], "pad_token_id": 0, "hidden_size": 9, "quantization_config": {"a": 1},
                       "torch_dtype": "float16"}"#;
        std::fs::write(dir.path().join(GENERATION), r#"{"temperature": 0.7}"#).unwrap();
        let kept = Passthrough::read(dir.path(), text);
        let written: Value = serde_json::from_str(&kept.laid_under(r#"{"hidden_size": 64}"#).unwrap()).unwrap();
        assert_eq!(written, serde_json::json!({ "hidden_size": 64, "eos_token_id": [2, 7], "pad_token_id": 0 }));
        let other = tempfile::tempdir().unwrap();
        kept.write(other.path()).unwrap();
        assert_eq!(std::fs::read(other.path().join(GENERATION)).unwrap(), br#"{"temperature": 0.7}"#);
        Passthrough::default().write(other.path()).unwrap();
        assert!(!other.path().join(GENERATION).exists(), "that of the model before is gone");
    }
}
