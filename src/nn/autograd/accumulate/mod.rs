//! Sums of two tensors of one shape without a gradient, out of place or in place.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{CpuStorage, CustomOp2, InplaceOp2, Layout, Result as Candle, Shape, Tensor};

use crate::error::Result;
use crate::nn::cpu::floats_of;

/// `x + y`, detached.
pub(in crate::nn) fn plain_sum(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let plain = x.device().is_cpu() && x.is_contiguous() && y.is_contiguous() && x.dims() == y.dims();
    Ok(if plain { x.apply_op2_no_bwd(y, &SumOp)? } else { (x.detach() + y.detach())? })
}

/// `x += y`, for an `x` whose memory is not shared.
pub(in crate::nn) fn add_to(x: Tensor, y: &Tensor) -> Result<Tensor> {
    let plain = x.is_contiguous() && y.is_contiguous() && x.dims() == y.dims();
    #[cfg(feature = "cuda")]
    if plain && x.device().is_cuda() {
        cuda::add_to(&x, y)?;
        return Ok(x);
    }
    if !(plain && x.device().is_cpu()) {
        return plain_sum(&x, y);
    }
    x.inplace_op2(y, &SumOp)?;
    Ok(x)
}

struct SumOp;

impl CustomOp2 for SumOp {
    fn name(&self) -> &'static str {
        "add"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, y: &CpuStorage, yl: &Layout) -> Candle<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(cpu::sum(floats_of(x, xl)?, floats_of(y, yl)?)), xl.shape().clone()))
    }
}

impl InplaceOp2 for SumOp {
    fn name(&self) -> &'static str {
        "add_to"
    }

    fn cpu_fwd(&self, x: &mut CpuStorage, xl: &Layout, y: &CpuStorage, yl: &Layout) -> Candle<()> {
        let (CpuStorage::F32(x), Some((start, end))) = (x, xl.contiguous_offsets()) else {
            return Err(candle_core::Error::RequiresContiguous { op: "add_to" }.bt());
        };
        cpu::add_to(&mut x[start..end], floats_of(y, yl)?);
        Ok(())
    }
}
