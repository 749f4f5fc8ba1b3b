//! Sampling from logits.
//!
//! Ids that are not allowed are removed first; then, in the order of `transformers`' processors, come the repetition
//! penalty, the ban of repeated n-grams, the temperature, top-k, top-p, min-p and typical-p, and one draw from the rest. With
//! logits `z`:
//!
//! - penalty θ: `z/θ` where `z > 0`, else `z·θ`, for every previous id, once;
//! - top-k: logits that are at least the k-th largest (all equal ones stay);
//! - top-p: the shortest run of the likeliest whose probabilities reach `p`;
//! - min-p: ids with at least `min_p` times the probability of the likeliest;
//! - typical-p: with the entropy `H` of what is left, the fewest ids of the smallest `|−log p − H|` whose probabilities reach
//!   `typical_p`.
//!
//! The vocabulary is never sorted as a whole: a run of the likeliest is selected, and twice as long a one while it
//! falls short of `top_p`.

mod options;
#[cfg(test)]
mod tests;

pub use options::SamplerOptions;

use std::collections::HashSet;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::error::Result;

/// A sampler with its random stream.
#[derive(Debug, Clone)]
pub struct Sampler {
    options: SamplerOptions,
    random: ChaCha8Rng,
    /// Reused memory.
    field: Vec<Candidate>,
    ranks: Vec<Rank>,
}

/// An id that can be sampled.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    id: u32,
    logit: f32,
}

impl Sampler {
    /// A sampler at the start of its stream.
    ///
    /// # Errors
    /// See [`SamplerOptions::validate`].
    ///
    /// ```
    /// use etude::generate::{Sampler, SamplerOptions};
    ///
    /// let draws = |seed| -> etude::Result<Vec<u32>> {
    ///     let mut sampler = Sampler::new(SamplerOptions { seed, ..SamplerOptions::default() })?;
    ///     Ok((0..32).map(|_| sampler.sample(&[0.0; 100], &[], None)).collect())
    /// };
    /// assert_eq!(draws(7)?, draws(7)?);
    /// assert_ne!(draws(7)?, draws(8)?);
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn new(options: SamplerOptions) -> Result<Self> {
        options.validate()?;
        let random = ChaCha8Rng::seed_from_u64(options.seed);
        Ok(Self { options, random, field: Vec::new(), ranks: Vec::new() })
    }

    /// The options.
    pub fn options(&self) -> &SamplerOptions {
        &self.options
    }

    /// Replaces the options; the stream is restarted when the seed changes.
    ///
    /// # Errors
    /// See [`SamplerOptions::validate`].
    pub fn set_options(&mut self, options: SamplerOptions) -> Result<()> {
        options.validate()?;
        if options.seed != self.options.seed {
            self.random = ChaCha8Rng::seed_from_u64(options.seed);
        }
        self.options = options;
        Ok(())
    }

