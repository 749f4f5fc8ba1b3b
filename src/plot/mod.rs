//! Pictures: as Unicode text for the terminal, as SVG for notebooks and files.

mod figure;
mod heat_map;
mod piano_roll;
mod sparkline;
mod table;

pub use figure::Figure;
pub use heat_map::heat_map;
pub use piano_roll::piano_roll;
pub use sparkline::sparkline;
pub use table::table;
