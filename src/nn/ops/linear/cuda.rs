//! Linear layers on a GPU: products by cuBLAS, 4-bit weights dequantised a panel at a time into a reused buffer or, for
//! few rows, inside the product. With [`Precision::Bf16`] and [`Precision::F16`] the factors are rounded to bfloat16,
//! whose range is that of f32, and sums are f32.

mod bias;
mod factor;
mod low;

use std::sync::Arc;

use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaView};
use candle_core::{Result as Candle, Shape, Tensor};

use self::bias::bias_gradient;
use self::factor::{Factor, SharedFactor};
use self::low::CudaLowRank;
use super::dropout::Dropout;
use super::{Frozen, widened};
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::nn::Precision;
use crate::nn::autograd::{self, Saves};
use crate::nn::cuda::{
    CudaMat, CudaProduct, KernelSource, alloc, elements, gpu, held, launch, product, source, tensor,
};
use crate::nn::ops::cuda::{Cheap, Made, cheap1, op1, op2, op3};
use crate::nn::quant::on_device::FEW;

static SOURCE: KernelSource = source!("linear", "../../cuda");

/// The most values of a dequantised panel: 16 MiB in f32, which fit the cache of such a GPU.
const PANEL: usize = 1 << 22;

/// Precision and interrupt of an op.
#[derive(Clone)]
pub(super) struct LinearSettings {
    pub(super) precision: Precision,
    pub(super) interrupt: Interrupt,
}

impl LinearSettings {
    fn made<'a>(
        &'a self,
        name: &'static str,
        values: CudaSlice<f32>,
        shape: Shape,
        device: &'a CudaDevice,
        saves: Saves,
    ) -> Made<'a> {
        Made { name, values, shape, device, saves, interrupt: &self.interrupt }
    }
}

/// `y = x Wᵀ + b`: [`super::linear`] for tensors of the right shape.
pub(super) fn linear(x: &Tensor, w: &Tensor, b: Option<&Tensor>, how: &LinearSettings) -> Result<Tensor> {
    let (x, w) = (autograd::apply_contiguous(x)?, autograd::apply_contiguous(w)?);
    let (device, shape, precision) = (gpu(&x)?, w.dims2()?, how.precision);
    let weight = Frozen::Dense(w.clone());
    let mut values = forward(&SharedFactor::new(&x, precision), &weight, shape, precision)?;
    let Some(b) = b else {
        let made = how.made("linear", values, wide_shape(&x, shape.0), device, Saves::INPUTS);
        return op2([&x, &w], made, move |[x, w], _, dy| {
            Ok(gradients(x, w, &SharedFactor::new(dy, precision), shape, precision)?.into())
        });
    };
    let b = autograd::apply_contiguous(b)?;
    bias::add_bias(device, &mut values, &b)?;
    let made = how.made("linear", values, wide_shape(&x, shape.0), device, Saves::FIRST_TWO);
    op3([&x, &w, &b], made, move |[x, w, b], _, dy| {
        let db = match autograd::needs_grad(b) {
            true => Some(bias_gradient(dy, shape.0)?),
            false => None,
        };
        let (dx, dw) = gradients(x, w, &SharedFactor::new(dy, precision), shape, precision)?;
        Ok([dx, dw, db])
    })
}

/// dx and dw, where they are needed.
fn gradients(
    x: &Tensor,
    w: &Tensor,
    dy: &SharedFactor<'_>,
    shape: (usize, usize),
    precision: Precision,
) -> Candle<(Option<Tensor>, Option<Tensor>)> {
    let dx = match autograd::needs_grad(x) {
        true => Some(input_gradient(dy, &Frozen::Dense(w.clone()), x, shape, precision)?),
        false => None,
    };
    let dw = match autograd::needs_grad(w) {
        true => Some(weight_gradient(dy, x, shape, precision)?),
        false => None,
    };
    Ok((dx, dw))
}

/// `y = x Wᵀ + b` with a frozen weight and bias.
pub(super) fn frozen_linear(x: &Tensor, weight: Frozen, b: Option<&Tensor>, how: &LinearSettings) -> Result<Tensor> {
    let x = autograd::apply_contiguous(x)?;
    let (device, shape, precision) = (gpu(&x)?, weight.shape()?, how.precision);
    let weight = settled(weight)?;
    let mut values = forward(&SharedFactor::new(&x, precision), &weight, shape, precision)?;
    if let Some(b) = b {
        bias::add_bias(device, &mut values, &b.contiguous()?)?;
    }
    let made = how.made("frozen_linear", values, wide_shape(&x, shape.0), device, Saves::NOTHING);
    op1(&x, made, move |[x], _, dy| {
        Ok([Some(input_gradient(&SharedFactor::new(dy, precision), &weight, x, shape, precision)?)])
    })
}

