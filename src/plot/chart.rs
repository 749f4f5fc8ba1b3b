//! A chord chart in SVG: bars of equal width, four a line, as a lead sheet has them.

use super::svg::{Anchor, Px, Svg};

const BAR: (f64, f64) = (168.0, 46.0);
const MARGIN: f64 = 6.0;
const A_LINE: usize = 4;
/// The most lines drawn.
const MOST: usize = 250;

/// Draws the names of the chords in each bar.
pub fn chart(bars: &[Vec<String>]) -> String {
    let lines = bars.len().div_ceil(A_LINE).clamp(1, MOST);
    let mut svg = Svg::new(2.0 * MARGIN + BAR.0 * A_LINE as f64, 2.0 * MARGIN + (BAR.1 + 8.0) * lines as f64);
    let mut strokes = String::new();
    let mut thick = String::new();
    for (i, chords) in bars.iter().take(A_LINE * MOST).enumerate() {
        let x = MARGIN + BAR.0 * (i % A_LINE) as f64;
        let y = MARGIN + (BAR.1 + 8.0) * (i / A_LINE) as f64;
        // The last bar ends with a thin line and a thick one (Gould, "Behind Bars", 2011, chapter 1).
        let last = i + 1 == bars.len();
        let end = x + BAR.0 - if last { 5.0 } else { 0.0 };
        strokes += format!("M{} {}v{}M{} {1}v{2}", Px(x), Px(y), Px(BAR.1), Px(end)).as_str();
        if last {
            thick += format!("M{} {}v{}", Px(x + BAR.0), Px(y), Px(BAR.1)).as_str();
        }
        svg.styled((x + 4.0, y + 10.0), Anchor::Start, 8.0, " opacity=\".55\"", &(i + 1).to_string());
        let each = (BAR.0 - 16.0) / chords.len().max(1) as f64;
        for (j, name) in chords.iter().enumerate() {
            let size = (each / (0.66 * name.chars().count().max(1) as f64)).clamp(7.0, 19.0);
            svg.styled((x + 12.0 + each * j as f64, y + 31.0), Anchor::Start, size, " font-weight=\"600\"", name);
        }
    }
    svg.rules(&strokes, 0.55);
    svg.path(&thick, " stroke=\"currentColor\" stroke-width=\"3\"");
    svg.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bar_has_its_chords() {
        let bars: Vec<Vec<String>> =
            ["Cmaj7", "Am7 D7", "G", "%", "F♯m7♭5"].map(|bar| bar.split(' ').map(str::to_string).collect()).into();
        let svg = chart(&bars);
        for name in ["Cmaj7", "Am7", "D7", "F♯m7♭5"] {
            assert!(svg.contains(&format!(">{name}<")), "{svg}");
        }
        assert!(svg.contains("height=\"120\""), "two lines: {svg}");
        assert!(chart(&[]).ends_with("</svg>\n"));
    }
}
