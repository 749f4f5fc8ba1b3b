//! Counts as bars, in SVG.

use std::fmt::Write as _;

use super::axis::ticks;
use super::number::short;
use super::svg::{Anchor, COLORS, Px, Svg};

const SIZE: (f64, f64) = (420.0, 150.0);
const LEFT: f64 = 46.0;
const RIGHT: f64 = 8.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 20.0;

/// A bar for each name and count, from left to right, with a title; of many names only some are written.
pub fn bars(title: &str, counts: &[(String, f64)]) -> String {
    let (wide, high) = (SIZE.0 - LEFT - RIGHT, SIZE.1 - TOP - BOTTOM);
    let most = counts.iter().map(|(_, n)| *n).filter(|n| n.is_finite()).fold(0.0, f64::max);
    let mut svg = Svg::new(SIZE.0, SIZE.1);
    svg.styled((LEFT, 12.0), Anchor::Start, 11.5, " font-weight=\"600\"", title);
    let y = |n: f64| TOP + high * (1.0 - if most > 0.0 { n / most } else { 0.0 });
    let mut rules = String::new();
    for number in ticks(0.0, most.max(1.0), 3).into_iter().filter(|n| *n <= most) {
        let _ = write!(rules, "M{LEFT} {}h{}", Px(y(number)), Px(wide));
        svg.text(LEFT - 5.0, y(number) + 3.4, Anchor::End, 9.5, &short(number));
    }
    svg.rules(&rules, 0.18);
    let each = wide / counts.len().max(1) as f64;
    let mut data = String::new();
    let mut free = LEFT;
    for (i, (name, count)) in counts.iter().enumerate() {
        let x = LEFT + each * i as f64;
        if *count > 0.0 && count.is_finite() {
            let (top, width) = (y(*count).min(TOP + high - 0.5), (each * 0.86).min(each - 0.4).max(0.4));
            let _ = write!(
                data,
                "M{} {}V{}h{}V{}z",
                Px(x + (each - width) / 2.0),
                Px(TOP + high),
                Px(top),
                Px(width),
                Px(TOP + high)
            );
        }
        let half = 3.2 * name.chars().count() as f64;
        if !name.is_empty() && x + each / 2.0 - half >= free && x + each / 2.0 + half <= SIZE.0 {
            svg.text(x + each / 2.0, SIZE.1 - 6.0, Anchor::Middle, 9.5, name);
            free = x + each / 2.0 + half + 6.0;
        }
    }
    svg.raw(format_args!("<path d=\"{data}\" fill=\"{}\"/>", COLORS[0]));
    svg.rules(&format!("M{LEFT} {}h{}", Px(TOP + high), Px(wide)), 0.6);
    svg.finish()
}

/// Values in at most `most` equal classes with round borders: the lower border and the count of each.
pub fn histogram(values: &[f64], most: usize) -> Vec<(String, f64)> {
    let finite = || values.iter().copied().filter(|v| v.is_finite());
    let (Some(low), Some(high)) = (finite().reduce(f64::min), finite().reduce(f64::max)) else { return Vec::new() };
    let borders = ticks(low, high, most / 2);
    let Some(step) = borders.get(1).map(|b| b - borders[0]).filter(|s| *s > 0.0) else {
        return vec![(short(low), finite().count() as f64)];
    };
    let first = (low / step).floor();
    let classes = ((high / step).floor() - first) as usize + 1;
    let mut counts = vec![0.0; classes];
    finite().for_each(|v| counts[(((v / step).floor() - first) as usize).min(classes - 1)] += 1.0);
    counts.into_iter().enumerate().map(|(i, n)| (short((first + i as f64) * step), n)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_have_round_borders() {
        let values: Vec<f64> = (0..100).map(f64::from).collect();
        let classes = histogram(&values, 20);
        assert_eq!(classes.len(), 10);
        assert_eq!(classes[3], ("30".into(), 10.0));
        assert_eq!(histogram(&[5.0, 5.0, f64::NAN], 20), [("5".into(), 2.0)]);
        assert!(histogram(&[], 20).is_empty());
        assert_eq!(histogram(&[-0.3, 0.2, 0.9], 4).iter().map(|(_, n)| n).sum::<f64>(), 3.0);
        assert!(histogram(&[-1e308, 1e308], 10).iter().map(|(_, n)| n).sum::<f64>() <= 2.0);
    }

    #[test]
    fn bars_are_as_tall_as_their_counts() {
        let svg =
            bars("kinds & co", &[("a".into(), 2.0), ("b".into(), 1.0), ("c".into(), 0.0), ("d".into(), f64::NAN)]);
        assert!(svg.contains("kinds &amp; co") && svg.contains(">a<"));
        assert!(svg.contains("V22h") && svg.contains("V76h"), "{svg}");
        assert!(!svg.contains("NaN"));
        assert!(bars("", &[]).ends_with("</svg>\n"));
    }
}
