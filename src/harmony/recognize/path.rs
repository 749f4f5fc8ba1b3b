//! The chord of every window: how probable each is given the whole piece (forward–backward), and the path that is right
//! for as long as can be expected (Viterbi over those probabilities).

use crate::error::Result;
use crate::interrupt::Interrupt;

use super::evidence::{Evidence, evidence};
use super::model::{ChordModel, STATES, Scores};
use super::windows::{Place, Window};

/// The cost of a change, in windows: it suppresses short chords.
const CHANGE: f32 = 0.08;

/// The value of the right quality relative to the right root.
const QUALITY: f32 = 0.5;

/// States that are less probable than this share of the best are left out of sums.
const NEGLIGIBLE: f32 = 1e-4;

/// The chord of a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PathStep {
    /// `12 · quality + root`.
    pub(super) state: usize,
    /// A chord begins here.
    pub(super) begins: bool,
    /// The probability that the root is right.
    pub(super) confidence: f32,
}

/// The windows of a score under a model.
pub(super) struct Lattice {
    /// The scores of each window: as the first of a chord, and as a later one.
    emissions: Vec<(Scores, Scores)>,
    /// The weight of a change at each window.
    changes: Vec<f32>,
    transitions: Vec<Scores>,
    start: Scores,
}

/// The best path through the windows.
///
/// # Errors
/// `interrupted`, when the user cancels.
pub(super) fn path(windows: &[Window], model: &ChordModel, interrupt: &Interrupt) -> Result<Vec<PathStep>> {
    let places: Vec<Place> = windows.iter().map(|w| w.place).collect();
    if windows.is_empty() {
        return Ok(Vec::new());
    }
    let evidence = evidence(windows, interrupt)?;
    Ok(best_path(&Lattice::of(&evidence, &places, model, interrupt)?.probabilities(interrupt)?))
}

/// The path with the greatest sum of probabilities of root and quality, less the cost of changes.
fn best_path(probabilities: &[Scores]) -> Vec<PathStep> {
    let mut values = [0.0f32; STATES];
    // Per window: the states that begin there, and the best state before.
    let mut before: Vec<([bool; STATES], usize)> = Vec::with_capacity(probabilities.len());
    for state in probabilities {
        let best = (0..STATES).max_by(|a, b| values[*a].total_cmp(&values[*b])).unwrap_or(0);
        let least = values[best] - CHANGE;
        let roots = roots(state);
        let begins = values.map(|value| value < least);
        values = std::array::from_fn(|s| values[s].max(least) - values[best] + roots[s % 12] + QUALITY * state[s]);
        before.push((begins, best));
    }
    let mut state = (0..STATES).max_by(|a, b| values[*a].total_cmp(&values[*b])).unwrap_or(0);
    let mut steps = Vec::with_capacity(probabilities.len());
    for (probability, (begins, best)) in probabilities.iter().zip(&before).rev() {
        let confidence = roots(probability)[state % 12];
        steps.push(PathStep { state, begins: begins[state], confidence });
        state = if begins[state] { *best } else { state };
    }
    steps.reverse();
    if let Some(first) = steps.first_mut() {
        first.begins = true;
    }
    steps
}

/// The probability of each root.
fn roots(states: &Scores) -> [f32; 12] {
    let mut roots = [0.0; 12];
    states.iter().enumerate().for_each(|(state, p)| roots[state % 12] += p);
    roots
}

