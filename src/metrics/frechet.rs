//! How far the music of a model is from a corpus, as the model itself hears both: the Fréchet distance of embeddings
//! (Heusel et al. 2017, arXiv:1706.08500, for pictures; Retkowski et al. 2024, arXiv:2412.07948, for symbolic music).
//!
//! A piece becomes one vector: the mean, over all its tokens, of the hidden states after the last block and the final
//! norm, (hidden). With means `μ` and covariances `Σ` (of `n − 1`) of the two sets of vectors,
//!
//! ```text
//! d² = |μ₁ − μ₂|² + tr Σ₁ + tr Σ₂ − 2 tr (Σ₁ Σ₂)^½
//! ```
//!
//! 0 is the same; it has no upper end, and depends on the model: only distances of one model compare. For centred vectors
//! as rows `A` (n × hidden) and `B` (m × hidden), the last trace is the sum of the singular values of
//! `A Bᵀ / √((n − 1)(m − 1))`: `Σ₁ Σ₂` has their squares as its eigenvalues. That needs no root of a matrix, and is exact
//! when there are fewer pieces than dimensions, where the root is not.

use candle_core::{DType, Tensor};
use nalgebra::DMatrix;

use crate::data::EncoderInput;
use crate::error::{Error, Result};
use crate::midi::Score;
use crate::nn::{ForwardCtx, Model};
use crate::progress::Progress;
use crate::tokens::{SourceAndTarget, Tokenizer};

/// Tokens in a forward pass; a longer piece is embedded in windows of this length.
const WINDOW: usize = 512;

/// The embeddings of some pieces, each (hidden); pieces without notes are left out.
///
/// # Errors
/// A tokenizer that is not the model's; `interrupted`, when the user cancels.
pub fn embed(model: &Model, tokenizer: &Tokenizer, pieces: &[Score], progress: &Progress) -> Result<Vec<Vec<f64>>> {
    let pass = ForwardCtx { interrupt: progress.interrupt().clone(), ..ForwardCtx::default() };
    let window = WINDOW.min(model.spec().max_positions);
    let mut task = progress.task("embedding", Some(pieces.len() as u64), "pieces");
    let mut all = Vec::with_capacity(pieces.len());
    for piece in pieces {
        task.advance(1)?;
        if piece.is_empty() {
            continue;
        }
        let ids: Vec<u32> = std::iter::once(tokenizer.bos()).chain(tokenizer.encode(piece)).collect();
        let mut sum = vec![0.0; model.spec().decoder.hidden_size];
        for ids in ids.chunks(window) {
            let hidden = hidden(model, tokenizer, ids, &pass)?; // (1, time, hidden)
            let of_window = hidden.to_dtype(DType::F32)?.squeeze(0)?.sum(0)?.to_vec1::<f32>()?; // (hidden)
            sum.iter_mut().zip(of_window).for_each(|(sum, x)| *sum += f64::from(x));
        }
        sum.iter_mut().for_each(|sum| *sum /= ids.len() as f64);
        all.push(sum);
    }
    Ok(all)
}

/// The hidden states of a window of a piece, (1, time, hidden); the encoder of a model that has one reads the chart of
/// the window.
fn hidden(model: &Model, tokenizer: &Tokenizer, ids: &[u32], pass: &ForwardCtx) -> Result<Tensor> {
    let tensor = |ids: &[u32]| Ok::<_, Error>(Tensor::new(ids, model.device())?.unsqueeze(0)?); // (1, time)
    if !model.has_encoder() {
        return model.hidden(&tensor(ids)?, pass);
    }
    let SourceAndTarget { mut chart, events } = tokenizer.pair(ids)?;
    chart.push(tokenizer.eos());
    let events = if events.is_empty() { vec![tokenizer.pad()] } else { events };
    model.hidden_with(&tensor(&events)?, &EncoderInput::padded(&[chart], tokenizer.pad()), pass)
}

