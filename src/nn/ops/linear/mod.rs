//! Linear layers: dense and trainable, or frozen (dense or NF4) with a low-rank adapter.
//!
//! With `y = x Wᵀ + b + s · d Aᵀ Bᵀ`, `d = drop(x)` and `v = s · dy B` the gradients are
//!
//! ```text
//! dx = dy W + drop(v A)      dW = dyᵀ x      db = Σ dy over the rows      dA = vᵀ d      dB = s · dyᵀ (d Aᵀ)
//! ```
//!
//! The mask of `drop` is a function of the seed and the place, so backward draws it again instead of keeping it.

mod add_bias;
mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod dropout;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result as Candle, Shape, Tensor};

use self::add_bias::AddBias;
pub(in crate::nn) use self::cpu::Prepacked;
pub(super) use self::cpu::{GemvInput, PrepackedInput, dots, steps};
use self::cpu::{LowRank, WeightRef};
use self::dropout::{Dropout, DropoutOp};
use super::input::input;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::nn::Precision;
use crate::nn::autograd::{self, Saves};
use crate::nn::candle_error::check;
use crate::nn::cpu::{floats, floats_of};
use crate::nn::quant::Nf4;

/// A frozen weight (out, in).
#[derive(Debug, Clone)]
pub enum Frozen {
    /// f32.
    Dense(Tensor),
    /// 4 bits; dequantised panel by panel inside the product, never as a whole.
    Nf4(Arc<Nf4>),
}

impl Frozen {
    /// (out, in)
    ///
    /// # Errors
    /// A dense weight that is not a matrix.
    pub fn shape(&self) -> Result<(usize, usize)> {
        match self {
            Self::Dense(w) => Ok(w.dims2()?),
            Self::Nf4(w) => Ok(w.shape),
        }
    }
}

/// A low-rank update of a frozen weight.
#[derive(Debug, Clone)]
pub struct Adapter {
    /// A: (r, in)
    pub a: Tensor,
    /// B: (out, r)
    pub b: Tensor,
    /// The factor of the update, α/r.
    pub scale: f64,
    /// Share of the inputs dropped, and the seed of the mask; `None` drops nothing.
    pub dropout: Option<(f64, u64)>,
}

/// `y = x Wᵀ + b`: x (…, in), w (out, in), b (out) if there is one -> (…, out). Gradients for all of them, in products of
/// the same precision.
///
/// # Errors
/// Shapes that do not fit each other, or `interrupted`, when the user cancels.
pub fn linear(
    x: &Tensor,
    w: &Tensor,
    b: Option<&Tensor>,
    precision: Precision,
    interrupt: &Interrupt,
) -> Result<Tensor> {
    interrupt.check()?;
    let (x, w) = (input(x, "linear")?, input(w, "linear")?);
    fits(&x, w.dims2()?)?;
    let b = b.map(|b| bias(b, w.dims2()?.0)).transpose()?;
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        return cuda::linear(&x, &w, b.as_ref(), &cuda::LinearSettings { precision, interrupt: interrupt.clone() });
    }
    let op = LinearOp { precision, interrupt: interrupt.clone() };
    match b {
        None => Ok(autograd::apply2(&x, &w, op, Saves::INPUTS)?),
        Some(b) => Ok(autograd::apply3(&x, &w, &b, op, Saves::FIRST_TWO)?),
    }
}

