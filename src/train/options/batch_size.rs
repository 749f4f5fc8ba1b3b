//! Rows of a micro-batch: a number, or as many as fit the memory.

use std::fmt;

use serde::de::{Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Rows of a micro-batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchSize {
    /// A fixed number.
    Rows(usize),
    /// The largest part of `global_batch_size` that fits the memory.
    Auto,
}

impl fmt::Display for BatchSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows(rows) => write!(f, "{rows}"),
            Self::Auto => f.write_str("auto"),
        }
    }
}

impl Serialize for BatchSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Rows(rows) => serializer.serialize_u64(*rows as u64),
            Self::Auto => serializer.serialize_str("auto"),
        }
    }
}

impl<'de> Deserialize<'de> for BatchSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = BatchSize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number or \"auto\"")
            }

            fn visit_u64<E: serde::de::Error>(self, rows: u64) -> Result<BatchSize, E> {
                let too_many = || E::invalid_value(Unexpected::Unsigned(rows), &self);
                usize::try_from(rows).map(BatchSize::Rows).map_err(|_| too_many())
            }

            fn visit_i64<E: serde::de::Error>(self, rows: i64) -> Result<BatchSize, E> {
                u64::try_from(rows)
                    .map_err(|_| E::invalid_value(Unexpected::Signed(rows), &self))
                    .and_then(|rows| self.visit_u64(rows))
            }

            fn visit_f64<E: serde::de::Error>(self, rows: f64) -> Result<BatchSize, E> {
                if rows.fract() == 0.0 && (0.0..1e15).contains(&rows) {
                    return self.visit_u64(rows as u64);
                }
                Err(E::invalid_value(Unexpected::Float(rows), &self))
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<BatchSize, E> {
                match word {
                    "auto" => Ok(BatchSize::Auto),
                    _ => Err(E::invalid_value(Unexpected::Str(word), &self)),
                }
            }
        }
        deserializer.deserialize_any(Either)
    }
}
