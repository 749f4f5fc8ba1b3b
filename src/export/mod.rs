//! Models for other programs: ONNX, for ONNX Runtime and what is built on it.
//!
//! A graph is made of a model's layers as they are: `MatMul` for each linear layer, or in 4 bits ONNX Runtime's `MatMulBnb4` over
//! the same bytes. Names of files, inputs and outputs are those of Hugging Face's optimum, so that its classes and
//! transformers.js find them:
//!
//! | file | inputs | outputs |
//! |---|---|---|
//! | `model.onnx` | `input_ids attention_mask position_ids past_key_values.N.key …value` | `logits present.N.key …value` |
//! | `encoder_model.onnx` | `input_ids attention_mask` | `last_hidden_state` |
//! | `decoder_model_merged.onnx` | `encoder_attention_mask input_ids encoder_hidden_states past_key_values.N.{decoder,encoder}.{key,value} use_cache_branch` | `logits present.N.{decoder,encoder}.{key,value}` |
//!
//! Ids, masks and positions are int64 (batch, time), keys and values f32 (batch, kv_heads, time, head_dim), logits f32 (batch,
//! time, vocabulary); all axes but heads and widths are dynamic, and the cache begins with a time of 0. `position_ids` are there
//! where positions have numbers (rotary and learned ones).

mod attention;
mod file;
mod graph;
mod graph_tensor;
mod layers;
mod messages;
mod networks;
mod positions;

use std::path::{Path, PathBuf};

use self::layers::LayerStorage;
use self::networks::Networks;
use crate::atomic;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::nn::{Dtype, Model};

/// What an export holds beside the weights.
#[derive(Debug, Clone, Default)]
pub struct OnnxOptions {
    /// Whether the linear layers of blocks are in 4 bits (NF4), quantised now where they are not yet; otherwise all is f32.
    pub quantized: bool,
    /// The text of the tokenizer's `tokenizer.json`.
    pub tokenizer: Option<String>,
    /// Sampling settings, as JSON.
    pub sampler: Option<String>,
}

/// Writes `model` as ONNX and gives the files: to `path`, if its ending is `.onnx`; else into the folder `path`, with the names
/// that optimum gives the files, beside `config.json` and `tokenizer.json`. Adapters are added to the weights.
///
/// The files carry `etude.config`, `etude.tokenizer` and `etude.sampler` as `metadata_props`.
///
/// # Errors
/// An encoder–decoder and a single file; 4 bits and adapters; more than 2 GiB; names the path when the file system refuses;
/// `interrupted`, when the user cancels.
pub fn write_onnx(model: &Model, path: &Path, options: &OnnxOptions, interrupt: &Interrupt) -> Result<Vec<PathBuf>> {
    let one_file = path.extension().is_some_and(|ending| ending == "onnx");
    if one_file && model.has_encoder() {
        return Err(Error::mistake(format!("{}: a model with an encoder makes two files", path.display()))
            .with_hint("name a folder, without .onnx: encoder_model.onnx and decoder_model_merged.onnx go into it"));
    }
    if options.quantized && !model.active_adapters().is_empty() {
        return Err(Error::mistake("the model has adapters, which cannot be added to weights in 4 bits")
            .with_hint("net.merge() first, whose weights are quantised anew; or quantized: false"));
    }
    let adapted = !model.active_adapters().is_empty();
    let stored = match options.quantized {
        true => Some(model.quantize("nf4")?),
        false if adapted => Some(model.merge()?),
        false => None,
    };
    let model = stored.as_ref().unwrap_or(model);
    let storage = LayerStorage { quantized: options.quantized, device: model.device().clone() };
    let networks = Networks { core: &model.core, storage };
    let metadata = metadata(model, options)?;
    let ending = if options.quantized { "_bnb4.onnx" } else { ".onnx" };
    let mut written = Vec::new();
    let mut write = |name: &str, graph| {
        let file = if one_file { path.to_path_buf() } else { path.join(format!("{name}{ending}")) };
        file::write(&file, (name, &graph), &metadata, interrupt)?;
        written.push(file);
        Ok::<_, Error>(())
    };
    if model.has_encoder() {
        write("encoder_model", networks.encoder()?)?;
        write("decoder_model_merged", networks.decoder_with_cross_attention()?)?;
    } else {
        write("model", networks.decoder()?)?;
    }
    if !one_file {
        atomic::write(&path.join("config.json"), model.config_json(false, Dtype::F32)?.as_bytes())?;
        if let Some(tokenizer) = &options.tokenizer {
            atomic::write(&path.join("tokenizer.json"), tokenizer.as_bytes())?;
        }
    }
    Ok(written)
}

fn metadata(model: &Model, options: &OnnxOptions) -> Result<Vec<(String, String)>> {
    let mut metadata = vec![
        (String::from("etude.model_type"), model.config().model_type().to_owned()),
        (String::from("etude.config"), model.config_json(false, Dtype::F32)?),
    ];
    let given = [("etude.tokenizer", &options.tokenizer), ("etude.sampler", &options.sampler)];
    metadata.extend(given.into_iter().filter_map(|(key, text)| Some((key.to_owned(), text.clone()?))));
    Ok(metadata)
}
