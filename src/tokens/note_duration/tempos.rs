//! The tempi that have a token: beats a minute, 4.4 % apart.

/// How many there are.
pub(super) const COUNT: usize = 65;
/// The slowest, in beats a minute; the fastest has four times doubled.
const SLOWEST: f64 = 25.0;
/// Tempi from one to twice as fast.
const STEPS: f64 = 16.0;

/// The index of the tempo nearest to `beats_per_minute`.
pub(super) fn nearest(beats_per_minute: f64) -> u8 {
    (STEPS * (beats_per_minute / SLOWEST).log2()).round().clamp(0.0, (COUNT - 1) as f64) as u8
}

/// The beats a minute of an index, rounded.
pub(super) fn beats_per_minute(place: u8) -> u32 {
    (SLOWEST * (f64::from(place) / STEPS).exp2()).round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tempo_is_the_nearest_to_itself_and_none_has_the_name_of_another() {
        for place in 0..COUNT as u8 {
            assert_eq!(nearest(f64::from(beats_per_minute(place))), place);
            assert!(place == 0 || beats_per_minute(place) > beats_per_minute(place - 1));
        }
        assert_eq!([beats_per_minute(0), beats_per_minute(64)], [25, 400]);
        assert_eq!([nearest(1.0), nearest(1e6), nearest(0.0)], [0, 64, 0]);
    }
}
