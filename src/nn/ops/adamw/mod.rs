//! One AdamW update (Loshchilov & Hutter 2017, arXiv:1711.05101) in one pass over a parameter, with the arithmetic of
//! `torch.optim.AdamW`:
//!
//! ```text
//! p ← p (1 − lr λ)      m ← m + (g − m)(1 − β₁)      v ← β₂ v + (1 − β₂) g²
//! p ← p − lr / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε)
//! ```

mod cpu;

use std::sync::{Mutex, PoisonError};

use candle_core::{CpuStorage, InplaceOp2, Layout, Result as Candle, Tensor, Var};

use super::cpu::{floats, floats_of, input};
use crate::error::{Error, Result};

/// The numbers of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWStep {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the two moments.
    pub betas: (f64, f64),
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Which step this is, the first being 1.
    pub step: u64,
}

/// Updates a parameter in place, and its moments `m` and `v`; empty moments begin as zeros.
///
/// # Errors
/// A gradient or moments of another size.
pub fn adamw_step(p: &Var, g: &Tensor, m: &mut Vec<f32>, v: &mut Vec<f32>, hyper: &AdamWStep) -> Result<()> {
    let (g, n) = (input(g, "adamw")?, p.elem_count());
    for moment in [&mut *m, &mut *v] {
        if moment.is_empty() {
            moment.resize(n, 0.0);
        }
    }
    if g.dims() != p.dims() || m.len() != n || v.len() != n {
        return Err(Error::mistake(format!("a gradient of {:?} does not fit a parameter of {:?}", g.dims(), p.dims())));
    }
    let op = Update { moments: Mutex::new((m, v)), hyper: *hyper };
    Ok(p.inplace_op2(&g, &op)?)
}

/// Σ x² of a tensor, for the norm of gradients.
///
/// # Errors
/// A tensor that is not f32 on the CPU.
pub fn square_norm(x: &Tensor) -> Result<f64> {
    let x = input(x, "square_norm")?;
    let values = floats(&x)?;
    Ok(cpu::square_norm(&values))
}

struct Update<'a> {
    // The op is asked through a shared reference; the lock is never contended.
    moments: Mutex<(&'a mut [f32], &'a mut [f32])>,
    hyper: AdamWStep,
}

impl InplaceOp2 for Update<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(&self, p: &mut CpuStorage, pl: &Layout, g: &CpuStorage, gl: &Layout) -> Candle<()> {
        let Some((start, end)) = pl.contiguous_offsets() else {
            return Err(candle_core::Error::RequiresContiguous { op: "adamw" }.bt());
        };
        let CpuStorage::F32(p) = p else {
            return Err(candle_core::Error::msg("adamw updates f32 parameters"));
        };
        let mut moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        let (m, v) = &mut *moments;
        cpu::update(&mut p[start..end], floats_of(g, gl)?, m, v, &self.hyper);
        Ok(())
    }
}
