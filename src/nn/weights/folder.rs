//! Model folders in the format of Hugging Face: `config.json`, `model.safetensors`, and an adapter if there is one.

use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::adapter;
use super::entry::{entry, transposed_entry};
use super::file::{Entry, make_folder, write_tensors, write_text};
use super::nf4::{self, Packed};
use super::read::Checkpoint;
use crate::error::{Error, Result};
use crate::files::{read_text, remove};
use crate::nn::core::{Linear, LinearSpec, Matrix, Part, Weight, WeightNames, WeightSource};
use crate::nn::dtype::Dtype;
use crate::nn::init::Init;
use crate::nn::model::Model;
use crate::nn::passthrough::Passthrough;
use crate::nn::{ModelConfig, base, families};

impl Model {
    /// Reads a Hugging Face folder: `config.json`, `model.safetensors` (plain or bitsandbytes NF4, one file or several
    /// with an index), and an adapter if there is an `adapter_config.json`. A plain model is trainable, a 4-bit one is
    /// frozen except for its adapter.
    ///
    /// # Errors
    /// WeightNames the file, and the tensor that is missing or has another shape.
    pub fn load(dir: &Path, device: &Device) -> Result<Self> {
        let path = dir.join("config.json");
        let adapted = dir.join(adapter::CONFIG).exists();
        let text = read_text(&path).map_err(|error| match (error.hint().is_some(), adapted) {
            (true, _) => error,
            (_, true) => error.with_hint("the folder holds an adapter alone: load its base, then load_adapter(dir)"),
            (_, false) => {
                error.with_hint("a model is a folder with config.json and model.safetensors, as save(dir) writes it")
            }
        })?;
        let config = ModelConfig::from_hf_json(&text).map_err(|e| e.context(dir.display()))?;
        let mut model = from_checkpoint(&config, Checkpoint::open_model(dir)?, device)?;
        model.origin = Some(dir.display().to_string());
        model.kept = Arc::new(Passthrough::read(dir, &text));
        if adapted { model.load_adapter(dir) } else { Ok(model) }
    }

    /// The model of a `config.json` and a `model.safetensors` that are in memory.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn from_bytes(config_json: &str, safetensors: &[u8], device: &Device) -> Result<Self> {
        let config = ModelConfig::from_hf_json(config_json)?;
        from_checkpoint(&config, Checkpoint::from_bytes("model.safetensors", safetensors)?, device)
    }

    /// The small pretrained base model inside the binary, in NF4.
    ///
    /// # Errors
    /// Only when the device refuses memory.
    pub fn base(device: &Device) -> Result<Self> {
        let mut model = Self::from_bytes(base::CONFIG, base::WEIGHTS, device)?;
        model.origin = Some("base".into());
        Ok(model)
    }

    /// The `tokenizer.json` of [`Model::base`].
    pub fn base_tokenizer() -> &'static str {
        base::TOKENIZER
    }

    /// Writes what [`Model::load`] reads, atomically.
    ///
    /// # Errors
    /// WeightNames the path when the file system refuses.
    pub fn save(&self, dir: &Path) -> Result<()> {
        self.save_with(dir, Dtype::F32)
    }

    /// Writes what [`Model::load`] reads, with the weights that are not in 4 bits stored as `dtype`; adapters stay f32. Of
    /// several adapters the one in use is written.
    /// An adapter that lay there before and is not this model's is removed.
    ///
    /// # Errors
    /// WeightNames the path when the file system refuses.
    pub fn save_with(&self, dir: &Path, dtype: Dtype) -> Result<()> {
        if self.active_adapters().len() > 1 || self.active_adapters().iter().any(|(_, weight)| *weight != 1.0) {
            return Err(Error::mistake("a mixture of adapters cannot be stored as one")
                .with_hint("merge() makes a plain model of it; set_adapter(\"NAME\") uses one; save_adapter(dir, \"NAME\") stores one"));
        }
        make_folder(dir)?;
        let mut entries = Vec::new();
        let mut packed = false;
        for part in self.base_core().parts() {
            match part {
                Part::TokenRows(_) => {}
                Part::Embedding(weight)
                | Part::Positions(weight)
                | Part::RelativeBias(weight)
                | Part::RelativeVectors(weight) => {
                    entries.push(entry(weight, dtype));
                }
                Part::Norm(norm) => entries.extend(norm.weights().map(|weight| entry(weight, dtype))),
                Part::Linear(linear) | Part::Head(linear) => {
                    packed |= matches!(linear.matrix, Matrix::Nf4(_));
                    entries.extend(of_linear(linear, dtype));
                }
            }
        }
        write_tensors(&dir.join("model.safetensors"), entries)?;
        match self.adapters.alone() {
            Some(adapter) => adapter::write(self, adapter, dir, None)?,
            None => {
                remove(&dir.join(adapter::CONFIG))?;
                remove(&dir.join(adapter::WEIGHTS))?;
            }
        }
        self.kept.write(dir)?;
        write_text(&dir.join("config.json"), &self.config_json(packed, dtype)?)
    }

    /// The text of its `config.json`, the keys that are kept for others among it; `packed` says that blocks are in 4 bits, and
    /// `dtype` what the other tensors are stored in.
    pub(crate) fn config_json(&self, packed: bool, dtype: Dtype) -> Result<String> {
        self.kept.laid_under(&self.config.to_hf_json(packed, dtype)?)
    }
}

