//! The features of each window for the log-linear model; windows that repeat its harmony contribute.

use crate::error::Result;
use crate::interrupt::Interrupt;

use super::form;
use super::windows::{Chroma, Place, Window};

/// Number of kinds of features.
pub(super) const KINDS: usize = 14;

/// Pitch classes in block chords, which leave the bass to other notes.
const BLOCK: usize = 0;
/// Pitch classes that are absent from such block chords.
const ABSENT: usize = 1;
/// Notes of lines from E3 up.
const LINE: usize = 2;
/// Notes of lines below.
const LOW: usize = 3;
/// Shares of the notes of lines within two bars.
const SCALE: usize = 4;
/// Shares of everything within a dozen bars.
const KEY: usize = 5;
/// The bass, when the chord begins here: of a line.
const FIRST_BASS: usize = 6;
/// The bass of a chord that goes on, on the first or middle beat of a bar.
const STRONG_BASS: usize = 7;
/// The same on other beats.
const WEAK_BASS: usize = 8;
/// The three for the lowest note of a block chord.
const BLOCK_BASS: usize = 3;
/// The same as [`BLOCK`] and [`ABSENT`] for blocks that hold their bass.
const FULL_BLOCK: usize = 12;

/// Where a kind of feature is used.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum When {
    Always,
    /// Where a chord begins.
    First,
    /// Where it goes on.
    Later,
}

/// Where a kind of feature is used.
pub(super) fn when(kind: usize) -> When {
    match kind.checked_sub(FIRST_BASS).filter(|_| kind < FULL_BLOCK).map(|k| k % BLOCK_BASS) {
        None => When::Always,
        Some(0) => When::First,
        Some(_) => When::Later,
    }
}

/// By kind and pitch class.
pub(super) type Evidence = [Chroma; KINDS];

/// What is left of the lines and of everything a window further away.
const SCALE_FADE: f32 = 0.8;
const KEY_FADE: f32 = 0.96;

/// The weight of a repetition relative to the window itself, and of all repetitions together.
const REPEAT: f32 = 0.7;
const REPEATS: f32 = 5.0;

/// The evidence of every window.
///
/// # Errors
/// `interrupted`, when the user cancels.
pub(super) fn evidence(windows: &[Window], interrupt: &Interrupt) -> Result<Vec<Evidence>> {
    let lines = around(windows, SCALE_FADE, |w, class| w.line[class] + w.low[class]);
    let keys = around(windows, KEY_FADE, |w, class| w.line[class] + w.low[class] + w.block[class]);
    let own: Vec<Evidence> = windows.iter().zip(lines).zip(keys).map(|((w, l), k)| alone(w, l, k)).collect();
    let repeats = form::repeats(windows, interrupt)?;
    let pooled = |(i, own_here): (usize, &Evidence)| {
        let mut sum = *own_here;
        let total: f32 = repeats[i].iter().map(|r| r.1 * REPEAT).sum();
        let share = REPEAT * (REPEATS / total.max(REPEATS));
        for &(other, weight) in &repeats[i] {
            // Block chords are not shared between repetitions.
            for kind in (LINE..FIRST_BASS + BLOCK_BASS).filter(|k| *k != KEY) {
                let there = &own[other][kind];
                sum[kind].iter_mut().zip(there).for_each(|(s, o)| *s += share * weight * o);
            }
        }
        interrupt.check().map(|()| sum)
    };
    own.iter().enumerate().map(pooled).collect()
}

fn alone(window: &Window, scale: Chroma, key: Chroma) -> Evidence {
    let mut evidence = [[0.0; 12]; KINDS];
    let sound: f32 = window.block.iter().sum();
    let active = (sound - 1.0).clamp(0.0, 1.0);
    let block = if window.bass.is_some_and(|b| b.block) { FULL_BLOCK } else { BLOCK };
    evidence[block] = window.block;
    evidence[block + ABSENT] = window.block.map(|b| active * (1.0 - b));
    evidence[LINE] = window.line;
    evidence[LOW] = window.low;
    evidence[SCALE] = scale;
    evidence[KEY] = key;
    if let Some(bass) = window.bass {
        let later = if window.place == Place::Beat { WEAK_BASS } else { STRONG_BASS };
        for kind in [FIRST_BASS, later] {
            let kind = if bass.block { kind + BLOCK_BASS } else { kind };
            evidence[kind][usize::from(bass.class)] = bass.depth;
        }
    }
    evidence
}

/// The share of each pitch class in what sounds around each window, fading both ways.
fn around(windows: &[Window], fade: f32, sound: impl Fn(&Window, usize) -> f32) -> Vec<Chroma> {
    let mut sums: Vec<Chroma> = windows.iter().map(|w| std::array::from_fn(|class| sound(w, class))).collect();
    let own = sums.clone();
    for i in 1..sums.len() {
        sums[i] = std::array::from_fn(|class| sums[i][class] + fade * sums[i - 1][class]);
    }
    let mut after = [0.0; 12];
    for (sum, own) in sums.iter_mut().zip(&own).rev() {
        for class in 0..12 {
            sum[class] += fade * after[class];
            after[class] = own[class] + fade * after[class];
        }
        let total: f32 = sum.iter().sum();
        *sum = sum.map(|s| if total > 0.0 { s / total } else { 0.0 });
    }
    sums
}
