//! The length of the form: the number of bars after which the harmony repeats.
//!
//! Solos repeat the same chords chorus after chorus. Each bar is a vector (bass, lines and blocks by pitch class, less
//! the mean of the piece); at the lag of a chorus bars are more similar than at other lags.

use crate::error::Result;
use crate::interrupt::Interrupt;

use super::windows::{Place, Window};

/// A bar as a vector: bass and sound by pitch class, in both halves.
const SIZE: usize = 48;

type Vector = [f32; SIZE];

/// Lags that are tried, in bars.
const SHORTEST: usize = 8;
const LONGEST: usize = 160;

/// A lag counts when its bars are this many standard errors more alike than those at all lags.
const SIGNIFICANT: f32 = 3.5;

/// The most bars that are compared.
const MOST: usize = 4096;

/// The windows of each bar; windows before the first bar line are left out.
pub(super) fn bars(windows: &[Window]) -> Vec<std::ops::Range<usize>> {
    let lines: Vec<usize> = (0..windows.len()).filter(|i| windows[*i].place == Place::Bar).collect();
    let ends = lines.iter().skip(1).copied().chain([windows.len()]).collect::<Vec<_>>();
    lines.into_iter().zip(ends).map(|(begin, end)| begin..end).collect()
}

fn vector(windows: &[Window]) -> Vector {
    let mut vector = [0.0; SIZE];
    let half = windows.len().div_ceil(2);
    for (i, window) in windows.iter().enumerate() {
        let part = if i < half { 0 } else { 24 };
        if let Some(bass) = window.bass {
            vector[part + usize::from(bass.class)] += bass.depth;
        }
        for class in 0..12 {
            vector[part + 12 + class] += window.line[class] + window.block[class];
        }
    }
    vector
}

fn unit(vector: &mut Vector) {
    let norm = vector.iter().map(|v| v * v).sum::<f32>().sqrt();
    if norm > 0.0 {
        vector.iter_mut().for_each(|v| *v /= norm);
    }
}

/// A lag in bars, the similarity of each bar to the one that much later, and its overall significance.
struct Lag {
    bars: usize,
    alike: Vec<f32>,
    significance: f32,
}

/// All lags, and the mean and deviation of the likeness of two bars.
fn lags(windows: &[Window], bars: &[std::ops::Range<usize>], interrupt: &Interrupt) -> Result<(Vec<Lag>, f32, f32)> {
    let mut vectors: Vec<Vector> = bars.iter().map(|bar| vector(&windows[bar.clone()])).collect();
    let mut mean = [0.0f32; SIZE];
    for vector in &mut vectors {
        unit(vector);
        mean.iter_mut().zip(vector.iter()).for_each(|(m, v)| *m += v / bars.len() as f32);
    }
    for vector in &mut vectors {
        vector.iter_mut().zip(&mean).for_each(|(v, m)| *v -= m);
        unit(vector);
    }
    let alike = |a: &Vector, b: &Vector| -> f32 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
    let longest = LONGEST.min(bars.len() - SHORTEST);
    let row = |lag: usize| vectors.iter().zip(&vectors[lag..]).map(|(a, b)| alike(a, b)).collect();
    let lag = |bars| interrupt.check().map(|()| Lag { bars, alike: row(bars), significance: 0.0 });
    let mut lags: Vec<Lag> = (1..=longest).map(lag).collect::<Result<_>>()?;
    let all = || lags.iter().flat_map(|l| &l.alike);
    let count = all().count().max(1) as f32;
    let mean = all().sum::<f32>() / count;
    let deviation = (all().map(|x| (x - mean) * (x - mean)).sum::<f32>() / count).max(1e-9).sqrt();
    for lag in &mut lags {
        let n = lag.alike.len() as f32;
        lag.significance = (lag.alike.iter().sum::<f32>() / n - mean) / deviation * n.sqrt();
    }
    Ok((lags, mean, deviation))
}

/// How many bars around two bars are compared.
const AROUND: usize = 3;

/// For every window, the windows that repeat its harmony, and the confidence of that (0 to 1).
///
/// # Errors
/// `interrupted`, when the user cancels.
pub(super) fn repeats(windows: &[Window], interrupt: &Interrupt) -> Result<Vec<Vec<(usize, f32)>>> {
    let bars = bars(windows);
    let mut all = vec![Vec::new(); windows.len()];
    if bars.len() < 2 * SHORTEST || bars.len() > MOST {
        return Ok(all);
    }
    let (lags, mean, deviation) = lags(windows, &bars, interrupt)?;
    for lag in lags.iter().filter(|l| l.bars >= SHORTEST && l.significance > SIGNIFICANT) {
        interrupt.check()?;
        let general = ((lag.significance - SIGNIFICANT) / 10.0).min(0.5);
        for i in 0..lag.alike.len() {
            let near = &lag.alike[i.saturating_sub(AROUND)..lag.alike.len().min(i + AROUND + 1)];
            let n = near.len() as f32;
            let local = (near.iter().sum::<f32>() / n - mean) / deviation * n.sqrt();
            let weight = ((local - 1.0) / 3.0 + general).clamp(0.0, 1.0);
            if weight <= 0.0 {
                continue;
            }
            let (here, there) = (&bars[i], &bars[i + lag.bars]);
            for (k, window) in here.clone().enumerate() {
                all[window].push((there.start + k * there.len() / here.len(), weight));
            }
            for (k, window) in there.clone().enumerate() {
                all[window].push((here.start + k * here.len() / there.len(), weight));
            }
        }
    }
    Ok(all)
}
