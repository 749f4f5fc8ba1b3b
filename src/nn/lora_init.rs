//! How adapters begin: with zeros, or with parts of the weight they adapt (PiSSA, OLoRA, LoftQ), as PEFT computes them.

use candle_core::{Device, Tensor};
use nalgebra::{DMatrix, SymmetricEigen};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result};
use crate::nn::init::Init;
use crate::nn::quant::Nf4;

/// How A and B of an adapter begin. Files have `true` for [`LoraInit::Default`] and `false` for [`LoraInit::Random`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LoraInit {
    /// A uniform in ±1/√in (Kaiming with a = √5), B zeros.
    #[default]
    Default,
    /// A and B uniform: the model answers otherwise from the start.
    Random,
    /// A normal with deviation 1/r, B zeros.
    Gaussian,
    /// The principal singular vectors of the weight (Meng et al. 2024, arXiv:2404.02948).
    Pissa,
    /// The same by a number of subspace iterations from a random start, which takes less time.
    PissaNiter(u32),
    /// The first columns of a QR decomposition of the weight (Büyükakyüz 2024, arXiv:2406.01775).
    Olora,
    /// What quantising the weight takes away from it (Li et al. 2023, arXiv:2310.08659); the base becomes the 4-bit one.
    Loftq,
}

impl LoraInit {
    /// The words of the options; `None` for those of other libraries.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "default" | "true" => Self::Default,
            "false" => Self::Random,
            "gaussian" => Self::Gaussian,
            "pissa" => Self::Pissa,
            "olora" => Self::Olora,
            "loftq" => Self::Loftq,
            other => Self::PissaNiter(other.strip_prefix("pissa_niter_")?.parse().ok()?),
        })
    }

    /// "default", "pissa_niter_4"
    pub(crate) fn name(self) -> String {
        match self {
            Self::Default => "default".into(),
            Self::Random => "false".into(),
            Self::Gaussian => "gaussian".into(),
            Self::Pissa => "pissa".into(),
            Self::PissaNiter(count) => format!("pissa_niter_{count}"),
            Self::Olora => "olora".into(),
            Self::Loftq => "loftq".into(),
        }
    }

    /// Whether A and B begin with a part of the weight that is taken away from it.
    pub(crate) fn takes_a_part(self) -> bool {
        matches!(self, Self::Pissa | Self::PissaNiter(_) | Self::Olora)
    }
}

impl Serialize for LoraInit {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

impl<'de> Deserialize<'de> for LoraInit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Word {
            Switch(bool),
            Text(String),
        }
        let text = match Word::deserialize(deserializer)? {
            Word::Switch(switch) => switch.to_string(),
            Word::Text(text) => text.to_lowercase(),
        };
        let known = "\"default\", \"gaussian\", \"pissa\", \"pissa_niter_4\", \"olora\" or \"loftq\"";
        Self::parse(&text)
            .ok_or_else(|| serde::de::Error::custom(format!("init_lora_weights is '{text}', it must be {known}")))
    }
}

/// A (r, in) and B (out, r).
pub(crate) type LoraFactors = (Tensor, Tensor);

/// The part of a weight (out, in) that `init` begins with: `scale · B A` is taken away from the weight.
///
/// # Errors
/// A rank that is higher than the weight is wide; an initialisation that takes nothing away.
pub(crate) fn part_of(weight: &Tensor, init: LoraInit, (r, scale): (usize, f64), seed: u64) -> Result<LoraFactors> {
    let (out, wide) = weight.dims2()?;
    if r > out.min(wide) {
        return Err(Error::mistake(format!("{}: a weight of ({out}, {wide}) has no rank {r}", init.name()))
            .with_hint("take a lower r, or a lower one for this layer: rank_pattern"));
    }
    let matrix = matrix(weight)?;
    let (b, a) = match init {
        LoraInit::Pissa => balanced(principal(&matrix, r), scale),
        LoraInit::PissaNiter(count) => balanced(nearly_principal(&matrix, r, count, seed)?, scale),
        LoraInit::Olora => {
            let b = matrix.columns(0, r).clone_owned().qr().q(); // (out, r)
            let a = b.transpose() * &matrix; // (r, in)
            (b, a)
        }
        other => return Err(Error::internal(format!("{} takes no part of a weight", other.name()))),
    };
    Ok((tensor(&a, weight.device())?, tensor(&b, weight.device())?))
}

