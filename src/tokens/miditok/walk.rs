//! Time along a sequence of MidiTok's ids.

use crate::midi::Meter;

use super::grid;
use super::token::Token;
use super::{BeatScheme, MidiTok};
use crate::tokens::bpe_words::WordSplit;

/// The time of a sequence: bar, position, tick.
#[derive(Debug, Clone)]
pub(super) struct Walk {
    /// Ticks since the start, [`Config::ticks_per_quarter`](super::Config::ticks_per_quarter) a quarter.
    pub(super) now: u32,
    /// The metre in force and its start.
    pub(super) meter: Meter,
    /// The start of the bar (REMI); `None` before the first.
    pub(super) bar: Option<u32>,
    /// True right after a bar token, where alone a metre may follow in REMI.
    pub(super) after_bar: bool,
    ticks_per_quarter: u32,
}

impl Walk {
    pub(super) fn new(miditok: &MidiTok) -> Self {
        Self {
            now: 0,
            meter: Meter { tick: 0, numerator: 4, denominator: 4 },
            bar: None,
            after_bar: false,
            ticks_per_quarter: miditok.config.ticks_per_quarter(),
        }
    }

    /// Advances by a token; true when it is a metre at a place where a metre may be.
    pub(super) fn take(&mut self, miditok: &MidiTok, token: Token) -> bool {
        let after_bar = std::mem::replace(&mut self.after_bar, token == Token::Bar);
        match token {
            Token::Bar => {
                self.now = self.next_bar();
                self.bar = Some(self.now);
            }
            Token::Position(index) => {
                let bar = *self.bar.get_or_insert(0);
                self.now = bar.saturating_add(u32::from(index) * self.ticks_per_position(miditok));
            }
            Token::Shift(length) => {
                self.now = self.now.saturating_add(miditok.lengths.ticks(length, self.ticks_per_beat()));
            }
            Token::TimeSig(index) => {
                let (numerator, denominator) = miditok.config.time_signatures[usize::from(index)];
                let placed = if miditok.style == BeatScheme::Remi { after_bar } else { self.at_bar_line() };
                if placed && (numerator, denominator) != (self.meter.numerator, self.meter.denominator) {
                    self.meter = Meter { tick: self.now, numerator, denominator };
                }
                return placed;
            }
            _ => {}
        }
        false
    }

    /// The start of the next bar (REMI).
    pub(super) fn next_bar(&self) -> u32 {
        self.bar.map_or(0, |bar| bar.saturating_add(self.ticks_per_bar()))
    }

    pub(super) fn at_bar_line(&self) -> bool {
        (self.now - self.meter.tick).is_multiple_of(self.ticks_per_bar())
    }

    /// The last bar line or beat.
    pub(super) fn line(&self, split: WordSplit) -> u32 {
        let length = match split {
            WordSplit::No => return 0,
            WordSplit::Bar => self.ticks_per_bar(),
            WordSplit::Beat => self.ticks_per_beat().max(1),
        };
        let since = self.now - self.meter.tick;
        self.now - since % length
    }

    pub(super) fn ticks_per_bar(&self) -> u32 {
        grid::ticks_per_bar(self.meter, self.ticks_per_quarter)
    }

    pub(super) fn ticks_per_beat(&self) -> u32 {
        grid::ticks_per_beat(self.meter, self.ticks_per_quarter)
    }

    pub(super) fn ticks_per_position(&self, miditok: &MidiTok) -> u32 {
        self.ticks_per_beat() / miditok.config.positions()
    }

    /// Beats (quarters) since the start.
    pub(super) fn beats(&self) -> f64 {
        f64::from(self.now) / f64::from(self.ticks_per_quarter)
    }

    /// Seconds since the start at 120 beats per minute.
    pub(super) fn seconds(&self) -> f64 {
        self.beats() / 2.0
    }
}
