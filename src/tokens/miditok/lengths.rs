//! Note lengths and time shifts in beats, as `Duration` and `TimeShift` tokens name them: `beat.position.resolution`.

use super::config::Resolution;

/// The lengths of a vocabulary, the shortest first.
#[derive(Debug, Clone)]
pub(super) struct Lengths(Vec<Length>);

#[derive(Debug, Clone, Copy)]
struct Length {
    beat: u32,
    position: u32,
    resolution: u32,
}

impl Length {
    fn ticks(self, ticks_per_beat: u32) -> u32 {
        (self.beat * self.resolution + self.position) * ticks_per_beat / self.resolution
    }
}

impl Lengths {
    pub(super) fn new(beat_res: &[Resolution]) -> Self {
        let mut lengths: Vec<Length> = Vec::new();
        for range in beat_res {
            for beat in range.from..range.to {
                let resolution = range.positions;
                lengths.extend((0..resolution).map(|position| Length { beat, position, resolution }));
            }
        }
        if let Some(last) = beat_res.last() {
            lengths.push(Length { beat: last.to, position: 0, resolution: last.positions });
        }
        lengths.remove(0); // no time at all
        Self(lengths)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// "1.4.8" for a beat and a half.
    pub(super) fn name(&self, index: u16) -> String {
        let Length { beat, position, resolution } = self.0[usize::from(index)];
        format!("{beat}.{position}.{resolution}")
    }

    pub(super) fn ticks(&self, index: u16, ticks_per_beat: u32) -> u32 {
        self.0[usize::from(index)].ticks(ticks_per_beat)
    }

    /// The longest length of at most `ticks` ticks.
    pub(super) fn floor(&self, ticks: u32, ticks_per_beat: u32) -> Option<u16> {
        self.0.partition_point(|length| length.ticks(ticks_per_beat) <= ticks).checked_sub(1).map(|i| i as u16)
    }

    /// The length nearest to `ticks` ticks; the longer of two equally near ones.
    pub(super) fn nearest(&self, ticks: u32, ticks_per_beat: u32) -> u16 {
        let above = self.0.partition_point(|length| length.ticks(ticks_per_beat) < ticks);
        let distance = |i: usize| self.0.get(i).map_or(u32::MAX, |l| l.ticks(ticks_per_beat).abs_diff(ticks));
        match above.checked_sub(1) {
            Some(below) if distance(below) < distance(above) => below as u16,
            _ => above as u16,
        }
    }

    /// Splits ticks into lengths, the longest first; a rest shorter than the shortest is dropped.
    pub(super) fn spell(&self, mut ticks: u32, ticks_per_beat: u32) -> impl Iterator<Item = u16> {
        std::iter::from_fn(move || {
            let index = self.floor(ticks, ticks_per_beat)?;
            ticks -= self.ticks(index, ticks_per_beat);
            Some(index)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths() -> Lengths {
        Lengths::new(&[Resolution { from: 0, to: 4, positions: 8 }, Resolution { from: 4, to: 12, positions: 4 }])
    }

    #[test]
    fn the_default_has_sixty_four_lengths() {
        let lengths = lengths();
        assert_eq!(lengths.len(), 64);
        assert_eq!(
            ["0.1.8", "3.7.8", "4.0.4", "12.0.4"],
            [0, 30, 31, 63].map(|i| lengths.name(i)).map(|n| n).each_ref().map(String::as_str)
        );
        assert_eq!(lengths.ticks(63, 16), 192);
    }

    #[test]
    fn the_nearest_length_is_the_longer_of_two_as_near() {
        let lengths = lengths();
        assert_eq!(lengths.name(lengths.nearest(33, 8)), "4.1.4"); // between 32 and 34
        assert_eq!(lengths.name(lengths.nearest(1, 8)), "0.1.8");
        assert_eq!(lengths.name(lengths.nearest(10_000, 8)), "12.0.4");
    }

    #[test]
    fn a_shift_is_spelled_the_longest_first() {
        let lengths = lengths();
        let names: Vec<String> = lengths.spell(96 + 57, 8).map(|i| lengths.name(i)).collect();
        assert_eq!(names, ["12.0.4", "7.0.4", "0.1.8"]);
        assert_eq!(lengths.spell(1, 16).count(), 0);
    }
}
