//! Benchmarks of training and decoding, for `scripts/bench.rhai`.

use rhai::{Array, Dynamic, Map};
use serde::Deserialize;

use crate::bench::{self, flops};
use crate::data::Batch;
use crate::error::{Error, Result};
use crate::nn::CacheDtype;
use crate::script::context::ScriptContext;
use crate::script::convert::{ids, options};
use crate::script::failure::Fallible;
use crate::script::objects::Model;
use crate::script::registry::Registry;
use crate::train::{self, AdamWOptions, MixedPrecision};

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TrainingOptions {
    steps: usize,
    warmup: usize,
    lr: f64,
    mixed_precision: MixedPrecision,
}

impl Default for TrainingOptions {
    fn default() -> Self {
        Self { steps: 5, warmup: 2, lr: 1e-3, mixed_precision: MixedPrecision::No }
    }
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct DecodingOptions {
    rows: usize,
    prompt: usize,
    tokens: usize,
    runs: usize,
    mixed_precision: MixedPrecision,
    kv_cache_dtype: CacheDtype,
}

impl Default for DecodingOptions {
    fn default() -> Self {
        let (mixed_precision, kv_cache_dtype) = (MixedPrecision::No, CacheDtype::Auto);
        Self { rows: 1, prompt: 16, tokens: 512, runs: 3, mixed_precision, kv_cache_dtype }
    }
}

pub(super) fn register(registry: &mut Registry) {
    let ctx = registry.ctx();
    registry.function(
        "training_speed(model: Model, rows: array, options: map) -> map",
        "Trains on one batch, an array of ids a row, and measures: options steps, warmup, lr, mixed_precision; gives tokens_per_second, seconds, losses, peak_memory, flops (of the mathematics, a second).",
        move |model: Model, rows: Array, map: Map| -> Fallible<Map> { Ok(training(&ctx, &model, &rows, &map)?) },
    );
    let ctx = registry.ctx();
    registry.function(
        "decoding_speed(model: Model, options: map) -> map",
        "Decodes without end or grammar and measures: options rows, prompt, tokens, runs, mixed_precision, kv_cache_dtype; gives tokens_per_second, peak_memory, flops.",
        move |model: Model, map: Map| -> Fallible<Map> { Ok(decoding(&ctx, &model, &map)?) },
    );
    let ctx = registry.ctx();
    registry.function(
        "nf4_speed(size: int, runs: int) -> map",
        "Quantises a matrix of size × size to NF4 and dequantises it, and measures: quantize, dequantize, bytes of the f32 matrix a second.",
        move |size: i64, runs: i64| -> Fallible<Map> {
            let count = |n: i64| usize::try_from(n).unwrap_or(0);
            let done = bench::nf4(count(size), count(runs), ctx.progress())?;
            Ok(Map::from([("quantize".into(), done.quantize.into()), ("dequantize".into(), done.dequantize.into())]))
        },
    );
    let ctx = registry.ctx();
    registry.function(
        "peak_flops(mixed_precision: string) -> float",
        "Floating-point operations a second that the device does in products, measured: on the CPU in the innermost loop alone, () without AVX-512; on a GPU in a large product.",
        move |precision: &str| -> Fallible<Dynamic> {
            let map = Map::from([("mixed_precision".into(), precision.into())]);
            let chosen: DecodingOptions = options("peak_flops", &map)?;
            Ok(chosen.mixed_precision.precision().peak_flops(&ctx.device()).map_or(Dynamic::UNIT, Dynamic::from))
        },
    );
}

fn training(ctx: &ScriptContext, model: &Model, rows: &Array, map: &Map) -> Result<Map> {
    let chosen: TrainingOptions = options("training_speed", map)?;
    let batch = Batch { encoder: bench::source(&model.model(), rows.len()), ..batch(rows)? };
    let source = batch.encoder.as_ref().map_or(0, |source| source.width);
    let how =
        bench::Training { steps: chosen.steps, warmup: chosen.warmup, precision: chosen.mixed_precision.precision() };
    let adamw = AdamWOptions { lr: chosen.lr, ..AdamWOptions::default() };
    let done = bench::training(&model.model(), &batch, &adamw, &how, ctx.progress())?;
    let losses: Array = done.losses.iter().map(|&loss| loss.into()).collect();
    Ok(Map::from([
        ("tokens_per_second".into(), done.tokens_per_second.into()),
        ("seconds".into(), done.seconds.into()),
        ("losses".into(), losses.into()),
        ("peak_memory".into(), done.peak_memory.map_or(Dynamic::UNIT, |bytes| (bytes as i64).into())),
        ("flops".into(), (done.tokens_per_second * flops::training(&model.model(), batch.width, source)).into()),
    ]))
}

fn decoding(ctx: &ScriptContext, model: &Model, map: &Map) -> Result<Map> {
    let chosen: DecodingOptions = options("decoding_speed", map)?;
    let how = bench::Decoding {
        rows: chosen.rows,
        prompt: chosen.prompt,
        tokens: chosen.tokens,
        runs: chosen.runs.max(1),
        precision: chosen.mixed_precision.precision(),
        cache: chosen.kv_cache_dtype,
    };
    let network = model.model();
    let device = network.device();
    train::reset_peak_memory(device);
    let speed = bench::decoding(&model.model(), &how, ctx.progress())?;
    let middle = chosen.prompt + chosen.tokens / 2;
    let source = bench::source(&model.model(), 1).map_or(0, |source| source.width);
    Ok(Map::from([
        ("tokens_per_second".into(), speed.into()),
        ("peak_memory".into(), train::peak_memory(device).map_or(Dynamic::UNIT, |bytes| (bytes as i64).into())),
        ("flops".into(), (speed * flops::decoding(&model.model(), middle, source)).into()),
    ]))
}

/// A batch of rows of one length, in which each id is followed by the next.
fn batch(rows: &Array) -> Result<Batch> {
    let (mut input_ids, mut width) = (Vec::new(), None);
    for row in rows {
        let row = row.as_array_ref().map_err(|_| Error::mistake("training_speed: a row is an array of ids"))?;
        let row = ids("training_speed: an id", &row)?;
        if row.len() < 2 || width.is_some_and(|width| width != row.len()) {
            return Err(Error::mistake("training_speed: rows have one length, two ids or more"));
        }
        width = Some(row.len());
        input_ids.extend(row);
    }
    let width = width.ok_or_else(|| Error::mistake("training_speed: there are no rows"))?;
    Ok(Batch { rows: rows.len(), width, input_ids, ..Batch::default() }.with_next_ids())
}