/// `y = x Wᵀ + b + s · drop(x) Aᵀ Bᵀ`: x (…, in) -> (…, out). Gradients for x, A and B; W and the bias b (out) are
/// frozen, and dequantised values of W are never kept.
///
/// # Errors
/// Shapes that do not fit each other, a dropout outside of 0..1, or `interrupted`, when the user cancels.
pub fn lora_linear(
    x: &Tensor,
    w: &Frozen,
    b: Option<&Tensor>,
    adapter: Option<&Adapter>,
    precision: Precision,
    interrupt: &Interrupt,
) -> Result<Tensor> {
    interrupt.check()?;
    let x = input(x, "lora_linear")?;
    let (out, wide) = w.shape()?;
    fits(&x, (out, wide))?;
    let weight = match w {
        Frozen::Dense(w) => Frozen::Dense(input(&w.detach(), "lora_linear")?),
        Frozen::Nf4(w) => Frozen::Nf4(w.clone()),
    };
    let offset = b.map(|b| bias(&b.detach(), out)).transpose()?;
    #[cfg(feature = "cuda")]
    let how = cuda::LinearSettings { precision, interrupt: interrupt.clone() };
    #[cfg(feature = "cuda")]
    if let (None, true) = (adapter, x.device().is_cuda()) {
        return cuda::frozen_linear(&x, weight, offset.as_ref(), &how);
    }
    let frozen = FrozenLinear { weight, bias: offset, shape: (out, wide), precision, interrupt: interrupt.clone() };
    let Some(adapter) = adapter else { return Ok(autograd::apply1(&x, frozen, Saves::NOTHING)?) };
    let (a, b) = (input(&adapter.a, "lora_linear")?, input(&adapter.b, "lora_linear")?);
    let (rank, a_in) = a.dims2()?;
    if a_in != wide || b.dims2()? != (out, rank) {
        return Err(Error::mistake(format!(
            "an adapter of {:?} and {:?} does not fit a weight of ({out}, {wide})",
            a.dims(),
            b.dims()
        )));
    }
    let dropout = match adapter.dropout {
        Some((share, seed)) => Dropout::new(share, seed)?,
        None => None,
    };
    let scale = adapter.scale as f32;
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        return cuda::lora_linear(
            &x,
            frozen.weight,
            frozen.bias.as_ref(),
            cuda::Adapted { a, b, scale, dropout },
            &how,
        );
    }
    let op = LoraLinear { frozen, rank, scale, dropout, squeezed: OnceLock::new() };
    Ok(autograd::apply3(&x, &a, &b, op, Saves::INPUTS)?)
}

/// `x + b`: x (…, out), b (out) -> the shape of x. Gradients for both.
///
/// # Errors
/// A bias of another length, or `interrupted`, when the user cancels.
pub fn add_bias(x: &Tensor, b: &Tensor, interrupt: &Interrupt) -> Result<Tensor> {
    interrupt.check()?;
    let x = input(x, "add_bias")?;
    let b = bias(b, x.dims().last().copied().unwrap_or(0))?;
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        return cuda::add_bias(&x, &b, interrupt);
    }
    Ok(autograd::apply2(&x, &b, AddBias { interrupt: interrupt.clone() }, Saves::NOTHING)?)
}

/// Drops a share of the values of x and scales the rest by `1 / (1 − share)`; the mask is a function of the seed and the place,
/// that of an [`Adapter`] with the same seed. Gradient for x.
///
/// # Errors
/// A share outside of 0..1, or `interrupted`, when the user cancels.
pub fn dropout(x: &Tensor, (share, seed): (f64, u64), interrupt: &Interrupt) -> Result<Tensor> {
    interrupt.check()?;
    let x = input(x, "dropout")?;
    let Some(dropout) = Dropout::new(share, seed)? else { return Ok(x) };
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        return cuda::dropout(&x, dropout, interrupt);
    }
    Ok(autograd::apply1(&x, DropoutOp { dropout, interrupt: interrupt.clone() }, Saves::NOTHING)?)
}

/// Prepares a bias, one value for each output.
fn bias(b: &Tensor, out: usize) -> Result<Tensor> {
    match b.dims() == [out] {
        true => input(b, "linear"),
        false => Err(Error::mistake(format!("a bias of {:?} does not fit {out} outputs", b.dims()))),
    }
}

