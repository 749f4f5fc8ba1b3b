//! Each kernel compared with its formula, on every instruction set of this machine.

use super::*;
use crate::nn::cpu::on_isa;
use crate::nn::ops::reference::{random, values};

fn on_all(test: impl Fn(Isa) + Sync) {
    for isa in [Isa::Portable, Isa::Avx2, Isa::Avx512] {
        on_isa(isa, 1, || test(isa));
    }
}

fn block(seed: u64, rows: usize) -> Vec<f32> {
    values(&random(&[rows, WIDE], seed)).iter().map(|x| 8.0 * x).collect()
}

#[test]
fn products_of_all_shapes() {
    on_all(|isa| {
        for (rows, depth, groups) in [(1, 1, 1), (7, 5, 2), (6, 64, 4), (13, 33, 3), (64, 64, 4), (3, 0, 1), (0, 4, 2)]
        {
            let (a, b) = (values(&random(&[rows.max(depth), 70], 1)), block(2, depth));
            for (row, col) in [(70, 1), (1, 70)] {
                for add in [false, true] {
                    let before = block(3, rows);
                    let mut out = before.clone();
                    (kernels().f32.product)(LaneProduct {
                        rows,
                        depth,
                        groups,
                        a: Left { data: &a, row, col },
                        b: &b,
                        b_row: WIDE,
                        out: &mut out,
                        out_row: WIDE,
                        add,
                    });
                    for (at, (out, before)) in out.iter().zip(&before).enumerate() {
                        let (i, l) = (at / WIDE, at % WIDE);
                        let sum: f32 = (0..depth).map(|k| a[i * row + k * col] * b[k * WIDE + l]).sum();
                        let truth = if l >= groups * GROUP { *before } else { sum + if add { *before } else { 0.0 } };
                        assert!((out - truth).abs() < 1e-4, "{isa:?} {rows}×{depth}×{groups} at {i}, {l}");
                    }
                }
            }
        }
    });
}

#[test]
fn dots_of_whole_groups() {
    on_all(|isa| {
        for (rows, dim) in [(1, 16), (15, 64), (16, 32), (40, 48)] {
            let (q, k) = (values(&random(&[dim], 1)), values(&random(&[rows, dim + 3], 2)));
            let mut out = vec![0.0; rows];
            (kernels().f32.dots)(Dots { q: &q, k: &k, step: dim + 3, out: &mut out });
            for (j, out) in out.iter().enumerate() {
                let truth: f32 = q.iter().zip(&k[j * (dim + 3)..]).map(|(a, b)| a * b).sum();
                assert!((out - truth).abs() < 1e-5, "{isa:?} {rows}×{dim}, row {j}: {out} {truth}");
            }
        }
    });
}

/// Products with keys and values of a format are those with the same numbers in f32, to the bit.
fn equal_to_f32<T: Number>(format: impl Fn(f32) -> T + Sync) {
    on_all(|isa| {
        for (rows, dim) in [(1, 16), (17, 64), (40, 48)] {
            let (q, p) = (values(&random(&[dim], 1)), values(&random(&[3, rows], 3)));
            let x: Vec<T> = values(&random(&[rows, dim], 2)).into_iter().map(&format).collect();
            let wide = T::widened(&x);
            let (mut narrow, mut full) = (vec![0.0; rows], vec![0.0; rows]);
            (T::products(kernels()).dots)(Dots { q: &q, k: &x, step: dim, out: &mut narrow });
            (kernels().f32.dots)(Dots { q: &q, k: &wide, step: dim, out: &mut full });
            assert_eq!(narrow, full, "{isa:?} {rows}×{dim}");
            let (mut narrow, mut full) = (vec![0.0; 3 * dim], vec![0.0; 3 * dim]);
            let (a, groups) = (Left { data: &p, row: rows, col: 1 }, dim / GROUP);
            let (rows, depth, b_row, out_row, add) = (3, rows, dim, dim, false);
            (T::products(kernels()).product)(LaneProduct {
                rows,
                depth,
                groups,
                a,
                b: &x,
                b_row,
                out: &mut narrow,
                out_row,
                add,
            });
            (kernels().f32.product)(LaneProduct {
                rows,
                depth,
                groups,
                a,
                b: &wide,
                b_row,
                out: &mut full,
                out_row,
                add,
            });
            assert_eq!(narrow, full, "{isa:?} {rows}×{depth}×{groups}");
        }
    });
}

#[test]
fn products_with_other_formats() {
    equal_to_f32(bf16::from_f32);
    equal_to_f32(|x| (x * 40.0).round() as i8);
}

