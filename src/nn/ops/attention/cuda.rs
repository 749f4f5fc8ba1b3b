//! Attention on a GPU, in tiles: see `kernel.cu` for how the work is divided. Backward goes over the scores twice, once
//! for the queries and once for the keys, so that no two blocks add to one value.

use std::sync::Arc;

use candle_core::cuda_backend::cudarc::driver::{CudaSlice, DeviceRepr};
use candle_core::{Result as Candle, Tensor};

use super::cpu::Sizes;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::nn::ops::cuda::{Made, Source, alloc, blocks, gpu, held, held_from, launch, op3, source, tensor};
use crate::nn::tape::{self, Needs};

static SOURCE: Source = source!("attention", "../cuda");

/// Warps of a block.
const WARPS: usize = 8;

/// The kernels for heads of up to some width, and how many rows a warp has in them; see the end of `kernel.cu`.
struct Kernels {
    widest: usize,
    forward: &'static str,
    one_query: &'static str,
    query_gradient: &'static str,
    key_gradient: &'static str,
    forward_rows: usize,
    backward_rows: usize,
}

macro_rules! kernels {
    ($widest:literal, $forward_rows:literal, $backward_rows:literal) => {
        Kernels {
            widest: $widest,
            forward: concat!("attention_forward_", $widest),
            one_query: concat!("attention_one_query_", $widest),
            query_gradient: concat!("attention_query_gradient_", $widest),
            key_gradient: concat!("attention_key_gradient_", $widest),
            forward_rows: $forward_rows,
            backward_rows: $backward_rows,
        }
    };
}

static KERNELS: [Kernels; 3] = [kernels!(32, 8, 4), kernels!(64, 8, 4), kernels!(128, 2, 1)];

/// `Sizes` of `kernel.cu`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Axes {
    batch: i32,
    time: i32,
    keys: i32,
    heads: i32,
    kv_heads: i32,
    dim: i32,
    causal: i32,
    scale: f32,
    k_batch: u64,
    v_batch: u64,
}

// SAFETY: plain numbers, laid out as C has them.
unsafe impl DeviceRepr for Axes {}

impl Axes {
    fn new(s: &Sizes, k: &Tensor, v: &Tensor) -> Self {
        let int = |n: usize| n as i32;
        Self {
            batch: int(s.batch),
            time: int(s.time),
            keys: int(s.keys),
            heads: int(s.heads),
            kv_heads: int(s.kv_heads),
            dim: int(s.dim),
            causal: i32::from(s.causal),
            scale: s.scale,
            k_batch: k.stride()[0] as u64,
            v_batch: v.stride()[0] as u64,
        }
    }
}

/// As [`super::attention`], of shapes that fit.
pub(super) fn attention([q, k, v]: [&Tensor; 3], sizes: &Sizes, interrupt: &Interrupt) -> Result<Tensor> {
    let Some(kernels) = KERNELS.iter().find(|kernels| sizes.dim <= kernels.widest) else {
        return Err(Error::mistake(format!("heads are {} wide, on a GPU at most 128 are possible", sizes.dim))
            .with_hint("more heads make each of them narrower; or use device(\"cpu\")"));
    };
    let (q, k, v) = (tape::apply_contiguous(q)?, rows_in_order(k)?, rows_in_order(v)?);
    let device = gpu(&q)?;
    let (out, sums) = forward([&q, &k, &v], sizes, kernels)?;
    let shape = q.shape().clone();
    let made = Made { name: "attention", values: out, shape, device, needs: Needs::ALL, interrupt };
    let (sizes, sums) = (*sizes, Arc::new(sums));
    op3([&q, &k, &v], made, move |inputs, out, dy| {
        let [dq, dk, dv] = backward(inputs, [out, dy], &sums, &sizes, kernels)?;
        Ok([Some(dq), Some(dk), Some(dv)])
    })
}

/// A tensor (batch, keys, kv_heads, dim) whose rows of the batch are without gaps, wherever each begins: the cache gives
/// the front of its memory, which need not be copied.
fn rows_in_order(x: &Tensor) -> Candle<Tensor> {
    let (_, _, heads, dim) = x.dims4()?;
    match x.stride() {
        [_, a, b, 1] if *a == heads * dim && *b == dim => Ok(x.clone()),
        _ => tape::apply_contiguous(x),
    }
}

/// The output, and the log-sum-exp of the scores of each query.
fn forward([q, k, v]: [&Tensor; 3], s: &Sizes, kernels: &Kernels) -> Candle<(CudaSlice<f32>, CudaSlice<f32>)> {
    let (device, axes) = (gpu(q)?, Axes::new(s, k, v));
    let (mut out, mut sums) =
        (alloc::<f32>(device, q.elem_count())?, alloc::<f32>(device, s.batch * s.heads * s.time)?);
    if q.elem_count() == 0 {
        return Ok((out, sums));
    }
    let (q, k, v) = (held(q)?, held_from(k), held_from(v));
    let (q, k, v) = (q.view::<f32>()?, k.view::<f32>()?, v.view::<f32>()?);
    let heads = s.batch * s.heads;
    let (name, count) = match s.time {
        1 => (kernels.one_query, heads),
        time => (kernels.forward, heads * time.div_ceil(WARPS * kernels.forward_rows)),
    };
    launch!(device, SOURCE, name, blocks(count, 1), &q, &k, &v, &mut out, &mut sums, &axes);
    Ok((out, sums))
}

fn backward(
    [q, k, v]: [&Tensor; 3],
    [out, dy]: [&Tensor; 2],
    sums: &CudaSlice<f32>,
    s: &Sizes,
    kernels: &Kernels,
) -> Candle<[Tensor; 3]> {
    let (device, axes, shapes) = (gpu(q)?, Axes::new(s, k, v), [q.shape(), k.shape(), v.shape()]);
    let mut dq = alloc::<f32>(device, q.elem_count())?;
    let (mut dk, mut dv) = (alloc::<f32>(device, k.elem_count())?, alloc::<f32>(device, k.elem_count())?);
    let mut delta = alloc::<f32>(device, s.batch * s.heads * s.time)?;
    let out = out.contiguous()?;
    let (rows, count) = (s.batch * s.heads * s.time, q.elem_count());
    let (q, k, v, out, dy) = (held(q)?, held_from(k), held_from(v), held(&out)?, held(dy)?);
    let (q, k, v) = (q.view::<f32>()?, k.view::<f32>()?, v.view::<f32>()?);
    let (out, dy) = (out.view::<f32>()?, dy.view::<f32>()?);
    let each = WARPS * kernels.backward_rows;
    if count > 0 {
        let (config, n) = (blocks(rows.div_ceil(WARPS), 1), rows as u64);
        launch!(device, SOURCE, "attention_delta", config, &out, &dy, &mut delta, &n, &axes);
        let config = blocks(s.batch * s.heads * s.time.div_ceil(each), 1);
        let name = kernels.query_gradient;
        launch!(device, SOURCE, name, config, &q, &k, &v, &dy, sums, &delta, &mut dq, &axes);
    }
    let key_blocks = s.batch * s.kv_heads * s.keys.div_ceil(each);
    if key_blocks > 0 && s.dim > 0 {
        let name = kernels.key_gradient;
        launch!(device, SOURCE, name, blocks(key_blocks, 1), &q, &k, &v, &dy, sums, &delta, &mut dk, &mut dv, &axes);
    }
    let [q_shape, k_shape, v_shape] = shapes;
    Ok([tensor(dq, q_shape, device), tensor(dk, k_shape, device), tensor(dv, v_shape, device)])
}
