//! Unrolls a written chart into playing order: repeats, endings, D.C. and D.S., Fine and Coda.

use super::{Bar, BarMeter, Chart, MOST_BARS, Section, too_long};
use crate::error::Result;

/// A bar as it is written.
#[derive(Debug, Clone, Default)]
pub(super) struct WrittenBar {
    pub(super) bar: Bar,
    pub(super) meter: Option<BarMeter>,
    pub(super) section: Option<String>,
    /// A repeat begins before it.
    pub(super) begins: bool,
    /// A repeat ends behind it; how often it is played, if the chart says so.
    pub(super) ends: Option<Option<usize>>,
    /// The passes of a repeat for which an ending begins here.
    pub(super) endings: Vec<usize>,
    pub(super) segno: bool,
    pub(super) coda: bool,
    pub(super) to_coda: bool,
    pub(super) fine: bool,
    pub(super) jump: Option<Jump>,
}

/// The target of a D.C. or D.S.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Jump {
    Capo,
    Segno,
}

/// The chart as it is played.
pub(super) fn unroll(written: &[WrittenBar]) -> Result<Chart> {
    let mut chart = Chart::default();
    let meters = meters(written);
    // The bar, the beginning of the repeat it is in, its pass, and whether a D.C. or D.S. was taken.
    let (mut at, mut start, mut pass, mut jumped) = (0, 0, 1, false);
    while let Some(bar) = written.get(at) {
        if bar.begins && start != at {
            (start, pass) = (at, 1);
        }
        if !bar.endings.is_empty() && !bar.endings.contains(&pass) {
            let next = (at + 1..written.len()).find(|i| written[*i].endings.contains(&pass));
            if let Some(next) = next.filter(|next| !written[at + 1..=*next].iter().any(|w| w.begins)) {
                at = next;
                continue;
            }
        }
        play(&mut chart, &written[at], meters[at]);
        if chart.bars.len() > MOST_BARS {
            return Err(too_long());
        }
        let bar = &written[at];
        if let Some(times) = bar.ends {
            if pass < times.unwrap_or_else(|| passes(written, start)) && !jumped {
                (at, pass) = (start, pass + 1);
                continue;
            }
            (start, pass) = (at + 1, 1);
        }
        if jumped && bar.fine {
            break;
        }
        let coda = (at + 1..written.len()).find(|i| written[*i].coda);
        match (bar.jump, bar.to_coda && jumped, coda) {
            (Some(jump), ..) if !jumped => {
                at = match jump {
                    Jump::Capo => 0,
                    Jump::Segno => written.iter().position(|w| w.segno).unwrap_or(0),
                };
                // The last pass of each repeat is played.
                (start, jumped) = (at, true);
                pass = passes(written, at);
            }
            (_, true, Some(coda)) => at = coda,
            _ => at += 1,
        }
        if jumped && written.get(at).is_some_and(|w| w.begins && start != at) {
            (start, pass) = (at, passes(written, at));
        }
    }
    Ok(chart.settled())
}

fn play(chart: &mut Chart, written: &WrittenBar, meter: BarMeter) {
    let bar = chart.bars.len();
    chart.meters.push(BarMeter { bar, ..meter });
    chart.sections.extend(written.section.iter().map(|name| Section { bar, name: name.clone() }));
    chart.bars.push(written.bar.clone());
}

/// The metre of every bar.
fn meters(written: &[WrittenBar]) -> Vec<BarMeter> {
    let mut meter = BarMeter { bar: 0, numerator: 4, denominator: 4 };
    let next = |written: &WrittenBar| {
        meter = written.meter.unwrap_or(meter);
        meter
    };
    written.iter().map(next).collect()
}

/// How often a repeat is played: by its endings, else twice.
fn passes(written: &[WrittenBar], start: usize) -> usize {
    let next = written.iter().skip(start + 1).position(|w| w.begins).map_or(written.len(), |n| start + 1 + n);
    written[start..next].iter().flat_map(|w| &w.endings).copied().max().unwrap_or(2)
}
