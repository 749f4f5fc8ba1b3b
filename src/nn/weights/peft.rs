//! The `adapter_config.json` of PEFT, and the options of it that are not supported.

use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::nn::LoraConfig;
use crate::nn::lora::ALL_LINEAR;
use crate::nn::targets::{OneOrList, Targets};

/// Keys of PEFT that change the result of an adapter and are not supported.
const FOREIGN: [&str; 13] = [
    "alora_invocation_tokens",
    "alpha_pattern",
    "bias",
    "kasa_config",
    "layer_replication",
    "lora_bias",
    "modules_to_save",
    "monteclora_config",
    "rank_pattern",
    "target_parameters",
    "trainable_token_indices",
    "use_bdlora",
    "use_qalora",
];

/// Initialisations that leave the base unchanged, so that they do not matter once the adapter has its tensors. The
/// others (pissa, olora, loftq, corda, lora_ga) subtract a part from the base weights when PEFT loads the adapter.
const PLAIN_BEGINNINGS: [&str; 3] = ["gaussian", "eva", "orthogonal"];

/// PEFT's default of r and of lora_alpha.
const USUAL: usize = 8;

/// An `adapter_config.json`; keys without effect are ignored.
#[derive(Deserialize)]
pub(super) struct Foreign {
    peft_type: String,
    #[serde(default)]
    r: Option<usize>,
    #[serde(default)]
    lora_alpha: Option<f64>,
    #[serde(default)]
    lora_dropout: f64,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    use_dora: bool,
    #[serde(default)]
    target_modules: Value,
    #[serde(default)]
    exclude_modules: Value,
    #[serde(default)]
    layers_to_transform: Value,
    #[serde(default)]
    layers_pattern: Value,
    /// Whether files of the base hold the adapted layers as (in, out).
    #[serde(default)]
    pub(super) fan_in_fan_out: Option<bool>,
    #[serde(default)]
    init_lora_weights: Value,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

impl Foreign {
    /// The configuration, and the layers that have an adapter in a model of this family.
    ///
    /// # Errors
    /// Names the key with an unsupported value, or of another kind than PEFT writes.
    pub(super) fn check(self, model_type: &str) -> Result<(LoraConfig, Targets)> {
        if self.peft_type != "LORA" {
            return Err(Error::mistake(format!("peft_type {} is not supported", self.peft_type))
                .with_hint("adapters of peft_type LORA are read"));
        }
        for key in FOREIGN {
            if let Some(value) = self.rest.get(key).filter(|value| !unset(value)) {
                return Err(Error::mistake(format!("{key} {value} is not supported")));
            }
        }
        check_beginning(&self.init_lora_weights)?;
        let layers_to_transform = match &self.layers_to_transform {
            Value::Number(_) => Some(vec![number("layers_to_transform", &self.layers_to_transform)?]),
            Value::Array(all) if !all.is_empty() => {
                Some(all.iter().map(|one| number("layers_to_transform", one)).collect::<Result<_>>()?)
            }
            value if unset(value) => None,
            value => return Err(wrong("layers_to_transform", value)),
        };
        let patterns = match words("layers_pattern", &self.layers_pattern)? {
            OneOrList::Nothing => Vec::new(),
            OneOrList::One(word) => vec![word],
            OneOrList::List(words) => words,
        };
        let named = match words("target_modules", &self.target_modules)? {
            OneOrList::Nothing => OneOrList::List(usual_targets(model_type)?),
            given => given,
        };
        let target_modules = match &named {
            OneOrList::List(names) => names.clone(),
            OneOrList::One(text) => vec![text.clone()],
            OneOrList::Nothing => vec![ALL_LINEAR.into()],
        };
        if layers_to_transform.is_some() && matches!(named, OneOrList::One(_)) {
            return Err(Error::mistake("layers_to_transform beside a target_modules that is a text is not supported")
                .with_hint("PEFT takes it beside a list of names only"));
        }
        let excluded = words("exclude_modules", &self.exclude_modules)?;
        let targets = Targets::of_peft(named, excluded, layers_to_transform.clone(), patterns)?;
        let Self { r, lora_alpha, lora_dropout, use_rslora, use_dora, .. } = self;
        let (r, lora_alpha) = (r.unwrap_or(USUAL), lora_alpha.unwrap_or(USUAL as f64));
        let config =
            LoraConfig { r, lora_alpha, lora_dropout, target_modules, layers_to_transform, use_rslora, use_dora };
        config.validate()?;
        Ok((config, targets))
    }
}

/// PEFT changes the base when it loads an adapter with another initialisation.
fn check_beginning(how: &Value) -> Result<()> {
    match how {
        Value::Null | Value::Bool(_) => Ok(()),
        Value::String(name) if PLAIN_BEGINNINGS.contains(&name.to_lowercase().as_str()) => Ok(()),
        other => Err(Error::mistake(format!(
            "init_lora_weights {other} is not supported: PEFT changes the base weights when it loads such an adapter"
        ))
        .with_hint(
            "save it in Python as a plain adapter: save_pretrained(dir, path_initial_model_for_weight_conversion=…)",
        )),
    }
}

/// The layers PEFT gives adapters when none are named (`TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING`).
fn usual_targets(model_type: &str) -> Result<Vec<String>> {
    let names: &[&str] = match model_type {
        "llama" => &["q_proj", "v_proj"],
        "gpt2" => &["c_attn"],
        "t5" => &["q", "v"],
        _ => {
            return Err(Error::mistake("target_modules is not set")
                .with_hint(format!("PEFT has no usual ones for model_type {model_type}: list them")));
        }
    };
    Ok(names.iter().map(ToString::to_string).collect())
}

fn unset(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(items) => items.is_empty(),
        Value::String(text) => text == "none",
        Value::Number(_) | Value::Bool(true) => false,
    }
}

