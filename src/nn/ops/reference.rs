//! Tests of ops: equal to a naive reference, forward and backward, on contiguous tensors and on views; gradients that
//! agree with finite differences and with the tape; the same bits on any number of threads; the same numbers within
//! 1e-5 on every instruction set (except general products, for which the crate gemm chooses the instruction set);
//! cancellation. On a GPU the op is compared with the same reference, computed on the CPU, with the tape, and with a
//! second run to the bit.

use std::collections::HashMap;

use candle_core::{Device, Tensor, Var};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::nn::Tape;
use crate::nn::cpu::{Isa, on_isa};

/// Uniform values in [−1, 1).
pub(super) fn random(shape: &[usize], seed: u64) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

pub(in crate::nn) fn values(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

/// The dot product of two vectors and the sum of the magnitudes of its terms, relative to which errors are measured.
pub(super) fn exact_dot(a: &[f32], b: &[f32]) -> (f64, f64) {
    a.iter()
        .zip(b)
        .fold((0.0, 0.0), |(sum, size), (a, b)| (sum + f64::from(*a) * f64::from(*b), size + f64::from(*a * b).abs()))
}

/// A test with one body for both devices: `fn name(device)` becomes `name::on_the_cpu`, and with the feature `cuda`
/// `name::on_a_gpu`, which is left out unless asked for (CONTRIBUTING.md has the command).
macro_rules! on_both_devices {
    ($(fn $name:ident($device:ident) $body:block)+) => {
        $(mod $name {
            use super::*;

            fn body($device: &candle_core::Device) $body

            #[test]
            fn on_the_cpu() {
                body(&candle_core::Device::Cpu);
            }

            #[cfg(feature = "cuda")]
            #[test]
            #[ignore = "needs a GPU"]
            fn on_a_gpu() {
                body(&crate::nn::ops::reference::gpu());
            }
        })+
    };
}
pub(in crate::nn) use on_both_devices;

/// The first GPU.
#[cfg(feature = "cuda")]
pub(in crate::nn) fn gpu() -> Device {
    crate::nn::device("cuda").unwrap_or_else(|e| panic!("this test was asked for and needs a GPU: {e}"))
}

/// A copy on the CPU.
pub(in crate::nn) fn to_cpu(x: &Tensor) -> Tensor {
    x.to_device(&Device::Cpu).unwrap()
}

/// The output of `op`, and the gradients of its sum weighted by fixed random numbers; all of them on the CPU.
fn run(vars: &[Var], view: bool, op: &dyn Fn(&[Tensor]) -> Result<Tensor>) -> Vec<Tensor> {
    let inputs: Vec<Tensor> = vars.iter().map(|v| if view { transposed(v) } else { v.as_tensor().clone() }).collect();
    let y = to_cpu(&op(&inputs).unwrap()); // the gradient finds its way back to a GPU
    let weights = random(y.dims(), 99);
    let mut grads = (&y * &weights).unwrap().sum_all().unwrap().backward().unwrap();
    let mut grad = |v: &Var| grads.remove(v).unwrap_or_else(|| panic!("a parameter of {:?} got no gradient", v.dims()));
    let gradients: Vec<Tensor> = vars.iter().map(|v| to_cpu(&grad(v))).collect();
    [y].into_iter().chain(gradients).collect()
}

/// The same with the tape, which every op must support.
fn on_tape(vars: &[Var], op: &dyn Fn(&[Tensor]) -> Result<Tensor>) -> Vec<Tensor> {
    let inputs: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
    let leaves: Vec<&Tensor> = inputs.iter().collect();
    let (y, tape) = Tape::record(&leaves, || op(&inputs)).unwrap();
    let weights = random(y.dims(), 99).to_device(y.device()).unwrap();
    let mut found = HashMap::new();
    let mut take = |id, gradient| {
        found.insert(id, gradient);
        Ok(())
    };
    tape.backward(&y, weights, &mut take).unwrap();
    let grad =
        |x: &Tensor| found.remove(&x.id()).unwrap_or_else(|| panic!("{:?} got no gradient by the tape", x.dims()));
    let gradients: Vec<Tensor> = inputs.iter().map(grad).collect();
    [y].iter().chain(&gradients).map(to_cpu).collect()
}

/// Exchanges two axes: a tensor is stored so for its view to have the right shape.
fn transposed(x: &Tensor) -> Tensor {
    if x.rank() < 2 { x.clone() } else { x.transpose(x.rank() - 2, x.rank() - 1).unwrap() }
}

pub(in crate::nn) fn close(what: &str, a: &Tensor, b: &Tensor, tolerance: f32) {
    assert_eq!(a.dims(), b.dims(), "{what}");
    let (a, b) = (values(a), values(b));
    let scale = b.iter().fold(1e-3f32, |m, x| m.max(x.abs()));
    for (i, (x, y)) in a.iter().zip(&b).enumerate() {
        assert!((x - y).abs() <= tolerance * scale, "{what}: value {i} is {x}, the reference says {y} (scale {scale})");
    }
}

/// Compares `fast` with `slow` and runs all other checks on a device: `fast` gets the inputs there, `slow` on the CPU.
pub(super) fn hold_on(
    device: &Device,
    what: &str,
    inputs: &[Tensor],
    fast: impl Fn(&[Tensor], &Interrupt) -> Result<Tensor> + Sync,
    slow: impl Fn(&[Tensor]) -> candle_core::Result<Tensor>,
) {
    if device.is_cpu() {
        return hold_here(what, inputs, &fast, &slow);
    }
    let quiet = Interrupt::new();
    let go = |x: &[Tensor]| fast(x, &quiet);
    for view in [false, true] {
        let store = |x: &Tensor| if view { transposed(x).contiguous().unwrap() } else { x.clone() };
        let here: Vec<Var> = inputs.iter().map(|x| Var::from_tensor(&store(x)).unwrap()).collect();
        let there: Vec<Var> = here.iter().map(|v| Var::from_tensor(&v.to_device(device).unwrap()).unwrap()).collect();
        let truth = run(&here, view, &|x| Ok(slow(x)?));
        let once = run(&there, view, &go);
        for (i, (a, b)) in once.iter().zip(&truth).enumerate() {
            // GPUs fuse multiply-adds and sum in another order.
            close(&format!("{what} on a GPU, view {view}, {}", part(i)), a, b, 1e-4);
        }
        for (a, b) in run(&there, view, &go).iter().zip(&once) {
            assert_eq!(values(a), values(b), "{what}: another run gives other bits");
        }
        if !view {
            for (i, (a, b)) in on_tape(&there, &go).iter().zip(&once).enumerate() {
                close(&format!("{what} on a GPU by the tape, {}", part(i)), a, b, 1e-6);
            }
        }
    }
    let inputs: Vec<Tensor> = inputs.iter().map(|x| x.to_device(device).unwrap()).collect();
    stops(what, &inputs, &fast);
}

/// The quantity at index `i` of a result of [`run`].
fn part(i: usize) -> String {
    if i == 0 { "output".into() } else { format!("gradient of input {}", i - 1) }
}

fn hold_here(
    what: &str,
    inputs: &[Tensor],
    fast: &(impl Fn(&[Tensor], &Interrupt) -> Result<Tensor> + Sync),
    slow: &impl Fn(&[Tensor]) -> candle_core::Result<Tensor>,
) {
    let quiet = Interrupt::new();
    let go = |x: &[Tensor]| fast(x, &quiet);
    for view in [false, true] {
        let store = |x: &Tensor| if view { transposed(x).contiguous().unwrap() } else { x.clone() };
        let vars: Vec<Var> = inputs.iter().map(|x| Var::from_tensor(&store(x)).unwrap()).collect();
        let truth = run(&vars, view, &|x| Ok(slow(x)?));
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| run(&vars, view, &go))
        };
        let two = on(2);
        for (i, (a, b)) in two.iter().zip(&truth).enumerate() {
            close(&format!("{what}, view {view}, {}", part(i)), a, b, 2e-5);
        }
        for (a, b) in on(1).iter().zip(&two).chain(on(3).iter().zip(&two)) {
            assert_eq!(values(a), values(b), "{what}: the number of threads shows");
        }
        if !view {
            for (a, b) in on_tape(&vars, &go).iter().zip(&two) {
                assert_eq!(values(a), values(b), "{what}: by the tape it is another one");
            }
        }
        for isa in [Isa::Portable, Isa::Avx2] {
            let other = on_isa(isa, 2, || run(&vars, view, &go));
            for (i, (a, b)) in other.iter().zip(&two).enumerate() {
                close(&format!("{what}, {isa:?}, result {i}"), a, b, 1e-5);
            }
        }
    }
    finite_differences(what, inputs, &go);
    stops(what, inputs, fast);
}

