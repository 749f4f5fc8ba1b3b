//! PEFT's adapters: `adapter_config.json` and `adapter_model.safetensors`.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::dtype::Dtype;
use super::file::{make_folder, write_tensors, write_text};
use super::folder::entry;
use super::read::Checkpoint;
use crate::error::{Error, Result};
use crate::nn::LoraConfig;
use crate::nn::lora::matches;
use crate::nn::model::core::{Linear, Lora, Weight};
use crate::nn::model::{Model, adapter_name};

/// What the adapter is.
pub(super) const CONFIG: &str = "adapter_config.json";

/// Its tensors.
pub(super) const WEIGHTS: &str = "adapter_model.safetensors";

impl Model {
    /// Writes the adapter as PEFT does: `adapter_config.json`, `adapter_model.safetensors`.
    ///
    /// # Errors
    /// A model without adapters is refused.
    pub fn save_adapter(&self, dir: &Path) -> Result<()> {
        make_folder(dir)?;
        write(self, dir, self.origin.as_deref().map(Path::new))
    }

    /// This model with the adapter of a PEFT folder, in the place of those it has.
    ///
    /// # Errors
    /// Names the tensor that is missing or has another shape, and what the adapter asks for that is not built here.
    pub fn load_adapter(&self, dir: &Path) -> Result<Self> {
        let path = dir.join(CONFIG);
        let text = fs::read_to_string(&path).map_err(|e| {
            Error::io("cannot read", &path, e)
                .with_hint("an adapter is a folder, as save_adapter(dir) or PEFT writes it")
        })?;
        let file: Foreign =
            serde_json::from_str(&text).map_err(|e| Error::broken(format!("{}: {e}", path.display())))?;
        let (config, listed) = file.check().map_err(|e| e.context(path.display()))?;
        let tensors = RefCell::new(Checkpoint::open(&dir.join(WEIGHTS))?);
        let left: RefCell<BTreeSet<String>> =
            RefCell::new(tensors.borrow().names().into_iter().map(String::from).collect());
        let model = self.with_adapters(&config, &|linear, _| {
            let listed = listed && config.target_modules.iter().any(|target| matches(target, &linear.name));
            let [a, b] = ["A", "B"].map(|which| adapter_name(&linear.name, which));
            let mut left = left.borrow_mut();
            let (has_a, has_b) = (left.remove(&a), left.remove(&b));
            if !(has_a || has_b || listed) {
                return Ok(None);
            }
            let mut tensors = tensors.borrow_mut();
            let mut read = |name: String, shape: [usize; 2]| {
                let values = tensors.floats(&name, &shape, self.device())?;
                Weight::trained(name, &values)
            };
            let (out, wide) = linear.shape;
            Ok(Some(Lora {
                a: read(a, [config.r, wide])?,
                b: read(b, [out, config.r])?,
                scale: config.scale(),
                dropout: config.lora_dropout,
            }))
        })?;
        if let Some(name) = left.into_inner().first() {
            return Err(Error::broken(format!("{}: the model has no place for '{name}'", tensors.borrow().label()))
                .with_hint("the adapter is for another model"));
        }
        Ok(model)
    }
}

/// Writes the two files; `base` is what they say the adapter is for.
pub(super) fn write(model: &Model, dir: &Path, base: Option<&Path>) -> Result<()> {
    let Some(config) = model.lora_config() else {
        return Err(Error::mistake("the model has no adapter to save")
            .with_hint("save(dir) writes a model; lora(#{…}) or qlora(#{…}) gives it adapters"));
    };
    let adapted = || model.core.linears().filter(|linear| linear.adapter.is_some());
    let mut entries = Vec::new();
    for lora in adapted().filter_map(|linear| linear.adapter.as_ref()) {
        entries.extend([entry(&lora.a, Dtype::F32), entry(&lora.b, Dtype::F32)]);
    }
    write_tensors(&dir.join(WEIGHTS), entries)?;
    let modules: BTreeSet<&str> = adapted().map(Linear::module).collect();
    write_text(&dir.join(CONFIG), &to_peft_json(config, &modules, base))
}

fn to_peft_json(config: &LoraConfig, modules: &BTreeSet<&str>, base: Option<&Path>) -> String {
    let file = json!({
        "alpha_pattern": {},
        "auto_mapping": null,
        "base_model_name_or_path": base.map(|b| b.display().to_string()),
        "bias": "none",
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_lora_weights": true,
        "layers_pattern": null,
        "layers_to_transform": null,
        "lora_alpha": whole(config.lora_alpha),
        "lora_dropout": config.lora_dropout,
        "modules_to_save": null,
        "peft_type": "LORA",
        "r": config.r,
        "rank_pattern": {},
        "revision": null,
        "target_modules": modules,
        "task_type": "CAUSAL_LM",
        "use_dora": false,
        "use_rslora": config.use_rslora,
    });
    format!("{file:#}\n")
}

/// PEFT declares `lora_alpha` an integer, so one is written as one.
fn whole(x: f64) -> Value {
    if x.fract() == 0.0 && x.abs() < 1e15 { json!(x as i64) } else { json!(x) }
}

/// Keys of PEFT that change what an adapter computes and are not built here.
const FOREIGN: [&str; 15] = [
    "alora_invocation_tokens",
    "alpha_pattern",
    "bias",
    "fan_in_fan_out",
    "kasa_config",
    "layer_replication",
    "lora_bias",
    "modules_to_save",
    "monteclora_config",
    "rank_pattern",
    "target_parameters",
    "trainable_token_indices",
    "use_bdlora",
    "use_dora",
    "use_qalora",
];

/// An `adapter_config.json`; keys that make no difference are ignored.
#[derive(Deserialize)]
struct Foreign {
    peft_type: String,
    r: usize,
    lora_alpha: f64,
    #[serde(default)]
    lora_dropout: f64,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    target_modules: Value,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

impl Foreign {
    /// The configuration, and whether `target_modules` lists the names of all layers that have one.
    fn check(self) -> Result<(LoraConfig, bool)> {
        if self.peft_type != "LORA" {
            return Err(Error::mistake(format!("peft_type {} is not supported", self.peft_type))
                .with_hint("adapters of peft_type LORA are read"));
        }
        let unset = |value: &Value| match value {
            Value::Null | Value::Bool(false) => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(items) => items.is_empty(),
            Value::String(text) => text == "none",
            Value::Number(_) | Value::Bool(true) => false,
        };
        for key in FOREIGN {
            if let Some(value) = self.rest.get(key).filter(|value| !unset(value)) {
                return Err(Error::mistake(format!("{key} {value} is not supported")));
            }
        }
        let whole_layers =
            ["layers_to_transform", "exclude_modules"].iter().all(|k| self.rest.get(*k).is_none_or(unset));
        // A text is a regular expression (or "all-linear"): then the tensors say which layers have one.
        let (target_modules, listed) = match &self.target_modules {
            Value::Array(names) => (names.iter().filter_map(Value::as_str).map(String::from).collect(), whole_layers),
            Value::String(text) => (vec![text.clone()], false),
            _ => (vec![crate::nn::lora::ALL_LINEAR.into()], false),
        };
        let Self { r, lora_alpha, lora_dropout, use_rslora, .. } = self;
        let config = LoraConfig { r, lora_alpha, lora_dropout, target_modules, use_rslora };
        config.validate()?;
        Ok((config, listed))
    }
}
