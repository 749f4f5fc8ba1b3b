//! Conditioning over time: chords, and for encodings that have them bars and beats.
//!
//! The chart begins where the new music begins and is repeated end to end. A chord that is in force already is not a
//! change and gets no token, as in training data. With chords, or where bars are counted, an encoding with beats is
//! given all of them, as a click track.

use crate::error::{Error, Result};
use crate::generate::GenerateOptions;
use crate::harmony::{Chart, Chord, ChordAt, ChordClass};
use crate::midi::{Note, Score, Track};
use crate::tokens::{Grammar, Tokenizer};

/// The conditioning of all sequences of a generation.
#[derive(Debug, Clone)]
pub(super) struct CuePlan {
    /// The cues of one pass of the chart.
    cues: Vec<Cue>,
    /// Whether there is a cue on every beat.
    clicks: bool,
    /// Whether the model decides with its first token if there are clicks at all.
    pub(super) optional: bool,
    /// Whether there are chords.
    chords: bool,
    /// Beats of one pass.
    length: f64,
    tempo: f64,
    /// Where the first beat is.
    origin: ChartOrigin,
    /// The most beats to generate.
    limit: Option<f64>,
    /// The end of a regenerated part, in seconds.
    pub(super) until: Option<f64>,
}

/// The tokens that are given at one moment.
#[derive(Debug, Clone)]
pub(super) struct Cue {
    /// Beats since the chart began.
    pub(super) beat: f64,
    /// The token of a bar or a beat.
    pub(super) click: Option<u32>,
    /// The token of the tempo, at bars.
    pub(super) tempo: Option<u32>,
    /// A chord that differs from the one before it in the chart.
    pub(super) chord: Option<Chord>,
}

impl Cue {
    /// The ids to give here, in order, in the state of a grammar.
    pub(super) fn ids(&self, grammar: &Grammar) -> Vec<u32> {
        let class = self.chord.as_ref().map(Chord::class).filter(|&class| grammar.chord() != Some(class));
        let chord = class.map_or_else(Vec::new, |class| grammar.chord_ids(class));
        let tempo = self.tempo.filter(|&id| grammar.accepts(id));
        self.click.into_iter().chain(tempo).chain(chord).collect()
    }
}

/// A moment in the two units of time of the encodings.
#[derive(Debug, Clone, Copy, Default)]
struct ChartOrigin {
    beat: f64,
    seconds: f64,
}

/// What a plan needs to know of the prompt.
#[derive(Debug, Clone, Copy)]
pub(super) struct PromptEnd {
    /// When its last note begins.
    pub(super) seconds: f64,
    /// Whether it has bars and beats.
    pub(super) clicks: bool,
}

impl CuePlan {
    /// The plan of the options, for music that begins `after` seconds of prompt, on the beat nearest to it. Without chords
    /// and bars there are clicks where the prompt has them; without a prompt the model decides.
    ///
    /// # Errors
    /// Chords for an encoding that has no chord tokens, and a chart without chords.
    pub(super) fn new(options: &GenerateOptions, tokenizer: &Tokenizer, prompt: Option<&PromptEnd>) -> Result<Self> {
        let after = prompt.map_or(0.0, |prompt| prompt.seconds);
        let beat_seconds = 60.0 / options.tempo();
        // Encodings in beats count seconds at 120 beats a minute: half a second a beat.
        let origin =
            ChartOrigin { beat: (after / 0.5).round(), seconds: (after / beat_seconds).round() * beat_seconds };
        let chorus = options.chorus();
        let mut cues = options.chords.as_ref().map_or(Ok(Vec::new()), |chart| changes(chart, tokenizer))?;
        let (chords, counted) = (!cues.is_empty(), options.bars.is_some());
        let given = chords || counted || prompt.is_some_and(|prompt| prompt.clicks);
        let has_clicks = tokenizer.beat_id(true).is_some();
        let optional = !given && prompt.is_none() && has_clicks;
        let clicks = (given || optional) && has_clicks;
        if clicks {
            cues = with_clicks(cues, &chorus, options.tempo(), tokenizer);
        }
        let until = options.refill.as_ref().map(|refill| refill.to);
        Ok(Self {
            cues,
            clicks,
            optional,
            chords,
            length: chorus.beats(),
            tempo: options.tempo(),
            origin,
            limit: options.beats(),
            until,
        })
    }

    /// The same with the chords given elsewhere: their cues are gone, and the clicks stay.
    pub(super) fn without_chords(&self) -> Self {
        let clicks = self.cues.iter().filter(|cue| cue.click.is_some());
        Self { cues: clicks.map(|cue| Cue { chord: None, ..cue.clone() }).collect(), ..self.clone() }
    }

