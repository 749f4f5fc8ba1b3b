//! Audio: scores rendered with a SoundFont, as samples, WAV or MP3.
//!
//! A grand piano and a small jazz band come with the binary, so that a score sounds with no download; any SoundFont 2
//! can take their place. MP3 is the compact form because every browser plays it, whatever its age.

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
