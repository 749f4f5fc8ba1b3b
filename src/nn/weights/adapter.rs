//! Adapters in PEFT's format: `adapter_config.json` and `adapter_model.safetensors`.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::entry::entry_as;
use super::file::{make_folder, write_tensors, write_text};
use super::peft::Foreign;
use super::read::Checkpoint;
use crate::error::{Error, Result};
use crate::files::read_text;
use crate::nn::LoraConfig;
use crate::nn::core::{Lora, Magnitude, Transformer, Weight};
use crate::nn::dtype::Dtype;
use crate::nn::lora::matches;
use crate::nn::model::{DEFAULT, Model, NamedAdapter, adapter_name, magnitude_name};

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
            [several @ ..] => Error::mistake("not one adapter is in use")
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
        let transposed = file.fan_in_fan_out;
        let (config, targets) = file.check(self.config().model_type()).map_err(|e| e.context(path.display()))?;
        let mut tensors = Checkpoint::open(&dir.join(WEIGHTS))?;
        let mut names: BTreeSet<String> = tensors.names().into_iter().map(String::from).collect();
        self.check_whole_layers(&mut tensors, &mut names)?;
        let (tensors, left) = (RefCell::new(tensors), RefCell::new(names));
        let core = Self::adapted_view(base, &|linear, is_head| {
            let [a, b] = ["A", "B"].map(|which| adapter_name(&linear.name, which, DEFAULT));
            let magnitude = magnitude_name(&linear.name, DEFAULT);
            let mut left = left.borrow_mut();
            if !targets.hold(&linear.name, is_head) {
                // PEFT would ignore them silently.
                return match [a, b, magnitude].into_iter().find(|name| left.contains(name)) {
                    None => Ok(None),
                    Some(extra) => Err(Error::broken(format!(
                        "{}: '{extra}' is there, but target_modules leaves {} out",
                        tensors.borrow().label(),
                        linear.name
                    ))
                    .with_hint(format!("list the layer in target_modules of {CONFIG}, or take the tensor out"))),
                };
            }
            [&a, &b].into_iter().for_each(|name| _ = left.remove(name));
            let mut tensors = tensors.borrow_mut();
            let mut read = |stored: String, name: String, shape: &[usize]| {
                Weight::trained(name, &tensors.floats(&stored, shape, self.device())?)
            };
            let own = |which| adapter_name(&linear.name, which, name);
            let (out, wide) = linear.shape;
            let magnitude = match config.use_dora {
                true => {
                    left.remove(&magnitude);
                    Some(Magnitude::of(&linear.base(self.device())?, |_| {
                        read(magnitude, magnitude_name(&linear.name, name), &[out])
                    })?)
                }
                false => None,
            };
            Ok(Some(Lora {
                a: read(a, own("A"), &[config.r, wide])?,
                b: read(b, own("B"), &[out, config.r])?,
                scale: config.scale(),
                dropout: config.lora_dropout,
                magnitude,
            }))
        })?;
        check_transposed(&core, transposed).map_err(|e| e.context(path.display()))?;
        if let Some(name) = left.into_inner().first() {
            return Err(Error::broken(format!("{}: the model has no place for '{name}'", tensors.borrow().label()))
                .with_hint("the adapter is for another model"));
        }
        Ok(NamedAdapter { name: name.to_owned(), config, core: Arc::new(core) })
    }

    /// The layers with an adapter in use, as PEFT's `target_modules` names them; empty for a model without.
    pub fn adapted_modules(&self) -> Vec<String> {
        targets(&self.core).into_iter().map(String::from).collect()
    }

    /// Removes whole weights from the names of an adapter's tensors where they equal those of this model: PEFT stores
    /// the embedding and the head with an adapter when the vocabulary was resized (`save_embedding_layers`).
    ///
    /// # Errors
    /// Names a weight that differs from this model's: PEFT would replace ours.
    fn check_whole_layers(&self, tensors: &mut Checkpoint<'_>, names: &mut BTreeSet<String>) -> Result<()> {
        let whole = |name: &String| Some(name.strip_prefix(PREFIX).filter(|n| !n.contains(".lora_"))?.to_owned());
        for (name, plain) in names.iter().filter_map(|name| Some((name.clone(), whole(name)?))).collect::<Vec<_>>() {
            let Ok(ours) = self.weights(&plain) else { continue };
            let theirs = tensors.floats(&name, ours.dims(), self.device())?;
            if (ours - theirs)?.abs()?.max_all()?.to_scalar::<f32>()? > 0.0 {
                return Err(Error::mistake(format!(
                    "{}: '{name}' is a whole weight, and another than the model's",
                    tensors.label()
                ))
                .with_hint("merge the adapter in Python (merge_and_unload), save the model and load that"));
            }
            names.remove(&name);
        }
        Ok(())
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

/// The prefix of the names of PEFT's tensors.
const PREFIX: &str = "base_model.model.";

/// Writes the two files; `base` is recorded as the base model.
pub(super) fn write(model: &Model, adapter: &NamedAdapter, dir: &Path, base: Option<&Path>) -> Result<()> {
    let (config, core) = (&adapter.config, &*adapter.core);
    let mut entries = Vec::new();
    for linear in core.linears() {
        let Some(lora) = linear.lora() else { continue };
        let [a, b] = ["A", "B"].map(|which| adapter_name(&linear.name, which, DEFAULT));
        entries.extend([entry_as(a, &lora.a, Dtype::F32), entry_as(b, &lora.b, Dtype::F32)]);
        if let Some(magnitude) = &lora.magnitude {
            entries.push(entry_as(magnitude_name(&linear.name, DEFAULT), &magnitude.vector, Dtype::F32));
        }
    }
    write_tensors(&dir.join(WEIGHTS), entries)?;
    let transposed = core.linears().any(|linear| linear.update.is_some() && linear.transposed);
    let task = if model.spec().encoder.is_some() { "SEQ_2_SEQ_LM" } else { "CAUSAL_LM" };
    write_text(&dir.join(CONFIG), &to_peft_json(config, &targets(core), (transposed, task), base))
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
    let file = json!({
        "alpha_pattern": {},
        "auto_mapping": null,
        "base_model_name_or_path": base.map(|b| b.display().to_string()),
        "bias": "none",
        "fan_in_fan_out": transposed,
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
        "task_type": task,
        "use_dora": config.use_dora,
        "use_rslora": config.use_rslora,
    });
    format!("{file:#}\n")
}

/// PEFT declares `lora_alpha` an integer, so one is written as one.
fn whole(x: f64) -> Value {
    if x.fract() == 0.0 && x.abs() < 1e15 { json!(x as i64) } else { json!(x) }
}
