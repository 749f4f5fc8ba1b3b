//! The `adapter_config.json` of PEFT, and the options of it that are not supported.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::nn::lora::matches;
use crate::nn::targets::{OneOrList, Targets};
use crate::nn::{LoraBias, LoraConfig, LoraInit};

/// Keys of PEFT without effect on an adapter that has its tensors.
const WITHOUT_EFFECT: [&str; 13] = [
    "auto_mapping",
    "base_model_name_or_path",
    "corda_config",
    "eva_config",
    "inference_mode",
    "loftq_config",
    "lora_ga_config",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
    "task_type",
];

/// Initialisations that leave the base unchanged, so that they do not matter once the adapter has its tensors.
const PLAIN_BEGINNINGS: [&str; 4] = ["gaussian", "eva", "orthogonal", "default"];

/// PEFT's default of r and of lora_alpha.
const USUAL: usize = 8;

/// An `adapter_config.json`.
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
    fan_in_fan_out: Option<bool>,
    #[serde(default)]
    init_lora_weights: Value,
    #[serde(default)]
    rank_pattern: Value,
    #[serde(default)]
    alpha_pattern: Value,
    #[serde(default)]
    bias: Value,
    #[serde(default)]
    modules_to_save: Value,
    #[serde(default)]
    trainable_token_indices: Value,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

impl Foreign {
    /// The configuration, and the layers that have an adapter in a model of this family whose embedding has this name.
    ///
    /// # Errors
    /// Names the key with an unsupported value, of another kind than PEFT writes, or unknown.
    pub(super) fn check(self, model_type: &str, embedding: &str) -> Result<(LoraConfig, Targets)> {
        if self.peft_type != "LORA" {
            return Err(Error::mistake(format!("peft_type {} is not supported", self.peft_type))
                .with_hint("adapters of peft_type LORA are read"));
        }
        let foreign = |key: &&String| !WITHOUT_EFFECT.contains(&key.as_str());
        if let Some((key, value)) = self.rest.iter().find(|(key, value)| foreign(key) && !unset(value)) {
            return Err(Error::mistake(format!("{key} {value} is not supported"))
                .with_hint("merge the adapter in Python (merge_and_unload), save the model and load that"));
        }
        let layers_to_transform = match &self.layers_to_transform {
            Value::Number(_) => Some(vec![number("layers_to_transform", &self.layers_to_transform)?]),
            Value::Array(all) if !all.is_empty() => {
                Some(all.iter().map(|one| number("layers_to_transform", one)).collect::<Result<_>>()?)
            }
            value if unset(value) => None,
            value => return Err(wrong("layers_to_transform", value)),
        };
        let patterns = words("layers_pattern", &self.layers_pattern)?.list();
        let named = match words("target_modules", &self.target_modules)? {
            OneOrList::Nothing => OneOrList::List(usual_targets(model_type)?),
            given => given,
        };
        if layers_to_transform.is_some() && matches!(named, OneOrList::One(_)) {
            return Err(Error::mistake("layers_to_transform beside a target_modules that is a text is not supported")
                .with_hint("PEFT takes it beside a list of names only"));
        }
        let excluded = words("exclude_modules", &self.exclude_modules)?;
        let config = LoraConfig {
            r: self.r.unwrap_or(USUAL),
            lora_alpha: self.lora_alpha.unwrap_or(USUAL as f64),
            lora_dropout: self.lora_dropout,
            target_modules: named.clone().list(),
            exclude_modules: excluded.clone().list(),
            layers_to_transform: layers_to_transform.clone(),
            // PEFT has it without layers_to_transform in no file that it reads again.
            layers_pattern: if layers_to_transform.is_some() { patterns.clone() } else { Vec::new() },
            rank_pattern: pattern("rank_pattern", &self.rank_pattern)?,
            alpha_pattern: pattern("alpha_pattern", &self.alpha_pattern)?,
            use_rslora: self.use_rslora,
            use_dora: self.use_dora,
            init_lora_weights: beginning(&self.init_lora_weights)?,
            bias: match &self.bias {
                Value::Null => LoraBias::None,
                value => serde_json::from_value(value.clone()).map_err(|_| wrong("bias", value))?,
            },
            modules_to_save: words("modules_to_save", &self.modules_to_save)?.list(),
            trainable_token_indices: tokens(&self.trainable_token_indices, embedding)?,
            fan_in_fan_out: self.fan_in_fan_out,
        };
        let targets = Targets::of_peft(named, excluded, layers_to_transform, patterns)?;
        config.validate()?;
        Ok((config, targets))
    }
}

