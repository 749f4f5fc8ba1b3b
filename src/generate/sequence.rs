//! `Sequence`: a sequence being generated: its ids, its grammar, and its next cue.

use std::collections::VecDeque;

use crate::generate::Sampler;
use crate::generate::conditioning::{Cue, CuePlan};
use crate::harmony::ChordAt;
use crate::tokens::{Grammar, TokenKind, Tokenizer};

/// Vocabulary look-ups shared by all sequences.
#[derive(Debug)]
pub(super) struct TokenTable {
    /// Whether an id can be drawn at all: chords and special tokens but EOS are given, not drawn. A click is only where one
    /// is due.
    drawable: Vec<bool>,
    /// The ids of clicks.
    clicks: Vec<u32>,
    kinds: Vec<TokenKind>,
    /// The grammar at the beginning of a sequence.
    grammar: Grammar,
    pad: u32,
    eos: u32,
}

impl TokenTable {
    pub(super) fn new(tokenizer: &Tokenizer) -> Self {
        let (pad, eos) = (tokenizer.pad(), tokenizer.eos());
        let kinds: Vec<TokenKind> = (0..tokenizer.vocab_size() as u32).map(|id| tokenizer.kind(id)).collect();
        let drawable = kinds.iter().zip(0..).map(|(kind, id)| {
            !matches!(
                kind,
                TokenKind::Chord | TokenKind::Style | TokenKind::Tempo | TokenKind::Click | TokenKind::Special
            ) || id == eos
        });
        let clicks = (0..).zip(&kinds).filter(|(_, kind)| **kind == TokenKind::Click).map(|(id, _)| id).collect();
        Self { drawable: drawable.collect(), clicks, kinds, grammar: tokenizer.grammar(), pad, eos }
    }

    pub(super) fn len(&self) -> usize {
        self.kinds.len()
    }

    fn is(&self, id: u32, kind: TokenKind) -> bool {
        self.kinds.get(id as usize) == Some(&kind)
    }
}

/// Whether a sequence follows the cues of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Metre {
    /// It does.
    Given,
    /// Its first token decides: a click, or something else.
    Open,
    /// It has none.
    Free,
}

/// A sequence that is being generated.
#[derive(Debug)]
pub(super) struct Sequence {
    /// The ids, prompt included, without BOS and EOS.
    pub(super) ids: Vec<u32>,
    /// The context of the model: BOS and the ids, or the end of them; equally long in all sequences.
    pub(super) context: Vec<u32>,
    /// True when it has ended.
    pub(super) over: bool,
    grammar: Grammar,
    sampler: Sampler,
    /// The next cue.
    next: usize,
    /// What there is of the plan.
    metre: Metre,
    /// Ids of the last cue that are still to come.
    pending: VecDeque<u32>,
    /// Whether the last id was given, not drawn.
    forced: bool,
    /// The moment of the last click that was announced, in seconds.
    announced: f64,
    /// Notes that were added.
    notes: usize,
    /// Log-likelihood of the sampled ids in nats, under the model's distribution over the allowed ids; only where it is
    /// measured.
    log_likelihood: Option<f64>,
}

impl Sequence {
    /// A sequence that begins with the prompt.
    pub(super) fn new(prompt: &[u32], tokenizer: &Tokenizer, plan: &CuePlan, sampler: Sampler) -> Self {
        let mut grammar = tokenizer.grammar();
        for &id in prompt {
            grammar.push(id);
        }
        let context = std::iter::once(tokenizer.bos()).chain(prompt.iter().copied()).collect();
        let (ids, pending) = (prompt.to_vec(), VecDeque::new());
        let mut sequence = Self {
            ids,
            context,
            over: false,
            grammar,
            sampler,
            next: 0,
            metre: if plan.optional { Metre::Open } else { Metre::Given },
            pending,
            forced: false,
            announced: 0.0,
            notes: 0,
            log_likelihood: None,
        };
        // What the prompt contains already, or leaves no place for.
        while let Some((at, cue)) = sequence.cue(plan)
            && sequence.grammar.reached(&at)
            && cue.ids(&sequence.grammar).first().is_none_or(|&id| !sequence.grammar.accepts(id))
        {
            sequence.next += 1;
        }
        sequence.aim(plan);
        sequence
    }

