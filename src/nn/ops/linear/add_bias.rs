//! A bias that trains beside a frozen weight.

use candle_core::{CpuStorage, CustomOp2, Layout, Result as Candle, Shape, Tensor};

use super::cpu;
use crate::interrupt::Interrupt;
use crate::nn::autograd;
use crate::nn::candle_error::check;
use crate::nn::cpu::{floats, floats_of};

/// `x + b` for each row.
pub(super) struct AddBias {
    pub(super) interrupt: Interrupt,
}

impl CustomOp2 for AddBias {
    fn name(&self) -> &'static str {
        "add_bias"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, b: &CpuStorage, bl: &Layout) -> Candle<(CpuStorage, Shape)> {
        let mut y = floats_of(x, xl)?.to_vec();
        cpu::add_bias(&mut y, floats_of(b, bl)?);
        Ok((CpuStorage::F32(y), xl.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, b: &Tensor, _: &Tensor, dy: &Tensor) -> Candle<(Option<Tensor>, Option<Tensor>)> {
        check(&self.interrupt)?;
        let dy = dy.contiguous()?;
        let db = match autograd::needs_grad(b) {
            true => {
                let db = cpu::bias_gradient(&floats(&dy)?, b.elem_count());
                Some(Tensor::from_vec(db, b.shape(), b.device())?)
            }
            false => None,
        };
        Ok((Some(dy), db))
    }
}
