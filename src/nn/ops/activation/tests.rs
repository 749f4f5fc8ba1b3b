//! Activations compared with candle's, plain and gated, including small values and limits.

use candle_core::{Result as Candle, Tensor};

use super::{Activation, activate, gated};
use crate::interrupt::Interrupt;
use crate::nn::ops::reference::{hold_on, on_both_devices, random, to_cpu, values};

const ALL: [Activation; 4] = [Activation::Relu, Activation::Silu, Activation::Gelu, Activation::GeluTanh];

fn naive(x: &Tensor, activation: Activation) -> Candle<Tensor> {
    match activation {
        Activation::Relu => x.relu(),
        Activation::Silu => x.silu(),
        Activation::Gelu => x.gelu_erf(),
        Activation::GeluTanh => x.gelu(),
    }
}

/// Values of ±`scale` away from 0, where the slope of relu jumps and finite differences are meaningless.
fn apart(shape: &[usize], seed: u64, scale: f64) -> Tensor {
    let x = random(shape, seed);
    ((&x * scale).unwrap() + x.sign().unwrap() * 0.1).unwrap()
}

on_both_devices! {
    fn plain_activations_equal_their_reference(device) {
        for (seed, shape) in [&[1][..], &[3, 7], &[2, 5, 33], &[40, 832]].iter().enumerate() {
            for activation in ALL {
                let what = format!("{activation} {shape:?}");
                let fast = |x: &[Tensor], i: &Interrupt| activate(&x[0], activation, i);
                hold_on(device, &what, &[apart(shape, seed as u64, 4.0)], fast, |x| naive(&x[0], activation));
            }
        }
    }
}

on_both_devices! {
    fn gated_activations_equal_their_reference(device) {
        for (seed, shape) in [&[1][..], &[3, 7], &[2, 5, 33], &[40, 832]].iter().enumerate() {
            for activation in ALL {
                let inputs = [apart(shape, seed as u64, 4.0), random(shape, 50).affine(4.0, 0.0).unwrap()];
                let what = format!("{activation} {shape:?}");
                let fast = |x: &[Tensor], i: &Interrupt| gated(&x[0], &x[1], activation, i);
                hold_on(device, &what, &inputs, fast, |x| naive(&x[0], activation)?.mul(&x[1]));
            }
        }
    }
}

// python3: import math
// for x in (-9., -3., -.5, 0., 1e-3, 1., 4.): print(x * math.erfc(-x / 2 ** .5) / 2)
// u = lambda x: (2 / math.pi) ** .5 * (x + .044715 * x ** 3)
// for x in (-9., -3., -.5, 0., 1e-3, 1., 4.): print(x / (1 + math.exp(-2 * u(x))))
on_both_devices! {
    fn the_digits_are_right_where_it_is_small_too(device) {
        let at = [-9.0f32, -3.0, -0.5, 0.0, 1e-3, 1.0, 4.0];
        let erf = [-1.015_729_6e-18, -4.049_694e-3, -0.154_268_77, 0.0, 5.003_989e-4, 0.841_344_8, 3.999_873];
        let tanh = [-1.336_459_6e-28, -3.637_392e-3, -0.154_286, 0.0, 5.003_989e-4, 0.841_192, 3.999_93];
        let x = Tensor::new(&at, device).unwrap();
        for (activation, truth) in [(Activation::Gelu, erf), (Activation::GeluTanh, tanh)] {
            let ones = x.ones_like().unwrap();
            let quiet = Interrupt::new();
            for y in [activate(&x, activation, &quiet).unwrap(), gated(&x, &ones, activation, &quiet).unwrap()] {
                for (y, truth) in values(&to_cpu(&y)).iter().zip(truth) {
                    assert!((y - truth).abs() <= 2e-5 * f32::abs(truth), "{activation:?}: {y} {truth}");
                }
            }
        }
    }
}

on_both_devices! {
    fn far_from_zero_it_is_a_ramp(device) {
        let x = Tensor::new(&[-1e30f32, -1e4, -50.0, 50.0, 1e4, 1e30], device).unwrap();
        for activation in [Activation::Relu, Activation::Gelu, Activation::GeluTanh] {
            for plain in [true, false] {
                let var = candle_core::Var::from_tensor(&x).unwrap();
                let quiet = Interrupt::new();
                let y = match plain {
                    true => activate(&var, activation, &quiet).unwrap(),
                    false => gated(&var, &x.ones_like().unwrap(), activation, &quiet).unwrap(),
                };
                for (y, ramp) in values(&to_cpu(&y)).iter().zip([0.0f32, 0.0, 0.0, 50.0, 1e4, 1e30]) {
                    assert!((y - ramp).abs() < 1e-6, "{activation:?}: {y} {ramp}");
                }
                let grads = to_cpu(&y).sum_all().unwrap().backward().unwrap();
                for (slope, step) in values(&to_cpu(grads.get(&var).unwrap())).iter().zip([0.0f32, 0.0, 0.0, 1.0, 1.0, 1.0]) {
                    assert!((slope - step).abs() < 1e-6, "{activation:?}: {slope} {step}");
                }
            }
        }
    }
}

#[test]
fn names_are_those_of_transformers() {
    for activation in ALL {
        assert_eq!(activation.to_string().parse::<Activation>().unwrap(), activation);
    }
    assert_eq!("gelu_new".parse::<Activation>().unwrap(), Activation::GeluTanh);
    assert!("gelu_nwe".parse::<Activation>().unwrap_err().hint().unwrap().contains("gelu_new"));
}

#[test]
fn a_gate_of_another_shape_is_refused() {
    let error = gated(&random(&[2, 3], 0), &random(&[3, 2], 1), Activation::Relu, &Interrupt::new()).unwrap_err();
    assert_eq!(error.message(), "a gate of [2, 3] does not fit [3, 2]");
}
