//! Checks of the numbers of a configuration; errors name its keys.

use super::spec::ArchSpec;
use crate::error::{Error, Result};

/// The most weights that are accepted: allocating for more would end the process.
const MOST_WEIGHTS: u128 = 20_000_000_000;

/// Refuses a vocabulary of 0 and sizes that are 0 or beyond 32 bits.
pub(super) fn sizes(vocab_size: usize, sizes: &[(&str, usize)]) -> Result<()> {
    if vocab_size == 0 {
        return Err(
            Error::mistake("vocab_size is 0").with_hint("give the tokenizer's: #{ vocab_size: tok.vocab_size, … }")
        );
    }
    match sizes.iter().find(|(_, size)| *size == 0 || *size > u32::MAX as usize) {
        Some((key, 0)) => Err(Error::mistake(format!("{key} is 0")).with_hint("it must be 1 or more")),
        Some((key, size)) => Err(Error::mistake(format!("{key} is {size}, which no memory holds"))
            .with_hint("configs/model has shapes from 4 to 155 million weights")),
        None => Ok(()),
    }
}

/// Refuses heads that do not divide the width; the arguments are keys with their values.
pub(super) fn heads((hidden_key, hidden): (&str, usize), (heads_key, heads): (&str, usize)) -> Result<()> {
    if hidden.is_multiple_of(heads) {
        return Ok(());
    }
    let below = hidden / heads * heads;
    let error = Error::mistake(format!("{hidden_key} {hidden} is not divisible by {heads_key} {heads}"));
    Err(error.with_hint(match below {
        0 => format!("take at most {hidden} heads, or {hidden_key} {heads}"),
        _ => format!("{hidden_key} {below} or {} would be", below + heads),
    }))
}

/// Refuses numbers that are not finite or not in range: key, value, whether it is in range.
pub(super) fn floats(floats: &[(&str, f64, bool)]) -> Result<()> {
    match floats.iter().find(|(_, value, right)| !right || !value.is_finite()) {
        Some((key, value, _)) => Err(Error::mistake(format!("{key} is {value}"))
            .with_hint("it must be a positive number; the usual ones are 1e-5, 10000 and 0.02")),
        None => Ok(()),
    }
}

/// Refuses a model that is too large for any machine; `keys` are those that make it large, with their values.
pub(super) fn size(spec: &ArchSpec, keys: [(&str, usize); 4]) -> Result<()> {
    let weights = spec.weights();
    if weights <= MOST_WEIGHTS {
        return Ok(());
    }
    let [a, b, c, d] = keys.map(|(key, value)| format!("{key} {value}"));
    Err(Error::mistake(format!(
        "{a}, {b}, {c} and {d} make {} billion weights, {} GB in f32",
        weights / 1_000_000_000,
        weights / 250_000_000,
    ))
    .with_hint("configs/model has shapes from 4 to 155 million weights"))
}

/// Refuses more ids of an encoder than the embedding that it shares with the decoder has.
pub(super) fn encoder_vocabulary(encoder: Option<usize>, vocab_size: usize) -> Result<()> {
    match encoder {
        Some(size) if size > vocab_size => {
            Err(Error::mistake(format!("encoder_vocab_size {size} is more than vocab_size {vocab_size}"))
                .with_hint("encoder and decoder share one embedding: vocab_size counts the ids of both"))
        }
        _ => Ok(()),
    }
}
