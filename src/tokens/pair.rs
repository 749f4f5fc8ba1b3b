//! A part of a piece in two: its chart, which an encoder reads, and the events over it, which a decoder predicts.
//!
//! The chart is the part without its notes: style, beats and chords, and the time between them. The events are the part without
//! its chords; where pitches are counted from the chords ([`Tokenizer::counts_from_chords`]) they keep them.

use std::mem::take;

use crate::error::{Error, Result};
use crate::tokens::bpe_words::Words;
use crate::tokens::scheme::Scheme;
use crate::tokens::timed::{AnnouncedClick, shifts, shifts_to_click};
use crate::tokens::{TokenKind, Tokenizer};

/// A part of a piece in two.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceAndTarget {
    /// What is given, in base tokens: byte-pair encoding joins none of them.
    pub chart: Vec<u32>,
    /// What is played, BOS and EOS included where the part has them.
    pub events: Vec<u32>,
}

impl Tokenizer {
    /// Cuts the ids of a part of a piece in two.
    ///
    /// # Errors
    /// Refuses encodings without chord tokens.
    ///
    /// ```
    /// use etude::tokens::{Options, Tokenizer};
    ///
    /// let tokenizer = Tokenizer::new("performance", &Options::default())?;
    /// let ids = |names: &[&str]| -> etude::Result<Vec<u32>> { names.iter().map(|name| tokenizer.id(name)).collect() };
    /// let part = ids(&["Chord_C:maj", "Velocity_16", "NoteOn_60", "TimeShift_80", "Chord_G:7", "TimeShift_20", "NoteOff_60"])?;
    /// let pair = tokenizer.pair(&part)?;
    /// assert_eq!(pair.chart, ids(&["Chord_C:maj", "TimeShift_80", "Chord_G:7"])?);
    /// assert_eq!(pair.events, ids(&["Velocity_16", "NoteOn_60", "TimeShift_100", "NoteOff_60"])?);
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn pair(&self, ids: &[u32]) -> Result<SourceAndTarget> {
        self.check_pairs()?;
        let words = match &self.bpe {
            Some(bpe) => bpe.words(ids),
            None => Words { ids: ids.to_vec(), starts: Vec::new() },
        };
        let (mut chart, mut events) = (TimedLine::of(&self.scheme), TimedLine::of(&self.scheme));
        let mut starts = words.starts.iter().peekable();
        // The id of a click, and the steps until it so far.
        let mut click: AnnouncedClick<(u32, u32)> = AnnouncedClick::none();
        for (place, &id) in words.ids.iter().enumerate() {
            events.cut |= starts.next_if_eq(&&place).is_some();
            let shift = self.scheme.shift_steps(id);
            self.click(click.reached_before(shift), &mut chart, &mut events);
            if let Some(steps) = shift {
                chart.steps += steps;
                match click.ahead() {
                    Some((_, until)) => *until += steps,
                    None => events.steps += steps,
                }
                self.click(click.reached_after(shift), &mut chart, &mut events);
                continue;
            }
            let kind = self.kind(id);
            if kind == TokenKind::Click {
                // Time before a chord that the events leave out is part of the time until the click.
                click.announce((id, take(&mut events.steps)));
                continue;
            }
            if matches!(kind, TokenKind::Chord | TokenKind::Style | TokenKind::Tempo) {
                chart.push(id);
            }
            if kind != TokenKind::Chord || self.counts_from_chords() {
                events.push(id);
            }
        }
        self.click(click.reached_before(None), &mut chart, &mut events);
        events.pass();
        let events = match &self.bpe {
            Some(bpe) => bpe.encode(&events.words),
            None => events.words.ids,
        };
        Ok(SourceAndTarget { chart: chart.words.ids, events })
    }

    /// Writes a click that is reached: to the chart where it is, to the events where it is announced.
    fn click(&self, ahead: Option<(u32, u32)>, chart: &mut TimedLine<'_>, events: &mut TimedLine<'_>) {
        let Some((id, until)) = ahead else { return };
        chart.push(id);
        let approach = self.scheme.shift_ids(shifts_to_click(until));
        let steps = |id: &u32| self.scheme.shift_steps(*id).unwrap_or(0);
        events.push(id);
        events.steps = until - approach.iter().map(steps).sum::<u32>();
        for id in approach {
            events.cut |= self.bpe.is_some();
            events.begin_word();
            events.words.ids.push(id);
        }
        events.cut |= self.bpe.is_some();
    }

    /// Refuses encodings whose pieces have no chart.
    ///
    /// # Errors
    /// Names the encoding.
    pub fn check_pairs(&self) -> Result<()> {
        if self.has_chords() {
            return Ok(());
        }
        let what = match self.scheme() {
            "performance" | "note_duration" => "was made with chords: false",
            _ => "has no chord tokens",
        };
        Err(Error::mistake(format!("the {} tokenizer {what}, so that an encoder has no chart to read", self.scheme()))
            .with_hint("take tokenizer(\"performance\") or tokenizer(\"note_duration\")"))
    }

    /// Whether pitches are counted from the chord in force, so that no events can be read without their chords.
    pub fn counts_from_chords(&self) -> bool {
        self.scheme.counts_from_chords()
    }

