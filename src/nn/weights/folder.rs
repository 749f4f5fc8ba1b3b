//! Hugging Face folders: `config.json`, `model.safetensors`, and an adapter beside them if there is one.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use candle_core::Device;

use super::adapter;
use super::dtype::Dtype;
use super::file::{Entry, make_folder, remove, write_tensors, write_text};
use super::kept::Kept;
use super::nf4::{self, Packed};
use super::read::Checkpoint;
use crate::error::{Error, Result};
use crate::files::read_text;
use crate::nn::init::Init;
use crate::nn::model::core::{Linear, Matrix, Part, Weight};
use crate::nn::model::{Model, Source};
use crate::nn::{ModelConfig, base};

impl Model {
    /// Reads a Hugging Face folder: `config.json`, `model.safetensors` (plain or bitsandbytes NF4, one file or several
    /// with an index), and an adapter if `adapter_config.json` lies there too. A plain model trains, one in 4 bits is
    /// frozen but for its adapter.
    ///
    /// # Errors
    /// Names the file, and the tensor that is missing or has another shape.
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
        model.kept = Arc::new(Kept::read(dir, &text));
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

    /// The small pretrained base inside the binary, NF4.
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
    /// Names the path when the file system refuses.
    pub fn save(&self, dir: &Path) -> Result<()> {
        self.save_with(dir, Dtype::F32)
    }

    /// Writes what [`Model::load`] reads, with the weights that are not in 4 bits stored as `dtype`; adapters stay f32.
    /// An adapter that lay there before and is not this model's is removed.
    ///
    /// # Errors
    /// Names the path when the file system refuses.
    pub fn save_with(&self, dir: &Path, dtype: Dtype) -> Result<()> {
        make_folder(dir)?;
        let mut entries = Vec::new();
        let mut packed = false;
        for part in self.core.parts() {
            match part {
                Part::Embedding(weight) | Part::Norm(weight) => entries.push(entry(weight, dtype)),
                Part::Linear(Linear { matrix: Matrix::Dense(weight), .. }) => entries.push(entry(weight, dtype)),
                Part::Linear(Linear { matrix: Matrix::Nf4(codes), name, .. }) => {
                    packed = true;
                    entries.extend(nf4::entries(&format!("{name}.weight"), codes));
                }
            }
        }
        write_tensors(&dir.join("model.safetensors"), entries)?;
        match self.lora {
            Some(_) => adapter::write(self, dir, None)?,
            None => {
                remove(&dir.join(adapter::CONFIG))?;
                remove(&dir.join(adapter::WEIGHTS))?;
            }
        }
        self.kept.write(dir)?;
        write_text(&dir.join("config.json"), &self.kept.laid_under(&self.config.to_hf_json(packed, dtype))?)
    }
}

fn from_checkpoint(config: &ModelConfig, mut file: Checkpoint<'_>, device: &Device) -> Result<Model> {
    if config.tie_word_embeddings {
        check_tied(&mut file)?;
    }
    let frozen = nf4::any_packed(&file);
    Model::build(config, device, &mut Stored { file, frozen, device })
}

/// Refuses a head beside an embedding that it is said to be tied to, and is not.
fn check_tied(file: &mut Checkpoint<'_>) -> Result<()> {
    const HEAD: &str = "lm_head.weight";
    const EMBEDDING: &str = "model.embed_tokens.weight";
    if !file.has(HEAD) || !file.has(EMBEDDING) || file.bytes(HEAD)? == file.bytes(EMBEDDING)? {
        return Ok(());
    }
    let message = format!("{}: '{HEAD}' is another than '{EMBEDDING}', but config.json ties them", file.label());
    Err(Error::broken(message)
        .with_hint("set tie_word_embeddings to false in config.json to use the head; take it out of the file to tie"))
}

/// Reads every weight from files.
struct Stored<'a> {
    file: Checkpoint<'a>,
    /// Whether nothing trains, since some of it is in 4 bits.
    frozen: bool,
    device: &'a Device,
}

impl Source for Stored<'_> {
    fn weight(&mut self, name: &str, shape: &[usize], _init: Init) -> Result<Weight> {
        let values = self.file.floats(name, shape, self.device)?;
        if self.frozen { Ok(Weight::fixed(name, values)) } else { Weight::trained(name, &values) }
    }

    fn linear(&mut self, name: &str, shape: (usize, usize), init: Init) -> Result<Linear> {
        let weight = format!("{name}.weight");
        if !nf4::is_packed(&self.file, &weight) {
            return Ok(Linear::dense(name, shape, self.weight(&weight, &[shape.0, shape.1], init)?));
        }
        match nf4::read(&mut self.file, &weight, shape, self.device)? {
            Packed::Nf4(codes) => {
                Ok(Linear { name: name.into(), shape, matrix: Matrix::Nf4(Arc::new(codes)), adapter: None })
            }
            Packed::Dense(values) => Ok(Linear::dense(name, shape, Weight::fixed(weight, values))),
        }
    }
}

/// A float tensor, for the file.
pub(super) fn entry<'a>(weight: &Weight, dtype: Dtype) -> (String, Entry<'a>) {
    let (stored, tensor) = (dtype.stored(), weight.detached());
    let shape = weight.dims().to_vec();
    let data = move || Ok(Cow::Owned(dtype.encode(&tensor.flatten_all()?.to_vec1::<f32>()?)));
    let bytes = weight.count() * stored.bitsize() / 8;
    (weight.name().to_owned(), Entry { dtype: stored, shape, bytes, data: Box::new(data) })
}
