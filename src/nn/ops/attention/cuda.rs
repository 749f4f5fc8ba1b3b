//! Attention on a GPU, in tiles (see `tiles.cuh`). Backward goes over the scores once for the queries, once for the
//! keys, and once for the gradients by distance, so that no two blocks add to one value.
//!
//! candle's custom ops have three inputs at most; here queries, biases and relative vectors are concatenated to one
//! input.

use std::ops::Range;
use std::sync::Arc;

use candle_core::cuda_backend::cudarc::driver::CudaSlice;
use candle_core::{Result as Candle, Tensor};

use super::cpu::Sizes;
use super::cuda_inputs::{Axes, Extra, WARPS};
use super::{AttentionOptions, bf16, distance};
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::nn::autograd::{self, Saves};
use crate::nn::cuda::{KernelSource, alloc, blocks, gpu, held, held_from, launch, source, tensor};
use crate::nn::ops::cuda::{Made, op3};

static SOURCE: KernelSource = source!("attention", "../../cuda", "tiles.cuh");

/// The kernels with or without relative vectors, and the rows of a block in them.
struct KernelNames {
    source: &'static KernelSource,
    forward: &'static str,
    query_gradient: &'static str,
    key_gradient: &'static str,
    forward_rows: usize,
    backward_rows: usize,
}

/// The kernels for heads of up to some width; see the ends of the two `kernel.cu`.
struct CudaKernels {
    widest: usize,
    plain: KernelNames,
    half: bf16::Bf16Kernels,
    single_query: &'static str,
    distant: KernelNames,
    distance: distance::DistanceKernels,
}

impl CudaKernels {
    fn way(&self, extra: &Extra) -> &KernelNames {
        if extra.vectors.is_some() { &self.distant } else { &self.plain }
    }
}

macro_rules! kernels {
    ($widest:literal, $forward_rows:literal, $rows:literal) => {
        CudaKernels {
            widest: $widest,
            plain: KernelNames {
                source: &SOURCE,
                forward: concat!("attention_forward_", $widest),
                query_gradient: concat!("attention_query_gradient_", $widest),
                key_gradient: concat!("attention_key_gradient_", $widest),
                forward_rows: WARPS * $forward_rows,
                backward_rows: WARPS * $rows,
            },
            half: bf16::Bf16Kernels {
                wide: $widest,
                forward: concat!("bf16_forward_", $widest),
                query_gradient: concat!("bf16_query_gradient_", $widest),
                key_gradient: concat!("bf16_key_gradient_", $widest),
            },
            single_query: concat!("attention_single_query_", $widest),
            distant: KernelNames {
                source: &distance::SOURCE,
                forward: concat!("distant_forward_", $widest),
                query_gradient: concat!("distant_query_gradient_", $widest),
                key_gradient: concat!("distant_key_gradient_", $widest),
                forward_rows: WARPS * $rows,
                backward_rows: WARPS * $rows,
            },
            distance: distance::DistanceKernels {
                bias_gradient: concat!("bias_gradient_", $widest),
                vector_gradient: concat!("vector_gradient_", $widest),
                rows: $rows,
            },
        }
    };
}

static KERNELS: [CudaKernels; 3] = [kernels!(32, 8, 4), kernels!(64, 8, 4), kernels!(128, 2, 1)];

/// [`super::attention_with`] for tensors of the right shape.
pub(super) fn attention(
    [q, k, v]: [&Tensor; 3],
    sizes: &Sizes,
    visible: Option<&[Range<usize>]>,
    options: &AttentionOptions<'_>,
    interrupt: &Interrupt,
) -> Result<Tensor> {
    let Some(kernels) = KERNELS.iter().find(|kernels| sizes.dim <= kernels.widest) else {
        return Err(Error::mistake(format!("heads are {} wide, on a GPU at most 128 are possible", sizes.dim))
            .with_hint("more heads make each of them narrower; or use device(\"cpu\")"));
    };
    let (q, k, v) = (autograd::apply_contiguous(q)?, rows_in_order(k)?, rows_in_order(v)?);
    let (device, shape) = (gpu(&q)?, q.shape().clone());
    let extra = Extra::new(device, visible, options)?;
    let mut all = q.clone();
    for other in [&extra.bias, &extra.vectors].into_iter().flatten() {
        all = distance::join(&all, other, interrupt)?;
    }
    let (values, sums) = forward([&all, &k, &v], sizes, kernels, &extra)?;
    let made = Made { name: "attention", values, shape, device, saves: Saves::ALL, interrupt };
    let (sizes, sums, extra) = (*sizes, Arc::new(sums), Arc::new(extra));
    op3([&all, &k, &v], made, move |inputs, out, dy| {
        let [dall, dk, dv] = backward(inputs, [out, dy], &sums, &sizes, kernels, &extra)?;
        Ok([Some(dall), Some(dk), Some(dv)])
    })
}

