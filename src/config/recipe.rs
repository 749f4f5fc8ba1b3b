//! Recipes: the configuration of a whole fine-tuning run as one flat map, with the same keys in YAML files, on the
//! command line and in script options.
//!
//! The keys are the fields of the option structs of the parts; those that belong to none are in [`DataSources`]. `seed`
//! is shared by all.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::flags::near;
use super::foreign;
use super::keys::from_map;
use crate::data::DatasetOptions;
use crate::error::{Error, Result};
use crate::files;
use crate::nn::LoraConfig;
use crate::train::TrainOptions;

/// The validated configuration of a fine-tuning run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recipe {
    /// The sources of model and data.
    #[serde(flatten)]
    pub sources: DataSources,
    /// The adapters, if any are used.
    pub lora: Option<LoraConfig>,
    /// The dataset options.
    pub data: DatasetOptions,
    /// The training options.
    pub train: TrainOptions,
    /// The random seed of all parts.
    pub seed: u64,
}

/// The keys that belong to no other part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataSources {
    /// "base", a model folder, or the YAML file of an architecture.
    pub base_model: String,
    /// Which weights train.
    pub method: AdapterMethod,
    /// Device to compute on.
    pub device: String,
    /// The tokenizer, for models that do not come with one.
    pub tokenizer: String,
    /// A folder of MIDI files, or a saved dataset.
    #[serde(with = "crate::forms::path")]
    pub data_dir: Option<PathBuf>,
}

impl Default for DataSources {
    fn default() -> Self {
        Self {
            base_model: "base".into(),
            method: AdapterMethod::default(),
            device: "auto".into(),
            tokenizer: "note_duration".into(),
            data_dir: None,
        }
    }
}

/// Which weights train.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AdapterMethod {
    /// Adapters, with the base model in 4 bits.
    #[default]
    Qlora,
    /// Adapters, with the base model in full precision.
    Lora,
    /// All weights.
    Full,
}

impl Recipe {
    /// The recipe of a flat map; keys that it lacks have their defaults.
    ///
    /// # Errors
    /// An unknown key, with the nearest known one; a value of the wrong type or range, with its key.
    pub fn from_map(what: &str, map: Value) -> Result<Self> {
        let map = match map {
            Value::Null => Map::new(),
            Value::Object(map) => map,
            other => return Err(Error::mistake(format!("the settings of {what} are a map, not {other}"))),
        };
        let parts = parts();
        let mut split: [Map<String, Value>; 4] = Default::default();
        for (key, value) in map {
            let mut found = false;
            let name = if key == "out" { "output_dir" } else { key.as_str() };
            for (part, keys) in split.iter_mut().zip(&parts) {
                if keys.contains_key(name) {
                    part.insert(name.into(), value.clone());
                    found = true;
                }
            }
            if !found {
                return Err(unknown(what, &key));
            }
        }
        let [mut sources, lora, mut data, mut train] = split;
        if let Some(augment) = data.get_mut("augment") {
            spell_out(augment);
        }
        ["base_model", "tokenizer", "data_dir"].iter().try_for_each(|key| at_home(&mut sources, key))?;
        at_home(&mut train, "output_dir")?;
        let seed = train.get("seed").cloned();
        let sources: DataSources = from_map(what, Value::Object(sources))?;
        let lora: LoraConfig = from_map(what, Value::Object(lora))?;
        let data: DatasetOptions = from_map(what, Value::Object(data))?;
        let train: TrainOptions = from_map(what, Value::Object(train))?;
        let lora = (sources.method != AdapterMethod::Full).then_some(lora);
        lora.iter().try_for_each(LoraConfig::validate)?;
        data.validate()?;
        train.validate()?;
        let seed = seed.map_or(0, |_| train.seed);
        Ok(Self { sources, lora, data, train, seed })
    }

    /// All keys, sorted.
    pub fn keys() -> Vec<String> {
        let mut keys: Vec<String> = parts().iter().flat_map(|part| part.keys().cloned()).collect();
        keys.sort();
        keys.dedup();
        keys
    }

    /// The value of `augment: true`: copies in 12 keys and 3 tempi.
    pub fn usual_copies() -> Value {
        json!({ "transpose": 12, "tempo": [0.9, 1.0, 1.1] })
    }

    /// The default of every key, as a flat map.
    pub fn defaults() -> Map<String, Value> {
        parts().into_iter().flatten().collect()
    }
}

/// The keys of sources, adapters, rows and run, with their defaults.
fn parts() -> [Map<String, Value>; 4] {
    let map = |value: Result<Value, serde_json::Error>| match value {
        Ok(Value::Object(map)) => map,
        _ => Map::new(), // plain structs are maps
    };
    [
        map(serde_json::to_value(DataSources::default())),
        map(serde_json::to_value(LoraConfig::default())),
        map(serde_json::to_value(DatasetOptions::default())),
        map(serde_json::to_value(TrainOptions::default())),
    ]
}

