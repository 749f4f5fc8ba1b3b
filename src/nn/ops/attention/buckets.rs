//! The relative position buckets of T5 (Raffel et al. 2020, arXiv:1910.10683, section 2.1): small distances have a
//! bucket each, larger ones share buckets on a logarithmic scale, and each head has a learned bias for each bucket.

use candle_core::Tensor;

use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::nn::ops::embedding;

/// The mapping of distances to buckets; names are those of `transformers`' `T5Config`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelativeBuckets {
    /// Whether keys after the query have buckets of their own, half of all; otherwise they share the first.
    pub bidirectional: bool,
    /// Number of buckets.
    pub relative_attention_num_buckets: usize,
    /// The distance from which on all share the last bucket.
    pub relative_attention_max_distance: usize,
}

impl RelativeBuckets {
    /// The bucket of a key `distance` behind the query (negative: before it). Logarithms are taken in f32, as
    /// `transformers` does.
    pub fn bucket(&self, distance: i64) -> u32 {
        let (mut buckets, mut first) = (self.relative_attention_num_buckets, 0);
        if self.bidirectional {
            buckets /= 2;
            first = if distance > 0 { buckets } else { 0 };
        }
        let away =
            if self.bidirectional { distance.unsigned_abs() } else { (-distance).max(0).unsigned_abs() } as usize;
        let exact = buckets / 2;
        if away < exact {
            return (first + away) as u32;
        }
        let range = (self.relative_attention_max_distance as f64 / exact as f64).ln() as f32;
        let share = (away as f32 / exact as f32).ln() / range;
        let large = exact + (share * (buckets - exact) as f32) as usize;
        (first + large.min(buckets - 1)) as u32
    }

    fn check(&self) -> Result<()> {
        let (buckets, most) = (self.relative_attention_num_buckets, self.relative_attention_max_distance);
        let exact = if self.bidirectional { buckets / 4 } else { buckets / 2 };
        if exact == 0 || most <= exact {
            return Err(Error::mistake(format!("{buckets} buckets for distances up to {most}"))
                .with_hint("T5 has relative_attention_num_buckets 32 and relative_attention_max_distance 128"));
        }
        Ok(())
    }
}

/// The bias of [`AttentionOptions`](super::AttentionOptions) from a table (buckets, heads), for `time` queries whose first
/// one is at position `offset` of the `keys` keys: (time + keys − 1, heads). Gradient for the table.
///
/// # Errors
/// A table of another number of buckets, buckets that are none, or `interrupted`, when the user cancels.
pub fn relative_bias(
    table: &Tensor,
    how: RelativeBuckets,
    (time, keys, offset): (usize, usize, usize),
    i: &Interrupt,
) -> Result<Tensor> {
    how.check()?;
    let buckets = table.dims2()?.0;
    if buckets != how.relative_attention_num_buckets || time + keys == 0 {
        return Err(Error::mistake(format!(
            "a table of {:?} does not fit {} buckets, {time} queries and {keys} keys",
            table.dims(),
            how.relative_attention_num_buckets
        )));
    }
    let lowest = 1 - (time + offset) as i64;
    let ids: Vec<u32> = (0..time + keys - 1).map(|entry| how.bucket(lowest + entry as i64)).collect();
    let ids = Tensor::from_vec(ids, time + keys - 1, table.device())?;
    embedding(&ids, table, i) // (time + keys − 1, heads)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ops::reference::{random, values};

    const T5: RelativeBuckets = RelativeBuckets {
        bidirectional: true,
        relative_attention_num_buckets: 32,
        relative_attention_max_distance: 128,
    };

    // Raffel et al.: half of the buckets exact, the rest to 128 on a logarithmic scale. 8 · ln(12 / 8) / ln 16 = 1.17.
    #[test]
    fn near_ones_are_exact_and_far_ones_share() {
        let pairs = [(0, 0), (-1, 1), (-7, 7), (-8, 8), (-11, 8), (-12, 9), (-16, 10), (-127, 15), (-9000, 15)];
        for (distance, bucket) in pairs {
            assert_eq!(T5.bucket(distance), bucket, "{distance}");
            assert_eq!(T5.bucket(-distance), bucket + if distance == 0 { 0 } else { 16 }, "{distance}");
        }
        let causal = RelativeBuckets { bidirectional: false, ..T5 };
        for (distance, bucket) in [(3, 0), (0, 0), (-15, 15), (-16, 16), (-200, 31)] {
            assert_eq!(causal.bucket(distance), bucket, "{distance}");
        }
    }

    #[test]
    fn a_bias_holds_the_bucket_of_each_distance() {
        let table = random(&[32, 3], 1);
        let bias = relative_bias(&table, T5, (4, 9, 5), &Interrupt::new()).unwrap();
        assert_eq!(bias.dims(), [12, 3]);
        let (bias, table) = (values(&bias), values(&table));
        for (h, t, j) in (0..3).flat_map(|h| (0..4).flat_map(move |t| (0..9).map(move |j| (h, t, j)))) {
            let bucket = T5.bucket(j as i64 - (t as i64 + 5)) as usize;
            assert_eq!(bias[(j + 3 - t) * 3 + h], table[bucket * 3 + h]);
        }
        assert!(relative_bias(&random(&[31, 3], 1), T5, (4, 9, 5), &Interrupt::new()).is_err());
    }
}