    /// The id that is given next: of a chord, a bar or a beat.
    pub(super) fn due(&mut self, plan: &CuePlan) -> Option<u32> {
        if let Some(id) = self.pending.pop_front() {
            self.forced = true;
            return Some(id);
        }
        let (at, cue) = self.cue(plan)?;
        if self.metre == Metre::Open || !self.grammar.reached(&at) {
            return None;
        }
        let mut cue = cue.clone();
        // Without the grammar time can pass more than one cue: the last of them is used.
        while let Some((_, later)) = plan.cue(self.next + 1).filter(|(later, _)| self.grammar.reached(later)) {
            self.next += 1;
            let chord = later.chord.clone().or(cue.chord);
            cue = Cue { chord, ..later.clone() };
        }
        // Only the first click of all is not announced; one that is late by now is left out.
        if self.notes > 0 || self.grammar.seconds() > 0.0 {
            cue.click = None;
        }
        let mut ids = VecDeque::from(cue.ids(&self.grammar));
        match ids.front() {
            None => {
                self.next += 1;
                self.aim(plan);
                None
            }
            Some(&id) if !self.grammar.accepts(id) => {
                // There is an event at this instant already: the cue comes as soon as time has passed.
                self.grammar.set_horizon(None);
                None
            }
            Some(_) => {
                self.next += 1;
                let id = ids.pop_front();
                self.pending = ids;
                self.forced = true;
                id
            }
        }
    }

    /// Samples the next id from logits (vocabulary).
    ///
    /// Where time must stop at the horizon, the shift that ends there gets the probability of all longer ones: without
    /// it the shorter shifts would become likelier, and notes would crowd before every beat.
    pub(super) fn draw(&mut self, logits: &[f32], plan: &CuePlan, table: &TokenTable) -> u32 {
        let mut mask = table.drawable.clone();
        if self.sampler.options().grammar {
            self.grammar.allow(&mut mask);
            mask.iter_mut().zip(&table.drawable).for_each(|(allowed, drawable)| *allowed &= drawable);
        }
        let mut logits = logits[..table.len()].to_vec();
        let click = self.click(plan);
        if self.sampler.options().grammar
            && let Some((reaching, longer)) = self.grammar.cut_shifts()
            && mask[reaching as usize]
        {
            let shifts = (reaching..=reaching).chain(longer);
            logits[reaching as usize] = log_sum_exp(shifts.map(|id| logits[id as usize])) as f32;
            // What happens at a click comes after it.
            mask[reaching as usize] &= click.is_none();
        }
        if let Some((click, _)) = click {
            logits[click as usize] = log_sum_exp(table.clicks.iter().map(|&id| logits[id as usize])) as f32;
            mask[click as usize] = self.grammar.accepts(click);
        }
        let may_end = self.notes > 0 && plan.until.is_none() && plan.played_through(&self.grammar);
        mask[table.eos as usize] &= may_end;
        if !mask.contains(&true) {
            return table.eos;
        }
        let id = self.sampler.sample(&logits, &self.ids, Some(&mask));
        if let Some(sum) = &mut self.log_likelihood {
            *sum += log_softmax(&logits, &mask, id);
        }
        id
    }

    /// Measures the likelihood of the ids sampled from here on.
    pub(super) fn measure(&mut self) {
        self.log_likelihood = Some(0.0);
    }

    /// Log-likelihood of the sampled ids in nats a note; 0 without a note, and where it was not measured.
    pub(super) fn log_likelihood(&self) -> f64 {
        self.log_likelihood.unwrap_or(0.0) / self.notes.max(1) as f64
    }

    /// Appends an id, sampled or given; `None` when it ends the sequence.
    pub(super) fn append(&mut self, id: u32, plan: &CuePlan, table: &TokenTable) -> Option<u32> {
        if id == table.eos {
            self.over = true;
            self.context.push(table.pad);
            return None;
        }
        self.grammar.push(id);
        self.ids.push(id);
        self.context.push(id);
        let forced = std::mem::take(&mut self.forced);
        match (std::mem::replace(&mut self.metre, Metre::Given), table.is(id, TokenKind::Click)) {
            (Metre::Open, true) => {
                self.pending = self.after_click(plan).into();
                self.next = 1;
            }
            (Metre::Open, false) => {
                self.metre = Metre::Free;
                self.aim(plan);
            }
            (metre, click) => {
                self.metre = metre;
                if click && !forced {
                    self.announce(plan);
                }
            }
        }
        let given = forced || table.is(id, TokenKind::Click);
        if given && self.pending.is_empty() {
            self.aim(plan);
        }
        self.notes += usize::from(table.is(id, TokenKind::Note));
        // A click can be set a step early.
        let arrived = |end: f64| self.pending.is_empty() && self.announced >= end - 1e-6;
        self.over = plan.end().is_some_and(|end| self.grammar.reached(&end) || arrived(end.seconds));
        Some(id)
    }

