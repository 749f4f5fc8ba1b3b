//! Attention compared with its reference.

use std::ops::Range;

use candle_core::{D, Device, Result as Candle, Tensor};

use super::{AttentionOptions, AttentionShape, RelativeBuckets, attention, attention_with, relative_bias};
use crate::interrupt::Interrupt;
use crate::nn::ops::reference::{close, hold_on, on_both_devices, random, to_cpu, values};

/// The whole matrix of scores, a mask added, candle's softmax.
fn naive(q: &Tensor, k: &Tensor, v: &Tensor, shape: AttentionShape) -> Candle<Tensor> {
    naive_with(q, k, v, shape, AttentionOptions::default())
}

pub(super) fn naive_with(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    shape: AttentionShape,
    o: AttentionOptions<'_>,
) -> Candle<Tensor> {
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
    let mut scores = scores.broadcast_add(&mask)?;
    let entry = |i: usize| (i % keys + time - 1 - i / keys) as u32;
    let entries = Tensor::from_vec((0..time * keys).map(entry).collect::<Vec<_>>(), time * keys, &Device::Cpu)?;
    if let Some(vectors) = o.relative {
        let vectors = vectors.contiguous()?.index_select(&entries, 0)?.reshape((time, keys, (), dim))?;
        let vectors = vectors.permute((2, 0, 1, 3))?.unsqueeze(0)?; // (1, heads, time, keys, dim)
        let products = q.unsqueeze(3)?.broadcast_mul(&vectors)?.sum(D::Minus1)?;
        scores = (scores + (products * f64::from(shape.scale))?)?;
    }
    if let Some(bias) = o.bias {
        let bias = bias.t()?.contiguous()?.index_select(&entries, 1)?.reshape((1, heads, time, keys))?;
        scores = scores.broadcast_add(&bias)?;
    }
    if let Some(visible) = o.visible {
        let hidden = |i: usize| if visible[i / keys].contains(&(i % keys)) { 0.0f32 } else { -1e9 };
        let mask: Vec<f32> = (0..batch * keys).map(hidden).collect();
        scores = scores.broadcast_add(&Tensor::from_vec(mask, (batch, 1, 1, keys), &Device::Cpu)?)?;
    }
    let p = candle_nn::ops::softmax(&scores, D::Minus1)?;
    p.matmul(&v)?.transpose(1, 2)?.contiguous() // (batch, time, heads, dim)
}

