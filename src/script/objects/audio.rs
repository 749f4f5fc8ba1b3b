//! `Audio`: a score rendered as sound.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::audio::{self, Font, HeardPart, Settings};
use crate::error::{Error, Result};
use crate::files::locate;
use crate::midi;
use crate::progress::Progress;
use crate::script::Bundle;
use crate::script::failure::Fallible;
use crate::script::html;
use crate::script::registry::{Object, Registry};

/// The environment variable for a SoundFont instead of the built-in one.
const VARIABLE: &str = "ETUDE_SOUNDFONT";
/// The bit rate of sound in a notebook, in kilobits a second.
const NOTEBOOK_KBPS: u32 = 40;
/// The options of `audio`.
pub(super) const OPTIONS: &[(&str, &str)] = &[
    ("soundfont", "a SoundFont 2 file to play with (ETUDE_SOUNDFONT, else a piano and a jazz band)"),
    ("seconds", "how much of it the player in a notebook holds at most (180)"),
];

#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Chosen {
    soundfont: Option<PathBuf>,
    seconds: f64,
}

impl Default for Chosen {
    fn default() -> Self {
        Self { soundfont: None, seconds: Settings::NOTEBOOK.most_seconds }
    }
}

/// A handle to a score with a SoundFont. It is rendered when it is shown or saved.
#[derive(Debug, Clone)]
pub(crate) struct Audio {
    score: Rc<midi::Score>,
    font: Font,
    settings: Settings,
}

impl Audio {
    /// A score with the font of the options, else of the environment, else the built-in one.
    pub(super) fn new(score: &Rc<midi::Score>, chosen: &Chosen) -> Result<Self> {
        if chosen.seconds.is_nan() || chosen.seconds <= 0.0 {
            return Err(Error::mistake(format!("audio: seconds must be more than 0, not {}", chosen.seconds)));
        }
        let path = chosen.soundfont.clone().or_else(|| std::env::var_os(VARIABLE).map(PathBuf::from));
        let path = path.map(|path| locate(&path.to_string_lossy())).transpose()?;
        let font = match path.filter(|path| !path.as_os_str().is_empty()) {
            Some(path) => Font::open(&path)?,
            None => Font::built_in()?,
        };
        let settings = Settings { most_seconds: chosen.seconds, ..Settings::NOTEBOOK };
        Ok(Self { score: score.clone(), font, settings })
    }

    /// A score with the default font.
    pub(crate) fn plain(score: &Rc<midi::Score>) -> Result<Self> {
        Self::new(score, &Chosen::default())
    }

    /// The notebook's player of a score: the sound as MP3 in base64, and a note on what is missing.
    pub(crate) fn of(score: &Rc<midi::Score>, progress: &Progress) -> Result<(String, Option<String>)> {
        Self::new(score, &Chosen::default())?.sound(progress)
    }

    fn part(&self) -> HeardPart {
        audio::part(&self.score, &self.settings)
    }

    fn sound(&self, progress: &Progress) -> Result<(String, Option<String>)> {
        let part = self.part();
        let wave = audio::play(&self.score, &self.font, &part, &self.settings, progress)?;
        let sound = html::base64(&audio::mp3(&wave, NOTEBOOK_KBPS, progress)?);
        let cut = (!part.whole).then(|| {
            let minutes = |s: f64| format!("{}:{:02}", s as u64 / 60, s as u64 % 60);
            let (till, all) = (minutes(part.span.end), minutes(self.score.duration()));
            format!("the player ends at {till} of {all}; score.audio().save(\"all.mp3\") writes all of it")
        });
        let notes: Vec<String> = cut.into_iter().chain(self.left_out()).collect();
        let note = (!notes.is_empty()).then(|| notes.join("; "));
        Ok((sound, note))
    }

    /// The part of a score that a notebook plays, as WAV.
    pub(crate) fn wav(&self, progress: &Progress) -> Result<Vec<u8>> {
        Ok(audio::play(&self.score, &self.font, &self.part(), &self.settings, progress)?.wav())
    }

    /// A note on parts that are not audible.
    fn left_out(&self) -> Option<String> {
        let silent = |t: &midi::Track| t.is_drums() && !t.notes.is_empty();
        (!self.font.has_drums() && self.score.tracks.iter().any(silent))
            .then(|| "the drums are not heard: there is no kit; audio(#{ soundfont: \"gm.sf2\" }) has one".into())
    }

    /// Writes the whole score as sound, by the extension of the path.
    pub(super) fn save(&self, path: &Path, progress: &Progress) -> Result<()> {
        audio::save(&self.score, &self.font, path, progress)
    }
}

impl Object for Audio {
    const NAME: &'static str = "Audio";
    const DOC: &'static str = "A score as sound: a player in a notebook.\n\
        score.audio() makes one, save(\"x.wav\") or save(\"x.mp3\") writes it.";
    /// The length of a player is set by its options.
    const BOUNDED: bool = false;

    fn line(&self) -> String {
        let (all, notes) = (self.part().span, self.score.len());
        format!("Audio: {:.1} s of {notes} note{}", all.end - all.start, if notes == 1 { "" } else { "s" })
    }

    fn text(&self, _width: usize) -> String {
        let text = format!("{}; save(\"x.mp3\") or save(\"x.wav\") writes it", self.line());
        self.left_out().map_or_else(|| text.clone(), |note| format!("{text}\n{note}"))
    }

    fn rich(&self, width: usize, progress: &Progress) -> Bundle {
        let mut bundle = Bundle::text(self.text(width));
        match self.sound(&progress.quiet()) {
            Ok((sound, note)) => {
                let note = note.map_or_else(String::new, |text| html::note(&text));
                // Only the HTML contains the sound, which would otherwise be stored twice.
                bundle
                    .forms
                    .insert("text/html", format!("<div>{}{note}</div>", html::player(&sound, &self.line(), "")));
            }
            Err(error) => drop(bundle.forms.insert("text/html", html::note(&error.to_string()))),
        }
        bundle
    }
}

pub(super) fn register(registry: &mut Registry) {
    let mut audio = registry.object::<Audio>();
    audio.get(
        "duration -> float",
        "Its length in seconds, what sounds on after the last note included.",
        |a: &mut Audio| {
            let span = audio::part(&a.score, &Settings::FILE).span;
            span.end - span.start
        },
    );
    let ctx = audio.ctx();
    audio.method(
        "save(path: string)",
        "Writes all of it, by the ending of the path: .wav (16 bits, 44.1 kHz) or .mp3.",
        move |a: &mut Audio, path: &str| -> Fallible<()> { Ok(a.save(&locate(path)?, ctx.progress())?) },
    );
}
