//! Encodes pixels as sixels: columns of six dots in one of up to 256 colours (DEC, "VT330/VT340 Programmer Reference
//! Manual", volume 2, chapter 14). Nearly transparent pixels are left out; the rest is blended with black.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::plot::Pixels;

/// The most colours of a picture.
const COLORS: usize = 255;
/// The opacity below which pixels are not drawn.
const CLEAR: u8 = 40;

/// The whole command. `P2 = 1` keeps the background where there are no dots; `"1;1` says that dots are square.
pub(super) fn encode(pixels: &Pixels) -> String {
    let (colors, dots) = reduced(pixels);
    let (wide, high) = (pixels.width() as usize, pixels.height() as usize);
    let mut text = format!("\x1bP0;1;0q\"1;1;{wide};{high}");
    for (index, [r, g, b]) in colors.iter().enumerate() {
        let percent = |c: u8| (u32::from(c) * 100 + 127) / 255;
        let _ = write!(text, "#{index};2;{};{};{}", percent(*r), percent(*g), percent(*b));
    }
    for band in (0..high).step_by(6) {
        let rows = band..(band + 6).min(high);
        let mut layers: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
        for y in rows {
            for x in 0..wide {
                if let Some(color) = dots[y * wide + x] {
                    layers.entry(color).or_insert_with(|| vec![0; wide])[x] |= 1 << (y - band);
                }
            }
        }
        for (i, (color, sixels)) in layers.iter().enumerate() {
            // $ returns to the start of the band.
            let _ = write!(text, "{}#{color}", if i > 0 { "$" } else { "" });
            runs(&mut text, sixels);
        }
        text.push('-');
    }
    text + "\x1b\\"
}

/// Sixels as letters from `?` on; four or more of a kind as `!count`.
fn runs(text: &mut String, sixels: &[u8]) {
    let end = sixels.iter().rposition(|s| *s > 0).map_or(0, |last| last + 1);
    for run in sixels[..end].chunk_by(|a, b| a == b) {
        let letter = char::from(b'?' + run[0]);
        match run.len() {
            1..=3 => text.extend(std::iter::repeat_n(letter, run.len())),
            n => {
                let _ = write!(text, "!{n}{letter}");
            }
        }
    }
}

/// Quantises the colours of the picture to at most 255; returns the palette, and the index of each pixel.
fn reduced(pixels: &Pixels) -> (Vec<[u8; 3]>, Vec<Option<usize>>) {
    for bits in (1..=8).rev() {
        let mut known: BTreeMap<[u8; 3], usize> = BTreeMap::new();
        let coarse = |c: u8| {
            // The centre of the colour's class; black and white are kept.
            let step = c >> (8 - bits);
            (u32::from(step) * 255 / ((1_u32 << bits) - 1)) as u8
        };
        let mut dots = Vec::with_capacity((pixels.width() * pixels.height()) as usize);
        for y in 0..pixels.height() {
            for x in 0..pixels.width() {
                let [r, g, b, opacity] = pixels.at(x, y);
                if opacity < CLEAR {
                    dots.push(None);
                    continue;
                }
                let over = |c: u8| coarse((u32::from(c) * u32::from(opacity) / 255) as u8);
                let next = known.len();
                dots.push(Some(*known.entry([over(r), over(g), over(b)]).or_insert(next)));
            }
        }
        if known.len() <= COLORS {
            let mut colors = vec![[0; 3]; known.len()];
            known.into_iter().for_each(|(color, index)| colors[index] = color);
            return (colors, dots);
        }
    }
    (Vec::new(), Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::Paper;

    /// What a terminal would paint: the colour in percent of each dot.
    fn painted(text: &str) -> BTreeMap<(usize, usize), String> {
        let body = text.strip_prefix("\x1bP0;1;0q\"1;1;").and_then(|t| t.strip_suffix("\x1b\\")).expect("a command");
        let body = &body[body.find('#').expect("a colour")..];
        let (mut colors, mut dots) = (BTreeMap::new(), BTreeMap::new());
        let (mut x, mut band, mut color, mut count) = (0, 0, String::new(), 1);
        let mut letters = body.chars().peekable();
        while let Some(c) = letters.next() {
            let mut number =
                || std::iter::from_fn(|| letters.next_if(|c| c.is_ascii_digit() || *c == ';')).collect::<String>();
            match c {
                '#' => {
                    let parameters = number();
                    match parameters.split_once(";2;") {
                        Some((index, rgb)) => drop(colors.insert(index.to_string(), rgb.to_string())),
                        None => color = colors[&parameters].clone(),
                    }
                }
                '!' => count = number().parse().expect("a count"),
                '$' => x = 0,
                '-' => (x, band) = (0, band + 6),
                c => {
                    for _ in 0..std::mem::replace(&mut count, 1) {
                        let bits = c as u8 - b'?';
                        (0..6)
                            .filter(|i| bits >> i & 1 == 1)
                            .for_each(|i| drop(dots.insert((x, band + i), color.clone())));
                        x += 1;
                    }
                }
            }
        }
        dots
    }

    #[test]
    fn every_dot_is_painted_in_its_colour() {
        let svg = r##"<svg xmlns="http://www.w3.org/2000/svg" width="9" height="8"><rect width="4" height="8" fill="#f00"/><rect x="4" width="1" height="3" fill="#0000ff"/></svg>"##;
        let pixels = Pixels::draw(svg, 1.0, Paper::Clear).expect("pixels");
        let dots = painted(&encode(&pixels));
        assert_eq!(dots.len(), 4 * 8 + 3);
        assert_eq!(dots[&(0, 7)], "100;0;0");
        assert_eq!(dots[&(4, 2)], "0;0;100");
        assert!(!dots.contains_key(&(4, 3)) && !dots.contains_key(&(8, 0)));
    }

    #[test]
    fn many_colours_become_few() {
        let bars: String = (0..300)
            .map(|i| {
                format!(
                    r#"<rect x="{i}" width="1" height="6" fill="rgb({},{},{})"/>"#,
                    i % 256,
                    i * 7 % 256,
                    i * 13 % 256
                )
            })
            .collect();
        let svg = format!(r#"<svg xmlns="http://www.w3.org/2000/svg" width="300" height="6">{bars}</svg>"#);
        let pixels = Pixels::draw(&svg, 1.0, Paper::Clear).expect("pixels");
        let text = encode(&pixels);
        assert!(text.matches(";2;").count() <= COLORS);
        assert_eq!(painted(&text).len(), 1800);
    }
}
