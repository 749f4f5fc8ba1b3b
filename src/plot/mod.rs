//! Pictures: as Unicode text for the terminal, as SVG for notebooks and files. Texts end without a line end and hold
//! no colours.
//!
//! Charts (lines, dots, bars, heat maps, parallel coordinates) are drawn by plotters on a backend of ours that writes
//! SVG; the piano roll and the chord chart write theirs themselves; [`Pixels`] makes a bitmap of either.

mod axis;
mod backend;
mod bars;
mod braille;
mod chart;
mod figure;
mod heat_map;
mod lines;
mod number;
mod panel;
mod parallel;
mod pdf;
mod piano_roll;
mod raster;
mod roll;
mod series;
mod shades;
mod sparkline;
mod svg;
mod table;
mod xy;

pub use bars::{bars, bars_text, histogram};
pub use chart::chart;
pub use figure::Figure;
pub use heat_map::heat_map;
pub use panel::{Panel, by_step, smoothing};
pub use parallel::{Column, Mark, Parallel};
pub use piano_roll::piano_roll;
pub use raster::{Paper, Pixels};
pub use roll::{Roll, System, roll};
pub use series::{Series, SeriesStyle};
pub use shades::shades;
pub use sparkline::sparkline;
pub use svg::{escape, size};
pub use table::{table, table_within};
pub use xy::{Bars, Marks, Xy};

use std::path::Path;

use crate::error::{Error, Result};

/// Pixels of a saved picture for each of its units.
const SAVED_SCALE: f32 = 2.0;

/// Writes an SVG, by the ending of the path: `.svg`, or `.png` on white paper.
///
/// # Errors
/// Another ending, or a path the file system refuses.
pub fn save(svg: &str, path: &Path) -> Result<()> {
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
    match ending.as_str() {
        "svg" => crate::atomic::write(path, svg.as_bytes()),
        "png" => crate::atomic::write(path, &Pixels::draw(svg, SAVED_SCALE, Paper::White)?.png()?),
        _ => {
            let (svg, png) = (path.with_extension("svg"), path.with_extension("png"));
            Err(Error::mistake(format!("a picture is saved as .svg or .png, not as {}", path.display()))
                .with_hint(format!("save(\"{}\") or save(\"{}\")", svg.display(), png.display())))
        }
    }
}

/// The name of a key: 60 is "C4".
///
/// ```
/// assert_eq!((etude::plot::pitch_name(60), etude::plot::pitch_name(70)), ("C4".to_string(), "A#4".to_string()));
/// ```
pub fn pitch_name(pitch: u8) -> String {
    const NAMES: [&str; 12] = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"];
    format!("{}{}", NAMES[usize::from(pitch % 12)], i32::from(pitch / 12) - 1)
}
