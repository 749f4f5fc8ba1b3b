//! Adapters in PEFT's format: `adapter_config.json` and `adapter_model.safetensors`.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::entry::entry_as;
use super::file::{Entry, make_folder, write_tensors_with, write_text};
use super::peft::Foreign;
use super::stored_adapter::{ORIGINAL, StoredAdapter, bias_name, whole_name};
use crate::error::{Error, Result};
use crate::files::read_text;
use crate::nn::core::{Linear, Matrix, Part, Transformer, Weight};
use crate::nn::dtype::Dtype;
use crate::nn::lora::matches;
use crate::nn::model::{DEFAULT, Model, NamedAdapter, adapter_name, magnitude_name, token_rows_name};
use crate::nn::{LoraConfig, LoraInit};

/// The configuration of an adapter.
pub(super) const CONFIG: &str = "adapter_config.json";

/// Its tensors.
pub(super) const WEIGHTS: &str = "adapter_model.safetensors";

impl Model {
    /// Writes the adapter in use as PEFT does: `adapter_config.json`, `adapter_model.safetensors`.
    ///
    /// # Errors
    /// A model without adapters, or with several in use, is refused.
    pub fn save_adapter(&self, dir: &Path) -> Result<()> {
        let adapter = self.adapters.alone().ok_or_else(|| match self.adapters().as_slice() {
            [] => Error::mistake("the model has no adapter to save")
                .with_hint("save(dir) writes a model; lora(#{…}) or qlora(#{…}) gives it adapters"),
            several => Error::mistake("not one adapter is in use")
                .with_hint(format!("name one: save_adapter(dir, \"{}\")", several.join("\" or \""))),
        })?;
        self.write_adapter(adapter, dir)
    }

    /// Writes one of several adapters as PEFT does.
    ///
    /// # Errors
    /// An unknown name, with the nearest known one.
    pub fn save_adapter_named(&self, dir: &Path, name: &str) -> Result<()> {
        self.write_adapter(self.adapters.named(name)?, dir)
    }

    fn write_adapter(&self, adapter: &NamedAdapter, dir: &Path) -> Result<()> {
        make_folder(dir)?;
        write(self, adapter, dir, self.origin.as_deref().map(Path::new))
    }

    /// This model with the adapter of a PEFT folder, in the place of those it has.
    ///
    /// # Errors
    /// Names the tensor that is missing or has another shape, and options of the adapter that are not supported.
    pub fn load_adapter(&self, dir: &Path) -> Result<Self> {
        let base = self.frozen_base()?;
        let adapter = self.read_adapter(&base, DEFAULT, dir)?;
        Ok(self.with_adapter(base, adapter))
    }

    /// The same model with one more adapter, of a PEFT folder; what was in use stays in use. The weights of the base are
    /// frozen.
    ///
    /// # Errors
    /// See [`Model::load_adapter`]; a name that is taken or cannot be one.
    pub fn add_adapter(&self, name: &str, dir: &Path) -> Result<Self> {
        self.check_new_name(name)?;
        let base = self.frozen_base()?;
        let adapter = self.read_adapter(&base, name, dir)?;
        Ok(self.with_one_more(base, adapter))
    }

    /// The adapter of a PEFT folder on a base.
    fn read_adapter(&self, base: &Transformer, name: &str, dir: &Path) -> Result<NamedAdapter> {
        let path = dir.join(CONFIG);
        let text = read_text(&path).map_err(|e| match e.hint() {
            None => e.with_hint("an adapter is a folder, as save_adapter(dir) or PEFT writes it"),
            Some(_) => e,
        })?;
        let file: Foreign =
            serde_json::from_str(&text).map_err(|e| Error::broken(format!("{}: {e}", path.display())))?;
        let embedding = base.embedding.name();
        let embedding = embedding.strip_suffix(".weight").unwrap_or(embedding);
        let checked = file.check(self.config().model_type(), embedding);
        let (config, targets) = checked.map_err(|e| e.context(path.display()))?;
        let stored = StoredAdapter::open(&dir.join(WEIGHTS), self.device(), (name, config, targets))?;
        let core = self.adapted_view(base, &stored)?;
        check_transposed(&core, stored.config.fan_in_fan_out).map_err(|e| e.context(path.display()))?;
        stored.check_whole_layers(self)?;
        stored.check_all_read()?;
        Ok(NamedAdapter { name: name.to_owned(), config: stored.config, core: Arc::new(core) })
    }

    /// The layers with an adapter in use, as PEFT's `target_modules` names them; empty for a model without.
    pub fn adapted_modules(&self) -> Vec<String> {
        targets(&self.core).into_iter().map(String::from).collect()
    }
}

/// Refuses a `fan_in_fan_out` that does not fit the adapted layers.
fn check_transposed(core: &Transformer, flag: Option<bool>) -> Result<()> {
    let adapted = || core.linears().filter(|linear| linear.update.is_some());
    let Some(flag) = flag else { return Ok(()) };
    match adapted().find(|linear| linear.transposed != flag) {
        Some(linear) => {
            let held = if linear.transposed { "(in, out), as Conv1D" } else { "(out, in)" };
            let error = format!("fan_in_fan_out is {flag}, but the base holds {} as {held}", linear.name);
            let hint = format!("set it to {}; or the adapter is for another model", linear.transposed);
            Err(Error::mistake(error).with_hint(hint))
        }
        None => Ok(()),
    }
}