/// The error for an unknown key: the nearest one, or all when none is near.
fn unknown(what: &str, key: &str) -> Error {
    let known = Recipe::keys();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let error = Error::mistake(format!("no setting of {what} is called '{key}'"));
    match (foreign::answer(key, false), near(key, &known)) {
        (Some(answer), _) => error.with_hint(answer),
        (None, Some(near)) => error.with_hint(format!("did you mean '{near}'?")),
        (None, None) => error.with_hint(format!("there are: {}", known.join(", "))),
    }
}

/// Expands `~` at the beginning of a path.
fn at_home(part: &mut Map<String, Value>, key: &str) -> Result<()> {
    if let Some(Value::String(path)) = part.get_mut(key)
        && path.starts_with('~')
    {
        *path = files::locate(path)?.display().to_string();
    }
    Ok(())
}

/// Replaces `augment: true` by the default augmentation, 12 keys and 3 tempi, and `false` by none.
fn spell_out(augment: &mut Value) {
    match augment {
        Value::Bool(true) => *augment = Recipe::usual_copies(),
        Value::Bool(false) | Value::Null => *augment = json!({}),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_flat_map_fills_every_part() {
        let map = json!({ "base_model": "b", "method": "lora", "r": 4, "max_seq_len": 64, "augment": true,
                          "lr": 1, "seed": 5, "out": "o", "batch_size": "auto" });
        let recipe = Recipe::from_map("train", map).expect("known keys");
        assert_eq!((recipe.sources.base_model.as_str(), recipe.sources.method), ("b", AdapterMethod::Lora));
        assert_eq!(recipe.lora.map(|lora| lora.r), Some(4));
        assert_eq!((recipe.data.max_seq_len, recipe.data.augment.transpose, recipe.data.seed), (64, 12, 5));
        assert_eq!((recipe.train.lr, recipe.train.seed, recipe.seed), (1.0, 5, 5));
        assert_eq!(recipe.train.output_dir, Some("o".into()));
        let full = Recipe::from_map("train", json!({ "method": "full" })).expect("known keys");
        assert_eq!(full.lora, None);
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_of_all_parts() {
        for (wrong, right) in [
            ("lora_alhpa", "lora_alpha"),
            ("max_sequence_len", "max_seq_len"),
            ("warmup", "warmup_steps"),
            ("learning_rate", "lr"),
            ("num_train_epochs", "epochs"),
            ("bf16", "mixed_precision"),
        ] {
            let error = Recipe::from_map("a.yaml", json!({ wrong: 1 })).expect_err(wrong);
            assert_eq!(error.message(), format!("no setting of a.yaml is called '{wrong}'"));
            assert!(error.hint().is_some_and(|hint| hint.contains(&format!("'{right}'"))), "{error}");
        }
        let error = Recipe::from_map("a.yaml", json!({ "lr": "high" })).expect_err("no number");
        assert_eq!(error.message(), "lr of a.yaml must be a number, not \"high\"");
        assert!(Recipe::from_map("a.yaml", json!({ "val": 3 })).is_err_and(|e| e.message().contains("val is 3")));
        assert!(Recipe::from_map("a.yaml", json!([])).is_err());
    }

    /// A recipe as PyYAML writes it: `no` becomes false, and a list of one has another layout.
    #[test]
    fn a_recipe_that_pyyaml_wrote_again_is_read() {
        let text = "mixed_precision: false\ntarget_modules: all-linear\ntrack: tensorboard\nbatch_size: auto\naugment: false\n";
        let recipe = Recipe::from_map("a.yaml", crate::config::parse_yaml(text).expect("YAML")).expect("a recipe");
        assert_eq!(recipe.train.mixed_precision, crate::train::MixedPrecision::No);
        assert_eq!(recipe.lora.map(|lora| lora.target_modules), Some(vec!["all-linear".to_string()]));
        assert_eq!(recipe.train.track, ["tensorboard"]);
        for (key, value) in [("early_stopping_patience", json!(false)), ("mixed_precision", json!(true))] {
            let error = Recipe::from_map("a.yaml", json!({ key: value })).expect_err(key);
            assert!(error.message().contains(key), "{error}");
        }
        let both = Recipe::from_map("a.yaml", json!({ "track": "tensorboard, wandb" })).expect("two");
        assert_eq!(both.train.track, ["tensorboard", "wandb"]);
    }

    #[test]
    fn a_tilde_is_the_home_folder() {
        let map = json!({ "data_dir": "~/midi", "output_dir": "~/runs/a", "base_model": "~/base" });
        let recipe = Recipe::from_map("a.yaml", map).expect("a recipe");
        let home = std::env::home_dir().expect("one is known");
        assert_eq!(recipe.sources.data_dir, Some(home.join("midi")));
        assert_eq!(recipe.train.output_dir, Some(home.join("runs/a")));
        assert_eq!(recipe.sources.base_model, home.join("base").display().to_string());
    }

    #[test]
    fn no_key_but_the_seed_belongs_to_two_parts() {
        let count: usize = parts().iter().map(Map::len).sum();
        assert_eq!(count, Recipe::keys().len() + 1);
    }
}