/// `x + b`: [`super::add_bias`] for tensors of the right shape.
pub(super) fn add_bias(x: &Tensor, b: &Tensor, interrupt: &Interrupt) -> Result<Tensor> {
    let (x, b) = (autograd::apply_contiguous(x)?, autograd::apply_contiguous(b)?);
    let width = b.elem_count();
    let device = gpu(&x)?;
    // Dropping nothing copies.
    let mut values = dropped(device, &held(&x)?.view::<f32>()?, Dropout { below: 0, keep: 1.0, seed: 0 })?;
    bias::add_bias(device, &mut values, &b)?;
    let shape = x.shape().clone();
    let made = Made { name: "add_bias", values, shape, device, saves: Saves::NOTHING, interrupt };
    op2([&x, &b], made, move |[_, b], _, dy| {
        let db = match autograd::needs_grad(b) {
            true => Some(bias_gradient(dy, width)?),
            false => None,
        };
        Ok([Some(dy.clone()), db])
    })
}

/// `drop(x)`: [`super::dropout()`] on a GPU.
pub(super) fn dropout(x: &Tensor, dropout: Dropout, interrupt: &Interrupt) -> Result<Tensor> {
    let x = autograd::apply_contiguous(x)?;
    let make = move |device: &CudaDevice, [x]: [CudaView<'_, f32>; 1]| dropped(device, &x, dropout);
    cheap1(&x, &Cheap { name: "dropout", interrupt }, Box::new(make), move |[x], _, dy| {
        let (device, dy) = (gpu(x)?, held(dy)?);
        Ok([Some(tensor(dropped(device, &dy.view::<f32>()?, dropout)?, x.shape(), device))])
    })
}

fn dropped(device: &CudaDevice, x: &CudaView<'_, f32>, dropout: Dropout) -> Candle<CudaSlice<f32>> {
    let Dropout { below, keep, seed } = dropout;
    let (mut out, count) = (alloc::<f32>(device, x.len())?, x.len() as u64);
    if count > 0 {
        launch!(device, SOURCE, "dropout_f32", elements(x.len()), x, &mut out, &count, &seed, &below, &keep);
    }
    Ok(out)
}

/// An adapter of a frozen weight, of the right shape.
pub(super) struct Adapted {
    pub(super) a: Tensor,
    pub(super) b: Tensor,
    pub(super) scale: f32,
    pub(super) dropout: Option<Dropout>,
}

/// `y = x Wᵀ + b + s · drop(x) Aᵀ Bᵀ`: [`super::lora_linear`] for tensors of the right shape.
pub(super) fn lora_linear(
    x: &Tensor,
    weight: Frozen,
    bias: Option<&Tensor>,
    adapter: Adapted,
    how: &LinearSettings,
) -> Result<Tensor> {
    let (x, a, b) = (
        autograd::apply_contiguous(x)?,
        autograd::apply_contiguous(&adapter.a)?,
        autograd::apply_contiguous(&adapter.b)?,
    );
    let (device, shape, precision) = (gpu(&x)?, weight.shape()?, how.precision);
    let weight = settled(weight)?;
    let (scale, dropout) = (adapter.scale, adapter.dropout);
    let shared = SharedFactor::new(&x, precision);
    let mut values = forward(&shared, &weight, shape, precision)?;
    let kept = CudaLowRank { a: &a, b: &b, scale, dropout, shape, precision }.add_to(&shared, &mut values)?;
    if let Some(bias) = bias {
        bias::add_bias(device, &mut values, &bias.contiguous()?)?;
    }
    let made = how.made("lora_linear", values, wide_shape(&x, shape.0), device, Saves::INPUTS);
    op3([&x, &a, &b], made, move |[x, a, b], _, dy| {
        let dy = SharedFactor::new(dy, precision);
        let dx = match autograd::needs_grad(x) {
            true => Some(input_gradient_values(&dy, &weight, x, shape, precision)?),
            false => None,
        };
        let low = CudaLowRank { a, b, scale, dropout, shape, precision };
        let (dx, da, db) = low.gradients(&SharedFactor::new(x, precision), &dy, &kept, dx)?;
        let dx = dx.map(|dx| Ok::<_, candle_core::Error>(tensor(dx, x.shape(), gpu(x)?))).transpose()?;
        Ok([dx, Some(da), Some(db)])
    })
}

/// Makes a dense weight contiguous.
fn settled(weight: Frozen) -> Candle<Frozen> {
    match weight {
        Frozen::Dense(w) => Ok(Frozen::Dense(w.detach().contiguous()?)),
        packed @ Frozen::Nf4(_) => Ok(packed),
    }
}

fn wide_shape(x: &Tensor, out: usize) -> Shape {
    widened(x.layout(), out)
}

/// The number of rows of a (…, last) tensor.
fn rows(x: &Tensor) -> usize {
    super::rows(x.layout())
}

/// Calls `work` with each panel of a weight (out, in): the panel, its first output and its number of outputs.
fn panels(
    device: &CudaDevice,
    weight: &Frozen,
    shape: (usize, usize),
    precision: Precision,
    mut work: impl FnMut(CudaMat<'_>, usize, usize) -> Candle<()>,
) -> Candle<()> {
    let (out, wide) = shape;
    let packed = match weight {
        Frozen::Dense(w) => {
            let w = Factor::of(w, precision)?;
            return w.with(wide, |w| work(w, 0, out));
        }
        Frozen::Nf4(packed) => Arc::clone(packed).on(device)?,
    };
    let step = (PANEL / wide.max(1)).clamp(1, out.max(1));
    // Stream order makes one buffer enough: a panel is written after the product with the last one has run.
    let (mut full, mut half) = (None, None);
    for first in (0..out).step_by(step) {
        let n = step.min(out - first);
        match precision {
            Precision::F32 => {
                let panel = full.get_or_insert(alloc::<f32>(device, step * wide)?);
                packed.dequantize(device, first * wide, n * wide, panel)?;
                work(CudaMat::f32(&panel.as_view(), wide), first, n)?;
            }
            Precision::Bf16 | Precision::F16 => {
                let panel = half.get_or_insert(alloc::<half::bf16>(device, step * wide)?);
                packed.dequantize_bf16(device, first * wide, n * wide, panel)?;
                work(CudaMat::bf16(&panel.as_view(), wide), first, n)?;
            }
        }
    }
    Ok(())
}

/// `x Wᵀ`: x (…, in) -> (…, out)
fn forward(
    x: &SharedFactor<'_>,
    weight: &Frozen,
    shape: (usize, usize),
    precision: Precision,
) -> Candle<CudaSlice<f32>> {
    let (device, rows, (out, wide)) = (gpu(x.x)?, rows(x.x), shape);
    if let (Frozen::Nf4(packed), 1..=FEW) = (weight, rows) {
        let x = held(x.x)?;
        return packed.on(device)?.gemv(device, &x.view()?, rows, shape);
    }
    let mut y = alloc::<f32>(device, rows * out)?;
    x.get()?.with(wide, |x| {
        panels(device, weight, shape, precision, |w, first, n| {
            let p = CudaProduct { at: first, row: out, ..CudaProduct::new(rows, n, wide) };
            product(device, p, x, w.t(), &mut y)
        })
    })?;
    Ok(y)
}

/// `dy W`: dy (…, out) -> the shape of x.
fn input_gradient(
    dy: &SharedFactor<'_>,
    weight: &Frozen,
    x: &Tensor,
    shape: (usize, usize),
    precision: Precision,
) -> Candle<Tensor> {
    Ok(tensor(input_gradient_values(dy, weight, x, shape, precision)?, x.shape(), gpu(x)?))
}

fn input_gradient_values(
    dy: &SharedFactor<'_>,
    weight: &Frozen,
    x: &Tensor,
    shape: (usize, usize),
    precision: Precision,
) -> Candle<CudaSlice<f32>> {
    let (device, rows, (out, wide)) = (gpu(x)?, rows(x), shape);
    if out == 0 {
        return device.alloc_zeros::<f32>((rows * wide).max(1));
    }
    let mut dx = alloc::<f32>(device, rows * wide)?;
    let dy = dy.get()?;
    panels(device, weight, shape, precision, |w, first, n| {
        // The columns of dy that belong to the panel.
        dy.with_from(first, out, |dy| {
            let beta = if first > 0 { 1.0 } else { 0.0 };
            product(device, CudaProduct { beta, ..CudaProduct::new(rows, wide, n) }, dy, w, &mut dx)
        })
    })?;
    Ok(dx)
}

/// `dyᵀ x`: dy (…, out), x (…, in) -> (out, in)
fn weight_gradient(
    dy: &SharedFactor<'_>,
    x: &Tensor,
    (out, wide): (usize, usize),
    precision: Precision,
) -> Candle<Tensor> {
    let (device, rows) = (gpu(x)?, rows(x));
    let mut dw = alloc::<f32>(device, out * wide)?;
    let (dy, x) = (dy.get()?, Factor::of(x, precision)?);
    dy.with(out, |dy| x.with(wide, |x| product(device, CudaProduct::new(out, wide, rows), dy.t(), x, &mut dw)))?;
    Ok(tensor(dw, (out, wide), device))
}