/// Writes the two files; `base` is recorded as the base model.
pub(super) fn write(model: &Model, adapter: &NamedAdapter, dir: &Path, base: Option<&Path>) -> Result<()> {
    let (config, core) = (&adapter.config, &*adapter.core);
    let mut entries = Vec::new();
    for part in core.parts() {
        match part {
            Part::Linear(linear) | Part::Head(linear) => entries.extend(of_linear(linear)?),
            Part::TokenRows(rows) => {
                entries.push(entry_as(token_rows_name(core.embedding.name(), DEFAULT), rows, Dtype::F32));
            }
            other => {
                let trained = other.weights().filter(|weight| weight.var().is_some());
                entries.extend(trained.map(|weight| entry_as(whole_name(weight.name()), weight, Dtype::F32)));
            }
        }
    }
    let parts = core.linears().any(|linear| linear.lora().is_some_and(|lora| lora.part.is_some()));
    let original = match parts {
        true => Some((ORIGINAL.to_owned(), serde_json::to_string(config).map_err(Error::internal)?)),
        false => None,
    };
    write_tensors_with(&dir.join(WEIGHTS), entries, original)?;
    let config = if parts { doubled(config) } else { config.clone() };
    let transposed = core.linears().any(|linear| linear.update.is_some() && linear.transposed);
    let task = if model.spec().encoder.is_some() { "SEQ_2_SEQ_LM" } else { "CAUSAL_LM" };
    write_text(&dir.join(CONFIG), &to_peft_json(&config, &targets(core), (transposed, task), base))
}

/// What a linear layer has of an adapter.
fn of_linear<'a>(linear: &Linear) -> Result<Vec<(String, Entry<'a>)>> {
    let mut entries = Vec::new();
    if let Some(lora) = linear.lora() {
        let (a, b) = lora.factors()?;
        for (which, values) in [("A", a), ("B", b)] {
            let name = adapter_name(&linear.name, which, DEFAULT);
            entries.push(entry_as(name, &Weight::fixed("", values), Dtype::F32));
        }
        if let Some(magnitude) = &lora.magnitude {
            entries.push(entry_as(magnitude_name(&linear.name, DEFAULT), &magnitude.vector, Dtype::F32));
        }
    }
    if let Some(bias) = linear.bias.as_ref().filter(|bias| bias.var().is_some()) {
        entries.push(entry_as(bias_name(bias.name(), linear.update.is_some()), bias, Dtype::F32));
    }
    if let Matrix::Dense(weight) = &linear.matrix
        && weight.var().is_some()
    {
        let values = if linear.transposed { weight.detached().t()?.contiguous()? } else { weight.detached() };
        entries.push(entry_as(whole_name(weight.name()), &Weight::fixed("", values), Dtype::F32));
    }
    Ok(entries)
}

/// The configuration of an adapter with the part it began with beside what it became: of twice the rank, and the same factor
/// (`subtract_mutated_init` of PEFT).
fn doubled(config: &LoraConfig) -> LoraConfig {
    let factor = if config.use_rslora { 2f64.sqrt() } else { 2.0 };
    LoraConfig {
        r: 2 * config.r,
        lora_alpha: factor * config.lora_alpha,
        rank_pattern: config.rank_pattern.iter().map(|(layer, r)| (layer.clone(), 2 * r)).collect(),
        alpha_pattern: config.alpha_pattern.iter().map(|(layer, alpha)| (layer.clone(), factor * alpha)).collect(),
        init_lora_weights: LoraInit::Default,
        ..config.clone()
    }
}

/// The layers with an adapter as a minimal list for PEFT: the last part of a name where all layers that end in it have
/// one, else whole names.
fn targets(core: &Transformer) -> BTreeSet<&str> {
    let all_of =
        |module: &str| core.linears().filter(|other| matches(module, &other.name)).all(|other| other.update.is_some());
    let adapted = core.linears().filter(|linear| linear.update.is_some());
    adapted.map(|linear| if all_of(linear.module()) { linear.module() } else { linear.name.as_str() }).collect()
}

/// `transposed` says that files of the base hold the adapted layers as (in, out); `task` is PEFT's word for what the model does.
fn to_peft_json(
    config: &LoraConfig,
    modules: &BTreeSet<&str>,
    (transposed, task): (bool, &str),
    base: Option<&Path>,
) -> String {
    let some = |list: &[String]| if list.is_empty() { Value::Null } else { json!(list) };
    let tokens = &config.trainable_token_indices;
    let alphas = config.alpha_pattern.iter().map(|(layer, alpha)| (layer.clone(), whole(*alpha)));
    let file = json!({
        "alpha_pattern": alphas.collect::<serde_json::Map<_, _>>(),
        "auto_mapping": null,
        "base_model_name_or_path": base.map(|b| b.display().to_string()),
        "bias": config.bias,
        "fan_in_fan_out": transposed,
        "inference_mode": true,
        // What another beginning changed is in the tensors, or in the base that is saved with it.
        "init_lora_weights": true,
        "layers_pattern": null,
        "layers_to_transform": null,
        "lora_alpha": whole(config.lora_alpha),
        "lora_dropout": config.lora_dropout,
        "modules_to_save": some(&config.modules_to_save),
        "peft_type": "LORA",
        "r": config.r,
        "rank_pattern": config.rank_pattern,
        "revision": null,
        "target_modules": modules,
        "task_type": task,
        "trainable_token_indices": if tokens.is_empty() { Value::Null } else { json!(tokens) },
        "use_dora": config.use_dora,
        "use_rslora": config.use_rslora,
    });
    format!("{file:#}\n")
}

/// PEFT declares `lora_alpha` an integer, so one is written as one.
fn whole(x: f64) -> Value {
    if x.fract() == 0.0 && x.abs() < 1e15 { json!(x as i64) } else { json!(x) }
}