fn most(values: &[f32]) -> f32 {
    values.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

/// Scales values so that they sum to one.
fn normalise(values: &mut Scores) {
    let sum: f32 = values.iter().sum();
    let scale = if sum > 0.0 { 1.0 / sum } else { 0.0 };
    values.iter_mut().for_each(|v| *v *= scale);
}

impl Lattice {
    /// Of at least one window.
    ///
    /// # Errors
    /// `interrupted`, when the user cancels.
    pub(super) fn of(
        evidence: &[Evidence],
        places: &[Place],
        model: &ChordModel,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let emissions = evidence.iter().map(|e| interrupt.check().map(|()| model.emissions(e)));
        let emissions: Vec<_> = emissions.collect::<Result<_>>()?;
        let start = std::array::from_fn(|state| model.start[state / 12] + emissions[0].0[state]);
        let changes = places.iter().map(|place| model.change[*place as usize]).collect();
        Ok(Self { emissions, changes, transitions: model.transitions(), start })
    }

    /// The probability of every state in every window.
    fn probabilities(&self, interrupt: &Interrupt) -> Result<Vec<Scores>> {
        let mut all = vec![[0.0f32; STATES]; self.emissions.len()];
        self.sums(interrupt, |i, begins, stays, _| all[i] = std::array::from_fn(|s| begins[s] + stays[s]))?;
        Ok(all)
    }

    /// Emissions as factors, the greatest being 1; the change is part of the first.
    fn factors(&self, i: usize) -> (Scores, Scores) {
        let (first, later) = &self.emissions[i];
        let top = (most(first) + self.changes[i]).max(most(later));
        (first.map(|s| (s + self.changes[i] - top).exp()), later.map(|s| (s - top).exp()))
    }

    /// Calls `visit` for every window from the last to the first with the probability of each state to begin there and
    /// to go on there, and with how probable the states were up to the window before, and the factors of changes.
    ///
    /// # Errors
    /// `interrupted`, when the user cancels.
    pub(super) fn sums(
        &self,
        interrupt: &Interrupt,
        mut visit: impl FnMut(usize, &Scores, &Scores, (&Scores, &[Scores])),
    ) -> Result<()> {
        let matrix: Vec<Scores> = self.transitions.iter().map(|row| row.map(f32::exp)).collect();
        let top = most(&self.start);
        let none = [0.0; STATES];
        // (begins, continues), for the future part of the window.
        let mut forwards = vec![(self.start.map(|s| (s - top).exp()), none)];
        let mut factors = vec![(none, none)];
        let mut mass = forwards[0].0;
        normalise(&mut mass);
        let mut masses = vec![mass];
        for i in 1..self.emissions.len() {
            interrupt.check()?;
            let (first, later) = self.factors(i);
            let least = most(&mass) * NEGLIGIBLE;
            let mut moved = none;
            for (from, &m) in mass.iter().enumerate().filter(|(_, m)| **m > least) {
                moved.iter_mut().zip(&matrix[from]).for_each(|(sum, p)| *sum += m * p);
            }
            let begins: Scores = std::array::from_fn(|s| moved[s] * first[s]);
            let stays: Scores = std::array::from_fn(|s| mass[s] * later[s]);
            mass = std::array::from_fn(|s| begins[s] + stays[s]);
            normalise(&mut mass);
            masses.push(mass);
            forwards.push((begins, stays));
            factors.push((first, later));
        }
        let mut backward = [1.0 / STATES as f32; STATES];
        for (i, (begins, stays)) in forwards.iter().enumerate().rev() {
            interrupt.check()?;
            let mut begins: Scores = std::array::from_fn(|s| begins[s] * backward[s]);
            let mut stays: Scores = std::array::from_fn(|s| stays[s] * backward[s]);
            let sum: f32 = begins.iter().chain(&stays).sum();
            let scale = if sum > 0.0 { 1.0 / sum } else { 0.0 };
            begins.iter_mut().chain(&mut stays).for_each(|p| *p *= scale);
            visit(i, &begins, &stays, (&masses[i.saturating_sub(1)], &matrix));
            let (first, later) = &factors[i];
            let ahead: Scores = std::array::from_fn(|s| first[s] * backward[s]);
            let least = most(&ahead) * NEGLIGIBLE;
            let live: Vec<usize> = (0..STATES).filter(|s| ahead[*s] > least).collect();
            // Only states that are probable before this window matter.
            let before = &masses[i.saturating_sub(1)];
            let least = most(before) * NEGLIGIBLE;
            for state in 0..STATES {
                let moved = |row: &Scores| -> f32 { live.iter().map(|&s| row[s] * ahead[s]).sum() };
                let stays = backward[state] * later[state];
                backward[state] = if before[state] > least { stays + moved(&matrix[state]) } else { 0.0 };
            }
            normalise(&mut backward);
        }
        Ok(())
    }
}
