//! What the encoder of a model reads: the chart of the prompt and of what follows it, as a training row has it.

use crate::data::EncoderInput;
use crate::error::Result;
use crate::generate::conditioning::CuePlan;
use crate::harmony::{ChordAt, ChordClass};
use crate::tokens::{AnnouncedClick, TokenKind, Tokenizer};

/// Moments in a chart beyond these are not written: no take is so long.
const MOST: usize = 100_000;

/// Seconds of chart that are given where nothing says how long the music lasts: about what a training row covers.
const OPEN_ENDED: f64 = 30.0;

/// A chart over time.
#[derive(Debug)]
pub(super) struct SourceChart {
    tokenizer: Tokenizer,
    /// The token of the style, if there is one.
    style: Option<u32>,
    moments: Vec<ChartMoment>,
    /// For each sequence, the second from which its model reads on.
    from: Vec<f64>,
}

/// What a chart says at one moment.
#[derive(Debug, Clone, Copy)]
struct ChartMoment {
    seconds: f64,
    /// The token of a bar or a beat.
    click: Option<u32>,
    tempo: Option<u32>,
    chord: Option<ChordClass>,
}

impl ChartMoment {
    fn at(seconds: f64) -> Self {
        Self { seconds, click: None, tempo: None, chord: None }
    }

    fn click(seconds: f64, id: u32) -> Self {
        Self { click: Some(id), ..Self::at(seconds) }
    }
}

impl SourceChart {
    /// The chart of a prompt, with its chords in line, and of the plan for what follows, once for each sequence.
    ///
    /// # Errors
    /// Refuses encodings without chord tokens.
    pub(super) fn new(prompt: &[u32], plan: &CuePlan, tokenizer: &Tokenizer, count: usize) -> Result<Self> {
        tokenizer.check_pairs()?;
        let (mut grammar, mut style, mut moments) = (tokenizer.grammar(), None, Vec::new());
        let mut click = AnnouncedClick::none();
        for &id in prompt {
            let (kind, before) = (tokenizer.kind(id), grammar.chord());
            let shift = tokenizer.time_shift(id);
            moments.extend(click.reached_before(shift).map(|id| ChartMoment::click(grammar.seconds(), id)));
            grammar.push(id);
            let seconds = grammar.seconds();
            moments.extend(click.reached_after(shift).map(|id| ChartMoment::click(seconds, id)));
            if kind == TokenKind::Click {
                click.announce(id);
            } else if kind == TokenKind::Style {
                style = Some(id);
            } else if kind == TokenKind::Tempo {
                moments.push(ChartMoment { tempo: Some(id), ..ChartMoment::at(seconds) });
            } else if kind == TokenKind::Chord && grammar.chord() != before {
                moments.push(ChartMoment { chord: grammar.chord(), ..ChartMoment::at(seconds) });
            }
        }
        let after = grammar.seconds();
        let end = plan.end().map_or(after + OPEN_ENDED, |end| end.seconds);
        let cues = (0..MOST).map_while(|index| plan.cue(index)).take_while(|(at, _)| at.seconds < end);
        for (ChordAt { seconds, .. }, cue) in cues {
            let chord = cue.chord.as_ref().map(crate::harmony::Chord::class);
            // What the prompt has played already is not given again; a chord that begins before its end is in force then.
            let click = cue.click.filter(|_| seconds >= after);
            if click.is_some() || chord.is_some() {
                moments.push(ChartMoment { seconds, click, tempo: cue.tempo, chord });
            }
        }
        moments.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        Ok(Self { tokenizer: tokenizer.clone(), style, moments, from: vec![0.0; count] })
    }

    /// Lets a sequence read on from a moment: what was before is forgotten, but for the chord in force.
    pub(super) fn read_from(&mut self, sequence: usize, seconds: f64) {
        self.from[sequence] = seconds;
    }

    /// The ids of the charts, one a sequence.
    pub(super) fn input(&self) -> EncoderInput {
        let mut charts: Vec<Vec<u32>> = Vec::with_capacity(self.from.len());
        for (place, &from) in self.from.iter().enumerate() {
            let same = self.from[..place].iter().position(|&other| other == from);
            charts.push(same.map_or_else(|| self.ids(from), |other| charts[other].clone()));
        }
        EncoderInput::padded(&charts, self.tokenizer.pad())
    }