    /// The ids that let this number of steps of 10 ms pass; none for encodings that count time otherwise.
    ///
    /// ```
    /// use etude::tokens::{Options, Tokenizer};
    ///
    /// let tokenizer = Tokenizer::new("performance", &Options::default())?;
    /// assert_eq!(tokenizer.pause(130), [tokenizer.id("TimeShift_100")?, tokenizer.id("TimeShift_30")?]);
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn pause(&self, steps: u32) -> Vec<u32> {
        self.scheme.shift_ids(shifts(steps))
    }
}

/// Ids being written, with the time that has passed since the last.
struct TimedLine<'a> {
    scheme: &'a Scheme,
    words: Words,
    /// Steps that no id says yet.
    steps: u32,
    /// Whether the next id begins a word.
    cut: bool,
}

impl<'a> TimedLine<'a> {
    fn of(scheme: &'a Scheme) -> Self {
        Self { scheme, words: Words::default(), steps: 0, cut: true }
    }

    fn pass(&mut self) {
        let pause = self.scheme.shift_ids(shifts(take(&mut self.steps)));
        if !pause.is_empty() {
            self.begin_word();
        }
        self.words.ids.extend(pause);
    }

    fn push(&mut self, id: u32) {
        self.pass();
        self.begin_word();
        self.words.ids.push(id);
    }

    fn begin_word(&mut self) {
        if take(&mut self.cut) {
            self.words.cut();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harmony::Chart;
    use crate::midi::Score;
    use crate::progress::Progress;
    use crate::tokens::Options;

    fn piece() -> Score {
        "Dm7 | G7 | Cmaj7 | A7".parse::<Chart>().expect("a chart").score(100.0)
    }

    fn names(tokenizer: &Tokenizer, ids: &[u32]) -> Vec<String> {
        ids.iter().map(|&id| tokenizer.token(id).expect("a token").to_string()).collect()
    }

    #[test]
    fn events_are_what_the_same_piece_is_without_chords() {
        let tokenizer = Tokenizer::new("performance", &Options::default()).expect("a tokenizer");
        let score = piece();
        let pair = tokenizer.pair(&tokenizer.encode(&score)).expect("a pair");
        assert_eq!(pair.events, tokenizer.encode_with(&score, &[]), "in the one spelling that the grammar has");
        let chords = names(&tokenizer, &pair.chart);
        let chords: Vec<&str> = chords.iter().map(String::as_str).filter(|name| name.starts_with("Chord")).collect();
        assert_eq!(chords, ["Chord_D:m7", "Chord_G:7", "Chord_C:maj7", "Chord_A:7"]);
        // Four quarters at 100 a minute are 2.4 s.
        let gap: Vec<u32> = [vec![pair.chart[0]], tokenizer.pause(240), vec![pair.chart[4]]].concat();
        assert_eq!(pair.chart[..5], gap);
    }

    #[test]
    fn beats_and_style_are_given_to_both_and_relative_pitches_keep_their_chords() {
        let relative = Tokenizer::new("note_duration", &Options::default()).expect("a tokenizer");
        let ids =
            [vec![relative.bos(), relative.style_id("rag").expect("a style")], relative.encode(&piece())].concat();
        let pair = relative.pair(&ids).expect("a pair");
        assert_eq!(pair.events, ids);
        let chart = names(&relative, &pair.chart);
        assert_eq!(chart[..5], ["Style_rag", "Bar_None", "Tempo_100", "Root_+2", "Quality_m7"]);
        assert!(chart.iter().all(|name| !name.starts_with("Pitch") && !name.starts_with("Duration")), "{chart:?}");
        assert_eq!(chart.iter().filter(|name| *name == "Bar_None").count(), 4);
        let options = Options { chord_relative: Some(false), ..Options::default() };
        let absolute = Tokenizer::new("note_duration", &options).expect("a tokenizer");
        let pair = absolute.pair(&absolute.encode(&piece())).expect("a pair");
        assert_eq!(pair.events, absolute.encode_with(&piece(), &[]));
    }

    #[test]
    fn joined_tokens_are_taken_apart_and_joined_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let files: Vec<_> = (0..2).map(|i| folder.path().join(format!("{i}.mid"))).collect();
        for (file, semitones) in files.iter().zip([0, 2]) {
            piece().transpose(semitones).expect("in range").write(file).expect("a file");
        }
        let base = Tokenizer::new("performance", &Options::default()).expect("a tokenizer");
        let bpe = base.train_bpe(&files, base.vocab_size() + 20, &Progress::silent()).expect("tokens to join");
        let (plain, joined) = (base.pair(&base.encode(&piece())), bpe.pair(&bpe.encode(&piece())));
        let (plain, joined) = (plain.expect("a pair"), joined.expect("a pair"));
        assert_eq!(joined.chart, plain.chart);
        assert!(joined.events.len() < plain.events.len());
        assert_eq!(bpe.decode(&joined.events), base.decode(&plain.events));
    }

    #[test]
    fn encodings_without_chords_are_refused() {
        let options = Options { chords: Some(false), ..Options::default() };
        for (scheme, options) in [("remi", Options::default()), ("performance", options)] {
            let tokenizer = Tokenizer::new(scheme, &options).expect("a tokenizer");
            let error = tokenizer.pair(&[]).expect_err("no chords");
            assert!(error.message().contains(scheme) && error.hint().is_some(), "{error}");
        }
    }
}