#[test]
fn a_softmax_in_two_blocks() {
    on_all(|isa| {
        let groups = Groups { first: 1, end: 3 };
        let (mut first, mut second) = (block(1, 5), block(2, 9));
        let bias = values(&random(&[200], 3));
        // In row r lanes below 14 + r are hidden; lane l of row r gets bias[20 + l − r].
        let scores = |l: usize| -> Vec<f64> {
            let of = |r: usize, x: f32| {
                let hidden = l < 14 + r;
                if hidden { f64::NEG_INFINITY } else { f64::from(x) + f64::from(bias[20 + l - r]) }
            };
            let first = (0..5).map(|r| f64::from(first[r * WIDE + l]));
            first.chain((0..9).map(|r| of(r, second[r * WIDE + l]))).collect()
        };
        let truth: Vec<Vec<f64>> = (0..WIDE).map(scores).collect();
        let (mut old, mut sums) = ([-1e30; WIDE], [0.0; WIDE]);
        let mut out = block(4, 3);
        let before = out.clone();
        (kernels().adjust)(&mut second, groups, Adjust { hidden: 14, bias: Some((&bias, 20)) });
        for s in [&mut first, &mut second] {
            let mut new = old;
            (kernels().highest)(s, groups, &mut new);
            (kernels().rescale)(&old, &new, &mut sums, &mut out, groups);
            (kernels().soften)(s, groups, &new, &mut sums);
            old = new;
        }
        for l in 16..48 {
            let most = truth[l].iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = truth[l].iter().map(|x| (x - most).exp2()).sum();
            assert_eq!(f64::from(old[l]) as f32, most as f32, "{isa:?} lane {l}");
            assert!((f64::from(sums[l]) - sum).abs() < 1e-6 * sum, "{isa:?} lane {l}: {} {sum}", sums[l]);
            for r in 0..9 {
                let p = (truth[l][5 + r] - most).exp2();
                assert!((f64::from(second[r * WIDE + l]) - p).abs() < 1e-6, "{isa:?} lane {l} row {r}");
            }
            assert!(out[l] == 0.0, "what the first block found is scaled from nothing");
        }
        assert_eq!(out[..16], before[..16], "{isa:?}: other groups are left alone");
    });
}

#[test]
fn probabilities_and_slopes() {
    on_all(|isa| {
        let (scores, dp) = (block(1, 6), block(2, 6));
        let (sums, deltas): ([f32; WIDE], [f32; WIDE]) =
            (std::array::from_fn(|l| 8.0 + l as f32 / 16.0), std::array::from_fn(|l| l as f32 / 9.0 - 3.0));
        let (mut p, mut ds) = (scores.clone(), dp.clone());
        (kernels().harden)(&mut p, &mut ds, Groups { first: 0, end: 4 }, &sums, &deltas);
        let mut bias = vec![0.0; 100];
        (kernels().diagonals)(&ds, Groups { first: 0, end: 4 }, &mut bias, 10);
        let mut slow = vec![0.0f64; 100];
        for (i, (p, ds)) in p.iter().zip(&ds).enumerate() {
            let truth = (f64::from(scores[i]) - f64::from(sums[i % WIDE])).exp2();
            assert!((f64::from(*p) - truth).abs() <= 1e-6 * truth.max(1e-6), "{isa:?}: {p} {truth}");
            assert!((f64::from(*ds) - truth * f64::from(dp[i] - deltas[i % WIDE])).abs() < 1e-5, "{isa:?}");
            slow[10 + i % WIDE - i / WIDE] += f64::from(*ds);
        }
        for (fast, slow) in bias.iter().zip(slow) {
            assert!((f64::from(*fast) - slow).abs() < 1e-5, "{isa:?}");
        }
    });
}

#[test]
fn powers_are_within_two_ulp() {
    on_all(|isa| {
        let mut worst = 0.0f64;
        for start in -1260..10 {
            let x: Vec<f32> = (0..WIDE).map(|l| (start as f32 + l as f32 / WIDE as f32) / 10.0).collect();
            let (mut y, mut sums) = (x.clone(), [0.0; WIDE]);
            (kernels().soften)(&mut y, Groups { first: 0, end: 4 }, &[0.0; WIDE], &mut sums);
            for (x, y) in x.iter().zip(y) {
                let truth = f64::from(*x).exp2();
                worst = worst.max((f64::from(y) - truth).abs() / (truth * f64::from(f32::EPSILON)));
            }
        }
        assert!(worst < 2.0, "{isa:?}: {worst} ulp");
        let mut edges = [0.0, f32::NEG_INFINITY, f32::NAN, -200.0].repeat(16);
        (kernels().soften)(&mut edges, Groups { first: 0, end: 4 }, &[0.0; WIDE], &mut [0.0; WIDE]);
        assert!(edges[0] == 1.0 && edges[1] == 0.0 && edges[2].is_nan() && edges[3] == 0.0, "{isa:?}: {edges:?}");
    });
}
