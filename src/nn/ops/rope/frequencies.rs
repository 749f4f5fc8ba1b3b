//! The rotary angles for each pair of dimensions, and their scaling for longer contexts; formulas and roundings are
//! those of `transformers`' `modeling_rope_utils.py`.

use std::f64::consts::TAU;

/// Rotary positions: the base of the angles and their scaling.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rotary {
    /// θ, 10,000 as a rule.
    pub theta: f64,
    /// Scaling for longer contexts.
    pub scaling: RopeScaling,
}

/// How rotary positions are scaled beyond the length a model was trained on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RopeScaling {
    /// No scaling: "default".
    None,
    /// All frequencies divided by `factor` (Chen et al. 2023): "linear".
    Linear {
        /// How many times longer sequences become.
        factor: f64,
    },
    /// A larger base for sequences longer than `original`, by their length (NTK-aware scaling): "dynamic".
    Dynamic {
        /// The stretching factor.
        factor: f64,
        /// Positions the model was trained on.
        original: usize,
    },
    /// Low frequencies divided by `factor`, high ones kept, those between interpolated (Llama 3.1): "llama3".
    Llama3 {
        /// The stretching factor.
        factor: f64,
        /// Wavelengths above `original / low` are divided.
        low: f64,
        /// Wavelengths below `original / high` are kept.
        high: f64,
        /// Positions the model was trained on.
        original: usize,
    },
    /// By parts between frequencies that turn `fast` and `slow` times over the trained length, and a factor for the values
    /// (Peng et al. 2023, arXiv:2309.00071): "yarn".
    Yarn {
        /// The stretching factor.
        factor: f64,
        /// What cosines and sines are multiplied by.
        attention_factor: f64,
        /// Turns from which on a frequency is kept.
        fast: f64,
        /// Turns up to which a frequency is divided.
        slow: f64,
        /// Whether the bounds are rounded to whole dimensions.
        truncate: bool,
        /// Positions the model was trained on.
        original: usize,
    },
}

impl Rotary {
    /// Plain rotary positions with this base.
    pub fn plain(theta: f64) -> Self {
        Self { theta, scaling: RopeScaling::None }
    }

    /// The sequence length that the angles of `length` positions depend on; 0 when they do not.
    pub(super) fn stretched_to(&self, length: usize) -> usize {
        match self.scaling {
            RopeScaling::Dynamic { original, .. } if length > original => length,
            _ => 0,
        }
    }

    /// The angles of sequences of up to `length` positions, in rows that may be longer; for heads of width `dim`.
    #[must_use]
    pub fn for_length(&self, length: usize, dim: usize) -> Self {
        match self.scaling {
            RopeScaling::Dynamic { .. } => Self::plain(self.grown_theta(dim, self.stretched_to(length))),
            _ => *self,
        }
    }

    /// The base for sequences of `stretched` positions: that of [`Rotary::stretched_to`].
    fn grown_theta(&self, dim: usize, stretched: usize) -> f64 {
        match self.scaling {
            RopeScaling::Dynamic { factor, original } if stretched > 0 && dim > 2 => {
                let grown = factor * stretched as f64 / original as f64 - (factor - 1.0);
                self.theta * grown.powf(dim as f64 / (dim as f64 - 2.0))
            }
            _ => self.theta,
        }
    }

    /// The factor of cosines and sines.
    pub(crate) fn attention_factor(&self) -> f32 {
        match self.scaling {
            RopeScaling::Yarn { attention_factor, .. } => attention_factor as f32,
            _ => 1.0,
        }
    }

    /// The angle of each of `dim / 2` pairs from one position to the next; `stretched` is that of [`Rotary::stretched_to`].
    pub(crate) fn frequencies(&self, dim: usize, stretched: usize) -> Vec<f32> {
        match self.scaling {
            RopeScaling::None | RopeScaling::Dynamic { .. } => plain(self.grown_theta(dim, stretched), dim),
            RopeScaling::Linear { factor } => plain(self.theta, dim).iter().map(|f| f / factor as f32).collect(),
            RopeScaling::Llama3 { factor, low, high, original } => {
                plain(self.theta, dim).iter().map(|&f| llama3(f, factor, [low, high], original as f64)).collect()
            }
            RopeScaling::Yarn { factor, fast, slow, truncate, original, .. } => {
                let bounds = turning(self.theta, dim, [fast, slow], original as f64, truncate);
                let interpolated = |(i, &f): (usize, &f32)| {
                    let share = ((i as f32 - bounds[0]) / (bounds[1] - bounds[0])).clamp(0.0, 1.0);
                    let divided = 1.0 / (factor as f32 * (1.0 / f));
                    divided * share + f * (1.0 - share)
                };
                plain(self.theta, dim).iter().enumerate().map(interpolated).collect()
            }
        }
    }
}

/// `θ^(−2i / dim)`; rounded to f32 as in `transformers`.
fn plain(theta: f64, dim: usize) -> Vec<f32> {
    let one = |i: usize| {
        let exponent = (2 * i) as f32 / dim as f32;
        1.0 / (theta.powf(f64::from(exponent)) as f32)
    };
    (0..dim / 2).map(one).collect()
}

fn llama3(frequency: f32, factor: f64, [low, high]: [f64; 2], original: f64) -> f32 {
    let wavelength = TAU as f32 / frequency;
    if wavelength < (original / high) as f32 {
        return frequency;
    }
    if wavelength > (original / low) as f32 {
        return frequency / factor as f32;
    }
    let smooth = (original as f32 / wavelength - low as f32) / (high - low) as f32;
    (1.0 - smooth) * frequency / factor as f32 + smooth * frequency
}

/// The dimensions between which frequencies are interpolated: those that turn `fast` and `slow` times over `original`
/// positions.
fn turning(theta: f64, dim: usize, [fast, slow]: [f64; 2], original: f64, truncate: bool) -> [f32; 2] {
    let dim = dim as f64;
    let of = |turns: f64| dim * (original / (turns * TAU)).ln() / (2.0 * theta.ln());
    let (mut first, mut last) = (of(fast), of(slow));
    if truncate {
        (first, last) = (first.floor(), last.ceil());
    }
    let (first, mut last) = (first.max(0.0), last.min(dim - 1.0));
    if first == last {
        last += 0.001;
    }
    [first as f32, last as f32]
}