    /// The ids of the chart from a moment on.
    fn ids(&self, from: f64) -> Vec<u32> {
        let (before, after): (Vec<ChartMoment>, Vec<ChartMoment>) =
            self.moments.iter().partition(|at| at.seconds < from);
        let chord = before.iter().rev().find_map(|at| at.chord);
        let in_force = before.iter().rev().find_map(|at| at.tempo);
        let opening = (!before.is_empty()).then(|| ChartMoment { tempo: in_force, chord, ..ChartMoment::at(from) });
        let mut grammar = self.tokenizer.grammar();
        let mut ids: Vec<u32> = self.style.into_iter().collect();
        let (mut elapsed, mut tempo) = (0, None);
        for at in opening.into_iter().chain(after) {
            let chord = at.chord.filter(|&class| grammar.chord() != Some(class));
            let chord = chord.map_or_else(Vec::new, |class| grammar.chord_ids(class));
            let tempo = at.tempo.filter(|&id| tempo.replace(id) != Some(id));
            let new: Vec<u32> = at.click.into_iter().chain(tempo).chain(chord).collect();
            if new.is_empty() {
                continue;
            }
            let steps = (100.0 * (at.seconds - from).max(0.0)).round() as u32;
            let pause = self.tokenizer.pause(steps.saturating_sub(elapsed));
            elapsed = elapsed.max(steps);
            for id in pause.into_iter().chain(new) {
                grammar.push(id);
                ids.push(id);
            }
        }
        ids.push(self.tokenizer.eos());
        ids
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::GenerateOptions;
    use crate::generate::conditioning::PromptEnd;
    use crate::tokens::Options;

    fn tokenizer(scheme: &str) -> Tokenizer {
        Tokenizer::new(scheme, &Options::default()).expect("a tokenizer")
    }

    fn over(chart: &str) -> GenerateOptions {
        GenerateOptions { chords: Some(chart.parse().expect("a chart")), ..GenerateOptions::default() }
    }

    fn chart(tokenizer: &Tokenizer, prompt: &[u32], options: &GenerateOptions, after: f64) -> SourceChart {
        let plan = CuePlan::new(options, tokenizer, prompt_of(after).as_ref()).expect("a plan");
        SourceChart::new(prompt, &plan, tokenizer, 2).expect("a chart")
    }

    fn prompt_of(seconds: f64) -> Option<PromptEnd> {
        (seconds > 0.0).then_some(PromptEnd { seconds, clicks: false })
    }

    fn names(tokenizer: &Tokenizer, ids: &[u32]) -> Vec<String> {
        ids.iter().map(|&id| tokenizer.token(id).expect("a token").to_string()).collect()
    }

    #[test]
    fn the_chart_is_what_training_rows_have() {
        for scheme in ["performance", "note_duration"] {
            let tokenizer = tokenizer(scheme);
            let options = over("Dm7 | G7 | Cmaj7 | %");
            let score = options.chords.as_ref().expect("a chart").score(120.0);
            let mut row = tokenizer.pair(&tokenizer.encode(&score)).expect("a pair").chart;
            row.push(tokenizer.eos());
            let ours = chart(&tokenizer, &[], &options, 0.0).input();
            assert_eq!((ours.rows(), ours.width), (2, ours.input_ids.len() / 2));
            let ours = &ours.input_ids[..ours.width];
            // The beats of a score end with its last onset, those of a chart with its last bar.
            let chords = |ids: &[u32]| -> Vec<String> {
                names(&tokenizer, ids).into_iter().filter(|name| !name.starts_with("Beat")).collect()
            };
            if scheme == "performance" {
                assert_eq!(ours, row);
            } else {
                let bars = |ids: &[u32]| {
                    chords(ids).into_iter().filter(|name| !name.starts_with("TimeShift")).collect::<Vec<_>>()
                };
                assert_eq!(bars(ours), bars(&row));
            }
        }
    }

    #[test]
    fn a_prompt_comes_before_what_follows_and_what_is_over_is_forgotten() {
        let tokenizer = tokenizer("performance");
        let id = |name: &str| tokenizer.id(name).expect("a token");
        let prompt = [
            vec![id("Chord_F:maj"), id("Velocity_16"), id("NoteOn_65")],
            tokenizer.pause(200),
            vec![id("Chord_C:7"), id("NoteOff_65")],
        ];
        let mut chart = chart(&tokenizer, &prompt.concat(), &over("Dm7 | G7"), 2.0);
        let expected = |parts: &[(&str, u32)]| -> Vec<u32> {
            let ids = parts.iter().flat_map(|&(name, pause)| [tokenizer.pause(pause), vec![id(name)]].concat());
            ids.chain([tokenizer.eos()]).collect()
        };
        assert_eq!(
            chart.ids(0.0),
            expected(&[("Chord_F:maj", 0), ("Chord_C:7", 200), ("Chord_D:m7", 0), ("Chord_G:7", 200)])
        );
        assert_eq!(chart.ids(3.0), expected(&[("Chord_D:m7", 0), ("Chord_G:7", 100)]));
        chart.read_from(1, 3.0);
        let input = chart.input();
        let lengths: Vec<usize> =
            input.attention_mask.chunks(input.width).map(|row| row.iter().filter(|&&seen| seen).count()).collect();
        assert_eq!(lengths, [chart.ids(0.0).len(), chart.ids(3.0).len()]);
    }

    #[test]
    fn a_chart_without_an_end_is_given_for_a_while() {
        let tokenizer = tokenizer("note_duration");
        let free = chart(&tokenizer, &[], &GenerateOptions::default(), 0.0).ids(0.0);
        assert!(free.len() < 200, "{} ids", free.len());
        assert_eq!(free.last(), Some(&tokenizer.eos()));
    }

    #[test]
    fn relative_roots_are_counted_from_where_the_chart_begins() {
        let tokenizer = tokenizer("note_duration");
        let chart = chart(&tokenizer, &[tokenizer.style_id("rag").expect("a style")], &over("Dm7 | G7"), 0.0);
        let of = |from: f64, many: usize| names(&tokenizer, &chart.ids(from))[..many].join(" ");
        assert_eq!(of(0.0, 5), "Style_rag Bar_None Tempo_119 Root_+2 Quality_m7");
        assert_eq!(of(1.0, 5), "Style_rag Tempo_119 Root_+2 Quality_m7 Beat_None");
        assert_eq!(of(2.5, 4), "Style_rag Tempo_119 Root_-5 Quality_7", "G as the key nearest to C");
        let remi = Tokenizer::new("remi", &Options::default()).expect("a tokenizer");
        let plan = CuePlan::new(&GenerateOptions::default(), &remi, None).expect("a plan");
        assert!(SourceChart::new(&[], &plan, &remi, 1).is_err());
    }
}
