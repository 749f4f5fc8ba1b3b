//! GPU ops of one, two and three inputs whose gradient is a function of tensors.
//!
//! candle calls an op for its output as storage. Usually the output is computed first, from tensors, and handed over in
//! that call; so the GPU path of an op is two functions, forward and backward, and state between them is what the
//! second one captures. A [`Cheap`] op computes its output in the call, any number of times: the tape need not keep it.

use std::sync::{Mutex, PoisonError};

use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaView};
use candle_core::cuda_backend::{CudaDevice, CudaStorage};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result as Candle, Shape, Tensor};

use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::nn::autograd::{self, Saves};
use crate::nn::candle_error::check;

/// A computed output and its op.
pub(in crate::nn) struct Made<'a> {
    /// The op.
    pub(in crate::nn) name: &'static str,
    /// f32 on the device.
    pub(in crate::nn) values: CudaSlice<f32>,
    pub(in crate::nn) shape: Shape,
    pub(in crate::nn) device: &'a CudaDevice,
    /// The tensors that backward reads.
    pub(in crate::nn) saves: Saves,
    /// Checked before the gradient is computed.
    pub(in crate::nn) interrupt: &'a Interrupt,
}

/// An op of contiguous inputs whose output has the shape of the first one and costs a few operations a value.
pub(in crate::nn) struct Cheap<'a> {
    /// The op.
    pub(in crate::nn) name: &'static str,
    /// Checked before the gradient is computed.
    pub(in crate::nn) interrupt: &'a Interrupt,
}

