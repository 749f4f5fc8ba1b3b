//! Every op at the shapes of the three configurations, forward and backward: `cargo bench --bench ops [-- FILTER]`, with
//! the number of threads in `RAYON_NUM_THREADS`. Throughput in elem/s counts multiplications and additions (Gelem/s is
//! GFLOP/s); in B/s it counts the bytes that must be read and written once. Backward runs on a tape that is kept.

#![allow(clippy::unwrap_used)] // a benchmark that cannot set itself up has failed

use std::sync::Arc;
use std::time::Duration;

use candle_core::{Device, Tensor, Var};
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, measurement::WallTime};
use etude::Result;
use etude::interrupt::Interrupt;
use etude::nn::ops::{
    self, Activation, AdamWStep, Adapter, AttentionOptions, AttentionShape, Frozen, RelativeBuckets, attention,
    attention_with, relative_bias,
};
use etude::nn::quant::Nf4;
use etude::nn::{Precision, Tape};

/// The allocator of the binary.
#[global_allocator]
static ALLOCATOR: etude::allocator::Allocator = etude::allocator::Allocator;

/// A configuration and its batch.
#[derive(Clone, Copy)]
struct Shape {
    name: &'static str,
    batch: usize,
    time: usize,
    hidden: usize,
    heads: usize,
    inner: usize,
}

const SHAPES: [Shape; 3] = [
    Shape { name: "tiny", batch: 4, time: 512, hidden: 256, heads: 4, inner: 1024 },
    Shape { name: "small", batch: 2, time: 1024, hidden: 512, heads: 8, inner: 2048 },
    Shape { name: "base150m", batch: 1, time: 2048, hidden: 1024, heads: 16, inner: 2816 },
];
const VOCABULARY: usize = 561;
const RANK: usize = 16;

/// The same numbers in every run, of −1 to 1.
fn values(shape: &[usize], seed: u32) -> Tensor {
    let value =
        |i: u32| (i.wrapping_mul(2_654_435_761).wrapping_add(seed * 40_503) >> 8) as f32 / (1 << 23) as f32 - 1.0;
    let count: usize = shape.iter().product();
    Tensor::from_vec((0..count as u32).map(value).collect::<Vec<f32>>(), shape, &Device::Cpu).unwrap()
}

/// What moves through memory once.
fn bytes(tensors: u64, x: &Tensor) -> Throughput {
    Throughput::BytesDecimal(4 * tensors * x.elem_count() as u64)
}

fn flops(count: usize) -> Throughput {
    Throughput::Elements(count as u64)
}

/// The work of forward and of backward.
struct Work {
    forward: Throughput,
    backward: Throughput,
}

type Group<'a> = BenchmarkGroup<'a, WallTime>;

/// Measures `op` on `inputs` forward, and backward to all of them.
fn both(group: &mut Group<'_>, name: &str, inputs: &[Tensor], work: Work, op: impl Fn(&[Tensor]) -> Result<Tensor>) {
    group.throughput(work.forward);
    group.bench_function(BenchmarkId::new("forward", name), |b| b.iter(|| op(inputs).unwrap()));
    let leaves: Vec<&Tensor> = inputs.iter().collect();
    let (y, tape) = Tape::record(&leaves, || op(inputs)).unwrap();
    let dy = values(y.dims(), 9);
    group.throughput(work.backward);
    group.bench_function(BenchmarkId::new("backward", name), |b| {
        b.iter(|| tape.backward(&y, dy.clone(), &mut |_, _| Ok(())).unwrap());
    });
}

fn group<'a>(criterion: &'a mut Criterion, op: &str) -> Group<'a> {
    let mut group = criterion.benchmark_group(op);
    group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    group
}

/// Multiplications and additions of causal attention forward; backward has five products for two.
fn attention_work(batch: usize, time: usize, heads: usize, dim: usize) -> Work {
    let forward = 2 * batch * heads * time * (time + 1) * dim;
    Work { forward: flops(forward), backward: flops(forward / 2 * 5) }
}