/// Refuses an input whose last axis is not the weight's input width.
fn fits(x: &Tensor, (out, wide): (usize, usize)) -> Result<()> {
    match x.dims().last() {
        Some(&last) if last == wide => Ok(()),
        _ => Err(Error::mistake(format!("an input of {:?} does not fit a weight of ({out}, {wide})", x.dims()))),
    }
}

/// The shape of the output: that of the input with another last axis.
fn widened(input: &Layout, out: usize) -> Shape {
    let mut dims = input.dims().to_vec();
    if let Some(last) = dims.last_mut() {
        *last = out;
    }
    Shape::from(dims)
}

/// The number of rows of a (…, in) tensor.
fn rows(x: &Layout) -> usize {
    x.dims().iter().rev().skip(1).product()
}

struct LinearOp {
    precision: Precision,
    interrupt: Interrupt,
}

impl LinearOp {
    fn forward(&self, x: (&CpuStorage, &Layout), w: (&CpuStorage, &Layout)) -> Candle<(Vec<f32>, Shape)> {
        let shape = w.1.shape().dims2()?;
        let weight = WeightRef::Dense(floats_of(w.0, w.1)?);
        let y = cpu::forward(floats_of(x.0, x.1)?, rows(x.1), weight, shape, None, self.precision).0;
        Ok((y, widened(x.1, shape.0)))
    }

    /// dx and dw, where they are needed.
    fn backward(&self, x: &Tensor, w: &Tensor, dy: &[f32]) -> Candle<(Option<Tensor>, Option<Tensor>)> {
        let (shape, rows) = (w.dims2()?, rows(x.layout()));
        let dw = match autograd::needs_grad(w) {
            true => {
                let dw = cpu::weight_gradient(dy, rows, &floats(x)?, shape, self.precision);
                Some(Tensor::from_vec(dw, shape, w.device())?)
            }
            false => None,
        };
        autograd::take_donated(x)?;
        let dx = match autograd::needs_grad(x) {
            true => {
                let dx = cpu::input_gradient(dy, rows, WeightRef::Dense(&floats(w)?), shape, None, self.precision);
                Some(Tensor::from_vec(dx, x.shape(), x.device())?)
            }
            false => None,
        };
        Ok((dx, dw))
    }
}

impl CustomOp2 for LinearOp {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, w: &CpuStorage, wl: &Layout) -> Candle<(CpuStorage, Shape)> {
        let (y, shape) = self.forward((x, xl), (w, wl))?;
        Ok((CpuStorage::F32(y), shape))
    }

    fn bwd(&self, x: &Tensor, w: &Tensor, _: &Tensor, dy: &Tensor) -> Candle<(Option<Tensor>, Option<Tensor>)> {
        check(&self.interrupt)?;
        let dy = dy.contiguous()?;
        self.backward(x, w, &floats(&dy)?)
    }
}

impl CustomOp3 for LinearOp {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        w: &CpuStorage,
        wl: &Layout,
        b: &CpuStorage,
        bl: &Layout,
    ) -> Candle<(CpuStorage, Shape)> {
        let (mut y, shape) = self.forward((x, xl), (w, wl))?;
        cpu::add_bias(&mut y, floats_of(b, bl)?);
        Ok((CpuStorage::F32(y), shape))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        b: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Candle<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        check(&self.interrupt)?;
        let dy = dy.contiguous()?;
        let dy = floats(&dy)?;
        let db = match autograd::needs_grad(b) {
            true => Some(Tensor::from_vec(cpu::bias_gradient(&dy, b.elem_count()), b.shape(), b.device())?),
            false => None,
        };
        let (dx, dw) = self.backward(x, w, &dy)?;
        Ok((dx, dw, db))
    }
}

struct FrozenLinear {
    weight: Frozen,
    bias: Option<Tensor>,
    shape: (usize, usize),
    precision: Precision,
    interrupt: Interrupt,
}