/// A weight (out, in) in 4 bits, and A and B such that `scale · B A` is what that lacks: one round, as PEFT's `loftq_iter` has it.
///
/// # Errors
/// A rank that is higher than the weight is wide.
pub(crate) fn loftq(weight: &Tensor, r: usize, scale: f64) -> Result<(Nf4, LoraFactors)> {
    let codes = Nf4::of(weight)?;
    let lacking = (weight - Tensor::from_vec(codes.dequantize(), weight.dims(), weight.device())?)?;
    let factors = part_of(&lacking, LoraInit::Pissa, (r, scale), 0)?;
    Ok((codes, factors))
}

/// Fresh A of an initialisation that leaves the base as it is: name, shape (r, in), seed.
pub(crate) fn fresh_a(
    init: LoraInit,
    name: &str,
    (r, wide): (usize, usize),
    seed: u64,
    device: &Device,
) -> Result<Tensor> {
    let how = match init {
        LoraInit::Gaussian => Init::Normal(1.0 / r as f64),
        _ => Init::Uniform(1.0 / (wide as f64).sqrt()),
    };
    how.draw(name, &[r, wide], seed, device)
}

/// Fresh B: zeros, but for [`LoraInit::Random`].
pub(crate) fn fresh_b(
    init: LoraInit,
    name: &str,
    (out, r): (usize, usize),
    seed: u64,
    device: &Device,
) -> Result<Tensor> {
    let how = match init {
        LoraInit::Random => Init::Uniform(1.0 / (r as f64).sqrt()),
        _ => Init::Zeros,
    };
    how.draw(name, &[out, r], seed, device)
}

/// U (out, r), the singular values, and Vᵀ (r, in).
type Singular = (DMatrix<f64>, Vec<f64>, DMatrix<f64>);

/// B = U √(S/scale), A = √(S/scale) Vᵀ.
fn balanced((u, values, v): Singular, scale: f64) -> (DMatrix<f64>, DMatrix<f64>) {
    let (mut b, mut a) = (u, v);
    for (i, value) in values.iter().enumerate() {
        let root = (value / scale).max(0.0).sqrt();
        b.column_mut(i).scale_mut(root);
        a.row_mut(i).scale_mut(root);
    }
    (b, a)
}

/// The first r singular vectors, by the eigenvectors of the smaller of `W Wᵀ` and `Wᵀ W`.
fn principal(w: &DMatrix<f64>, r: usize) -> Singular {
    let wide = w.nrows() <= w.ncols();
    let gram = if wide { w * w.transpose() } else { w.transpose() * w };
    let eigen = SymmetricEigen::new(gram);
    let mut order: Vec<usize> = (0..eigen.eigenvalues.len()).collect();
    order.sort_by(|&i, &j| eigen.eigenvalues[j].total_cmp(&eigen.eigenvalues[i]));
    let vectors = eigen.eigenvectors.select_columns(&order[..r]); // (side, r)
    let values: Vec<f64> = order[..r].iter().map(|&i| eigen.eigenvalues[i].max(0.0).sqrt()).collect();
    // The other side: W applied to the vectors, over the values.
    let over = |mut side: DMatrix<f64>| {
        for (i, value) in values.iter().enumerate() {
            side.column_mut(i).scale_mut(if *value > 0.0 { 1.0 / value } else { 0.0 });
        }
        side
    };
    if wide {
        let v = over(w.transpose() * &vectors); // (in, r)
        (vectors, values, v.transpose())
    } else {
        let u = over(w * &vectors); // (out, r)
        (u, values, vectors.transpose())
    }
}

/// The first r singular vectors of the range of `(W Wᵀ)ⁿ W` applied to random vectors (Halko et al. 2009, algorithm 4.4).
fn nearly_principal(w: &DMatrix<f64>, r: usize, count: u32, seed: u64) -> Result<Singular> {
    let start = Init::Normal(1.0).draw("pissa", &[w.ncols(), r], seed, &Device::Cpu)?;
    let mut q = (w * matrix(&start)?).qr().q(); // (out, r)
    for _ in 0..count {
        let back = (w.transpose() * &q).qr().q(); // (in, r)
        q = (w * back).qr().q();
    }
    let (u, values, v) = principal(&(q.transpose() * w), r);
    Ok((q * u, values, v))
}

