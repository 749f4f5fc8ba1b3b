//! Ops of one, two and three inputs whose output is there already and whose gradient is a function.
//!
//! candle asks an op for its output as storage; here the output is made first, from tensors, and handed over when candle
//! asks. So the GPU path of an op is two functions, forward and backward, and state between them is what the second one
//! captures.

use std::sync::{Mutex, PoisonError};

use candle_core::cuda_backend::cudarc::driver::CudaSlice;
use candle_core::cuda_backend::{CudaDevice, CudaStorage};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result as Candle, Shape, Tensor};

use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::nn::error::check;
use crate::nn::tape::{self, Needs};

/// An output and what it belongs to.
pub(in crate::nn) struct Made<'a> {
    /// The op.
    pub(in crate::nn) name: &'static str,
    /// f32 on the device.
    pub(in crate::nn) values: CudaSlice<f32>,
    pub(in crate::nn) shape: Shape,
    pub(in crate::nn) device: &'a CudaDevice,
    /// Asked before the gradient is computed.
    pub(in crate::nn) interrupt: &'a Interrupt,
}

/// The gradients of the inputs: inputs, output, gradient of the output (contiguous).
type Gradients<const N: usize> = Candle<[Option<Tensor>; N]>;

/// An op that has run.
struct Ready<const N: usize, B> {
    name: &'static str,
    output: Mutex<Option<(CudaStorage, Shape)>>,
    interrupt: Interrupt,
    back: B,
}

impl<const N: usize, B: Fn([&Tensor; N], &Tensor, &Tensor) -> Gradients<N>> Ready<N, B> {
    fn new(made: Made<'_>, back: B) -> Self {
        let storage = CudaStorage::wrap_cuda_slice(made.values, made.device.clone());
        let output = Mutex::new(Some((storage, made.shape)));
        Self { name: made.name, output, interrupt: made.interrupt.clone(), back }
    }

    fn take(&self) -> Candle<(CudaStorage, Shape)> {
        let output = self.output.lock().unwrap_or_else(PoisonError::into_inner).take();
        output.ok_or_else(|| candle_core::Error::msg(format!("{}: the output was taken before", self.name)))
    }

    fn gradients(&self, inputs: [&Tensor; N], y: &Tensor, dy: &Tensor) -> Gradients<N> {
        check(&self.interrupt)?;
        (self.back)(inputs, y, &dy.contiguous()?)
    }

    fn elsewhere<T>(&self) -> Candle<T> {
        Err(candle_core::Error::msg(format!("{}: inputs on the GPU and on the CPU", self.name)))
    }
}

/// The output of an op of one input, with its gradient.
pub(in crate::nn) fn op1<B>(x: &Tensor, made: Made<'_>, back: B) -> Result<Tensor>
where
    B: Fn([&Tensor; 1], &Tensor, &Tensor) -> Gradients<1> + Send + Sync + 'static,
{
    Ok(tape::apply1(x, Ready::new(made, back), Needs::ALL)?)
}

/// As [`op1`], of two inputs.
pub(in crate::nn) fn op2<B>(inputs: [&Tensor; 2], made: Made<'_>, back: B) -> Result<Tensor>
where
    B: Fn([&Tensor; 2], &Tensor, &Tensor) -> Gradients<2> + Send + Sync + 'static,
{
    let [a, b] = inputs;
    Ok(tape::apply2(a, b, Ready::new(made, back), Needs::ALL)?)
}

/// As [`op1`], of three inputs.
pub(in crate::nn) fn op3<B>(inputs: [&Tensor; 3], made: Made<'_>, back: B) -> Result<Tensor>
where
    B: Fn([&Tensor; 3], &Tensor, &Tensor) -> Gradients<3> + Send + Sync + 'static,
{
    let [a, b, c] = inputs;
    Ok(tape::apply3(a, b, c, Ready::new(made, back), Needs::ALL)?)
}

impl<B: Fn([&Tensor; 1], &Tensor, &Tensor) -> Gradients<1>> CustomOp1 for Ready<1, B> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Candle<(CpuStorage, Shape)> {
        self.elsewhere()
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Candle<(CudaStorage, Shape)> {
        self.take()
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, dy: &Tensor) -> Candle<Option<Tensor>> {
        let [dx] = self.gradients([x], y, dy)?;
        Ok(dx)
    }
}

impl<B: Fn([&Tensor; 2], &Tensor, &Tensor) -> Gradients<2>> CustomOp2 for Ready<2, B> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Candle<(CpuStorage, Shape)> {
        self.elsewhere()
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout, _: &CudaStorage, _: &Layout) -> Candle<(CudaStorage, Shape)> {
        self.take()
    }

    fn bwd(&self, a: &Tensor, b: &Tensor, y: &Tensor, dy: &Tensor) -> Candle<(Option<Tensor>, Option<Tensor>)> {
        let [da, db] = self.gradients([a, b], y, dy)?;
        Ok((da, db))
    }
}

impl<B: Fn([&Tensor; 3], &Tensor, &Tensor) -> Gradients<3>> CustomOp3 for Ready<3, B> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Candle<(CpuStorage, Shape)> {
        self.elsewhere()
    }

    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Candle<(CudaStorage, Shape)> {
        self.take()
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        c: &Tensor,
        y: &Tensor,
        dy: &Tensor,
    ) -> Candle<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [da, db, dc] = self.gradients([a, b, c], y, dy)?;
        Ok((da, db, dc))
    }
}