fn attentions(criterion: &mut Criterion) {
    let (quiet, shape) = (Interrupt::new(), AttentionShape { causal: true, scale: 0.125 });
    let mut g = group(criterion, "attention");
    for s in SHAPES {
        let qkv = |kv_heads: usize| {
            let kv = [s.batch, s.time, kv_heads, 64];
            [values(&[s.batch, s.time, s.heads, 64], 1), values(&kv, 2), values(&kv, 3)]
        };
        let plain = |x: &[Tensor]| attention(&x[0], &x[1], &x[2], shape, &quiet);
        both(&mut g, s.name, &qkv(s.heads), attention_work(s.batch, s.time, s.heads, 64), plain);
        let grouped = format!("{} grouped", s.name);
        both(&mut g, &grouped, &qkv(s.heads / 4), attention_work(s.batch, s.time, s.heads, 64), plain);
        let how = RelativeBuckets {
            bidirectional: false,
            relative_attention_num_buckets: 32,
            relative_attention_max_distance: 128,
        };
        let with_bias = |x: &[Tensor]| {
            let bias = relative_bias(&x[3], how, (s.time, s.time, 0), &quiet)?;
            let options = AttentionOptions { bias: Some(&bias), ..AttentionOptions::default() };
            attention_with(&x[0], &x[1], &x[2], shape, options, &quiet)
        };
        let [q, k, v] = qkv(s.heads);
        let inputs = [q, k, v, values(&[32, s.heads], 4)];
        both(&mut g, &format!("{} biased", s.name), &inputs, attention_work(s.batch, s.time, s.heads, 64), with_bias);
    }
    g.finish();
    let mut g = group(criterion, "attention by length");
    for time in [512, 1024, 2048, 4096, 8192] {
        let inputs = [1, 2, 3].map(|seed| values(&[1, time, 4, 64], seed));
        let op = |x: &[Tensor]| attention(&x[0], &x[1], &x[2], shape, &quiet);
        both(&mut g, &time.to_string(), &inputs, attention_work(1, time, 4, 64), op);
    }
    g.finish();
    let mut g = group(criterion, "attention of one query");
    for (s, batch) in SHAPES.iter().flat_map(|s| [(s, 1), (s, 8)]) {
        let (q, k) = (values(&[batch, 1, s.heads, 64], 1), values(&[batch, s.time, s.heads, 64], 2));
        g.throughput(bytes(2, &k));
        let name = format!("{} × {batch}", s.name);
        g.bench_function(name, |b| b.iter(|| attention(&q, &k, &k, shape, &quiet).unwrap()));
    }
    g.finish();
}

fn linears(criterion: &mut Criterion) {
    let (quiet, f32) = (Interrupt::new(), Precision::F32);
    for s in SHAPES {
        let (rows, work) = (s.batch * s.time, 2 * s.batch * s.time * s.hidden * s.inner);
        let (x, w) = (values(&[rows, s.hidden], 1), values(&[s.inner, s.hidden], 2));
        let mut g = group(criterion, "linear");
        let dense = Work { forward: flops(work), backward: flops(2 * work) };
        both(&mut g, s.name, &[x.clone(), w.clone()], dense, |x| ops::linear(&x[0], &x[1], None, f32, &quiet));
        g.finish();
        let weights = w.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let quantized = Frozen::Nf4(Arc::new(Nf4::quantize(&weights, (s.inner, s.hidden))));
        let low = 2 * rows * RANK * (s.hidden + s.inner);
        let work = Work { forward: flops(work + low), backward: flops(work + 2 * low + 2 * rows * RANK * s.hidden) };
        let inputs = [x, values(&[RANK, s.hidden], 3), values(&[s.inner, RANK], 4)];
        let mut g = group(criterion, "lora_linear in 4 bits");
        both(&mut g, s.name, &inputs, work, |x| {
            let adapter = Adapter { a: x[1].clone(), b: x[2].clone(), scale: 2.0, dropout: None };
            ops::lora_linear(&x[0], &quantized, None, Some(&adapter), f32, &quiet)
        });
        g.finish();
        let mut g = group(criterion, "nf4");
        g.throughput(bytes(1, &w));
        g.bench_function(BenchmarkId::new("quantize", s.name), |b| {
            b.iter(|| Nf4::quantize(&weights, (s.inner, s.hidden)));
        });
        let Frozen::Nf4(quantized) = &quantized else { unreachable!("made above") };
        g.bench_function(BenchmarkId::new("dequantize", s.name), |b| b.iter(|| quantized.dequantize()));
        g.finish();
    }
}

