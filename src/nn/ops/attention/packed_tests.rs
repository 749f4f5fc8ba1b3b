//! Packed sequences give the results that they give alone.

use candle_core::{Result as Candle, Tensor};

use super::tests::naive_with;
use super::{AttentionOptions, AttentionShape, PackedSequences, attention_with};
use crate::interrupt::Interrupt;
use crate::nn::ops::reference::{close, hold_on, on_both_devices, random, to_cpu};

/// Sequences of these lengths in each row.
fn packed(rows: &[&[usize]]) -> PackedSequences {
    let ids: Vec<u32> = rows.iter().flat_map(|row| row.iter().flat_map(|&length| 0..length as u32)).collect();
    PackedSequences::from_position_ids(&ids, rows[0].iter().sum()).unwrap().expect("boundaries")
}

/// Each sequence alone through the naive attention, with the middle of what is indexed by distance.
fn naive(x: &[Tensor], biased: bool, related: bool, rows: &[&[usize]], shape: AttentionShape) -> Candle<Tensor> {
    let time: usize = rows[0].iter().sum();
    let mut all = Vec::new();
    for (b, row) in rows.iter().enumerate() {
        let (mut begin, mut parts) = (0, Vec::new());
        for &length in *row {
            let part = |x: &Tensor| x.narrow(0, b, 1)?.narrow(1, begin, length);
            let middle = |i: usize| x[i].narrow(0, time - length, 2 * length - 1);
            let bias = if biased { Some(middle(3)?) } else { None };
            let relative = if related { Some(middle(3 + usize::from(biased))?) } else { None };
            let options =
                AttentionOptions { bias: bias.as_ref(), relative: relative.as_ref(), ..AttentionOptions::default() };
            parts.push(naive_with(&part(&x[0])?, &part(&x[1])?, &part(&x[2])?, shape, options)?);
            begin += length;
        }
        all.push(Tensor::cat(&parts, 1)?);
    }
    Tensor::cat(&all, 0)
}

on_both_devices! {
    fn each_sequence_attends_to_itself(device) {
        // lengths of the sequences in each row, heads, kv_heads, dim, heads of vectors by distance or 0, biased
        type Case<'a> = (&'a [&'a [usize]], usize, usize, usize, usize, bool);
        let cases: [Case<'_>; 6] = [
            (&[&[1, 2, 4]], 2, 1, 3, 0, false),
            (&[&[70, 60], &[130], &[65, 1, 64]], 4, 2, 8, 0, false),
            (&[&[5, 5, 5], &[5, 5, 5]], 2, 2, 16, 0, true),
            (&[&[12, 33], &[45]], 2, 1, 5, 1, false),
            (&[&[3, 66, 1], &[35, 35]], 2, 2, 4, 2, true),
            (&[&[100, 100, 100], &[90, 210]], 2, 1, 40, 0, false),
        ];
        for (rows, heads, kv_heads, dim, own, biased) in cases {
            let (batch, time) = (rows.len(), rows[0].iter().sum::<usize>());
            let mut x = vec![random(&[batch, time, heads, dim], 1)];
            x.extend([2, 3].map(|seed| random(&[batch, time, kv_heads, dim], seed)));
            x.extend(biased.then(|| random(&[2 * time - 1, heads], 4)));
            x.extend((own > 0).then(|| random(&[2 * time - 1, own, dim], 5)));
            let shape = AttentionShape { causal: true, scale: 1.0 / (dim as f32).sqrt() };
            let sequences = packed(rows);
            hold_on(
                device,
                &format!("{rows:?} {heads} {kv_heads} {dim} {own} {biased}"),
                &x,
                |x, i| {
                    let options = AttentionOptions {
                        sequences: Some(&sequences),
                        bias: biased.then(|| &x[3]),
                        relative: (own > 0).then(|| &x[3 + usize::from(biased)]),
                        ..AttentionOptions::default()
                    };
                    attention_with(&x[0], &x[1], &x[2], shape, options, i)
                },
                |x| naive(x, biased, own > 0, rows, shape),
            );
        }
    }
}

on_both_devices! {
    fn products_of_bfloat16_keep_to_their_sequences(device) {
        let rows: [&[usize]; 2] = [&[150, 20, 130], &[64, 64, 172]];
        let sequences = packed(&rows);
        let shape = AttentionShape { causal: true, scale: 0.2 };
        let random = |heads, seed| random(&[2, 300, heads, 24], seed).to_device(device).unwrap();
        let (q, k, v) = (random(4, 1), random(2, 2), random(2, 3));
        let with = |precision| {
            let options = AttentionOptions { sequences: Some(&sequences), precision, ..AttentionOptions::default() };
            to_cpu(&attention_with(&q, &k, &v, shape, options, &Interrupt::new()).unwrap())
        };
        close("bf16", &with(crate::nn::Precision::Bf16), &with(crate::nn::Precision::F32), 2e-2);
    }
}

#[test]
fn packed_rows_of_another_shape_are_refused() {
    let sequences = packed(&[&[3, 3]]);
    let x = |time| random(&[1, time, 2, 4], 1);
    let go = |time, keys, causal| {
        let options = AttentionOptions { sequences: Some(&sequences), ..AttentionOptions::default() };
        let shape = AttentionShape { causal, scale: 1.0 };
        attention_with(&x(time), &x(keys), &x(keys), shape, options, &Interrupt::new())
    };
    assert!(go(6, 6, true).is_ok());
    for (time, keys, causal) in [(5, 5, true), (6, 7, true), (6, 6, false)] {
        let error = go(time, keys, causal).unwrap_err();
        assert!(error.message().contains("packed sequences") && error.hint().is_some(), "{error}");
    }
}
