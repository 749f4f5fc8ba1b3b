//! Pictures: as Unicode text for the terminal, as SVG for notebooks and files. Texts end without a line end and hold
//! no colours.

mod braille;
mod figure;
mod heat_map;
mod number;
mod piano_roll;
mod sparkline;
mod svg;
mod table;

pub use figure::Figure;
pub use heat_map::heat_map;
pub use piano_roll::piano_roll;
pub use sparkline::sparkline;
pub use table::{table, table_within};
