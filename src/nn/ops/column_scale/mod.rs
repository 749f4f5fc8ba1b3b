//! Products of the columns of a matrix with a vector over a constant one: `y = x · m / n`, as DoRA gives the rows of a
//! weight their magnitudes (Liu et al. 2024, arXiv:2402.09353).

#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{CpuStorage, CustomOp2, Layout, Result as Candle, Shape, Tensor};
use rayon::prelude::*;

use super::input::input;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::nn::autograd::{self, Saves};
use crate::nn::candle_error::check;
use crate::nn::cpu::{floats, floats_of, for_each_isa};

/// Rows of a task: fixed, so that the sums do not depend on the number of threads.
const ROWS: usize = 64;

/// `x · m / n`: x (…, width), m (width), n (width) -> the shape of x. Gradients for x and m; n is a constant, 1 where it is
/// absent.
///
/// # Errors
/// Vectors of another length than the last axis of x, or `interrupted`, when the user cancels.
pub fn scale_columns(x: &Tensor, m: &Tensor, n: Option<&Tensor>, interrupt: &Interrupt) -> Result<Tensor> {
    interrupt.check()?;
    let (x, m) = (input(x, "scale_columns")?, input(m, "scale_columns")?);
    let n = n.map(|n| input(&n.detach(), "scale_columns")).transpose()?;
    let width = x.dims().last().copied().unwrap_or(0);
    if let Some(other) = std::iter::once(&m).chain(&n).find(|vector| vector.dims() != [width]) {
        return Err(Error::mistake(format!("a vector of {:?} does not scale {width} columns", other.dims())));
    }
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        return cuda::scale_columns(&x, &m, n.as_ref(), interrupt);
    }
    Ok(autograd::apply2(&x, &m, ScaleColumns { n, interrupt: interrupt.clone() }, Saves::INPUTS)?)
}

struct ScaleColumns {
    n: Option<Tensor>,
    interrupt: Interrupt,
}

impl ScaleColumns {
    /// m / n
    fn factors(&self, m: &[f32]) -> Candle<Vec<f32>> {
        match &self.n {
            Some(n) => Ok(m.iter().zip(floats(n)?.iter()).map(|(m, n)| m / n).collect()),
            None => Ok(m.to_vec()),
        }
    }
}

/// x (rows, width) with its columns multiplied.
fn scaled(x: &[f32], factors: &[f32]) -> Vec<f32> {
    let mut y = x.to_vec();
    if !factors.is_empty() {
        y.par_chunks_mut(ROWS * factors.len()).for_each(|y| multiply_rows(y, factors));
    }
    y
}

/// The sums over rows of x · dy: (rows, width) -> (width).
fn column_products(x: &[f32], dy: &[f32], width: usize) -> Vec<f32> {
    let mut sum = vec![0.0; width];
    if width == 0 {
        return sum;
    }
    let chunk = ROWS * width;
    let parts: Vec<Vec<f32>> =
        x.par_chunks(chunk).zip(dy.par_chunks(chunk)).map(|(x, dy)| products_of_rows(x, dy, width)).collect();
    for part in parts {
        sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
    }
    sum
}

for_each_isa! {
    fn multiply_rows(y: &mut [f32], factors: &[f32]) {
        for y in y.chunks_exact_mut(factors.len()) {
            for (y, factor) in y.iter_mut().zip(factors) {
                *y *= factor;
            }
        }
    }
}

for_each_isa! {
    fn products_of_rows(x: &[f32], dy: &[f32], width: usize) -> Vec<f32> {
        let mut sum = vec![0.0; width];
        for (x, dy) in x.chunks_exact(width).zip(dy.chunks_exact(width)) {
            for ((sum, x), dy) in sum.iter_mut().zip(x).zip(dy) {
                *sum += x * dy;
            }
        }
        sum
    }
}

impl CustomOp2 for ScaleColumns {
    fn name(&self) -> &'static str {
        "scale_columns"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, m: &CpuStorage, ml: &Layout) -> Candle<(CpuStorage, Shape)> {
        let factors = self.factors(floats_of(m, ml)?)?;
        Ok((CpuStorage::F32(scaled(floats_of(x, xl)?, &factors)), xl.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, m: &Tensor, _: &Tensor, dy: &Tensor) -> Candle<(Option<Tensor>, Option<Tensor>)> {
        check(&self.interrupt)?;
        let dy = dy.contiguous()?;
        let dy = floats(&dy)?;
        let dm = match autograd::needs_grad(m) {
            true => {
                let mut dm = column_products(&floats(x)?, &dy, m.elem_count());
                if let Some(n) = &self.n {
                    dm.iter_mut().zip(floats(n)?.iter()).for_each(|(dm, n)| *dm /= n);
                }
                Some(Tensor::from_vec(dm, m.shape(), m.device())?)
            }
            false => None,
        };
        let dx = match autograd::needs_grad(x) {
            true => Some(Tensor::from_vec(scaled(&dy, &self.factors(&floats(m)?)?), x.shape(), x.device())?),
            false => None,
        };
        Ok((dx, dm))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ops::reference::{hold_on, on_both_devices, random};

    on_both_devices! {
        fn it_equals_its_reference(device) {
            for shape in [&[1][..], &[3, 9], &[2, 5, 120], &[130, 7]] {
                let width = shape[shape.len() - 1];
                let inputs = [random(shape, 1), random(&[width], 2)];
                let n = (random(&[width], 3).abs().unwrap() + 0.5).unwrap();
                let held = n.to_device(device).unwrap();
                let fast = |x: &[Tensor], i: &Interrupt| scale_columns(&x[0], &x[1], Some(&held), i);
                hold_on(device, &format!("{shape:?}"), &inputs, fast, |x| x[0].broadcast_mul(&(&x[1] / &n)?));
                let fast = |x: &[Tensor], i: &Interrupt| scale_columns(&x[0], &x[1], None, i);
                hold_on(device, &format!("{shape:?} over 1"), &inputs, fast, |x| x[0].broadcast_mul(&x[1]));
            }
        }
    }

    #[test]
    fn vectors_that_do_not_fit_are_refused() {
        let error = scale_columns(&random(&[2, 3], 0), &random(&[4], 1), None, &Interrupt::new()).unwrap_err();
        assert_eq!(error.message(), "a vector of [4] does not scale 3 columns");
    }
}
