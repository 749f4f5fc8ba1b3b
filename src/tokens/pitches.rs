//! The keys of a piano and their names.

/// The range that transposition keeps to.
pub(super) const PIANO: std::ops::RangeInclusive<i32> = 21..=108;

/// "C4" for 60.
pub(super) fn key_name(pitch: u8) -> String {
    const NAMES: [&str; 12] = ["C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"];
    format!("{}{}", NAMES[usize::from(pitch % 12)], i32::from(pitch / 12) - 1)
}