fn norms(criterion: &mut Criterion) {
    let quiet = Interrupt::new();
    for s in SHAPES {
        let x = values(&[s.batch, s.time, s.hidden], 1);
        let (w, b) = (values(&[s.hidden], 2), values(&[s.hidden], 3));
        let work = || Work { forward: bytes(2, &x), backward: bytes(3, &x) };
        let mut g = group(criterion, "rms_norm");
        both(&mut g, s.name, &[x.clone(), w.clone()], work(), |x| ops::rms_norm(&x[0], &x[1], 1e-5, &quiet));
        g.finish();
        let mut g = group(criterion, "layer_norm");
        let inputs = [x.clone(), w, b];
        both(&mut g, s.name, &inputs, work(), |x| ops::layer_norm(&x[0], &x[1], Some(&x[2]), 1e-5, &quiet));
        g.finish();
        let mut g = group(criterion, "add");
        let sum = Work { forward: bytes(3, &x), backward: bytes(0, &x) };
        both(&mut g, s.name, &[x.clone(), values(x.dims(), 4)], sum, |x| ops::add(&x[0], &x[1]));
        g.finish();
    }
}

fn gates(criterion: &mut Criterion) {
    let quiet = Interrupt::new();
    for s in SHAPES {
        let inputs = [1, 2].map(|seed| values(&[s.batch, s.time, s.inner], seed));
        let work = || Work { forward: bytes(3, &inputs[0]), backward: bytes(5, &inputs[0]) };
        let mut g = group(criterion, "swiglu");
        both(&mut g, s.name, &inputs, work(), |x| ops::swiglu(&x[0], &x[1], &quiet));
        g.finish();
        for (name, gelu) in [("geglu erf", Activation::Gelu), ("geglu tanh", Activation::GeluTanh)] {
            let mut g = group(criterion, name);
            both(&mut g, s.name, &inputs, work(), |x| ops::gated(&x[0], &x[1], gelu, &quiet));
            g.finish();
        }
    }
}

fn ends(criterion: &mut Criterion) {
    let quiet = Interrupt::new();
    for s in SHAPES {
        let rows = s.batch * s.time;
        let heads = values(&[s.batch, s.time, s.heads, 64], 1);
        let mut g = group(criterion, "rope");
        let work = Work { forward: bytes(2, &heads), backward: bytes(2, &heads) };
        both(&mut g, s.name, std::slice::from_ref(&heads), work, |x| {
            ops::rope(&x[0], &ops::Rotary::plain(1e4), 0, &quiet)
        });
        g.finish();
        let ids: Vec<u32> = (0..rows as u32).map(|i| i * 37 % VOCABULARY as u32).collect();
        let logits = values(&[rows, VOCABULARY], 1);
        let mut g = group(criterion, "cross_entropy");
        let work = Work { forward: bytes(1, &logits), backward: bytes(2, &logits) };
        let loss = |x: &[Tensor]| ops::cross_entropy(&x[0], &ids, &quiet);
        both(&mut g, s.name, std::slice::from_ref(&logits), work, loss);
        g.finish();
        let (table, places) = (values(&[VOCABULARY, s.hidden], 1), Tensor::new(&ids[..], &Device::Cpu).unwrap());
        let out = values(&[rows, s.hidden], 2);
        let mut g = group(criterion, "embedding");
        let work = Work { forward: bytes(2, &out), backward: bytes(2, &out) };
        both(&mut g, s.name, std::slice::from_ref(&table), work, |x| ops::embedding(&places, &x[0], &quiet));
        g.finish();
        let p = Var::from_tensor(&values(&[s.inner, s.hidden], 1)).unwrap();
        let (gradient, mut m, mut v) = (values(p.dims(), 2), Vec::new(), Vec::new());
        let step = AdamWStep { lr: 1e-4, betas: (0.9, 0.95), eps: 1e-8, weight_decay: 0.1, step: 3 };
        let mut g = group(criterion, "adamw");
        g.throughput(bytes(7, &gradient));
        g.bench_function(s.name, |b| b.iter(|| ops::adamw_step(&p, &gradient, &mut m, &mut v, &step).unwrap()));
        g.throughput(bytes(1, &gradient));
        g.bench_function(BenchmarkId::new("square_norm", s.name), |b| b.iter(|| ops::square_norm(&gradient).unwrap()));
        g.finish();
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    attentions(&mut criterion);
    linears(&mut criterion);
    norms(&mut criterion);
    gates(&mut criterion);
    ends(&mut criterion);
    criterion.final_summary();
}
