//! Makes the chart of a score from its chords and bars.

use super::{Bar, BarMeter, Chart, shortest};
use crate::harmony::{Chord, ChordAt};
use crate::midi::{Meter, Score};

/// Divisions of a beat to which chord changes are rounded when two would fall together.
const FINEST: usize = 4;

impl Chart {
    /// The chords of a score in its bars, as many as it has: each change on the nearest beat, a chord that lasts two bars in
    /// both. Bars before the first chord are "N.C."; a chord that begins within the first bar with chords fills it.
    pub fn of_score(score: &Score, chords: &[ChordAt]) -> Self {
        let lines = score.bars();
        let mut chart = Self::default();
        let mut last: Option<&Chord> = None;
        for (i, &begin) in lines.iter().enumerate() {
            let end = lines.get(i + 1).copied().unwrap_or_else(|| score.bar_line_from(begin.saturating_add(1)));
            let at = score.meters.partition_point(|m| m.tick <= begin).checked_sub(1);
            let meter = at.map_or(Meter::DEFAULT, |at| score.meters[at]);
            chart.meters.push(BarMeter { bar: i, numerator: meter.numerator, denominator: meter.denominator });
            let length = f64::from(end.saturating_sub(begin).max(1));
            let place = |c: &ChordAt| (f64::from(c.tick) - f64::from(begin)) / length;
            // A chord within half a beat before the bar line belongs to the next bar.
            let early = 0.5 / f64::from(meter.numerator.max(1));
            let first = chords.partition_point(|c| place(c) < -early);
            let within = &chords[first..chords.partition_point(|c| place(c) < 1.0 - early).max(first)];
            let changes: Vec<(f64, &Chord)> = within.iter().map(|c| (place(c), &c.chord)).collect();
            chart.bars.push(bar(&changes, last, usize::from(meter.numerator.max(1))));
            last = within.last().map(|c| &c.chord).or(last);
        }
        chart.settled()
    }
}

/// A bar with changes at shares of its length, after a chord.
fn bar(changes: &[(f64, &Chord)], before: Option<&Chord>, beats: usize) -> Bar {
    let rounded = |parts: usize| -> Vec<usize> {
        changes.iter().map(|(at, _)| ((at * parts as f64).round().max(0.0) as usize).min(parts - 1)).collect()
    };
    let fitting = (1..=FINEST).map(|n| n * beats).find(|parts| rounded(*parts).windows(2).all(|w| w[0] < w[1]));
    let parts = fitting.unwrap_or(FINEST * beats);
    let places = rounded(parts);
    let none = Chord::none();
    let first = before.or(changes.first().map(|(_, chord)| *chord)).unwrap_or(&none);
    let mut bar = vec![first.clone(); parts];
    for (place, (_, chord)) in places.into_iter().zip(changes) {
        bar[place..].fill((*chord).clone());
    }
    shortest(bar)
}

#[cfg(test)]
mod tests {
    use crate::harmony::{Chart, ChordAt, chord_markers, recognize};

    fn chart(text: &str) -> Chart {
        text.parse().unwrap_or_else(|e| panic!("{e}"))
    }

    const CHARTS: [&str; 8] = [
        "Dm7 G7 | Cmaj7 | Cmaj7 | A7",
        "Cmaj7 Am7 | Dm7 G7",
        "Dm7 | G7 | Cmaj7 | Cmaj7",
        "3/4: Dm7 | G7 | Cmaj7 | %",
        "F7 | Bb7 | F7 | Cm7 F7\nBb7 | Bdim7 | F7 | Am7b5 D7\nGm7 | C7 | F7 D7 | Gm7 C7",
        "C / / G7 | C | 3/4: F | Dm7 / G7 | 4/4: C",
        "C Dm7 Em7 F | G7",
        "6/8: C F | G7 | C",
    ];

    #[test]
    fn a_score_gives_its_chart_back() {
        for text in CHARTS {
            let mut chart = chart(text);
            let score = chart.score(120.0);
            chart.sections.clear();
            assert_eq!(Chart::of_score(&score, &chord_markers(&score)), chart, "{text}");
            assert_eq!(chart.bars.len(), score.bars().len());
        }
    }

    #[test]
    fn what_is_heard_has_the_bars_of_the_score() {
        for text in CHARTS {
            let chart = chart(text);
            let score = chart.score(100.0);
            let heard = Chart::of_score(&score, &recognize(&score));
            assert_eq!(heard.bars.len(), chart.bars.len(), "{text}: {heard}");
            // Chords of one beat may be recognised as others.
            if chart.bars.iter().all(|bar| bar.len() < 4) {
                assert_eq!(heard.to_string(), chart.to_string());
            }
        }
    }

    #[test]
    fn changes_are_rounded_to_beats() {
        let score = chart("C | F | G").score(120.0);
        let mut chords: Vec<ChordAt> = chord_markers(&score);
        chords[0].tick = 900;
        chords[1].tick -= 30;
        chords[2].tick += 50;
        assert_eq!(Chart::of_score(&score, &chords).to_string(), "C F G");
        chords[1].tick += 600;
        assert_eq!(Chart::of_score(&score, &chords).to_string(), "C | C F / / | G");
        chords.remove(0);
        assert_eq!(Chart::of_score(&score, &chords).to_string(), "N.C. F G");
        assert_eq!(Chart::of_score(&score, &[]).to_string(), "N.C. N.C. N.C.");
    }
}