impl FrozenLinear {
    /// Calls `work` with the values, borrowed.
    fn with<T>(&self, work: impl FnOnce(WeightRef<'_>) -> T) -> Candle<T> {
        match &self.weight {
            Frozen::Dense(w) => Ok(work(WeightRef::Dense(&floats(w)?))),
            Frozen::Nf4(w) => Ok(work(WeightRef::Nf4(w))),
        }
    }

    fn add_bias(&self, y: &mut [f32]) -> Candle<()> {
        if let Some(bias) = &self.bias {
            cpu::add_bias(y, &floats(bias)?);
        }
        Ok(())
    }
}

impl CustomOp1 for FrozenLinear {
    fn name(&self) -> &'static str {
        "frozen_linear"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout) -> Candle<(CpuStorage, Shape)> {
        let values = floats_of(x, xl)?;
        let mut y = self.with(|w| cpu::forward(values, rows(xl), w, self.shape, None, self.precision).0)?;
        self.add_bias(&mut y)?;
        Ok((CpuStorage::F32(y), widened(xl, self.shape.0)))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> Candle<Option<Tensor>> {
        check(&self.interrupt)?;
        let dy = dy.contiguous()?;
        let dy = floats(&dy)?;
        let dx = self.with(|w| cpu::input_gradient(&dy, rows(x.layout()), w, self.shape, None, self.precision))?;
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}

struct LoraLinear {
    frozen: FrozenLinear,
    rank: usize,
    scale: f32,
    dropout: Option<Dropout>,
    /// `s · drop(x) Aᵀ`, which is small, kept for backward.
    squeezed: OnceLock<Vec<f32>>,
}

impl LoraLinear {
    fn low<'a>(&self, a: &'a [f32], b: &'a [f32]) -> LowRank<'a> {
        LowRank { a, b, rank: self.rank, scale: self.scale, dropout: self.dropout }
    }
}

impl CustomOp3 for LoraLinear {
    fn name(&self) -> &'static str {
        "lora_linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        a: &CpuStorage,
        al: &Layout,
        b: &CpuStorage,
        bl: &Layout,
    ) -> Candle<(CpuStorage, Shape)> {
        let values = floats_of(x, xl)?;
        let low = self.low(floats_of(a, al)?, floats_of(b, bl)?);
        let (shape, precision) = (self.frozen.shape, self.frozen.precision);
        let (mut y, u) = self.frozen.with(|w| cpu::forward(values, rows(xl), w, shape, Some(&low), precision))?;
        self.frozen.add_bias(&mut y)?;
        let _ = self.squeezed.set(u);
        Ok((CpuStorage::F32(y), widened(xl, shape.0)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        a: &Tensor,
        b: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Candle<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        check(&self.frozen.interrupt)?;
        let dy = dy.contiguous()?;
        let (dy, rows) = (floats(&dy)?, rows(x.layout()));
        let (av, bv) = (floats(a)?, floats(b)?);
        let low = self.low(&av, &bv);
        let (shape, precision) = (self.frozen.shape, self.frozen.precision);
        let u = self.squeezed.get().ok_or_else(|| candle_core::Error::msg("lora_linear: backward before forward"))?;
        let v = cpu::gradient_of_squeezed(&dy, rows, shape.0, &low);
        let (da, db) = cpu::low_gradients(&dy, rows, &floats(x)?, shape, &low, (u, &v));
        // The gradient of x is as large as x, whose memory is freed first.
        autograd::take_donated(x)?;
        let dx = match autograd::needs_grad(x) {
            true => Some(self.frozen.with(|w| cpu::input_gradient(&dy, rows, w, shape, Some((&low, &v)), precision))?),
            false => None,
        };
        Ok((
            dx.map(|dx| Tensor::from_vec(dx, x.shape(), x.device())).transpose()?,
            Some(Tensor::from_vec(da, a.shape(), a.device())?),
            Some(Tensor::from_vec(db, b.shape(), b.device())?),
        ))
    }
}
