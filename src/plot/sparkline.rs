//! A series of numbers as one line of block characters.

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// At most `width` blocks ▁▂▃▄▅▆▇█; values that are not finite are gaps. More values than `width` are averaged in
/// groups; the lowest of what is drawn is ▁, the highest █, and a flat row stays in the middle.
///
/// ```
/// assert_eq!(etude::plot::sparkline(&[1.0, 2.0, 3.0], 10).chars().count(), 3);
/// ```
pub fn sparkline(values: &[f64], width: usize) -> String {
    let columns = means(values, width);
    let (low, high) =
        columns.iter().flatten().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
    let block = |v: f64| {
        // Halved first, because the difference of two huge numbers overflows.
        let share = (v / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0);
        if share.is_nan() { BLOCKS[3] } else { BLOCKS[((share * 8.0) as usize).min(7)] }
    };
    columns.into_iter().map(|v| v.map_or(' ', block)).collect()
}

/// The mean of the finite values of each of at most `width` equal groups; `None` where there are none.
fn means(values: &[f64], width: usize) -> Vec<Option<f64>> {
    let columns = values.len().min(width);
    (0..columns)
        .map(|c| {
            let group = &values[c * values.len() / columns..(c + 1) * values.len() / columns];
            let finite: Vec<f64> = group.iter().copied().filter(|v| v.is_finite()).collect();
            let count = finite.len() as f64;
            (count > 0.0).then(|| finite.iter().map(|v| v / count).sum())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_climbs_all_blocks() {
        let ramp: Vec<f64> = (0..8).map(f64::from).collect();
        assert_eq!(sparkline(&ramp, 80), "▁▂▃▄▅▆▇█");
    }

    #[test]
    fn many_values_are_averaged_into_the_width() {
        let ramp: Vec<f64> = (0..1000).map(f64::from).collect();
        assert_eq!(sparkline(&ramp, 8), "▁▂▃▄▅▆▇█");
    }

    #[test]
    fn what_is_not_finite_is_a_gap() {
        assert_eq!(sparkline(&[0.0, f64::NAN, 1.0, f64::INFINITY], 80), "▁ █ ");
    }

    #[test]
    fn flat_and_empty_rows_are_no_trouble() {
        assert_eq!(sparkline(&[2.5; 3], 80), "▄▄▄");
        assert_eq!(sparkline(&[], 80), "");
        assert_eq!(sparkline(&[1.0], 0), "");
        assert_eq!(sparkline(&[f64::MAX, f64::MIN], 80), "█▁");
    }
}
