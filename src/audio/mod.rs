//! Audio: renders scores with a SoundFont, as samples, WAV or MP3.
//!
//! A grand piano and a small jazz band are built in, so that a score can be heard without a download; any SoundFont 2
//! can replace them. MP3 is the compact format because every browser plays it.

mod encode;
mod file;
mod font;
mod pack;
mod parts;
mod play;
mod wave;

pub use encode::{Mp3, mp3};
pub use file::{ENDINGS, save};
pub use font::Font;
pub use pack::pack;
pub use play::{HeardPart, Settings, part, play, play_in_blocks};
pub use wave::Wave;