    /// The next cue and its moment.
    fn cue<'a>(&self, plan: &'a CuePlan) -> Option<(ChordAt, &'a Cue)> {
        if self.metre == Metre::Free { None } else { plan.cue(self.next) }
    }

    /// The click that is due next, and its moment; `None` where another cue or the end is nearer.
    fn click(&self, plan: &CuePlan) -> Option<(u32, ChordAt)> {
        let (at, cue) = self.cue(plan)?;
        let click = cue.click.filter(|_| self.metre == Metre::Open || !self.grammar.reached(&at))?;
        let ends_before = plan.end().is_some_and(|end| end.seconds < at.seconds - 1e-6);
        (!ends_before).then_some((click, at))
    }

    /// What follows the next click, which was drawn: the time until it and the chord that is set there.
    fn announce(&mut self, plan: &CuePlan) {
        let Some((_, at)) = self.click(plan) else { return };
        self.announced = at.seconds;
        self.pending = self.grammar.approach(&at).into();
        self.pending.extend(self.after_click(plan));
        self.next += 1;
    }

    /// What is given behind the click of the next cue, which stands.
    fn after_click(&self, plan: &CuePlan) -> Vec<u32> {
        let cue = self.cue(plan).map(|(_, cue)| Cue { click: None, ..cue.clone() });
        cue.map_or_else(Vec::new, |cue| cue.ids(&self.grammar))
    }

    /// Appends padding after the end, so that all contexts stay equally long.
    pub(super) fn wait(&mut self, table: &TokenTable) {
        self.context.push(table.pad);
    }

    /// Cuts the context to the last `keep` ids, with the opening of a training row in front; where the encoding has no
    /// openings, with the chord in force, if its tokens were cut off.
    pub(super) fn forget(&mut self, keep: usize, table: &TokenTable) {
        self.context.drain(..self.context.len() - keep);
        if let Some(opening) = self.before(keep, table).opening() {
            let len = opening.len().min(keep / 2);
            self.context.splice(..len, opening.into_iter().take(len));
            return;
        }
        let chord = self.grammar.chord().map_or_else(Vec::new, |class| self.grammar.chord_ids(class));
        if keep > chord.len() && !self.context.iter().any(|&id| table.is(id, TokenKind::Chord)) {
            self.context[..chord.len()].copy_from_slice(&chord);
        }
    }

    /// The time at which the last `keep` ids begin, in seconds.
    pub(super) fn begins_at(&self, keep: usize, table: &TokenTable) -> f64 {
        self.before(keep, table).seconds()
    }

    /// The state of the grammar before the last `keep` ids.
    fn before(&self, keep: usize, table: &TokenTable) -> Grammar {
        let mut before = table.grammar.clone();
        self.ids[..self.ids.len().saturating_sub(keep)].iter().for_each(|&id| before.push(id));
        before
    }

    /// Sets the horizon to the next cue or the end, whichever comes first.
    fn aim(&mut self, plan: &CuePlan) {
        let change = self.cue(plan).map(|(at, _)| at);
        let soonest = match (change, plan.end()) {
            (Some(change), Some(end)) => Some(if end.seconds < change.seconds { end } else { change }),
            (change, end) => change.or(end),
        };
        self.grammar.set_horizon(soonest.as_ref());
    }
}

/// The log-probability of `id` among the ids of a mask.
fn log_softmax(logits: &[f32], mask: &[bool], id: u32) -> f64 {
    let allowed = logits.iter().zip(mask).filter(|(_, allowed)| **allowed).map(|(&logit, _)| logit);
    f64::from(logits[id as usize]) - log_sum_exp(allowed)
}

/// The logarithm of the sum of the exponentials.
fn log_sum_exp(logits: impl Iterator<Item = f32> + Clone) -> f64 {
    let highest = f64::from(logits.clone().fold(f32::NEG_INFINITY, f32::max));
    if highest == f64::NEG_INFINITY {
        return highest;
    }
    highest + logits.map(|logit| (f64::from(logit) - highest).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_exponentials_does_not_overflow() {
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(near(log_sum_exp([0.0, 0.0].into_iter()), 2f64.ln()));
        assert!(near(log_sum_exp([1e4, 1e4].into_iter()), 1e4 + 2f64.ln()));
        assert_eq!(log_sum_exp([f32::NEG_INFINITY; 2].into_iter()), f64::NEG_INFINITY);
        assert_eq!(log_sum_exp(std::iter::empty()), f64::NEG_INFINITY);
        let mask = [true, false, true];
        assert!(near(log_softmax(&[5.0, 99.0, 5.0], &mask, 2), -(2f64.ln())));
    }
}
