//! SoundFonts: the sampled instruments with which a score is rendered.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustysynth::SoundFont;

use super::pack;
use crate::error::{Error, Result};

/// The built-in instruments: a grand piano (program 0), and a jazz band (vibraphone, guitar, bass, trumpet,
/// saxophones), both cut out of FluidR3 (MIT; see `soundfont/LICENSE`) and packed by [`super::pack`].
const BUILT_IN: [&[u8]; 2] = [include_bytes!("soundfont/piano.etsf"), include_bytes!("soundfont/band.etsf")];

/// The bank of drum kits (General MIDI level 2).
const DRUMS: i32 = 128;

/// A set of instruments; clones share their samples.
#[derive(Clone)]
pub struct Font {
    /// The instruments of each file; a later file is used where the earlier ones lack a program.
    pub(super) parts: Arc<Vec<Instruments>>,
}

/// The instruments of one file.
pub(super) struct Instruments {
    pub(super) sounds: Arc<SoundFont>,
    /// Bank and program of each.
    programs: BTreeSet<(i32, i32)>,
}

impl Font {
    /// The instruments that come with the binary; unpacked at the first call.
    ///
    /// # Errors
    /// None, unless the binary is damaged.
    pub fn built_in() -> Result<Self> {
        static FONT: OnceLock<Font> = OnceLock::new();
        if let Some(font) = FONT.get() {
            return Ok(font.clone());
        }
        let parts = BUILT_IN.into_iter().map(Instruments::read).collect::<Result<_>>()?;
        Ok(FONT.get_or_init(|| Self { parts: Arc::new(parts) }).clone())
    }

    /// Reads a SoundFont 2 file.
    ///
    /// # Errors
    /// A file that cannot be read or is not a SoundFont 2.
    pub fn open(path: &Path) -> Result<Self> {
        crate::files::check_is_file(path)?;
        let bytes = std::fs::read(path).map_err(|e| Error::io("cannot read", path, e))?;
        let font = Instruments::read(&bytes).map_err(|e| {
            e.context(path.display()).with_hint("give it a SoundFont 2 with uncompressed samples (.sf2)")
        })?;
        Ok(Self { parts: Arc::new(vec![font]) })
    }

    /// True when there is a drum kit.
    pub fn has_drums(&self) -> bool {
        self.instrument(0, true).is_some()
    }

    /// The instrument for a General MIDI program: the index of its file, and the program there. The program itself,
    /// else one of its family (eight programs each), else the first available. `None` for drums without a kit.
    pub(super) fn instrument(&self, program: u8, drums: bool) -> Option<(usize, i32)> {
        let program = i32::from(program);
        let all = || self.parts.iter().enumerate();
        if drums {
            return all().find(|(_, p)| p.programs.iter().any(|(bank, _)| *bank == DRUMS)).map(|(i, _)| (i, program));
        }
        let family = program / 8 * 8..program / 8 * 8 + 8;
        let kin = |p: &Instruments| p.melodic().find(|other| family.contains(other));
        let exact = all().find(|(_, p)| p.programs.contains(&(0, program))).map(|(i, _)| (i, program));
        let near = || all().find_map(|(i, p)| Some((i, kin(p)?)));
        exact.or_else(near).or_else(|| all().find_map(|(i, p)| Some((i, p.melodic().next()?))))
    }
}

impl Instruments {
    fn read(bytes: &[u8]) -> Result<Self> {
        let plain;
        let bytes = if pack::is_packed(bytes) {
            plain = pack::unpack(bytes)?;
            &plain[..]
        } else {
            bytes
        };
        let sounds = SoundFont::new(&mut &bytes[..]).map_err(|e| Error::broken(format!("no SoundFont 2: {e}")))?;
        let programs = sounds.get_presets().iter().map(|p| (p.get_bank_number(), p.get_patch_number())).collect();
        Ok(Self { sounds: Arc::new(sounds), programs })
    }

    /// Its programs, without drum kits.
    fn melodic(&self) -> impl Iterator<Item = i32> {
        self.programs.iter().filter(|(bank, _)| *bank == 0).map(|(_, program)| *program)
    }
}

impl fmt::Debug for Font {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.parts.iter().map(|p| &p.programs)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_has_an_instrument() {
        let font = Font::built_in().expect("the built-in font");
        assert_eq!(font.instrument(0, false), Some((0, 0)));
        assert_eq!(font.instrument(5, false), Some((0, 0)), "an electric piano is played on the piano");
        assert_eq!(font.instrument(66, false), Some((1, 66)));
        assert_eq!(font.instrument(34, false), Some((1, 32)), "a bass for a bass");
        assert_eq!(font.instrument(48, false), Some((0, 0)), "strings are played on the piano");
        assert_eq!(font.instrument(0, true), None, "there are no drums");
    }

    #[test]
    fn what_is_no_font_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.sf2");
        std::fs::write(&path, b"RIFF and no more").expect("written");
        let error = Font::open(&path).expect_err("no font");
        assert!(error.hint().is_some_and(|h| h.contains(".sf2")), "{error}");
        assert!(Font::open(&folder.path().join("absent.sf2")).is_err());
    }
}