on_both_devices! {
    fn it_equals_its_reference(device) {
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
            (1, 70, 200, 2, 2, 33, true),
            (1, 18, 18, 1, 1, 32, true),
            (1, 20, 70, 2, 1, 130, false),
        ];
        // On a GPU heads are at most 128 wide.
        for (batch, time, keys, heads, kv_heads, dim, causal) in cases.into_iter().filter(|c| device.is_cpu() || c.5 <= 128) {
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
    fn padding_and_bias_equal_their_reference(device) {
        // batch, time, keys, heads, kv_heads, dim, causal
        let cases = [
            (2, 1, 9, 2, 1, 3, false),
            (2, 1, 40, 4, 2, 16, true),
            (2, 20, 20, 2, 2, 8, true),
            (3, 67, 70, 2, 1, 4, true),
            (2, 33, 150, 3, 3, 5, false),
            (1, 130, 17, 2, 1, 8, false),
        ];
        for (batch, time, keys, heads, kv_heads, dim, causal) in cases {
            let q = random(&[batch, time, heads, dim], 1);
            let k = random(&[batch, keys, kv_heads, dim], 2);
            let v = random(&[batch, keys, kv_heads, dim], 3);
            let bias = random(&[time + keys - 1, heads], 4);
            let shape = AttentionShape { causal, scale: 1.0 / (dim as f32).sqrt() };
            // The first row has all keys, the others lose some at the end; a causal first query must see the first one.
            let visible: Vec<_> = (0..batch).map(|b| usize::from(b > 0 && !causal)..keys - b * keys / 3).collect();
            for visible in [None, Some(&visible[..])] {
                let what = format!("{batch} {time} {keys} {heads} {kv_heads} {dim} {causal} {visible:?}");
                fn with<'a>(visible: Option<&'a [Range<usize>]>, bias: Option<&'a Tensor>) -> AttentionOptions<'a> {
                    AttentionOptions { visible, bias, ..AttentionOptions::default() }
                }
                hold_on(
                    device,
                    &format!("bias {what}"),
                    &[q.clone(), k.clone(), v.clone(), bias.clone()],
                    |x, i| attention_with(&x[0], &x[1], &x[2], shape, with(visible, Some(&x[3])), i),
                    |x| naive_with(&x[0], &x[1], &x[2], shape, with(visible, Some(&x[3]))),
                );
                hold_on(
                    device,
                    &what,
                    &[q.clone(), k.clone(), v.clone()],
                    |x, i| attention_with(&x[0], &x[1], &x[2], shape, with(visible, None), i),
                    |x| naive_with(&x[0], &x[1], &x[2], shape, with(visible, None)),
                );
            }
        }
    }
}

on_both_devices! {
    fn vectors_by_distance_equal_their_reference(device) {
        // batch, time, keys, heads, kv_heads, dim, heads of vectors, causal, padded, biased
        let cases = [
            (1, 1, 6, 2, 1, 3, 2, true, false, false),
            (2, 19, 19, 2, 2, 8, 2, true, false, false),
            (2, 66, 66, 4, 2, 5, 1, true, true, false),
            (1, 70, 150, 2, 2, 16, 2, true, false, true),
            (2, 65, 40, 3, 3, 4, 1, false, true, true),
            (1, 1, 1, 1, 1, 1, 1, true, false, true),
            (2, 37, 37, 4, 2, 40, 4, true, true, true),
            (1, 11, 45, 2, 1, 70, 1, false, false, false),
            (2, 1, 40, 4, 2, 16, 4, true, false, true),
            (2, 1, 21, 2, 2, 5, 1, false, true, true),
        ];
        for (batch, time, keys, heads, kv_heads, dim, own, causal, padded, biased) in cases {
            let (q, k) = (random(&[batch, time, heads, dim], 1), random(&[batch, keys, kv_heads, dim], 2));
            let (v, vectors) = (random(&[batch, keys, kv_heads, dim], 3), random(&[time + keys - 1, own, dim], 4));
            let bias = biased.then(|| random(&[time + keys - 1, heads], 5));
            let visible: Vec<_> = (0..batch).map(|b| 0..keys - b * keys / 3).collect();
            let visible = padded.then_some(&visible[..]);
            let shape = AttentionShape { causal, scale: 1.0 / (dim as f32).sqrt() };
            hold_on(
                device,
                &format!("{batch} {time} {keys} {heads} {kv_heads} {dim} {own} {causal} {padded} {biased}"),
                &[q, k, v, vectors].into_iter().chain(bias).collect::<Vec<_>>(),
                |x, i| {
                    let options =
                        AttentionOptions { visible, bias: x.get(4), relative: Some(&x[3]), ..Default::default() };
                    attention_with(&x[0], &x[1], &x[2], shape, options, i)
                },
                |x| {
                    let options =
                        AttentionOptions { visible, bias: x.get(4), relative: Some(&x[3]), ..Default::default() };
                    naive_with(&x[0], &x[1], &x[2], shape, options)
                },
            );
        }
    }
}

on_both_devices! {
    fn what_does_not_train_still_counts(device) {
        let (q, k, v) = (random(&[2, 9, 4, 3], 1), random(&[2, 14, 2, 3], 2), random(&[2, 14, 2, 3], 3));
        let (bias, vectors) = (random(&[22, 4], 4), random(&[22, 1, 3], 5));
        let (bias_there, vectors_there) = (bias.to_device(device).unwrap(), vectors.to_device(device).unwrap());
        let shape = AttentionShape { causal: false, scale: 0.5 };
        fn with<'a>(bias: &'a Tensor, relative: &'a Tensor) -> AttentionOptions<'a> {
            AttentionOptions { bias: Some(bias), relative: Some(relative), ..AttentionOptions::default() }
        }
        let inputs = [q, k, v, bias.clone()];
        hold_on(
            device,
            "vectors",
            &inputs,
            |x, i| attention_with(&x[0], &x[1], &x[2], shape, with(&x[3], &vectors_there), i),
            |x| naive_with(&x[0], &x[1], &x[2], shape, with(&x[3], &vectors)),
        );
        let [q, k, v, _] = inputs;
        hold_on(
            device,
            "bias",
            &[q, k, v, vectors.clone()],
            |x, i| attention_with(&x[0], &x[1], &x[2], shape, with(&bias_there, &x[3]), i),
            |x| naive_with(&x[0], &x[1], &x[2], shape, with(&bias, &x[3])),
        );
    }
}

on_both_devices! {
    fn the_table_of_relative_positions_gets_its_gradient(device) {
        let how =
            RelativeBuckets { bidirectional: true, relative_attention_num_buckets: 8, relative_attention_max_distance: 20 };
        let (q, k, v) = (random(&[2, 30, 2, 4], 1), random(&[2, 41, 2, 4], 2), random(&[2, 41, 2, 4], 3));
        let shape = AttentionShape { causal: false, scale: 0.5 };
        let quiet = Interrupt::new();
        let slow = |table: &Tensor| -> Candle<Tensor> {
            let buckets: Vec<u32> = (0..70).map(|entry| how.bucket(entry - 29)).collect();
            let bias = table.contiguous()?.index_select(&Tensor::new(buckets, &Device::Cpu)?, 0)?;
            naive_with(&q, &k, &v, shape, AttentionOptions { bias: Some(&bias), ..AttentionOptions::default() })
        };
        let fast = |table: &Tensor, i: &Interrupt| {
            let bias = relative_bias(table, how, (30, 41, 0), &quiet)?;
            let [q, k, v] = [&q, &k, &v].map(|x| x.to_device(device).unwrap());
            attention_with(&q, &k, &v, shape, AttentionOptions { bias: Some(&bias), ..AttentionOptions::default() }, i)
        };
        hold_on(device, "table", &[random(&[8, 2], 4)], |x, i| fast(&x[0], i), |x| slow(&x[0]));
    }
}

on_both_devices! {
    fn who_sees_no_key_gets_nothing(device) {
        let (q, k, v) = (random(&[2, 70, 2, 4], 1), random(&[2, 70, 2, 4], 2), random(&[2, 70, 2, 4], 3));
        let vars = [&q, &k, &v].map(|x| candle_core::Var::from_tensor(&x.to_device(device).unwrap()).unwrap());
        let options = AttentionOptions { visible: Some(&[5..70, 3..3]), ..AttentionOptions::default() };
        let shape = AttentionShape { causal: true, scale: 0.5 };
        let y = attention_with(&vars[0], &vars[1], &vars[2], shape, options, &Interrupt::new()).unwrap();
        let out = values(&to_cpu(&y));
        assert!(out[..5 * 8].iter().chain(&out[70 * 8..]).all(|&x| x == 0.0), "left padding, and a row of padding only");
        assert!(out[5 * 8..70 * 8].iter().all(|&x| x != 0.0));
        let grads = to_cpu(&y).sqr().unwrap().sum_all().unwrap().backward().unwrap();
        for var in &vars {
            let grad = values(&to_cpu(grads.get(var).unwrap()));
            assert!(grad.iter().all(|x| x.is_finite()) && grad[..5 * 8].iter().all(|&x| x == 0.0));
            assert!(grad[5 * 8..70 * 8].iter().any(|&x| x != 0.0) && grad[70 * 8..].iter().all(|&x| x == 0.0));
        }
    }
}

on_both_devices! {
    fn wide_heads_and_many_keys_equal_the_reference(device) {
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

on_both_devices! {
    fn what_is_hidden_does_not_show(device) {
        let random = |shape: &[usize], seed| random(shape, seed).to_device(device).unwrap();
        let (q, k, v) = (random(&[1, 4, 1, 4], 1), random(&[1, 4, 1, 4], 2), random(&[1, 4, 1, 4], 3));
        let shape = AttentionShape { causal: true, scale: 0.5 };
        let quiet = Interrupt::new();
        let before = to_cpu(&attention(&q, &k, &v, shape, &quiet).unwrap());
        // The last key and value become infinite: only the last query may depend on them. On a GPU hidden values are
        // multiplied by 0 and have to be finite.
        let most = if device.is_cpu() { f64::INFINITY } else { 1e30 };
        let spoil = |x: &Tensor| {
            let x = to_cpu(x);
            let last = (x.narrow(1, 3, 1).unwrap().ones_like().unwrap() * most).unwrap();
            Tensor::cat(&[x.narrow(1, 0, 3).unwrap(), last], 1).unwrap().to_device(device).unwrap()
        };
        let after = to_cpu(&attention(&q, &spoil(&k), &v, shape, &quiet).unwrap());
        close("first three", &after.narrow(1, 0, 3).unwrap(), &before.narrow(1, 0, 3).unwrap(), 1e-6);
    }
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
    let x = random(&[2, 3, 1, 4], 0);
    let refuse =
        |options| attention_with(&x, &x, &x, shape, options, &Interrupt::new()).unwrap_err().message().to_owned();
    let visible = |ranges| AttentionOptions { visible: Some(ranges), ..AttentionOptions::default() };
    assert_eq!(refuse(visible(&[0..3; 1])), "1 ranges of keys for 2 rows");
    assert_eq!(refuse(visible(&[0..3, 2..4])), "2..4 is not a range of 3 keys");
    let bias = random(&[6, 1], 1);
    let error = refuse(AttentionOptions { bias: Some(&bias), ..AttentionOptions::default() });
    assert_eq!(error, "biases of [6, 1] do not fit 1 heads with 3 queries and 3 keys");
}

/// Inputs that bfloat16 holds exactly: what is left is the rounding of weights and their gradients.
#[cfg(feature = "cuda")]
#[test]
#[ignore = "needs a GPU"]
fn products_of_bfloat16_are_near_those_of_f32_on_a_gpu() {
    use crate::nn::Precision;

    let device = crate::nn::ops::reference::gpu();
    let rounded = |shape: &[usize], seed| {
        random(shape, seed).to_dtype(candle_core::DType::BF16).unwrap().to_dtype(candle_core::DType::F32).unwrap()
    };
    // batch, time, keys, heads, kv_heads, dim, causal
    let cases = [
        (1, 2, 2, 1, 1, 1, true),
        (1, 65, 65, 2, 1, 64, true),
        (1, 7, 20, 4, 1, 6, true),
        (1, 150, 150, 2, 2, 32, true),
        (2, 33, 17, 2, 2, 8, false),
        (1, 70, 130, 2, 1, 64, false),
        (1, 70, 200, 2, 2, 33, true),
        (1, 130, 130, 1, 1, 128, true),
        (1, 20, 70, 2, 1, 100, false),
    ];
    for (batch, time, keys, heads, kv_heads, dim, causal) in cases {
        let inputs = [
            rounded(&[batch, time, heads, dim], 1),
            rounded(&[batch, keys, kv_heads, dim], 2),
            rounded(&[batch, keys, kv_heads, dim], 3),
            rounded(&[time + keys - 1, heads], 4),
        ];
        let shape = AttentionShape { causal, scale: 1.0 / (dim as f32).sqrt() };
        let visible: Vec<_> = (0..batch).map(|b| 0..keys - b * keys / 3).collect();
        for (visible, biased) in [(None, false), (Some(&visible[..]), false), (Some(&visible[..]), true)] {
            let what = format!("{batch} {time} {keys} {heads} {kv_heads} {dim} {causal} {visible:?} {biased}");
            let run = |precision| {
                let vars =
                    inputs.each_ref().map(|x| candle_core::Var::from_tensor(&x.to_device(&device).unwrap()).unwrap());
                let bias = biased.then(|| vars[3].as_tensor());
                let options = AttentionOptions { visible, bias, precision, ..AttentionOptions::default() };
                let y = attention_with(&vars[0], &vars[1], &vars[2], shape, options, &Interrupt::new()).unwrap();
                let y = to_cpu(&y); // the gradient finds its way back to the GPU
                let mut grads = (&y * rounded(y.dims(), 9)).unwrap().sum_all().unwrap().backward().unwrap();
                let taken = vars[..3].iter().map(|var| to_cpu(&grads.remove(var).unwrap()));
                [y.clone()].into_iter().chain(taken).collect::<Vec<_>>()
            };
            let (exact, half) = (run(Precision::F32), run(Precision::Bf16));
            for ((name, exact), half) in ["y", "dq", "dk", "dv"].into_iter().zip(exact).zip(half) {
                close(&format!("{name} {what}"), &half, &exact, 2e-2);
            }
        }
    }
}