    /// The `index`-th cue and its moment; `None` when there are no more.
    pub(super) fn cue(&self, index: usize) -> Option<(ChordAt, &Cue)> {
        let n = self.cues.len();
        let (pass, place) = match index.checked_sub(n) {
            None => (0, index),
            Some(_) if n < 2 => return None,
            Some(further) => {
                // Where a chart ends with its first chord, its beginning is not a change from the second pass on.
                let class = |cue: &Cue| cue.chord.as_ref().map(Chord::class);
                let same = usize::from(!self.clicks && class(&self.cues[0]) == class(&self.cues[n - 1]));
                (1 + further / (n - same), same + further % (n - same))
            }
        };
        let cue = &self.cues[place];
        let chord = cue.chord.clone().unwrap_or_else(Chord::none);
        Some((self.moment(pass as f64 * self.length + cue.beat, chord), cue))
    }

    /// True once the chart has been played to its end; immediately without one.
    pub(super) fn played_through(&self, grammar: &Grammar) -> bool {
        !self.chords || grammar.reached(&self.moment(self.length, Chord::none()))
    }

    /// The latest end of a sequence.
    pub(super) fn end(&self) -> Option<ChordAt> {
        if let Some(seconds) = self.until {
            // Encodings in beats count seconds at 120 beats a minute.
            return Some(ChordAt { tick: 0, beat: seconds / 0.5, seconds, chord: Chord::none() });
        }
        Some(self.moment(self.limit?, Chord::none()))
    }

    fn moment(&self, beat: f64, chord: Chord) -> ChordAt {
        let seconds = self.origin.seconds + beat * 60.0 / self.tempo;
        ChordAt { tick: 0, beat: self.origin.beat + beat, seconds, chord }
    }
}

fn changes(chart: &Chart, tokenizer: &Tokenizer) -> Result<Vec<Cue>> {
    if let Some(first) = chart.onsets(60.0).first().filter(|_| !tokenizer.has_chords()) {
        let message = format!("the {} tokenizer has no token for the chord {}", tokenizer.scheme(), first.chord);
        return Err(Error::mistake(message).with_hint("generate without chords, or use a tokenizer with them"));
    }
    let mut changes: Vec<Cue> = Vec::new();
    let mut last: Option<ChordClass> = None;
    for at in chart.onsets(60.0) {
        let class = Some(at.chord.class());
        if class != last {
            changes.push(Cue { beat: at.beat, click: None, tempo: None, chord: Some(at.chord) });
            last = class;
        }
    }
    if changes.is_empty() {
        return Err(Error::mistake("the chords to play over are empty").with_hint("try chords(\"Cmaj7 Am7 Dm7 G7\")"));
    }
    Ok(changes)
}

/// The changes with a click on every beat, and at bars the tempo, in `quarters` a minute.
fn with_clicks(mut cues: Vec<Cue>, chart: &Chart, quarters: f64, tokenizer: &Tokenizer) -> Vec<Cue> {
    let clicks = clicks(chart);
    for (place, &(beat, bar)) in clicks.iter().enumerate() {
        let click = tokenizer.beat_id(bar);
        // Of the beat: an eighth or a dotted quarter in some metres.
        let length = clicks.get(place + 1).map(|next| next.0 - beat);
        let tempo = length.filter(|_| bar).and_then(|length| tokenizer.tempo_id(quarters / length));
        match cues.iter_mut().find(|cue| (cue.beat - beat).abs() < 1e-6) {
            Some(cue) => (cue.click, cue.tempo) = (click, tempo),
            None => cues.push(Cue { beat, click, tempo, chord: None }),
        }
    }
    cues.sort_by(|a, b| a.beat.total_cmp(&b.beat));
    cues
}

/// The beats of one pass, in quarters, and whether a bar begins there.
fn clicks(chart: &Chart) -> Vec<(f64, bool)> {
    let quarter = f64::from(Chart::TICKS_PER_QUARTER);
    // Beats continue to the end of the last note; bars without a chord have beats, too.
    let whole = Note { start: 0, pitch: 60, end: (chart.beats() * quarter).round() as u32, velocity: 1 };
    let mut score = Score::new(Chart::TICKS_PER_QUARTER);
    score.meters = chart.meters_over(chart.bars.len());
    score.tracks.push(Track { notes: vec![whole], ..Track::default() });
    score.beats().iter().map(|beat| (f64::from(beat.tick) / quarter, beat.bar)).collect()
}