    /// A sampler with the same options and a stream of its own, which depends on the seed and the number of the
    /// sequence only.
    pub(crate) fn for_take(&self, take: usize) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(self.options.seed);
        random.set_stream(take as u64 + 1); // stream 0 is the sampler's own
        Self { options: self.options.clone(), random, field: Vec::new(), ranks: Vec::new() }
    }

    /// Samples an id from logits (vocabulary). `previous` are the ids so far (for the penalty), `mask` the allowed ids.
    ///
    /// NaN counts as impossible. Where no allowed id has a logit above −∞, the allowed ids are equally likely (the
    /// first at temperature 0); where nothing is allowed, the mask is ignored; without logits the result is 0.
    ///
    /// ```
    /// use etude::generate::{Sampler, SamplerOptions};
    ///
    /// // At temperature 0 the likeliest that is allowed is drawn.
    /// let mut sampler = Sampler::new(SamplerOptions { temperature: 0.0, ..SamplerOptions::default() })?;
    /// let logits = [0.1, 3.0, 2.0];
    /// assert_eq!(sampler.sample(&logits, &[], None), 1);
    /// assert_eq!(sampler.sample(&logits, &[], Some(&[true, false, true])), 2);
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn sample(&mut self, logits: &[f32], previous: &[u32], mask: Option<&[bool]>) -> u32 {
        let mut field = std::mem::take(&mut self.field);
        let id = self.draw(&mut field, logits, previous, mask);
        self.field = field;
        id
    }

    fn draw(&mut self, field: &mut Vec<Candidate>, logits: &[f32], previous: &[u32], mask: Option<&[bool]>) -> u32 {
        let allowed = |id: usize| mask.is_none_or(|mask| mask.get(id).copied().unwrap_or(false));
        field.clear();
        let ids = logits.iter().enumerate().filter(|&(id, _)| allowed(id));
        field.extend(ids.map(|(id, &logit)| Candidate { id: id as u32, logit }));
        if field.is_empty() {
            return if mask.is_some() { self.draw(field, logits, previous, None) } else { 0 };
        }
        self.penalise(field, previous);
        self.ban_ngrams(field, previous);
        if field.iter().all(|c| c.logit.is_nan() || c.logit == f32::NEG_INFINITY) {
            let place = if self.options.temperature == 0.0 { 0 } else { self.random.random_range(0..field.len()) };
            return field[place].id;
        }
        field.retain(|c| !c.logit.is_nan() && c.logit > f32::NEG_INFINITY);
        if self.options.temperature == 0.0 {
            return field.iter().min_by_key(|c| key(c)).map_or(0, |c| c.id);
        }
        self.keep_top_k(field);
        self.pick(field)
    }

    /// Each previous id is penalised once, however often it occurred.
    fn penalise(&self, field: &mut [Candidate], previous: &[u32]) {
        let penalty = self.options.repetition_penalty as f32;
        if penalty == 1.0 || previous.is_empty() {
            return;
        }
        let mut seen = vec![false; field.last().map_or(0, |c| c.id as usize + 1)];
        for &id in previous {
            if let Some(seen) = seen.get_mut(id as usize) {
                *seen = true;
            }
        }
        for candidate in field.iter_mut().filter(|c| seen[c.id as usize]) {
            let logit = candidate.logit;
            candidate.logit = if logit > 0.0 { logit / penalty } else { logit * penalty };
        }
    }

    /// Removes the ids that would end an n-gram which occurred, unless nothing would be left.
    fn ban_ngrams(&self, field: &mut Vec<Candidate>, previous: &[u32]) {
        let n = self.options.no_repeat_ngram_size;
        if n == 0 || previous.len() + 1 < n {
            return;
        }
        let begun = &previous[previous.len() + 1 - n..];
        let banned: HashSet<u32> =
            previous.windows(n).filter_map(|gram| gram.strip_prefix(begun)?.first().copied()).collect();
        if field.iter().any(|c| !banned.contains(&c.id) && c.logit > f32::NEG_INFINITY) {
            field.retain(|c| !banned.contains(&c.id));
        }
    }

    fn keep_top_k(&self, field: &mut Vec<Candidate>) {
        let k = self.options.top_k;
        if k > 0 && k < field.len() {
            let least = field.select_nth_unstable_by_key(k - 1, key).1.logit;
            field.retain(|c| c.logit >= least);
        }
    }

    /// Temperature, top-p and min-p, and the draw.
    fn pick(&mut self, field: &[Candidate]) -> u32 {
        let highest = field.iter().map(|c| c.logit).fold(f32::NEG_INFINITY, f32::max);
        let Self { options: SamplerOptions { temperature, top_p, min_p, typical_p, .. }, random, ranks, .. } = self;
        let weight = |logit: f32| match highest {
            f32::INFINITY => f64::from(u8::from(logit == f32::INFINITY)),
            _ => ((f64::from(logit) - f64::from(highest)) / *temperature).exp(),
        };
        ranks.clear();
        ranks.extend(field.iter().map(|c| Rank { key: key(c), weight: weight(c.logit) }));
        let kept = if *top_p < 1.0 {
            let enough = *top_p * ranks.iter().map(|rank| rank.weight).sum::<f64>();
            likeliest(ranks, enough)
        } else {
            // The draw must not depend on how the candidates were selected.
            ranks.sort_unstable_by_key(Rank::id);
            ranks
        };
        // The likeliest has weight 1, so that min_p is the least weight that stays.
        kept.iter_mut().filter(|rank| rank.weight < *min_p).for_each(|rank| rank.weight = 0.0);
        let kept = if *typical_p < 1.0 { typical(kept, *typical_p) } else { kept };
        let weight = |rank: &Rank| rank.weight;
        let total: f64 = kept.iter().map(weight).sum();
        let mut left = random.random::<f64>() * total;
        let mut drawn = None;
        for rank in kept.iter() {
            let weight = weight(rank);
            if weight > 0.0 {
                drawn = Some(rank.id());
                left -= weight;
                if left < 0.0 {
                    break;
                }
            }
        }
        drawn.unwrap_or(0)
    }
}

/// A candidate with its weight relative to the likeliest.
#[derive(Debug, Clone, Copy)]
struct Rank {
    key: u64,
    weight: f64,
}

impl Rank {
    fn id(&self) -> u32 {
        self.key as u32
    }
}

/// An integer that sorts candidates by descending logit, equal ones by id, which it contains.
fn key(c: &Candidate) -> u64 {
    // As in `f32::total_cmp` the bits of negative numbers are inverted; and then all of them, since the highest comes
    // first.
    let bits = c.logit.to_bits();
    let rising = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    u64::from(!rising) << 32 | u64::from(c.id)
}

/// The fewest ids whose information is nearest to the entropy and whose probabilities reach `share`.
fn typical(field: &mut [Rank], share: f64) -> &mut [Rank] {
    let total: f64 = field.iter().map(|rank| rank.weight).sum();
    let information = |rank: &Rank| -(rank.weight / total).ln();
    let of_one = |rank: &Rank| if rank.weight > 0.0 { rank.weight / total * information(rank) } else { 0.0 };
    let entropy: f64 = field.iter().map(of_one).sum();
    field.sort_by(|a, b| (information(a) - entropy).abs().total_cmp(&(information(b) - entropy).abs()));
    let mut sum = 0.0;
    let reaching = field.iter().position(|rank| {
        sum += rank.weight;
        sum >= share * total
    });
    let kept = reaching.map_or(field.len(), |place| place + 1);
    &mut field[..kept]
}

/// The shortest run of the likeliest whose weights reach `enough`, in order.
fn likeliest(field: &mut [Rank], enough: f64) -> &mut [Rank] {
    let (mut sorted, mut sum) = (0, 0.0);
    let mut run = 32;
    while sorted < field.len() {
        let end = run.min(field.len());
        if end < field.len() {
            field[sorted..].select_nth_unstable_by_key(end - sorted - 1, |rank| rank.key);
        }
        field[sorted..end].sort_unstable_by_key(|rank| rank.key);
        for place in sorted..end {
            sum += field[place].weight;
            if sum >= enough {
                return &mut field[..=place];
            }
        }
        (sorted, run) = (end, run * 2);
    }
    field
}
