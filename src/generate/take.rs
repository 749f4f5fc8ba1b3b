//! One take: what it has said, what it may say next, and which chord is due.

use crate::generate::Sampler;
use crate::generate::conditioning::Plan;
use crate::tokens::{Grammar, Kind, Tokenizer};

/// What all takes know of the vocabulary.
#[derive(Debug)]
pub(super) struct Words {
    /// Whether an id can be drawn at all: chords and special tokens but EOS are given, not drawn.
    drawable: Vec<bool>,
    kinds: Vec<Kind>,
    pad: u32,
    eos: u32,
}

impl Words {
    pub(super) fn new(tokenizer: &Tokenizer) -> Self {
        let (pad, eos) = (tokenizer.pad(), tokenizer.eos());
        let kinds: Vec<Kind> = (0..tokenizer.vocab_size() as u32).map(|id| tokenizer.kind(id)).collect();
        let drawable =
            kinds.iter().zip(0..).map(|(kind, id)| !matches!(kind, Kind::Chord | Kind::Special) || id == eos);
        Self { drawable: drawable.collect(), kinds, pad, eos }
    }

    pub(super) fn len(&self) -> usize {
        self.kinds.len()
    }

    fn is(&self, id: u32, kind: Kind) -> bool {
        self.kinds.get(id as usize) == Some(&kind)
    }
}

/// One take.
#[derive(Debug)]
pub(super) struct Take {
    /// What was said, prompt included, without BOS and EOS.
    pub(super) ids: Vec<u32>,
    /// What the model sees: BOS and the ids, or the end of them; as long in all takes.
    pub(super) context: Vec<u32>,
    /// True when it says no more.
    pub(super) over: bool,
    grammar: Grammar,
    sampler: Sampler,
    /// The next change of chord.
    next: usize,
    chord: Option<u32>,
    /// True once a note was added to the prompt.
    plays: bool,
}

impl Take {
    /// A take that has said the prompt.
    pub(super) fn new(prompt: &[u32], tokenizer: &Tokenizer, plan: &Plan, words: &Words, sampler: Sampler) -> Self {
        let mut grammar = tokenizer.grammar();
        for &id in prompt {
            grammar.push(id);
        }
        let context = std::iter::once(tokenizer.bos()).chain(prompt.iter().copied()).collect();
        let chord = prompt.iter().copied().rfind(|&id| words.is(id, Kind::Chord));
        let ids = prompt.to_vec();
        let mut take = Self { ids, context, over: false, grammar, sampler, next: 0, chord, plays: false };
        take.aim(plan);
        take
    }

    /// The chord that must be set now.
    pub(super) fn due(&mut self, plan: &Plan) -> Option<u32> {
        let (at, mut id) = plan.change(self.next)?;
        if !self.grammar.reached(&at) {
            return None;
        }
        // Without the grammar time can pass more than one change: the last of them counts.
        while let Some((_, later)) = plan.change(self.next + 1).filter(|(later, _)| self.grammar.reached(later)) {
            self.next += 1;
            id = later;
        }
        if self.chord == Some(id) {
            self.next += 1;
            self.aim(plan);
            return None;
        }
        if !self.grammar.accepts(id) {
            // Something was said at this instant already: the chord comes as soon as time has passed.
            self.grammar.set_horizon(None);
            return None;
        }
        Some(id)
    }

    /// Draws the next id from logits (vocabulary).
    pub(super) fn draw(&mut self, logits: &[f32], plan: &Plan, words: &Words) -> u32 {
        let mut mask = words.drawable.clone();
        if self.sampler.options().grammar {
            self.grammar.allow(&mut mask);
            mask.iter_mut().zip(&words.drawable).for_each(|(allowed, drawable)| *allowed &= drawable);
        }
        let may_end = self.plays && plan.played_through(&self.grammar);
        mask[words.eos as usize] &= may_end;
        if !mask.contains(&true) {
            return words.eos;
        }
        self.sampler.sample(&logits[..words.len()], &self.ids, Some(&mask))
    }

    /// Takes an id as said, drawn or due; `None` when it ends the take.
    pub(super) fn say(&mut self, id: u32, plan: &Plan, words: &Words) -> Option<u32> {
        if id == words.eos {
            self.over = true;
            self.context.push(words.pad);
            return None;
        }
        self.grammar.push(id);
        self.ids.push(id);
        self.context.push(id);
        if words.is(id, Kind::Chord) {
            self.chord = Some(id);
            self.next += 1;
            self.aim(plan);
        }
        self.plays |= words.is(id, Kind::Note);
        self.over = plan.end().is_some_and(|end| self.grammar.reached(&end));
        Some(id)
    }

    /// Keeps in step with the others once it is over.
    pub(super) fn wait(&mut self, words: &Words) {
        self.context.push(words.pad);
    }

    /// Cuts what the model sees to the last `keep` ids, the chord in force in front if its token was cut off.
    pub(super) fn forget(&mut self, keep: usize, words: &Words) {
        self.context.drain(..self.context.len() - keep);
        if let Some(chord) = self.chord.filter(|_| keep > 1)
            && !self.context.iter().any(|&id| words.is(id, Kind::Chord))
        {
            self.context[0] = chord;
        }
    }

    /// Stops time at the next change of chord or at the end, whichever comes first.
    fn aim(&mut self, plan: &Plan) {
        let change = plan.change(self.next).map(|(at, _)| at);
        let soonest = match (change, plan.end()) {
            (Some(change), Some(end)) => Some(if end.seconds < change.seconds { end } else { change }),
            (change, end) => change.or(end),
        };
        self.grammar.set_horizon(soonest.as_ref());
    }
}