fn words(key: &str, value: &Value) -> Result<OneOrList> {
    match value {
        Value::Null => Ok(OneOrList::Nothing),
        Value::String(text) => Ok(OneOrList::One(text.clone())),
        Value::Array(items) => {
            let names = items.iter().map(|item| item.as_str().map(String::from).ok_or_else(|| wrong(key, item)));
            Ok(OneOrList::List(names.collect::<Result<_>>()?))
        }
        other => Err(wrong(key, other)),
    }
}

fn number(key: &str, value: &Value) -> Result<usize> {
    value.as_u64().and_then(|n| usize::try_from(n).ok()).ok_or_else(|| wrong(key, value))
}

fn wrong(key: &str, value: &Value) -> Error {
    Error::broken(format!("{key} is {value}, which PEFT does not write"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(more: Value) -> Result<(LoraConfig, Targets)> {
        let mut file = json!({ "peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"] });
        for (key, value) in more.as_object().expect("a map") {
            file[key] = value.clone();
        }
        serde_json::from_value::<Foreign>(file).expect("a map with a peft_type").check("llama")
    }

    #[test]
    fn what_changes_the_base_is_refused_by_name() {
        for how in ["pissa", "pissa_niter_16", "olora", "loftq", "corda", "lora_ga", "tomorrow's"] {
            let error = check(json!({ "init_lora_weights": how })).expect_err(how);
            assert!(error.message().contains("init_lora_weights") && error.message().contains(how), "{error}");
        }
        for how in [json!(true), json!(false), json!(null), json!("gaussian"), json!("eva"), json!("orthogonal")] {
            assert!(check(json!({ "init_lora_weights": how })).is_ok(), "{how}");
        }
        let error = check(json!({ "modules_to_save": ["lm_head"] })).expect_err("a trained head");
        assert!(error.message().contains("modules_to_save"), "{error}");
    }

    #[test]
    fn what_is_absent_is_as_in_peft() {
        let (config, targets) = serde_json::from_value::<Foreign>(json!({ "peft_type": "LORA" }))
            .expect("a map")
            .check("llama")
            .expect("PEFT's defaults");
        assert_eq!((config.r, config.lora_alpha), (8, 8.0));
        assert!(targets.hold("model.layers.0.self_attn.v_proj", false));
        assert!(!targets.hold("model.layers.0.self_attn.o_proj", false));
    }

    #[test]
    fn values_of_another_kind_are_named() {
        for (key, value) in [
            ("target_modules", json!({ "a": 1 })),
            ("target_modules", json!([1])),
            ("target_modules", json!("(")),
            ("layers_to_transform", json!("all")),
            ("layers_to_transform", json!([-1])),
            ("exclude_modules", json!(3)),
        ] {
            let error = check(json!({ key: value })).expect_err(key);
            assert!(error.message().contains(key), "{key}: {error}");
        }
        let both = json!({ "target_modules": ".*q_proj", "layers_to_transform": [0] });
        assert!(check(both).is_err_and(|e| e.message().contains("layers_to_transform")));
        assert_eq!(check(json!({ "layers_to_transform": 1 })).unwrap().0.layers_to_transform, Some(vec![1]));
    }
}
