//! Rotary positions (Su et al. 2021) in the half-split layout of `transformers`' LLaMA: with `half = dim / 2` and the
//! angle `φ = position · θ^(−2i / dim)`, the pair (xᵢ, xᵢ₊half) is turned by φ. The gradient is turned back.

mod cpu;

use candle_core::{CpuStorage, CustomOp1, Layout, Result as Candle, Shape, Tensor};

use self::cpu::Angles;
use super::cpu::{floats, floats_of, input};
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::nn::error::check;

/// x (batch, time, heads, dim) turned by the angles of positions `offset..offset + time`; `dim` is even.
///
/// # Errors
/// An odd `dim`, another rank, or a stop.
pub fn rope(x: &Tensor, theta: f64, offset: usize, interrupt: &Interrupt) -> Result<Tensor> {
    interrupt.check()?;
    let x = input(x, "rope")?;
    let (_, time, _, dim) = x.dims4()?;
    if dim % 2 == 1 {
        return Err(Error::mistake(format!("rotary positions want an even head width, not {dim}")));
    }
    let angles = Angles::get(theta, dim, offset..offset + time);
    Ok(x.apply_op1(Rope { angles, offset, interrupt: interrupt.clone() })?)
}

struct Rope {
    angles: Angles,
    offset: usize,
    interrupt: Interrupt,
}

impl CustomOp1 for Rope {
    fn name(&self) -> &'static str {
        "rope"
    }

    fn cpu_fwd(&self, x: &CpuStorage, l: &Layout) -> Candle<(CpuStorage, Shape)> {
        let y = cpu::turn(floats_of(x, l)?, l.shape().dims4()?, &self.angles, self.offset, 1.0);
        Ok((CpuStorage::F32(y), l.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> Candle<Option<Tensor>> {
        check(&self.interrupt)?;
        let dy = dy.contiguous()?;
        let dx = cpu::turn(&floats(&dy)?, x.dims4()?, &self.angles, self.offset, -1.0);
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}
