//! Linear layers compared with their references.

use std::sync::Arc;

use candle_core::{Device, Result as Candle, Tensor, Var};

use super::{Adapter, Frozen, linear, lora_linear};
use crate::interrupt::Interrupt;
use crate::nn::Precision;
use crate::nn::ops::reference::{close, hold_on, on_both_devices, random, to_cpu, values};
use crate::nn::quant::Nf4;

/// `x Wᵀ` by candle's product.
fn naive(x: &Tensor, w: &Tensor) -> Candle<Tensor> {
    let dims = x.dims().to_vec();
    let (out, wide) = w.dims2()?;
    let rows = x.elem_count() / wide;
    let y = x.reshape((rows, wide))?.matmul(&w.t()?.contiguous()?)?;
    y.reshape([&dims[..dims.len() - 1], &[out]].concat())
}

/// (leading axes of x, in, out)
const SHAPES: [(&[usize], usize, usize); 8] = [
    (&[1], 1, 1),
    (&[1, 1], 7, 5),
    (&[3], 64, 64),
    (&[2, 5], 33, 65),
    (&[8], 100, 30),
    (&[9], 65, 130),
    (&[2, 70], 320, 96),
    (&[1, 200], 129, 257),
];

fn x_of(lead: &[usize], wide: usize) -> Tensor {
    random(&[lead, &[wide]].concat(), 1)
}

fn nf4(out: usize, wide: usize) -> (Frozen, Tensor) {
    let nf4 = Nf4::quantize(&values(&random(&[out, wide], 2)), (out, wide));
    let dense = Tensor::from_vec(nf4.dequantize(), (out, wide), &Device::Cpu).unwrap();
    (Frozen::Nf4(Arc::new(nf4)), dense)
}

on_both_devices! {
    fn the_dense_product_equals_its_reference(device) {
        for (lead, wide, out) in SHAPES {
            let inputs = [x_of(lead, wide), random(&[out, wide], 2)];
            hold_on(device, &format!("{lead:?} {wide} {out}"), &inputs, |x, i| linear(&x[0], &x[1], None, Precision::F32, i), |x| naive(&x[0], &x[1]));
        }
    }
}

on_both_devices! {
    fn the_frozen_products_equal_their_reference(device) {
        for (lead, wide, out) in SHAPES {
            let (quantized, dense) = nf4(out, wide);
            for (kind, w) in [("nf4", &quantized), ("dense", &Frozen::Dense(dense.to_device(device).unwrap()))] {
                let what = format!("{kind} {lead:?} {wide} {out}");
                let x = [x_of(lead, wide)];
                hold_on(device, &what, &x, |x, i| lora_linear(&x[0], w, None, None, Precision::F32, i), |x| naive(&x[0], &dense));
            }
        }
    }
}

on_both_devices! {
    fn the_adapted_products_equal_their_reference(device) {
        for (rank, (lead, wide, out)) in [1, 2, 3, 8, 5, 16, 4, 7].into_iter().zip(SHAPES) {
            let (quantized, dense) = nf4(out, wide);
            for (kind, w) in [("nf4", &quantized), ("dense", &Frozen::Dense(dense.to_device(device).unwrap()))] {
                let inputs = [x_of(lead, wide), random(&[rank, wide], 3), random(&[out, rank], 4)];
                hold_on(
                    device,
                    &format!("{kind} {lead:?} {wide} {out} rank {rank}"),
                    &inputs,
                    |x, i| {
                        let adapter = Adapter { a: x[1].clone(), b: x[2].clone(), scale: 1.5, dropout: None };
                        lora_linear(&x[0], w, None, Some(&adapter), Precision::F32, i)
                    },
                    |x| naive(&x[0], &dense)? + (naive(&naive(&x[0], &x[1])?, &x[2])? * 1.5)?,
                );
            }
        }
    }
}

/// The mask of a seed, computed with a weight of zeros and an adapter that copies.
fn mask(shape: &[usize], dropout: (f64, u64)) -> Tensor {
    let wide = shape[shape.len() - 1];
    let eye = Tensor::eye(wide, candle_core::DType::F32, &Device::Cpu).unwrap();
    let adapter = Adapter { a: eye.clone(), b: eye.clone(), scale: 1.0, dropout: Some(dropout) };
    let x = Tensor::ones(shape, candle_core::DType::F32, &Device::Cpu).unwrap();
    lora_linear(&x, &Frozen::Dense(eye.zeros_like().unwrap()), None, Some(&adapter), Precision::F32, &Interrupt::new())
        .unwrap()
}

