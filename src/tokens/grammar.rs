//! The grammar of token sequences. The same automaton masks logits in sampling and checks sequences in tests.

use std::ops::RangeInclusive;

use crate::harmony::{ChordAt, ChordClass};
use crate::tokens::automaton::Automaton;
use crate::tokens::bpe;

/// The grammar state of a sequence.
///
/// A sequence that [`Grammar::accepts`] from its first id to EOS decodes to a score whose encoding is that sequence
/// again (except for a key of `note_duration` that is struck while it sounds, which ends the note before). Chords are
/// conditioning, given and never sampled: [`Grammar::allow`] leaves chord tokens out, [`Grammar::accepts`] accepts them
/// where an encoding would put them; and a horizon keeps time from passing the moment of the next chord.
///
/// To generate over chords: set the horizon to the next chord; sample under the mask and push; as soon as the chord is
/// [`Grammar::reached`], push its token and set the next horizon. The mask always allows something: a caller who leaves
/// a reached horizon in place gets events at that instant, and when none are left, time passes all the same.
#[derive(Debug, Clone)]
pub struct Grammar {
    rules: Rules,
}

/// The grammar of an encoding, or of the tokens learned over it.
#[derive(Debug, Clone)]
pub(super) enum Rules {
    Base(Automaton),
    Bpe(bpe::BpeRules),
}

impl Grammar {
    pub(super) fn new(rules: Rules) -> Self {
        Self { rules }
    }

    /// Writes for every id whether it may come next. `mask` has one element an id; at least one becomes true.
    ///
    /// PAD, BOS, MASK and chords are not allowed. After EOS only EOS is, which changes nothing.
    ///
    /// ```
    /// use etude::tokens::{Options, Tokenizer};
    ///
    /// let tokenizer = Tokenizer::new("performance", &Options::default())?;
    /// let mut mask = vec![false; tokenizer.vocab_size()];
    /// tokenizer.grammar().allow(&mut mask);
    /// assert!(mask.iter().any(|&allowed| allowed));
    /// assert!(!mask[tokenizer.pad() as usize] && !mask[tokenizer.id("Chord_C:maj")? as usize]);
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn allow(&self, mask: &mut [bool]) {
        match &self.rules {
            Rules::Base(rules) => rules.allow(mask),
            Rules::Bpe(rules) => rules.allow(mask),
        }
    }

    /// True when `id` may come next, including a chord where an encoding would put it.
    pub fn accepts(&self, id: u32) -> bool {
        match &self.rules {
            Rules::Base(rules) => rules.accepts(id),
            Rules::Bpe(rules) => rules.accepts(id),
        }
    }

    /// Appends `id`. An id that is not allowed is ignored.
    pub fn push(&mut self, id: u32) {
        match &mut self.rules {
            Rules::Base(rules) => rules.push(id),
            Rules::Bpe(rules) => rules.push(id),
        }
    }

    /// Keeps time from passing this moment, so that a chord can be set exactly there; `None` removes it, and so does a
    /// chord that is pushed at it. A chord that is in force already is not a change and needs no horizon.
    pub fn set_horizon(&mut self, at: Option<&ChordAt>) {
        match &mut self.rules {
            Rules::Base(rules) => rules.set_horizon(at),
            Rules::Bpe(rules) => rules.set_horizon(at),
        }
    }

    /// True when time has reached this moment.
    pub fn reached(&self, at: &ChordAt) -> bool {
        match &self.rules {
            Rules::Base(rules) => rules.reached(at),
            Rules::Bpe(rules) => rules.reached(at),
        }
    }

    /// The ids that set a chord in this state, in order; none where the encoding has no chords.
    ///
    /// ```
    /// use etude::harmony::Chord;
    /// use etude::tokens::{Options, Tokenizer};
    ///
    /// let class = "C".parse::<Chord>()?.class();
    /// let performance = Tokenizer::new("performance", &Options::default())?;
    /// assert_eq!(performance.grammar().chord_ids(class), [performance.id("Chord_C:maj")?]);
    /// let remi = Tokenizer::new("remi", &Options::default())?;
    /// assert!(remi.grammar().chord_ids(class).is_empty());
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn chord_ids(&self, class: ChordClass) -> Vec<u32> {
        match &self.rules {
            Rules::Base(rules) => rules.chord_ids(class),
            Rules::Bpe(rules) => rules.chord_ids(class),
        }
    }

    /// The chord in force, if there was a chord token.
    pub fn chord(&self) -> Option<ChordClass> {
        match &self.rules {
            Rules::Base(rules) => rules.chord(),
            Rules::Bpe(rules) => rules.chord(),
        }
    }

    /// The time shift that ends exactly at the horizon, and the ids of the longer ones, which would pass it; `None`
    /// where no shift would, and for encodings with learned tokens.
    ///
    /// A sampler adds the probability of the longer shifts to that of the shift that reaches the horizon.
    pub fn cut_shifts(&self) -> Option<(u32, RangeInclusive<u32>)> {
        match &self.rules {
            Rules::Base(rules) => rules.cut_shifts(),
            Rules::Bpe(_) => None,
        }
    }

    /// The ids of the time up to a click (a bar or a beat) at a moment, which follow the click's own; none where the encoding
    /// has no clicks.
    ///
    /// ```
    /// # use etude::harmony::{Chord, ChordAt};
    /// # use etude::tokens::{Options, Tokenizer};
    /// # let tokenizer = Tokenizer::new("note_duration", &Options::default())?;
    /// let at = ChordAt { tick: 0, beat: 2.5, seconds: 1.25, chord: Chord::none() };
    /// let time = ["TimeShift_100", "TimeShift_25"].map(|name| tokenizer.id(name).unwrap());
    /// assert_eq!(tokenizer.grammar().approach(&at), time);
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn approach(&self, at: &ChordAt) -> Vec<u32> {
        match &self.rules {
            Rules::Base(rules) => rules.approach(at),
            Rules::Bpe(rules) => rules.approach(at),
        }
    }

    /// The ids at the beginning of a sequence that continues from this state, in place of BOS: its style and the chord
    /// in force. `None` for encodings without openings: all but `note_duration`.
    ///
    /// ```
    /// # use etude::tokens::{Options, Tokenizer};
    /// # let tokenizer = Tokenizer::new("note_duration", &Options::default())?;
    /// let mut grammar = tokenizer.grammar();
    /// grammar.push(tokenizer.style_id("rag")?);
    /// assert_eq!(grammar.opening(), Some(vec![tokenizer.style_id("rag")?]));
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn opening(&self) -> Option<Vec<u32>> {
        match &self.rules {
            Rules::Base(rules) => rules.opening(),
            Rules::Bpe(rules) => rules.opening(),
        }
    }

    /// Seconds since the start (for encodings in beats: at 120 beats per minute).
    ///
    /// ```
    /// # use etude::tokens::{Options, Tokenizer};
    /// # let tokenizer = Tokenizer::new("note_duration", &Options::default())?;
    /// let mut grammar = tokenizer.grammar();
    /// grammar.push(tokenizer.id("TimeShift_50")?);
    /// assert_eq!(grammar.seconds(), 0.5);
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn seconds(&self) -> f64 {
        match &self.rules {
            Rules::Base(rules) => rules.seconds(),
            Rules::Bpe(rules) => rules.seconds(),
        }
    }
}
