//! The time of day, passed to runs as an argument so that tests can fix it.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970, UTC, whenever it is asked.
pub type WallClock = Arc<dyn Fn() -> f64 + Send + Sync>;

/// The system clock.
pub fn wall_clock() -> WallClock {
    Arc::new(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64()))
}

/// Year, month, day, hour, minute, second of a moment, UTC (days to a date as in Hinnant's `civil_from_days`).
fn civil(seconds: f64) -> [i64; 6] {
    let seconds = seconds.max(0.0) as i64;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468; // days since 0000-03-01
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153; // from March
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    [year, month, day, rest / 3600, rest / 60 % 60, rest % 60]
}

/// `20240131_235959`, UTC.
pub(super) fn stamp(seconds: f64) -> String {
    let [year, month, day, hour, minute, second] = civil(seconds);
    format!("{year:04}{month:02}{day:02}_{hour:02}{minute:02}{second:02}")
}

/// `2024-01-31 23:59`, UTC.
pub(super) fn date(seconds: f64) -> String {
    let [year, month, day, hour, minute, _] = civil(seconds);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `date -u -d @N +%Y%m%d_%H%M%S` says the same.
    #[test]
    fn moments_are_dated() {
        assert_eq!(stamp(0.0), "19700101_000000");
        assert_eq!(stamp(951_868_799.9), "20000229_235959");
        assert_eq!(stamp(1_735_689_600.0), "20250101_000000");
        assert_eq!(date(4_107_542_399.0), "2100-02-28 23:59");
    }

    #[test]
    fn the_wall_clock_goes_on() {
        let clock = wall_clock();
        let first = clock();
        assert!(first > 1.7e9 && clock() >= first);
    }
}
