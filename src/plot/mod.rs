//! Pictures: as Unicode text for the terminal, as SVG for notebooks and files. Texts end without a line end and hold
//! no colours.

mod axis;
mod braille;
mod figure;
mod heat_map;
mod lines;
mod number;
mod piano_roll;
mod roll;
mod sparkline;
mod svg;
mod table;

pub use figure::Figure;
pub use heat_map::heat_map;
pub use piano_roll::piano_roll;
pub use roll::{Roll, System, roll};
pub use sparkline::sparkline;
pub use svg::escape;
pub(crate) use svg::inline;
pub use table::{table, table_within};

/// The name of a key: 60 is "C4".
fn pitch_name(pitch: u8) -> String {
    const NAMES: [&str; 12] = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"];
    format!("{}{}", NAMES[usize::from(pitch % 12)], i32::from(pitch / 12) - 1)
}
