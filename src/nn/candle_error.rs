//! Conversion of candle's errors, with `interrupted` recognised after passing through candle's graph.

use candle_core::Error as Candle;

use crate::error::Error;
use crate::interrupt::Interrupt;

/// The text of `interrupted` in candle's errors, which cannot hold ours.
const STOPPED: &str = "stopped by an interrupt";

/// [`Interrupt::check`] for the inside of a candle op.
pub(crate) fn check(interrupt: &Interrupt) -> candle_core::Result<()> {
    if interrupt.is_set() { Err(Candle::wrap(STOPPED)) } else { Ok(()) }
}

fn is_stop(error: &Candle) -> bool {
    match error {
        Candle::Wrapped(text) => text.to_string() == STOPPED,
        Candle::Context { inner, .. } | Candle::WithPath { inner, .. } | Candle::WithBacktrace { inner, .. } => {
            is_stop(inner)
        }
        _ => false,
    }
}

impl From<Candle> for Error {
    fn from(error: Candle) -> Self {
        if is_stop(&error) {
            return Self::interrupted();
        }
        #[cfg(feature = "cuda")]
        if let Some(known) = crate::nn::cuda::remedy(&error) {
            return known;
        }
        Self::internal(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_survives_the_way_through_candle() {
        let interrupt = Interrupt::new();
        assert!(check(&interrupt).is_ok());
        interrupt.trigger();
        let stopped = check(&interrupt).unwrap_err();
        assert!(Error::from(stopped.context("in layer 3").bt()).is_interrupted());
    }

    #[test]
    fn another_error_is_internal() {
        let error = Error::from(Candle::msg("no memory"));
        assert!(!error.is_interrupted() && !error.is_mistake());
    }
}