fn matrix(x: &Tensor) -> Result<DMatrix<f64>> {
    let (rows, columns) = x.dims2()?;
    let values = x.flatten_all()?.to_vec1::<f32>()?;
    Ok(DMatrix::from_row_iterator(rows, columns, values.into_iter().map(f64::from)))
}

fn tensor(x: &DMatrix<f64>, device: &Device) -> Result<Tensor> {
    let values: Vec<f32> = x.transpose().iter().map(|&value| value as f32).collect();
    Ok(Tensor::from_vec(values, (x.nrows(), x.ncols()), device)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ops::reference::close;

    fn wave(rows: usize, columns: usize) -> Tensor {
        let values: Vec<f32> = (0..rows * columns).map(|i| ((i * i) as f32 * 0.37).sin()).collect();
        Tensor::from_vec(values, (rows, columns), &Device::Cpu).unwrap()
    }

    fn product((a, b): &LoraFactors, scale: f64) -> Tensor {
        (b.matmul(a).unwrap() * scale).unwrap()
    }

    /// Sum of squares of what is left of a weight, next to that of its smallest singular values.
    #[test]
    fn the_principal_part_leaves_the_smallest_singular_values() {
        for (rows, columns) in [(12, 20), (20, 12)] {
            let w = wave(rows, columns);
            let values = matrix(&w).unwrap().singular_values();
            let mut values: Vec<f64> = values.iter().copied().collect();
            values.sort_by(|a, b| b.total_cmp(a));
            let part = part_of(&w, LoraInit::Pissa, (4, 1.5), 0).unwrap();
            assert_eq!((part.0.dims(), part.1.dims()), (&[4, columns][..], &[rows, 4][..]));
            let rest = (&w - product(&part, 1.5)).unwrap();
            let left = f64::from(rest.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap());
            let smallest: f64 = values[4..].iter().map(|value| value * value).sum();
            assert!((left - smallest).abs() < 1e-4 * smallest, "{left} and {smallest}");
            let near = part_of(&w, LoraInit::PissaNiter(60), (4, 1.5), 1).unwrap();
            close("by iterations", &product(&near, 1.5), &product(&part, 1.5), 1e-2);
        }
    }

    #[test]
    fn the_first_columns_of_qr_are_taken_away_whole() {
        let w = wave(12, 20);
        let part = part_of(&w, LoraInit::Olora, (4, 1.0), 0).unwrap();
        let rest = (&w - product(&part, 1.0)).unwrap().narrow(1, 0, 4).unwrap();
        assert!(rest.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap() < 1e-5);
        let square = part.1.t().unwrap().matmul(&part.1).unwrap();
        close("B is orthonormal", &square, &Tensor::eye(4, candle_core::DType::F32, &Device::Cpu).unwrap(), 1e-5);
    }

    #[test]
    fn loftq_comes_closer_to_the_weight_than_quantising_does() {
        let w = wave(64, 64);
        let (codes, factors) = loftq(&w, 8, 2.0).unwrap();
        let base = Tensor::from_vec(codes.dequantize(), (64, 64), &Device::Cpu).unwrap();
        let off = |x: &Tensor| (x - &w).unwrap().sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap();
        let (with, without) = (off(&(&base + product(&factors, 2.0)).unwrap()), off(&base));
        assert!(with < 0.8 * without, "{with} and {without}");
    }

    #[test]
    fn a_rank_beyond_the_weight_is_refused() {
        let error = part_of(&wave(4, 9), LoraInit::Pissa, (5, 1.0), 0).unwrap_err();
        assert!(error.message().contains("no rank 5") && error.hint().is_some(), "{error}");
    }

    #[test]
    fn words_are_pefts() {
        for (text, init) in [
            ("true", LoraInit::Default),
            ("\"gaussian\"", LoraInit::Gaussian),
            ("\"pissa_niter_16\"", LoraInit::PissaNiter(16)),
            ("\"PiSSA\"", LoraInit::Pissa),
            ("false", LoraInit::Random),
        ] {
            assert_eq!(serde_json::from_str::<LoraInit>(text).unwrap(), init, "{text}");
        }
        let error = serde_json::from_str::<LoraInit>("\"eva\"").unwrap_err().to_string();
        assert!(error.contains("'eva'") && error.contains("pissa"), "{error}");
    }
}
