//! Note lengths: 128 of them, each step of 10 ms up to 0.4 s, then 4.5 % apart up to 20 s.

use std::sync::LazyLock;

/// The number of lengths.
pub(super) const COUNT: usize = 128;

/// Lengths up to here are exact, in steps.
const EXACT: u32 = 40;
/// The longest, in steps.
const LONGEST: u32 = 2000;

/// All lengths in steps, ascending.
static STEPS: LazyLock<[u32; COUNT]> = LazyLock::new(|| {
    let ratio = (f64::from(LONGEST) / f64::from(EXACT)).powf(1.0 / (COUNT as f64 - f64::from(EXACT)));
    let mut steps = [0; COUNT];
    let mut exact = f64::from(EXACT);
    for place in 0..COUNT {
        steps[place] = if place < EXACT as usize {
            place as u32 + 1
        } else {
            exact *= ratio;
            (exact.round() as u32).max(steps[place - 1] + 1)
        };
    }
    steps
});

/// The length at an index, in steps.
pub(super) fn steps(place: u8) -> u32 {
    STEPS[usize::from(place).min(COUNT - 1)]
}

/// The number of step counts that are rounded to the length at an index.
pub(super) fn width(place: u8) -> u32 {
    let place = usize::from(place).min(COUNT - 1);
    let above = STEPS.get(place + 1).copied().unwrap_or(STEPS[place] + 1);
    let below = place.checked_sub(1).map_or(0, |below| STEPS[below]);
    ((above - below) / 2).max(1)
}

/// The index of the length nearest to `steps` that is at most `most` (at least 1).
pub(super) fn nearest(steps: u32, most: u32) -> u8 {
    let above = STEPS.partition_point(|&length| length < steps).min(COUNT - 1);
    let below = above.saturating_sub(1);
    let nearest = if STEPS[above].abs_diff(steps) < steps.abs_diff(STEPS[below]) { above } else { below };
    // Between the first two lengths there is no other.
    let nearest = if steps <= STEPS[0] { 0 } else { nearest };
    nearest.min(STEPS.partition_point(|&length| length <= most).saturating_sub(1)) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_rise_to_twenty_seconds_and_are_within_five_percent_of_any() {
        assert!(STEPS.is_sorted_by(|a, b| a < b));
        assert_eq!((STEPS[0], STEPS[39], STEPS[COUNT - 1]), (1, 40, LONGEST));
        for length in 1..=LONGEST {
            let near = f64::from(steps(nearest(length, u32::MAX)));
            let off = (near - f64::from(length)).abs();
            assert!(off <= 1.0 || off / f64::from(length) < 0.03, "{length} becomes {near}");
            let cut = f64::from(steps(nearest(length, length)));
            assert!(cut <= f64::from(length) && (f64::from(length) - cut <= 1.0 || cut / f64::from(length) > 0.95));
        }
    }

    #[test]
    fn every_length_is_nearest_to_itself() {
        for place in 0..COUNT as u8 {
            assert_eq!(nearest(steps(place), steps(place)), place);
        }
        assert_eq!(nearest(u32::MAX, u32::MAX), COUNT as u8 - 1);
    }
}
