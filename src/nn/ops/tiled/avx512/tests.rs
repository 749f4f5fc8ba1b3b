//! Tiled products compared with naive ones.

use super::*;
use crate::nn::Precision;
use crate::nn::cpu::{Mat, skip};
use crate::nn::ops::tiled::Right;
use crate::nn::quant::Nf4;

fn values(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 37 + seed * 11) % 101) as f32 / 50.0 - 1.0).collect()
}

fn naive(a: &Mat<'_>, b: &dyn Fn(usize, usize) -> f32, columns: usize, out: &mut [f64]) {
    for i in 0..a.rows {
        for j in 0..columns {
            let at = |k: usize| f64::from(a.data[i * a.row + k * a.col]);
            out[i * columns + j] += (0..a.cols).map(|k| at(k) * f64::from(b(k, j))).sum::<f64>();
        }
    }
}

/// Whether `fast` equals `slow` up to `slack` times the size of the summands.
fn close(what: &str, fast: &[f32], slow: &[f64], depth: usize, slack: f64) {
    for (i, (x, y)) in fast.iter().zip(slow).enumerate() {
        assert!((f64::from(*x) - y).abs() <= slack * ((depth as f64).sqrt() + y.abs()), "{what}, element {i}: {x} {y}");
    }
}

const SIZES: [(usize, usize, usize); 10] = [
    (1, 1, 1),
    (2, 70, 33),
    (14, 16, 32),
    (15, 17, 31),
    (57, 130, 64),
    (30, 1100, 20),
    (113, 64, 200),
    (9, 33, 700),
    (3, 5, 16),
    (64, 600, 96),
];

#[test]
fn all_orders_of_both_operands_give_the_naive_product() {
    if !available() {
        return skip("avx512f");
    }
    for (m, k, n) in SIZES {
        let (a, b) = (values(m * k, 1), values(k * n, 2));
        for left in [Mat::new(&a, m, k), Mat::new(&a, k, m).t()] {
            for right in [Mat::new(&b, k, n), Mat::new(&b, n, k).t()] {
                let mut slow = vec![0.0; m * n];
                naive(&left, &|i, j| right.data[i * right.row + j * right.col], n, &mut slow);
                for (format, slack) in [(Precision::F32, 1e-6), (Precision::Bf16, 1e-2), (Precision::F16, 1e-2)] {
                    if !can(format) {
                        continue;
                    }
                    let mut fast = vec![f32::NAN; m * n];
                    let terms = [Term { left, right: Right::Dense(right) }];
                    tiled_product(MatMut::new(&mut fast, m, n), &terms, false, format);
                    close(&format!("{m}×{k}×{n}, {format:?}"), &fast, &slow, k, slack);
                    tiled_product(MatMut::new(&mut fast, m, n), &terms, true, format);
                    let twice: Vec<f64> = slow.iter().map(|x| 2.0 * x).collect();
                    close("twice", &fast, &twice, k, 2.0 * slack);
                }
            }
        }
    }
}

#[test]
fn terms_add_up_and_four_bits_are_dequantised() {
    if !available() {
        return skip("avx512f");
    }
    for (m, k, n) in SIZES {
        let r = 3;
        let (x, u, b) = (values(m * k, 3), values(m * r, 4), values(n * r, 5));
        let w = Nf4::quantize(&values(n * k, 6), (n, k));
        let dense = w.dequantize();
        let (x, u, b) = (Mat::new(&x, m, k), Mat::new(&u, m, r), Mat::new(&b, n, r).t());
        let mut slow = vec![0.0; m * n];
        naive(&x, &|i, j| dense[j * k + i], n, &mut slow);
        naive(&u, &|i, j| b.data[i * b.row + j * b.col], n, &mut slow);
        let terms = [Term { left: x, right: Right::Nf4Turned(&w) }, Term { left: u, right: Right::Dense(b) }];
        let formats = [(Precision::F32, 1e-6), (Precision::F16, 1e-2)];
        for (format, slack) in formats.into_iter().filter(|(format, _)| can(*format)) {
            let mut fast = vec![0.0; m * n];
            tiled_product(MatMut::new(&mut fast, m, n), &terms, false, format);
            close(&format!("{m}×{k}×{n}, {format:?}"), &fast, &slow, k + r, slack);
        }
        // The product for the gradient: dy (m, n) times w (n, k).
        let dy = values(m * n, 7);
        let mut slow = vec![0.0; m * k];
        naive(&Mat::new(&dy, m, n), &|i, j| dense[i * k + j], k, &mut slow);
        let terms = [Term { left: Mat::new(&dy, m, n), right: Right::Nf4(&w) }];
        for (format, slack) in formats.into_iter().filter(|(format, _)| can(*format)) {
            let mut fast = vec![0.0; m * k];
            tiled_product(MatMut::new(&mut fast, m, k), &terms, false, format);
            close(&format!("{m}×{n}×{k}, not turned, {format:?}"), &fast, &slow, n, slack);
        }
    }
}

#[test]
fn the_number_of_threads_does_not_show() {
    if !available() {
        return skip("avx512f");
    }
    let (m, k, n) = (257, 700, 300);
    let (a, b) = (values(m * k, 1), values(k * n, 2));
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut out = vec![0.0; m * n];
        let terms = [Term { left: Mat::new(&a, m, k), right: Right::Dense(Mat::new(&b, k, n)) }];
        pool.install(|| tiled_product(MatMut::new(&mut out, m, n), &terms, false, Precision::F32));
        out
    };
    let one = run(1);
    for threads in [2, 3, 5] {
        assert!(one == run(threads), "{threads} threads");
    }
}

/// Rows and columns of any magnitude are equally exact: each has a scale of its own.
#[test]
fn f16_does_not_know_small_and_large() {
    if !can(Precision::F16) {
        return skip("avx512fp16");
    }
    let (m, k, n) = (30, 200, 70);
    let magnitude = |i: usize| 10f32.powi((i % 13) as i32 - 6);
    let a: Vec<f32> = values(m * k, 1).iter().enumerate().map(|(i, x)| x * magnitude(i / k)).collect();
    let b: Vec<f32> = values(k * n, 2).iter().enumerate().map(|(i, x)| x * magnitude(i % n)).collect();
    let (mut fast, mut slow) = (vec![0.0; m * n], vec![0.0; m * n]);
    let (left, right) = (Mat::new(&a, m, k), Mat::new(&b, k, n));
    naive(&left, &|i, j| b[i * n + j], n, &mut slow);
    let terms = [Term { left, right: Right::Dense(right) }];
    tiled_product(MatMut::new(&mut fast, m, n), &terms, false, Precision::F16);
    for (i, (x, y)) in fast.iter().zip(&slow).enumerate() {
        let size = f64::from(magnitude(i / n) * magnitude(i % n)) * (k as f64).sqrt();
        assert!((f64::from(*x) - y).abs() < 1e-2 * size, "({}, {}): {x} {y}", i / n, i % n);
    }
}
