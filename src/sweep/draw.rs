//! Where the next trial lies: a place between 0 and 1 for each parameter that is searched.
//!
//! `random` draws each from the whole. `bayes` is the tree-structured Parzen estimator (Bergstra et al. 2011, "Algorithms
//! for hyper-parameter optimization") of the crate `tpe`, a parameter at a time: of what did well it makes a density `l`,
//! of the rest `g`, and takes the candidate with the greatest `l / g`. Trials under way count as poor ones, so that
//! several at a time do not crowd in one place.

use std::convert::Infallible;

use rand::{Rng as _, RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tpe::{TpeOptimizerBuilder, categorical_range, histogram_estimator, parzen_estimator, range};

use super::space::Space;
use crate::error::{Error, Result};

/// Random trials before `bayes` models the results.
const STARTUP: usize = 5;
/// The share of trials that count as good.
const GAMMA: f64 = 0.2;
/// Candidates for each parameter.
const CANDIDATES: usize = 64;

/// A previous trial: its position, and its cost, which is infinite while it runs.
pub(super) type Past<'a> = (&'a [f64], f64);

/// The random generator of trial `number`: draws do not depend on earlier trials.
fn generator(seed: u64, number: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(number);
    rng
}

/// A random position.
pub(super) fn random(space: &Space, seed: u64, number: u64) -> Vec<f64> {
    let mut rng = generator(seed, number);
    space.searched().map(|_| rng.random::<f64>()).collect()
}

/// A position that the trials so far make promising.
///
/// # Errors
/// Errors of the optimiser, which no input causes.
pub(super) fn bayes(space: &Space, seed: u64, number: u64, past: &[Past<'_>]) -> Result<Vec<f64>> {
    if past.iter().filter(|(_, value)| value.is_finite()).count() < STARTUP {
        return Ok(random(space, seed, number));
    }
    let mut rng = TpeRandom(generator(seed, number));
    let place = |(at, parameter): (usize, &super::SearchParameter)| -> Result<f64> {
        let choices = parameter.distribution.choices();
        let (estimator, range) = match choices {
            Some(n) => (histogram_estimator(), categorical_range(n)),
            None => (parzen_estimator(), range(0.0, 1.0)),
        };
        let mut builder = TpeOptimizerBuilder::new();
        builder.gamma(GAMMA).candidates(CANDIDATES);
        let mut optimizer = builder.build(estimator, range.map_err(internal)?).map_err(internal)?;
        for (places, value) in past {
            let u = places.get(at).copied().unwrap_or(0.5);
            let told = if choices.is_some() { parameter.distribution.choice(u) as f64 } else { u.clamp(0.0, TOP) };
            optimizer.tell(told, *value).map_err(internal)?;
        }
        let told = optimizer.ask(&mut rng).map_err(internal)?;
        Ok(if choices.is_some() { parameter.distribution.place(told as usize) } else { told })
    };
    space.searched().enumerate().map(place).collect()
}

/// The greatest number below 1.
const TOP: f64 = 1.0 - f64::EPSILON;

fn internal(error: impl std::error::Error) -> Error {
    Error::internal(error.to_string())
}

/// Adapts our generator to the trait of `tpe`, from a later version of `rand`.
struct TpeRandom(ChaCha8Rng);

impl rand_core::TryRng for TpeRandom {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0.next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill_bytes(bytes);
        Ok(())
    }
}
