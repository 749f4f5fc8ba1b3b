//! The mean of f32 numbers, with the bits that `torch.Tensor.mean` gives on one thread of an x86 CPU: 8 lanes, 4 rows
//! of lanes side by side, and a cascade of 4 levels that keeps partial sums of similar size together.
//!
//! torch splits sums of 32,768 and more numbers by its number of threads and so has several results there, 1 ulp apart;
//! this is the one of a single thread, on any machine.

const LANES: usize = 8;
const ROWS: usize = 4;
const LEVELS: usize = 4;

type MeanRow = [f32; LANES];

fn add(a: &mut MeanRow, b: &MeanRow) {
    for (a, b) in a.iter_mut().zip(b) {
        *a += b;
    }
}

/// The mean; 0 of nothing.
pub(super) fn mean(x: &[f32]) -> f32 {
    if x.is_empty() { 0.0 } else { sum(x) / x.len() as f32 }
}

fn sum(x: &[f32]) -> f32 {
    let (rows, rest) = x.as_chunks::<LANES>();
    let (groups, single) = rows.as_chunks::<ROWS>();
    let mut sums = cascade(groups);
    for row in single {
        add(&mut sums[0], row);
    }
    let [mut total, others @ ..] = sums;
    for other in &others {
        add(&mut total, other);
    }
    let rest = rest.iter().fold(0.0, |sum, x| sum + x);
    total.iter().fold(rest, |sum, x| sum + x)
}

fn cascade(groups: &[[MeanRow; ROWS]]) -> [MeanRow; ROWS] {
    let mut levels = [[[0.0; LANES]; ROWS]; LEVELS];
    // Groups that go into a level before it is passed up: a fourth root of all, at least 16.
    let power = (groups.len().max(1).next_power_of_two().ilog2() / LEVELS as u32).max(4);
    let (step, mask) = (1usize << power, (1usize << power) - 1);
    let whole = groups.len() - groups.len() % step;
    for (i, group) in groups.iter().enumerate() {
        for (sum, row) in levels[0].iter_mut().zip(group) {
            add(sum, row);
        }
        let done = i + 1;
        if done > whole || !done.is_multiple_of(step) {
            continue;
        }
        for level in 1..LEVELS {
            let below = std::mem::take(&mut levels[level - 1]);
            for (sum, row) in levels[level].iter_mut().zip(&below) {
                add(sum, row);
            }
            if done & (mask << (level as u32 * power)) != 0 {
                break;
            }
        }
    }
    let [mut sums, above @ ..] = levels;
    for level in &above {
        for (sum, row) in sums.iter_mut().zip(level) {
            add(sum, row);
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_mean() {
        for n in [1usize, 7, 8, 33, 100, 5_000, 70_001] {
            let x: Vec<f32> = (0..n).map(|i| (i % 1000) as f32 * 1e-3).collect();
            let truth = x.iter().map(|&x| f64::from(x)).sum::<f64>() / n as f64;
            assert!((f64::from(mean(&x)) - truth).abs() <= 4e-7 * truth, "{n}");
        }
        assert_eq!(mean(&[]), 0.0);
    }
}
