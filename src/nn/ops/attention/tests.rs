//! Attention held to its twin.

use candle_core::{D, Device, Result as Candle, Tensor};

use super::{AttentionShape, attention};
use crate::interrupt::Interrupt;
use crate::nn::ops::twin::{close, hold_on, on_both_devices, random, to_cpu};

/// The whole matrix of scores, a mask added, candle's softmax.
fn naive(q: &Tensor, k: &Tensor, v: &Tensor, shape: AttentionShape) -> Candle<Tensor> {
    let (batch, time, heads, dim) = q.dims4()?;
    let (_, keys, kv_heads, _) = k.dims4()?;
    let spread = |x: &Tensor| {
        let x = x.transpose(1, 2)?.contiguous()?.unsqueeze(2)?; // (batch, kv_heads, 1, keys, dim)
        x.broadcast_as((batch, kv_heads, heads / kv_heads, keys, dim))?.contiguous()?.reshape((batch, heads, keys, dim))
    };
    let (q, k, v) = (q.transpose(1, 2)?.contiguous()?, spread(k)?, spread(v)?);
    let scores = (q.matmul(&k.t()?.contiguous()?)? * f64::from(shape.scale))?;
    let hidden = |i: usize| if shape.causal && i % keys > i / keys + keys - time { -1e9f32 } else { 0.0 };
    let mask = Tensor::from_vec((0..time * keys).map(hidden).collect::<Vec<_>>(), (time, keys), &Device::Cpu)?;
    let p = candle_nn::ops::softmax(&scores.broadcast_add(&mask)?, D::Minus1)?;
    p.matmul(&v)?.transpose(1, 2)?.contiguous() // (batch, time, heads, dim)
}

on_both_devices! {
    fn it_equals_its_twin(device) {
        // batch, time, keys, heads, kv_heads, dim, causal
        let cases = [
            (1, 1, 1, 1, 1, 1, true),
            (1, 1, 9, 2, 1, 3, true),
            (2, 1, 130, 4, 2, 16, true),
            (1, 5, 5, 2, 2, 8, true),
            (2, 64, 64, 2, 1, 8, true),
            (1, 65, 65, 3, 3, 5, true),
            (1, 7, 20, 4, 1, 6, true),
            (1, 70, 130, 2, 1, 4, true),
            (2, 33, 17, 2, 2, 8, false),
            (1, 130, 130, 5, 5, 16, true),
            (3, 140, 140, 6, 3, 9, false),
        ];
        for (batch, time, keys, heads, kv_heads, dim, causal) in cases {
            let q = random(&[batch, time, heads, dim], 1);
            let k = random(&[batch, keys, kv_heads, dim], 2);
            let v = random(&[batch, keys, kv_heads, dim], 3);
            let shape = AttentionShape { causal, scale: 1.0 / (dim as f32).sqrt() };
            hold_on(
                device,
                &format!("{batch} {time} {keys} {heads} {kv_heads} {dim} {causal}"),
                &[q, k, v],
                |x, i| attention(&x[0], &x[1], &x[2], shape, i),
                |x| naive(&x[0], &x[1], &x[2], shape),
            );
        }
    }
}

on_both_devices! {
    fn one_query_at_a_time_gives_what_all_at_once_give(device) {
        let random = |shape: &[usize], seed| random(shape, seed).to_device(device).unwrap();
        let (q, k, v) = (random(&[2, 70, 4, 16], 1), random(&[2, 70, 2, 16], 2), random(&[2, 70, 2, 16], 3));
        let shape = AttentionShape { causal: true, scale: 0.25 };
        let quiet = Interrupt::new();
        let all = to_cpu(&attention(&q, &k, &v, shape, &quiet).unwrap());
        for t in 0..70 {
            let front = |x: &Tensor| x.narrow(1, 0, t + 1).unwrap(); // as the cache gives it
            let one = attention(&q.narrow(1, t, 1).unwrap(), &front(&k), &front(&v), shape, &quiet).unwrap();
            close(&format!("query {t}"), &to_cpu(&one), &all.narrow(1, t, 1).unwrap(), 1e-5);
        }
    }
}

on_both_devices! {
    fn wide_heads_and_many_keys_equal_the_twin(device) {
        for (time, keys, dim) in [(3, 300, 40), (20, 20, 96), (1, 300, 128)] {
            let inputs = [random(&[1, time, 2, dim], 1), random(&[1, keys, 1, dim], 2), random(&[1, keys, 1, dim], 3)];
            let shape = AttentionShape { causal: true, scale: 1.0 / (dim as f32).sqrt() };
            hold_on(
                device,
                &format!("{time} {keys} {dim}"),
                &inputs,
                |x, i| attention(&x[0], &x[1], &x[2], shape, i),
                |x| naive(&x[0], &x[1], &x[2], shape),
            );
        }
    }
}

#[test]
fn what_is_hidden_does_not_show() {
    let (q, k, v) = (random(&[1, 4, 1, 4], 1), random(&[1, 4, 1, 4], 2), random(&[1, 4, 1, 4], 3));
    let shape = AttentionShape { causal: true, scale: 0.5 };
    let quiet = Interrupt::new();
    let before = attention(&q, &k, &v, shape, &quiet).unwrap();
    // The last key and value become infinite: only the last query may notice.
    let spoil = |x: &Tensor| {
        let last = (x.narrow(1, 3, 1).unwrap().ones_like().unwrap() * f64::INFINITY).unwrap();
        Tensor::cat(&[x.narrow(1, 0, 3).unwrap(), last], 1).unwrap()
    };
    let after = attention(&q, &spoil(&k), &v, shape, &quiet).unwrap();
    close("first three", &after.narrow(1, 0, 3).unwrap(), &before.narrow(1, 0, 3).unwrap(), 1e-6);
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let shape = AttentionShape { causal: true, scale: 1.0 };
    let refuse = |q: &[usize], k: &[usize], v: &[usize]| {
        attention(&random(q, 0), &random(k, 1), &random(v, 2), shape, &Interrupt::new()).is_err_and(|e| e.is_mistake())
    };
    assert!(refuse(&[1, 2, 3, 4], &[1, 2, 2, 4], &[1, 2, 2, 4]), "3 heads over 2");
    assert!(refuse(&[1, 2, 2, 4], &[1, 2, 2, 4], &[1, 2, 1, 4]), "keys and values differ");
    assert!(refuse(&[1, 3, 2, 4], &[1, 2, 2, 4], &[1, 2, 2, 4]), "more queries than keys");
    assert!(refuse(&[1, 2, 2, 4], &[2, 2, 2, 4], &[2, 2, 2, 4]), "batches differ");
}