fn from_checkpoint(config: &ModelConfig, mut file: Checkpoint<'_>, device: &Device) -> Result<Model> {
    let mut config = config.clone();
    if config.lower()?.tied_head && has_own_head(&mut file, families::names(&config))? {
        config = config.with_own_head().ok_or_else(|| contradicted_tie(&file, families::names(&config)))?;
    }
    let frozen = nf4::any_packed(&file);
    Model::build(&config, device, &mut StoredWeights { file, frozen, device })
}

/// Whether a file has a head that differs from the embedding.
fn has_own_head(file: &mut Checkpoint<'_>, names: &WeightNames) -> Result<bool> {
    let [head, embedding] = [names.head, names.embedding].map(|name| format!("{name}.weight"));
    let embedding = stored_name(file, &embedding).to_owned();
    Ok(file.has(&head) && file.has(&embedding) && file.bytes(&head)? != file.bytes(&embedding)?)
}

/// A head that differs from the embedding although the config ties them.
fn contradicted_tie(file: &Checkpoint<'_>, names: &WeightNames) -> Error {
    let [head, embedding] = [names.head, names.embedding].map(|name| format!("{name}.weight"));
    let embedding = stored_name(file, &embedding).to_owned();
    let message = format!("{}: '{head}' is another than '{embedding}', but config.json ties them", file.label());
    Error::broken(message)
        .with_hint("set tie_word_embeddings to false in config.json to use the head; take it out of the file to tie")
}

/// The name under which a file has a tensor: files of the model without its head leave the first part out ("wte.weight" for
/// "transformer.wte.weight").
fn stored_name<'n>(file: &Checkpoint<'_>, name: &'n str) -> &'n str {
    match name.split_once('.') {
        Some((_, short)) if !file.has(name) && file.has(short) => short,
        _ => name,
    }
}

/// Reads every weight from files.
struct StoredWeights<'a> {
    file: Checkpoint<'a>,
    /// Whether nothing is trainable, since some weights are in 4 bits.
    frozen: bool,
    device: &'a Device,
}

impl StoredWeights<'_> {
    fn made(&self, name: &str, values: Tensor) -> Result<Weight> {
        if self.frozen { Ok(Weight::fixed(name, values)) } else { Weight::trained(name, &values) }
    }
}

impl WeightSource for StoredWeights<'_> {
    fn weight(&mut self, name: &str, shape: &[usize], _init: Init) -> Result<Weight> {
        let stored = stored_name(&self.file, name);
        let values = self.file.floats(stored, shape, self.device)?;
        self.made(name, values)
    }

    fn linear(&mut self, layer: &LinearSpec) -> Result<Linear> {
        let LinearSpec { name, shape, transposed, init, .. } = layer;
        let weight = format!("{name}.weight");
        let stored = stored_name(&self.file, &weight).to_owned();
        let matrix = if nf4::is_packed(&self.file, &stored) {
            // bitsandbytes transposes a `Conv1D` weight before it is packed.
            match nf4::read(&mut self.file, &stored, *shape, self.device)? {
                Packed::Nf4(codes) => Matrix::Nf4(Arc::new(codes)),
                Packed::Dense(values) => Matrix::Dense(Weight::fixed(weight, values)),
            }
        } else if *transposed {
            let values = self.file.floats(&stored, &[shape.1, shape.0], self.device)?;
            Matrix::Dense(self.made(&weight, values.t()?.contiguous()?)?)
        } else {
            Matrix::Dense(self.weight(&weight, &[shape.0, shape.1], *init)?)
        };
        layer.with_matrix(matrix, self)
    }
}

/// The entries of a linear layer without its adapter.
fn of_linear(linear: &Linear, dtype: Dtype) -> Vec<(String, Entry<'_>)> {
    let mut entries = match &linear.matrix {
        Matrix::Dense(weight) if linear.transposed => vec![transposed_entry(weight, dtype)],
        Matrix::Dense(weight) => vec![entry(weight, dtype)],
        Matrix::Nf4(codes) => nf4::entries(&format!("{}.weight", linear.name), codes),
    };
    entries.extend(linear.bias.as_ref().map(|bias| entry(bias, dtype)));
    entries
}
