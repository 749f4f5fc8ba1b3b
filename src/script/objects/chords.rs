//! `Chords`: a progression, from symbols or from a score; `Chord`: one of them.

use std::rc::Rc;

use rhai::{Array, Dynamic, Map};
use serde::Deserialize;

use crate::error::Error;
use crate::harmony::{self, Chart, ChordAt};
use crate::interrupt::Interrupt;
use crate::midi;
use crate::plot;
use crate::script::convert::{number, options, place, whole};
use crate::script::failure::Fallible;
use crate::script::objects::Score;
use crate::script::registry::{Object, Registry};

/// A handle to a progression, with the times of its chords if it comes from a score.
#[derive(Debug, Clone)]
pub(crate) struct Chords(pub(crate) Rc<Chart>, Option<Rc<Vec<ChordAt>>>);

/// A handle to a chord.
#[derive(Debug, Clone)]
pub(crate) struct Chord(Rc<harmony::Chord>);

/// Default tempo, in beats a minute.
const TEMPO: f64 = 120.0;

/// The options of `chords`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ChordsOptions {
    form: Option<String>,
    meter: Option<String>,
}

const OPTIONS: &[(&str, &str)] = &[
    ("form", "the order of its sections: \"AABA\" (as they are written)"),
    ("meter", "its metre: \"3/4\" (4/4, or what the chart itself says)"),
];

impl Chords {
    /// Parses a progression.
    pub(crate) fn parse(text: &str) -> Fallible<Self> {
        Ok(Self::new(text.parse::<Chart>()?))
    }

    fn new(chart: Chart) -> Self {
        Self(Rc::new(chart), None)
    }

    /// Parses a progression in a metre, with its sections in the order of a form.
    fn with_options(text: &str, map: &Map) -> Fallible<Self> {
        let ChordsOptions { form, meter } = options("chords", map)?;
        let mut chart = text.parse::<Chart>()?;
        if let Some(meter) = meter {
            let read = harmony::BarMeter::read(&meter);
            let refused =
                || Error::mistake(format!("chords: no metre is called \"{meter}\"")).with_hint("write it like \"3/4\"");
            chart = chart.in_meter(read.ok_or_else(refused)?);
        }
        if let Some(form) = form {
            chart = chart.with_form(&form)?;
        }
        Ok(Self::new(chart))
    }

    /// The chords of a score in its bars.
    pub(crate) fn heard(score: &midi::Score, chords: Vec<ChordAt>) -> Self {
        Self(Rc::new(Chart::of_score(score, &chords)), Some(Rc::new(chords)))
    }

    /// The onset of each chord: in its score, else at the default tempo.
    fn onsets(&self) -> Array {
        let written = || self.0.onsets(TEMPO);
        let onsets = self.1.as_ref().map_or_else(written, |heard| heard.to_vec());
        let map = |at: ChordAt| -> Dynamic {
            let entries: [(&str, Dynamic); 3] =
                [("seconds", at.seconds.into()), ("beat", at.beat.into()), ("chord", at.chord.name().into())];
            entries.into_iter().map(|(key, value)| (key.into(), value)).collect::<Map>().into()
        };
        onsets.into_iter().map(map).collect()
    }

    fn len(&self) -> usize {
        self.0.chords().count()
    }
}

impl Object for Chords {
    const NAME: &'static str = "Chords";
    const DOC: &'static str = "A chord progression, in bars.\n\
        chords(\"Cmaj7 Am7 | Dm7 G7\") writes one, score.chords() hears one. Without bar lines every chord fills a bar; \
        % repeats the bar before, N.C. means no chord.";

    fn line(&self) -> String {
        let bar = |bar: &harmony::Bar| bar.iter().map(harmony::Chord::name).collect::<Vec<_>>().join(" ");
        self.0.bars.iter().map(bar).collect::<Vec<_>>().join(" | ")
    }

    /// Four bars a line.
    fn text(&self, _width: usize) -> String {
        let bars: Vec<String> =
            self.0.bars.iter().map(|bar| bar.iter().map(harmony::Chord::name).collect::<Vec<_>>().join(" ")).collect();
        let cell = bars.iter().map(|b| b.chars().count()).max().unwrap_or(0);
        let row = |row: &[String]| {
            format!("| {} |", row.iter().map(|b| format!("{b:<cell$}")).collect::<Vec<_>>().join(" | "))
        };
        bars.chunks(4).map(row).collect::<Vec<_>>().join("\n")
    }

    fn svg(&self, _interrupt: &Interrupt) -> Option<String> {
        let bar = |bar: &harmony::Bar| bar.iter().map(harmony::Chord::name).collect();
        Some(plot::chart(&self.0.bars.iter().map(bar).collect::<Vec<_>>()))
    }
}

impl Object for Chord {
    const NAME: &'static str = "Chord";
    const DOC: &'static str = "One chord of a progression.";

    fn line(&self) -> String {
        self.0.name()
    }
}