/// The slope along a random direction, measured and from the gradients.
fn finite_differences(what: &str, inputs: &[Tensor], op: &dyn Fn(&[Tensor]) -> Result<Tensor>) {
    let vars: Vec<Var> = inputs.iter().map(|x| Var::from_tensor(x).unwrap()).collect();
    let all = run(&vars, false, op);
    let weights = values(&random(all[0].dims(), 99));
    for (i, input) in inputs.iter().enumerate() {
        let direction = random(input.dims(), 5 + i as u64);
        let at = |h: f64| -> f64 {
            let mut moved = inputs.to_vec();
            moved[i] = (input + direction.affine(h, 0.0).unwrap()).unwrap();
            values(&op(&moved).unwrap()).iter().zip(&weights).map(|(y, w)| f64::from(*y) * f64::from(*w)).sum()
        };
        let h = 1e-2;
        // Five points, so that the curvature of the op cancels.
        let measured = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
        let (g, d) = (values(&all[i + 1]), values(&direction));
        let claimed: f64 = g.iter().zip(&d).map(|(g, d)| f64::from(*g) * f64::from(*d)).sum();
        let size: f64 = g.iter().zip(&d).map(|(g, d)| (f64::from(*g) * f64::from(*d)).powi(2)).sum::<f64>().sqrt();
        let slack = 2e-3 * (size + claimed.abs()) + 2e-3;
        assert!((measured - claimed).abs() <= slack, "{what}, input {i}: slope {measured}, gradient {claimed}");
    }
}

/// Cancels before forward, and between forward and backward.
fn stops(what: &str, inputs: &[Tensor], op: &dyn Fn(&[Tensor], &Interrupt) -> Result<Tensor>) {
    let interrupt = Interrupt::new();
    let vars: Vec<Tensor> = inputs.iter().map(|x| Var::from_tensor(x).unwrap().into_inner()).collect();
    let y = to_cpu(&op(&vars, &interrupt).unwrap()).sum_all().unwrap();
    interrupt.trigger();
    assert!(op(&vars, &interrupt).is_err_and(|e| e.is_interrupted()), "{what}: forward went on");
    let backward = y.backward().map_err(crate::error::Error::from);
    assert!(backward.is_err_and(|e| e.is_interrupted()), "{what}: backward went on");
}