on_both_devices! {
    fn dropout_is_on_the_adapter_only_and_backward_knows_it(device) {
        let dropout = (0.3, 11);
        for (lead, wide, out) in [(&[3usize][..], 20usize, 9usize), (&[2, 40], 65, 30)] {
            let mask = mask(&[lead, &[wide]].concat(), dropout);
            assert!(values(&mask).iter().all(|&m| m == 0.0 || (m - 1.0 / 0.7).abs() < 1e-6));
            let (quantized, dense) = nf4(out, wide);
            let inputs = [x_of(lead, wide), random(&[4, wide], 3), random(&[out, 4], 4)];
            hold_on(
                device,
                &format!("{lead:?} {wide} {out}"),
                &inputs,
                |x, i| {
                    let adapter = Adapter { a: x[1].clone(), b: x[2].clone(), scale: 0.5, dropout: Some(dropout) };
                    lora_linear(&x[0], &quantized, None, Some(&adapter), Precision::F32, i)
                },
                |x| naive(&x[0], &dense)? + (naive(&naive(&(&x[0] * &mask)?, &x[1])?, &x[2])? * 0.5)?,
            );
        }
    }
}

#[test]
fn an_input_that_does_not_train_still_lets_the_rest_train() {
    let (w, x) = (Var::from_tensor(&random(&[4, 3], 0)).unwrap(), random(&[2, 3], 1));
    let grads = linear(&x, &w, None, Precision::F32, &Interrupt::new()).unwrap().sum_all().unwrap().backward().unwrap();
    let expected = x.sum_keepdim(0).unwrap().broadcast_as((4, 3)).unwrap();
    close("dw", grads.get(&w).unwrap(), &expected.contiguous().unwrap(), 1e-6);
    assert!(grads.get(&x).is_none());
}

on_both_devices! {
    fn many_rows_and_few_rows_agree(device) {
        for wide in [97, 100, 320] {
            let (w, _) = nf4(130, wide);
            let x = random(&[20, wide], 5).to_device(device).unwrap();
            let all = to_cpu(&lora_linear(&x, &w, None, None, Precision::F32, &Interrupt::new()).unwrap());
            for n in 1..=9 {
                let some = to_cpu(&lora_linear(&x.narrow(0, 3, n).unwrap(), &w, None, None, Precision::F32, &Interrupt::new()).unwrap());
                close(&format!("{n} rows of {wide}"), &some, &all.narrow(0, 3, n).unwrap(), 1e-5);
            }
        }
    }
}

on_both_devices! {
    fn biases_equal_their_reference(device) {
        for (lead, wide, out) in SHAPES.into_iter().chain([(&[130][..], 20, 9)]) {
            let what = format!("{lead:?} {wide} {out}");
            let inputs = [x_of(lead, wide), random(&[out, wide], 2), random(&[out], 6)];
            let fast = |x: &[Tensor], i: &Interrupt| linear(&x[0], &x[1], Some(&x[2]), Precision::F32, i);
            hold_on(device, &what, &inputs, fast, |x| naive(&x[0], &x[1])?.broadcast_add(&x[2]));
            let (quantized, dense) = nf4(out, wide);
            let bias = random(&[out], 6);
            let held = bias.to_device(device).unwrap();
            let frozen = |x: &[Tensor], i: &Interrupt| lora_linear(&x[0], &quantized, Some(&held), None, Precision::F32, i);
            hold_on(device, &what, &inputs[..1], frozen, |x| naive(&x[0], &dense)?.broadcast_add(&bias));
            let inputs = [x_of(lead, wide), random(&[3, wide], 3), random(&[out, 3], 4)];
            let adapted = |x: &[Tensor], i: &Interrupt| {
                let adapter = Adapter { a: x[1].clone(), b: x[2].clone(), scale: 1.5, dropout: None };
                lora_linear(&x[0], &quantized, Some(&held), Some(&adapter), Precision::F32, i)
            };
            hold_on(device, &what, &inputs, adapted, |x| {
                (naive(&x[0], &dense)? + (naive(&naive(&x[0], &x[1])?, &x[2])? * 1.5)?)?.broadcast_add(&bias)
            });
        }
    }
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let quiet = Interrupt::new();
    let error = linear(&random(&[2, 3], 0), &random(&[4, 5], 1), None, Precision::F32, &quiet).unwrap_err();
    assert_eq!(error.message(), "an input of [2, 3] does not fit a weight of (4, 5)");
    let (x, w, b) = (random(&[2, 3], 0), random(&[4, 3], 1), random(&[3], 2));
    let error = linear(&x, &w, Some(&b), Precision::F32, &quiet).unwrap_err();
    assert_eq!(error.message(), "a bias of [3] does not fit 4 outputs");
    let adapter = Adapter { a: random(&[2, 4], 0), b: random(&[5, 3], 1), scale: 1.0, dropout: None };
    let frozen = Frozen::Dense(random(&[5, 4], 2));
    let error = lora_linear(&random(&[2, 4], 0), &frozen, None, Some(&adapter), Precision::F32, &quiet).unwrap_err();
    assert_eq!(error.message(), "an adapter of [2, 4] and [5, 3] does not fit a weight of (5, 4)");
}