/// The gradients of the inputs: inputs, output, gradient of the output (contiguous).
type InputGradients<const N: usize> = Candle<[Option<Tensor>; N]>;
/// Computes an output from the values of the inputs.
type Make<const N: usize> = dyn Fn(&CudaDevice, [CudaView<'_, f32>; N]) -> Candle<CudaSlice<f32>> + Send + Sync;

/// The source of an output.
enum OpOutput<const N: usize> {
    /// Computed already; used once.
    Ready(Mutex<Option<(CudaStorage, Shape)>>),
    /// Computed on demand.
    Cheap(Box<Make<N>>),
}

/// An op with its output and its gradient.
struct Ready<const N: usize, B> {
    name: &'static str,
    output: OpOutput<N>,
    interrupt: Interrupt,
    back: B,
}

impl<const N: usize, B: Fn([&Tensor; N], &Tensor, &Tensor) -> InputGradients<N>> Ready<N, B> {
    fn new(made: Made<'_>, back: B) -> Self {
        let storage = CudaStorage::wrap_cuda_slice(made.values, made.device.clone());
        let output = OpOutput::Ready(Mutex::new(Some((storage, made.shape))));
        Self { name: made.name, output, interrupt: made.interrupt.clone(), back }
    }

    fn cheap(op: &Cheap<'_>, make: Box<Make<N>>, back: B) -> Self {
        Self { name: op.name, output: OpOutput::Cheap(make), interrupt: op.interrupt.clone(), back }
    }

    fn output(&self, inputs: [(&CudaStorage, &Layout); N]) -> Candle<(CudaStorage, Shape)> {
        match &self.output {
            OpOutput::Ready(output) => {
                let output = output.lock().unwrap_or_else(PoisonError::into_inner).take();
                output.ok_or_else(|| candle_core::Error::msg(format!("{}: the output was taken before", self.name)))
            }
            OpOutput::Cheap(make) => {
                let (first, layout) = inputs[0];
                let mut views = Vec::with_capacity(N);
                for (storage, layout) in inputs {
                    let Some((start, end)) = layout.contiguous_offsets() else {
                        return Err(candle_core::Error::RequiresContiguous { op: self.name }.bt());
                    };
                    views.push(storage.as_cuda_slice::<f32>()?.slice(start..end));
                }
                let views = views.try_into().map_err(|_| candle_core::Error::msg("an input a place"))?;
                let values = make(&first.device, views)?;
                Ok((CudaStorage::wrap_cuda_slice(values, first.device.clone()), layout.shape().clone()))
            }
        }
    }

    fn gradients(&self, inputs: [&Tensor; N], y: &Tensor, dy: &Tensor) -> InputGradients<N> {
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
    B: Fn([&Tensor; 1], &Tensor, &Tensor) -> InputGradients<1> + Send + Sync + 'static,
{
    let needs = made.saves;
    Ok(autograd::apply1(x, Ready::new(made, back), needs)?)
}

/// [`op1`] for two inputs.
pub(in crate::nn) fn op2<B>(inputs: [&Tensor; 2], made: Made<'_>, back: B) -> Result<Tensor>
where
    B: Fn([&Tensor; 2], &Tensor, &Tensor) -> InputGradients<2> + Send + Sync + 'static,
{
    let ([a, b], needs) = (inputs, made.saves);
    Ok(autograd::apply2(a, b, Ready::new(made, back), needs)?)
}

/// [`op1`] for three inputs.
pub(in crate::nn) fn op3<B>(inputs: [&Tensor; 3], made: Made<'_>, back: B) -> Result<Tensor>
where
    B: Fn([&Tensor; 3], &Tensor, &Tensor) -> InputGradients<3> + Send + Sync + 'static,
{
    let ([a, b, c], needs) = (inputs, made.saves);
    Ok(autograd::apply3(a, b, c, Ready::new(made, back), needs)?)
}

/// [`op1`] for an output that `make` computes from the input; backward reads the input only.
pub(in crate::nn) fn cheap1<B>(x: &Tensor, op: &Cheap<'_>, make: Box<Make<1>>, back: B) -> Result<Tensor>
where
    B: Fn([&Tensor; 1], &Tensor, &Tensor) -> InputGradients<1> + Send + Sync + 'static,
{
    Ok(autograd::apply1(x, Ready::cheap(op, make, back), Saves::INPUTS_AND_CHEAP)?)
}

/// [`op2`] for an output that `make` computes from the inputs; backward reads the inputs only.
pub(in crate::nn) fn cheap2<B>(inputs: [&Tensor; 2], op: &Cheap<'_>, make: Box<Make<2>>, back: B) -> Result<Tensor>
where
    B: Fn([&Tensor; 2], &Tensor, &Tensor) -> InputGradients<2> + Send + Sync + 'static,
{
    let [a, b] = inputs;
    Ok(autograd::apply2(a, b, Ready::cheap(op, make, back), Saves::INPUTS_AND_CHEAP)?)
}

/// [`cheap2`] for three inputs.
pub(in crate::nn) fn cheap3<B>(inputs: [&Tensor; 3], op: &Cheap<'_>, make: Box<Make<3>>, back: B) -> Result<Tensor>
where
    B: Fn([&Tensor; 3], &Tensor, &Tensor) -> InputGradients<3> + Send + Sync + 'static,
{
    let [a, b, c] = inputs;
    Ok(autograd::apply3(a, b, c, Ready::cheap(op, make, back), Saves::INPUTS_AND_CHEAP)?)
}

impl<B: Fn([&Tensor; 1], &Tensor, &Tensor) -> InputGradients<1>> CustomOp1 for Ready<1, B> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Candle<(CpuStorage, Shape)> {
        self.elsewhere()
    }

    fn cuda_fwd(&self, x: &CudaStorage, xl: &Layout) -> Candle<(CudaStorage, Shape)> {
        self.output([(x, xl)])
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, dy: &Tensor) -> Candle<Option<Tensor>> {
        let [dx] = self.gradients([x], y, dy)?;
        Ok(dx)
    }
}

impl<B: Fn([&Tensor; 2], &Tensor, &Tensor) -> InputGradients<2>> CustomOp2 for Ready<2, B> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Candle<(CpuStorage, Shape)> {
        self.elsewhere()
    }

    fn cuda_fwd(&self, a: &CudaStorage, al: &Layout, b: &CudaStorage, bl: &Layout) -> Candle<(CudaStorage, Shape)> {
        self.output([(a, al), (b, bl)])
    }

    fn bwd(&self, a: &Tensor, b: &Tensor, y: &Tensor, dy: &Tensor) -> Candle<(Option<Tensor>, Option<Tensor>)> {
        let [da, db] = self.gradients([a, b], y, dy)?;
        Ok((da, db))
    }
}

impl<B: Fn([&Tensor; 3], &Tensor, &Tensor) -> InputGradients<3>> CustomOp3 for Ready<3, B> {
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
        a: &CudaStorage,
        al: &Layout,
        b: &CudaStorage,
        bl: &Layout,
        c: &CudaStorage,
        cl: &Layout,
    ) -> Candle<(CudaStorage, Shape)> {
        self.output([(a, al), (b, bl), (c, cl)])
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