/// The Fréchet distance `d²` between two sets of vectors, all of one length.
///
/// # Errors
/// Fewer than two vectors on a side, or vectors of different lengths.
///
/// ```
/// use etude::metrics::frechet_distance;
///
/// let points = [vec![0.0, 0.0], vec![1.0, 1.0], vec![0.0, 1.0]];
/// assert!(frechet_distance(&points, &points)? < 1e-9);
/// # Ok::<(), etude::Error>(())
/// ```
pub fn frechet_distance(a: &[Vec<f64>], b: &[Vec<f64>]) -> Result<f64> {
    let wide = a.first().map_or(0, Vec::len);
    if a.len() < 2 || b.len() < 2 {
        let (a, b) = (a.len(), b.len());
        return Err(Error::mistake(format!(
            "the Fréchet distance needs at least two pieces on both sides, not {a} and {b}"
        ))
        .with_hint("take more takes, or a larger corpus"));
    }
    if wide == 0 || a.iter().chain(b).any(|vector| vector.len() != wide) {
        return Err(Error::mistake("the embeddings have different lengths").with_hint("take both from one model"));
    }
    let ((mean_a, a), (mean_b, b)) = (centred(a), centred(b));
    let between: f64 = mean_a.iter().zip(&mean_b).map(|(a, b)| (a - b) * (a - b)).sum();
    let free = |x: &DMatrix<f64>| (x.nrows() - 1) as f64;
    let spread = |x: &DMatrix<f64>| x.norm_squared() / free(x);
    let scale = (free(&a) * free(&b)).sqrt();
    let common: f64 = (small(&a) * small(&b).transpose()).singular_values().iter().sum();
    Ok((between + spread(&a) + spread(&b) - 2.0 * common / scale).max(0.0))
}

/// The mean of some vectors, and the vectors centred, as rows.
fn centred(vectors: &[Vec<f64>]) -> (Vec<f64>, DMatrix<f64>) {
    let (n, wide) = (vectors.len(), vectors[0].len());
    let mean: Vec<f64> = (0..wide).map(|j| vectors.iter().map(|v| v[j]).sum::<f64>() / n as f64).collect();
    let rows = DMatrix::from_fn(n, wide, |i, j| vectors[i][j] - mean[j]);
    (mean, rows)
}

/// A matrix with the same Gram matrix `xᵀx` and no more rows than columns: the `R` of its `QR`, which preserves the
/// singular values of a product.
fn small(x: &DMatrix<f64>) -> DMatrix<f64> {
    if x.nrows() > x.ncols() { x.clone().qr().r() } else { x.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors(n: usize, wide: usize, shift: f64) -> Vec<Vec<f64>> {
        let value = |i: usize, j: usize| ((i * 7 + j * 3) as f64 * 0.37 + shift).sin() * (1.0 + j as f64 * 0.2) + shift;
        (0..n).map(|i| (0..wide).map(|j| value(i, j)).collect()).collect()
    }

    /// SciPy 1.17, with `v(n, wide, shift)` the vectors above:
    /// ```python
    /// def frechet(a, b):
    ///     s = scipy.linalg.sqrtm(np.cov(a, rowvar=False) @ np.cov(b, rowvar=False))
    ///     d = a.mean(0) - b.mean(0)
    ///     return d @ d + np.trace(np.cov(a, rowvar=False) + np.cov(b, rowvar=False) - 2 * s.real)
    /// frechet(v(40, 3, 0.0), v(25, 3, 0.5)), frechet(v(9, 4, 0.0), v(50, 4, 1.0))
    /// ```
    const GOLDEN: [f64; 2] = [0.770_745_823_124_718_7, 3.952_129_848_044_709_3];

    #[test]
    fn the_distance_is_that_of_scipys_root() {
        let ours = [
            frechet_distance(&vectors(40, 3, 0.0), &vectors(25, 3, 0.5)).expect("two sets"),
            frechet_distance(&vectors(9, 4, 0.0), &vectors(50, 4, 1.0)).expect("two sets"),
        ];
        for (ours, theirs) in ours.iter().zip(GOLDEN) {
            assert!((ours - theirs).abs() < 1e-7 * theirs.max(1.0), "{ours}, not {theirs}");
        }
    }

    #[test]
    fn a_set_is_no_distance_from_itself_and_a_shift_is_its_square() {
        let a = vectors(30, 8, 0.0);
        assert!(frechet_distance(&a, &a).expect("two sets") < 1e-9);
        let moved: Vec<Vec<f64>> = a.iter().map(|v| v.iter().map(|x| x + 2.0).collect()).collect();
        let distance = frechet_distance(&a, &moved).expect("two sets");
        assert!((distance - 32.0).abs() < 1e-9, "{distance}: 8 dimensions, 2² each");
        let few = vectors(3, 8, 0.0);
        assert!(frechet_distance(&few, &few).expect("fewer than dimensions") < 1e-9);
    }

    #[test]
    fn too_few_and_too_different_are_refused() {
        let a = vectors(5, 3, 0.0);
        assert!(frechet_distance(&a, &a[..1]).is_err_and(|e| e.hint().is_some()));
        assert!(frechet_distance(&a, &vectors(5, 4, 0.0)).is_err_and(|e| e.is_mistake()));
    }
}
