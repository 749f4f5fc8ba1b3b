//! Updated linear layers compared with what PEFT computes, written out in plain candle ops.

use std::sync::Arc;

use candle_core::{Device, Result as Candle, Tensor, Var};

use super::{Linear, Lora, Magnitude, Matrix, Update, Weight};
use crate::nn::ForwardCtx;
use crate::nn::ops::reference::close;
use crate::nn::quant::Nf4;

fn wave(shape: &[usize], seed: f32) -> Tensor {
    let count: usize = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|i| ((i as f32 + 1.0) * (0.7 + seed)).sin()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

const SCALE: f64 = 1.5;

/// A layer of 20 inputs and 9 outputs with magnitudes that are not those of its weight; x, A, B and m.
fn layer(packed: bool, bias: bool, dropout: f64) -> (Linear, Tensor, [Var; 4]) {
    let (out, wide, rank) = (9, 20, 3);
    let dense = wave(&[out, wide], 0.1);
    let (matrix, base) = match packed {
        true => {
            let codes = Nf4::of(&dense).unwrap();
            let base = Tensor::from_vec(codes.dequantize(), (out, wide), &Device::Cpu).unwrap();
            (Matrix::Nf4(Arc::new(codes)), base)
        }
        false => (Matrix::Dense(Weight::fixed("w", dense.clone())), dense),
    };
    let weights = [wave(&[rank, wide], 0.2), wave(&[out, rank], 0.3), (wave(&[out], 0.4) + 2.0).unwrap()];
    let [a, b, m] = weights.map(|values| Weight::trained("t", &values).unwrap());
    let x = Var::from_tensor(&wave(&[2, 5, wide], 0.5)).unwrap();
    let vars = [x, a.var().unwrap().clone(), b.var().unwrap().clone(), m.var().unwrap().clone()];
    let magnitude = Some(Magnitude::of(&base, |_| Ok(m)).unwrap());
    let update = Some(Update::Lora(Lora { a, b, scale: SCALE, dropout, part: None, magnitude }));
    let bias = bias.then(|| Weight::fixed("b", wave(&[out], 0.6)));
    (Linear { name: "layer".into(), shape: (out, wide), matrix, bias, transposed: false, update }, base, vars)
}

/// `DoraLinearLayer.forward` of PEFT; `mask` is that of the dropout.
fn naive(linear: &Linear, base: &Tensor, [x, a, b, m]: [&Tensor; 4], mask: Option<&Tensor>) -> Candle<Tensor> {
    let flat = |x: &Tensor| x.reshape(((), base.dim(1)?));
    let x = flat(x)?;
    let dropped = match mask {
        Some(mask) => (&x * flat(mask)?)?,
        None => x.clone(),
    };
    let weight = (base + (b.matmul(a)? * SCALE)?)?;
    let norm = weight.sqr()?.sum(1)?.sqrt()?.detach();
    let share = (m / norm)?; // (out)
    let result = x.matmul(&base.t()?)?;
    let update = dropped.matmul(&a.t()?)?.matmul(&b.t()?)?.broadcast_mul(&share)?;
    let rest = dropped.matmul(&base.t()?)?.broadcast_mul(&(&share - 1.0)?)?;
    let y = ((result + rest)? + (update * SCALE)?)?;
    match &linear.bias {
        Some(bias) => y.broadcast_add(&bias.detached()),
        None => Ok(y),
    }
}

fn gradients(y: &Tensor, vars: &[Var; 4]) -> Vec<Tensor> {
    let y = y.flatten_all().unwrap();
    let grads = (&y * wave(&[y.elem_count()], 0.9)).unwrap().sum_all().unwrap().backward().unwrap();
    vars.iter()
        .map(|var| grads.get(var).unwrap_or_else(|| panic!("{:?} has no gradient", var.dims())).clone())
        .collect()
}

#[test]
fn magnitudes_are_pefts_forward_and_backward() {
    for packed in [false, true] {
        for bias in [false, true] {
            for dropout in [0.0, 0.4] {
                let what = format!("4 bits {packed}, bias {bias}, dropout {dropout}");
                let (linear, base, vars) = layer(packed, bias, dropout);
                let ctx = ForwardCtx { dropout_seed: Some(5), ..ForwardCtx::recording() };
                let mask = ctx.dropout(&linear.name, dropout).map(|dropout| {
                    let ones = vars[0].ones_like().unwrap();
                    crate::nn::ops::dropout(&ones, dropout, &ctx.interrupt).unwrap()
                });
                assert_eq!(mask.is_some(), dropout > 0.0);
                let y = linear.forward(&vars[0], &ctx).unwrap();
                let inputs = [&vars[0], &vars[1], &vars[2], &vars[3]].map(|var| var.as_tensor());
                let expected = naive(&linear, &base, inputs, mask.as_ref()).unwrap();
                close(&what, &y.reshape(expected.dims()).unwrap(), &expected, 2e-5);
                for (i, (ours, theirs)) in gradients(&y, &vars).iter().zip(gradients(&expected, &vars)).enumerate() {
                    close(&format!("{what}, gradient {i}"), ours, &theirs, 2e-5);
                }
            }
        }
    }
}

#[test]
fn a_merged_weight_and_a_composed_update_compute_the_same() {
    for packed in [false, true] {
        let (linear, base, vars) = layer(packed, false, 0.0);
        let expected = linear.forward(&vars[0], &ForwardCtx::default()).unwrap().reshape(((), 9)).unwrap();
        let x = vars[0].as_detached_tensor().reshape(((), 20)).unwrap();
        let merged = linear.merged(&Device::Cpu).unwrap();
        close("merged", &x.matmul(&merged.t().unwrap()).unwrap(), &expected, 2e-5);
        let update = linear.composed().unwrap().expect("it has magnitudes");
        let weight = base.broadcast_mul(&update.gain.unwrap().unsqueeze(1).unwrap()).unwrap();
        let weight = (weight + update.b.matmul(&update.a).unwrap()).unwrap();
        close("composed", &x.matmul(&weight.t().unwrap()).unwrap(), &expected, 2e-5);
    }
}

/// Before training `m` is the norm of each row to the bit, so that nothing changes.
#[test]
fn fresh_magnitudes_change_nothing() {
    let (mut linear, base, vars) = layer(false, true, 0.0);
    let Some(Update::Lora(lora)) = linear.update.take() else { panic!("it has one") };
    let plain = linear.forward(&vars[0], &ForwardCtx::default()).unwrap();
    let magnitude = Magnitude::of(&base, |norms| Weight::trained("m", norms)).unwrap();
    let b = Weight::trained("b", &lora.b.detached().zeros_like().unwrap()).unwrap();
    linear.update = Some(Update::Lora(Lora { b, magnitude: Some(magnitude), ..lora }));
    let with = linear.forward(&vars[0], &ForwardCtx::default()).unwrap();
    close("fresh", &with, &plain, 1e-6);
}