/// A tensor (batch, keys, kv_heads, dim) that is contiguous in each row of the batch: the cache gives the front of its
/// memory, which need not be copied.
fn rows_in_order(x: &Tensor) -> Candle<Tensor> {
    let (_, _, heads, dim) = x.dims4()?;
    match x.stride() {
        [_, a, b, 1] if *a == heads * dim && *b == dim => Ok(x.clone()),
        _ => autograd::apply_contiguous(x),
    }
}

/// The output, and the log-sum-exp of the scores of each query.
fn forward(
    [all, k, v]: [&Tensor; 3],
    s: &Sizes,
    kernels: &CudaKernels,
    extra: &Extra,
) -> Candle<(CudaSlice<f32>, CudaSlice<f32>)> {
    let (device, queries, heads) = (gpu(all)?, s.batch * s.time * s.heads * s.dim, s.batch * s.heads);
    let (mut out, mut sums) = (alloc::<f32>(device, queries)?, alloc::<f32>(device, heads * s.time)?);
    if queries == 0 {
        return Ok((out, sums));
    }
    let (all, k_held, v_held) = (held(all)?, held_from(k), held_from(v));
    let (all, k_all, v_all) = (all.view::<f32>()?, k_held.view::<f32>()?, v_held.view::<f32>()?);
    let (axes, way) = (Axes::new(device, s, [k, v], &all, extra), kernels.way(extra));
    if s.time == 1 {
        let config = blocks(heads, 1);
        launch!(device, SOURCE, kernels.single_query, config, &all, &k_all, &v_all, &mut out, &mut sums, &axes);
    } else if extra.half {
        let values = [&all, &k_all, &v_all];
        let given = bf16::Bf16Inputs { device, sizes: s, axes: &axes, kernels: &kernels.half, values };
        given.forward(&mut out, &mut sums)?;
    } else {
        let config = blocks(heads * s.time.div_ceil(way.forward_rows), 1);
        launch!(device, *way.source, way.forward, config, &all, &k_all, &v_all, &mut out, &mut sums, &axes);
    }
    Ok((out, sums))
}

/// The gradients of the inputs of [`forward`].
fn backward(
    [all, k, v]: [&Tensor; 3],
    [out, dy]: [&Tensor; 2],
    sums: &CudaSlice<f32>,
    s: &Sizes,
    kernels: &CudaKernels,
    extra: &Extra,
) -> Candle<[Tensor; 3]> {
    let (device, shapes) = (gpu(all)?, [all.shape(), k.shape(), v.shape()]);
    let (rows, count) = (s.batch * s.heads * s.time, s.batch * s.heads * s.time * s.dim);
    let mut dall = alloc::<f32>(device, all.elem_count())?;
    let (mut dk, mut dv) = (alloc::<f32>(device, k.elem_count())?, alloc::<f32>(device, k.elem_count())?);
    let mut delta = alloc::<f32>(device, rows)?;
    let out = out.contiguous()?;
    let (all, k_held, v_held, out, dy) = (held(all)?, held_from(k), held_from(v), held(&out)?, held(dy)?);
    let (q, k_all, v_all) = (all.view::<f32>()?, k_held.view::<f32>()?, v_held.view::<f32>()?);
    let (out, dy) = (out.view::<f32>()?, dy.view::<f32>()?);
    let (axes, way) = (Axes::new(device, s, [k, v], &q, extra), kernels.way(extra));
    if count > 0 {
        let (config, n) = (blocks(rows.div_ceil(WARPS), 1), rows as u64);
        launch!(device, SOURCE, "attention_delta", config, &out, &dy, &mut delta, &n, &axes);
    }
    let mut dq = dall.slice_mut(..count);
    if extra.half && count > 0 {
        let values = [&q, &k_all, &v_all];
        let given = bf16::Bf16Inputs { device, sizes: s, axes: &axes, kernels: &kernels.half, values };
        given.backward(&dy, (sums, &delta), &mut dq, (&mut dk, &mut dv))?;
    } else {
        let (source, each) = (way.source, way.backward_rows);
        let query_blocks = s.batch * s.heads * s.time.div_ceil(each);
        let key_blocks = s.batch * s.kv_heads * s.keys.div_ceil(each);
        if count > 0 {
            let (name, config) = (way.query_gradient, blocks(query_blocks, 1));
            launch!(device, *source, name, config, &q, &k_all, &v_all, &dy, sums, &delta, &mut dq, &axes);
        }
        if key_blocks > 0 && s.dim > 0 {
            let (name, config) = (way.key_gradient, blocks(key_blocks, 1));
            launch!(device, *source, name, config, &q, &k_all, &v_all, &dy, sums, &delta, &mut dk, &mut dv, &axes);
        }
    }
    let given = distance::DistanceInputs { q: &q, k: &k_all, v: &v_all, dy: &dy, sums, delta: &delta, axes: &axes };
    distance::gradients(device, &given, s, &kernels.distance, extra, &mut dall.slice_mut(count..))?;
    let [all_shape, k_shape, v_shape] = shapes;
    Ok([tensor(dall, all_shape, device), tensor(dk, k_shape, device), tensor(dv, v_shape, device)])
}