/// How the adapter began: what takes a part of the base away must be known, since PEFT takes it away again when it loads the
/// adapter.
fn beginning(how: &Value) -> Result<LoraInit> {
    let name = match how {
        Value::Null | Value::Bool(_) => return Ok(LoraInit::Default),
        Value::String(name) => name.to_lowercase(),
        other => other.to_string(),
    };
    match LoraInit::parse(&name) {
        Some(init @ (LoraInit::Pissa | LoraInit::Olora)) => Ok(init),
        _ if PLAIN_BEGINNINGS.contains(&name.as_str()) => Ok(LoraInit::Default),
        _ => Err(Error::mistake(format!(
            "init_lora_weights {how} is not supported: PEFT changes the base weights when it loads such an adapter"
        ))
        .with_hint(
            "save it in Python as a plain adapter: save_pretrained(dir, path_initial_model_for_weight_conversion=…)",
        )),
    }
}

/// A map of layers to numbers.
fn pattern<T: DeserializeOwned>(key: &str, value: &Value) -> Result<BTreeMap<String, T>> {
    match value {
        Value::Null => Ok(BTreeMap::new()),
        value => serde_json::from_value(value.clone()).map_err(|_| wrong(key, value)),
    }
}

/// A list of ids, of the embedding, or a map with its name.
fn tokens(value: &Value, embedding: &str) -> Result<Vec<u32>> {
    const KEY: &str = "trainable_token_indices";
    let ids = |value: &Value| serde_json::from_value(value.clone()).map_err(|_| wrong(KEY, value));
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Object(layers) => match layers.iter().collect::<Vec<_>>().as_slice() {
            [] => Ok(Vec::new()),
            [(layer, list)] if matches(layer, embedding) => ids(list),
            _ => Err(Error::mistake(format!("{KEY} {value} is not supported"))
                .with_hint(format!("ids of the embedding alone are: {embedding}"))),
        },
        list => ids(list),
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
        serde_json::from_value::<Foreign>(file).expect("a map with a peft_type").check("llama", "model.embed_tokens")
    }

    #[test]
    fn what_changes_the_base_is_known_or_refused_by_name() {
        for how in ["pissa_niter_16", "loftq", "corda", "lora_ga", "mica", "tomorrow's"] {
            let error = check(json!({ "init_lora_weights": how })).expect_err(how);
            assert!(error.message().contains("init_lora_weights") && error.message().contains(how), "{error}");
        }
        for how in [json!(true), json!(false), json!(null), json!("gaussian"), json!("eva"), json!("orthogonal")] {
            assert_eq!(check(json!({ "init_lora_weights": how })).unwrap().0.init_lora_weights, LoraInit::Default);
        }
        for (how, init) in [("pissa", LoraInit::Pissa), ("olora", LoraInit::Olora)] {
            assert_eq!(check(json!({ "init_lora_weights": how })).unwrap().0.init_lora_weights, init);
        }
    }

    /// Every field of `LoraConfig` in peft 0.21.2 with a value other than its default, and whether it is supported.
    #[test]
    fn every_key_of_peft_is_supported_or_refused_by_name() {
        let keys = [
            ("task_type", json!("CAUSAL_LM"), true),
            ("auto_mapping", json!({ "a": "b" }), true),
            ("peft_version", json!("0.21.2"), true),
            ("base_model_name_or_path", json!("base"), true),
            ("revision", json!("main"), true),
            ("inference_mode", json!(true), true),
            ("r", json!(3), true),
            ("target_modules", json!(["v_proj"]), true),
            ("exclude_modules", json!(["v_proj"]), true),
            ("lora_alpha", json!(5), true),
            ("lora_dropout", json!(0.5), true),
            ("fan_in_fan_out", json!(true), true),
            ("bias", json!("all"), true),
            ("use_rslora", json!(true), true),
            ("modules_to_save", json!(["lm_head"]), true),
            ("init_lora_weights", json!("pissa"), true),
            ("layers_to_transform", json!([1]), true),
            ("layers_pattern", json!("layers"), true),
            ("rank_pattern", json!({ "q_proj": 3 }), true),
            ("alpha_pattern", json!({ "q_proj": 3 }), true),
            ("megatron_config", json!({ "a": 1 }), false),
            ("megatron_core", json!("megatron.core"), true),
            ("trainable_token_indices", json!([1, 2]), true),
            ("loftq_config", json!({ "loftq_bits": 4 }), true),
            ("eva_config", json!({ "rho": 2.0 }), true),
            ("corda_config", json!({ "corda_method": "ipm" }), true),
            ("lora_ga_config", json!({ "a": 1 }), true),
            ("use_dora", json!(true), true),
            ("velora_config", json!({ "a": 1 }), false),
            ("alora_invocation_tokens", json!([1]), false),
            ("use_qalora", json!(true), false),
            ("qalora_group_size", json!(32), true),
            ("monteclora_config", json!({ "a": 1 }), false),
            ("layer_replication", json!([[0, 1]]), false),
            ("runtime_config", json!({ "ephemeral_gpu_offload": true }), true),
            ("lora_bias", json!(true), false),
            ("target_parameters", json!(["a"]), false),
            ("use_bdlora", json!({ "a": 1 }), false),
            ("arrow_config", json!({ "a": 1 }), false),
            ("kasa_config", json!({ "a": 1 }), false),
            ("ensure_weight_tying", json!(true), false),
            ("a_key_of_tomorrow", json!(3), false),
        ];
        for (key, value, supported) in keys {
            match check(json!({ key: value })) {
                Ok(_) => assert!(supported, "{key} is taken without a word"),
                Err(error) => assert!(!supported && error.message().contains(key), "{key}: {error}"),
            }
            for unset in [json!(null), json!(false)] {
                let plain = matches!(key, "r" | "lora_alpha" | "lora_dropout" | "use_rslora" | "use_dora" | "bias");
                assert!(plain || supported || check(json!({ key: unset })).is_ok(), "{key} is not set");
            }
        }
    }

    #[test]
    fn what_is_absent_is_as_in_peft() {
        let (config, targets) = serde_json::from_value::<Foreign>(json!({ "peft_type": "LORA" }))
            .expect("a map")
            .check("llama", "model.embed_tokens")
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
            ("rank_pattern", json!([1])),
            ("alpha_pattern", json!({ "a": "b" })),
            ("bias", json!("some")),
            ("modules_to_save", json!(true)),
            ("trainable_token_indices", json!([-1])),
            ("trainable_token_indices", json!({ "lm_head": [1] })),
        ] {
            let error = check(json!({ key: value })).expect_err(key);
            assert!(error.message().contains(key), "{key}: {error}");
        }
        let both = json!({ "target_modules": ".*q_proj", "layers_to_transform": [0] });
        assert!(check(both).is_err_and(|e| e.message().contains("layers_to_transform")));
        assert_eq!(check(json!({ "layers_to_transform": 1 })).unwrap().0.layers_to_transform, Some(vec![1]));
    }
}
