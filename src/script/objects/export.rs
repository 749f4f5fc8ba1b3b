//! Models for other programs: ONNX.

use rhai::{Array, Dynamic, Map};
use serde::Deserialize;

use crate::error::Error;
use crate::export::{OnnxOptions, write_onnx};
use crate::files::locate;
use crate::generate::SamplerOptions;
use crate::script::context::ScriptContext;
use crate::script::convert::{article, options};
use crate::script::failure::Fallible;
use crate::script::objects::{Model, Sampler};
use crate::script::registry::Registry;

/// The options of `export_onnx`, for help and completion.
const OPTIONS: &[(&str, &str)] = &[
    ("quantized", "blocks in 4 bits, with ONNX Runtime's MatMulBnb4 (false: all in f32, for any runtime)"),
    ("sampler", "the sampler whose settings the file carries (those of sampler() when absent)"),
];

/// The options that are plain data.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct ExportOptions {
    quantized: bool,
    /// Checked beside the others; its value is an object.
    sampler: Option<bool>,
}

pub(super) fn register(registry: &mut Registry) {
    let mut model = registry.members::<Model>();
    let ctx = model.ctx();
    model.method(
        "export_onnx(path: string) -> array",
        "Writes ONNX in f32 and gives the files: one that ends in .onnx, or into a folder with the names of Hugging Face's optimum.",
        move |m: &mut Model, path: &str| export(&ctx, m, path, &Map::new()),
    );
    let ctx = model.ctx();
    let member = model.method(
        "export_onnx(path: string, options: map) -> array",
        "Writes ONNX and gives the files: one that ends in .onnx, or into a folder with the names of Hugging Face's optimum \
         (model.onnx, model_bnb4.onnx; with an encoder encoder_model.onnx and decoder_model_merged.onnx). The cache goes in and \
         out; tokenizer and sampler are in the metadata. Adapters are merged, but not in 4 bits.\nOptions:",
        move |m: &mut Model, path: &str, map: Map| export(&ctx, m, path, &map),
    );
    member.options = OPTIONS;
}

fn export(ctx: &ScriptContext, model: &Model, path: &str, map: &Map) -> Fallible<Array> {
    let mut plain = map.clone();
    if let Some(value) = plain.get_mut("sampler") {
        *value = Dynamic::UNIT;
    }
    let chosen: ExportOptions = options("export_onnx", &plain)?;
    let sampler = match map.get("sampler").filter(|value| !value.is_unit()) {
        Some(value) => {
            let wrong = || Error::mistake(format!("export_onnx: sampler must be a Sampler, not {}", article(value)));
            value.clone().try_cast::<Sampler>().ok_or_else(wrong)?.options()
        }
        None => SamplerOptions::default(),
    };
    let options = OnnxOptions {
        quantized: chosen.quantized,
        tokenizer: model.tokenizer().ok().map(|tokenizer| tokenizer.to_json()),
        sampler: Some(serde_json::to_string(&sampler).map_err(Error::internal)?),
    };
    let files = write_onnx(&model.model(), &locate(path)?, &options, ctx.progress().interrupt())?;
    Ok(files.into_iter().map(|file| Dynamic::from(file.display().to_string())).collect())
}