impl IntoIterator for Chords {
    type Item = Fallible<Chord>;
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.chords().map(|c| Ok(Chord(Rc::new(c.clone())))).collect::<Vec<_>>().into_iter()
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.function(
        "chords(symbols: string) -> Chords",
        "Reads a chord progression: chords(\"Cmaj7 F#m7b5 | B7b9/D# Em6 | % | N.C.\").\n\
         Without bar lines every chord fills a bar; chords between two lines share the bar, and a line's end ends it. \
         |: :| repeats, [1. and [2. are endings, [A] a section, 3/4: a metre, / a beat.",
        Chords::parse,
    );
    let member = registry.function(
        "chords(symbols: string, options: map) -> Chords",
        "Reads a chord progression.\nOptions:",
        |symbols: &str, map: Map| Chords::with_options(symbols, &map),
    );
    member.options = OPTIONS;
    progression(registry);
    let mut chord = registry.object::<Chord>();
    chord.get("name -> string", "Its symbol: \"F#m7b5\".", |c: &mut Chord| c.0.name());
    chord.get("root -> string", "Its root: \"F#\"; empty when there is no chord.", |c: &mut Chord| {
        c.0.root().map_or_else(String::new, |r| r.to_string())
    });
    chord.get("quality -> string", "What follows the root: \"m7b5\".", |c: &mut Chord| c.0.quality().to_string());
    chord.get("bass -> string", "The bass of a slash chord, else the root.", |c: &mut Chord| {
        c.0.bass().or(c.0.root()).map_or_else(String::new, |b| b.to_string())
    });
    chord.get("pitches -> array", "Its pitch classes from the root up: 0 is C, 11 is B.", |c: &mut Chord| {
        c.0.pitches().into_iter().map(|p| Dynamic::from(i64::from(p))).collect::<Array>()
    });
    chord.method(
        "transpose(semitones: int) -> Chord",
        "The same chord, transposed by a number of semitones.",
        |c: &mut Chord, semitones: Dynamic| -> Fallible<Chord> {
            Ok(Chord(Rc::new(c.0.transpose((whole("transpose: semitones", &semitones)? % 12) as i32))))
        },
    );
    chord.operator("==(other: Chord) -> bool", "True when both are written the same.", |a: &mut Chord, b: Chord| {
        a.0 == b.0
    });
    chord.operator("!=(other: Chord) -> bool", "True when they differ.", |a: &mut Chord, b: Chord| a.0 != b.0);
}

fn progression(registry: &mut Registry) {
    let mut chords = registry.object::<Chords>();
    chords.get("len -> int", "How many chords it has.", |c: &mut Chords| c.len() as i64);
    chords.get("bars -> int", "How many bars it has.", |c: &mut Chords| c.0.bars.len() as i64);
    chords.get("meter -> string", "Its first metre: \"4/4\".", |c: &mut Chords| c.0.meter(0).to_string());
    chords
        .get("form -> string", "Its sections in order: \"AABA\"; empty when it has none.", |c: &mut Chords| c.0.form());
    chords.get(
        "onsets -> array",
        "When each chord begins, each a map: seconds, beat (quarters from the start), chord.",
        |c: &mut Chords| c.onsets(),
    );
    chords.operator(
        "+(other: Chords) -> Chords",
        "This progression and then the other.",
        |a: &mut Chords, b: Chords| Chords::new(a.0.append(&b.0)),
    );
    chords.operator(
        "*(times: int) -> Chords",
        "The progression repeated `times` times.",
        |c: &mut Chords, times: i64| -> Fallible<Chords> {
            Ok(Chords::new(c.0.repeat(usize::try_from(times).unwrap_or(0))?))
        },
    );
    chords.index(
        "[](index: int) -> Chord",
        "One of its chords, the first being 0.",
        |c: &mut Chords, index: i64| -> Fallible<Chord> {
            let index = place("chord", index, c.len())?;
            let chord = c.0.chords().nth(index).cloned().unwrap_or_else(harmony::Chord::none);
            Ok(Chord(Rc::new(chord)))
        },
    );
    chords.method(
        "transpose(semitones: int) -> Chords",
        "The same progression, transposed by a number of semitones, in the usual spelling.",
        |c: &mut Chords, semitones: Dynamic| -> Fallible<Chords> {
            let semitones = (whole("transpose: semitones", &semitones)? % 12) as i32;
            let moved = |at: &ChordAt| ChordAt { chord: at.chord.transpose(semitones), ..at.clone() };
            let heard = c.1.as_ref().map(|heard| Rc::new(heard.iter().map(moved).collect::<Vec<_>>()));
            Ok(Chords(Rc::new(c.0.transpose(semitones)), heard))
        },
    );
    chords.method(
        "score() -> Score",
        "The chords voiced on a piano at 120 beats a minute, in its metre.",
        |c: &mut Chords| Score::new(c.0.score(TEMPO)),
    );
    chords.method(
        "score(tempo: float) -> Score",
        "The chords voiced on a piano, at a tempo in beats a minute.",
        |c: &mut Chords, tempo: Dynamic| -> Fallible<Score> {
            let tempo = number("score: tempo", &tempo)?;
            if !(10.0..=1000.0).contains(&tempo) {
                return crate::script::failure::mistake(format!(
                    "score: tempo must lie between 10 and 1000 beats a minute, not {tempo}"
                ));
            }
            Ok(Score::new(c.0.score(tempo)))
        },
    );
    chords.operator(
        "==(other: Chords) -> bool",
        "True when both are written the same.",
        |a: &mut Chords, b: Chords| a.0 == b.0,
    );
    chords.operator("!=(other: Chords) -> bool", "True when they differ.", |a: &mut Chords, b: Chords| a.0 != b.0);
    chords.iterate();
}
