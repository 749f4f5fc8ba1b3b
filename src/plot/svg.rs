//! Writes SVG 1.1 compactly and deterministically.
//!
//! Text and lines are drawn in a grey that is readable on white and on black; the background is transparent, so that a
//! picture fits on any page.

use std::fmt::{Display, Write as _};

use unicode_width::UnicodeWidthChar;

/// The colour of text and lines, with equal contrast to white and black.
pub(super) const INK: &str = "#7a7d85";
/// The fonts of the picture, by their names on different systems.
const FONT: &str = "system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif";

/// The alignment of a text relative to its point.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// An SVG under construction; lengths in pixels, from the upper left corner.
pub(super) struct Svg {
    width: f64,
    height: f64,
    /// The style sheet for narrow displays, if any.
    css: &'static str,
    body: String,
    /// Style and data of the current path.
    path: (String, String),
}

/// Colours that are distinguishable with any colour vision, none too near to white or to black (after Okabe and Ito,
/// "Color Universal Design", 2008).
pub(super) const COLORS: [&str; 6] = ["#2f86c8", "#e0701a", "#12a07a", "#c96aa4", "#d99a16", "#5aa9dd"];

impl Svg {
    pub(super) fn new(width: f64, height: f64) -> Self {
        Self { width, height, css: "", body: String::new(), path: Default::default() }
    }

    /// Adds a style sheet. Media queries in it see the width at which the picture is shown.
    pub(super) fn set_css(&mut self, css: &'static str) {
        self.css = css;
    }

    /// Sets the height after the content is known.
    pub(super) fn set_height(&mut self, height: f64) {
        self.height = height;
    }

    /// Adds raw markup, for groups.
    pub(super) fn raw(&mut self, markup: impl Display) {
        self.end_path();
        let _ = write!(self.body, "{markup}");
    }

    /// Adds data to the current path, or begins a new path if the style differs: consecutive data of a style is one
    /// element.
    pub(super) fn merged(&mut self, style: &str, data: &str) {
        if self.path.0 != style {
            self.end_path();
            style.clone_into(&mut self.path.0);
        }
        self.path.1.push_str(data);
    }

    fn end_path(&mut self) {
        let (style, data) = std::mem::take(&mut self.path);
        if !data.is_empty() {
            let _ = write!(self.body, "<path d=\"{data}\"{style}/>");
        }
    }

    /// Text with more attributes, such as ` opacity=".7"`.
    pub(super) fn styled(&mut self, (x, y): (f64, f64), anchor: Anchor, size: f64, style: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let (x, y, size, text) = (Px(x), Px(y), Px(size), escape(text));
        self.raw(format_args!("<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\"{anchor}{style}>{text}</text>"));
    }

    /// A filled box; `style` are its attributes, such as ` fill="red"`.
    pub(super) fn rect(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), style: &str) {
        let (x, y, width, height) = (Px(x), Px(y), Px(width), Px(height));
        self.raw(format_args!("<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"{style}/>"));
    }

    /// A stroked path; `style` are its attributes, such as ` stroke-width="2"`.
    pub(super) fn path(&mut self, data: &str, style: &str) {
        if !data.is_empty() {
            self.raw(format_args!("<path d=\"{data}\" fill=\"none\"{style}/>"));
        }
    }

    /// Lines in the text colour at this opacity.
    pub(super) fn rules(&mut self, data: &str, opacity: f64) {
        self.path(data, &format!(" stroke=\"currentColor\" stroke-opacity=\"{opacity}\""));
    }

    pub(super) fn finish(mut self) -> String {
        self.end_path();
        let (w, h) = (Px(self.width), Px(self.height));
        let css = if self.css.is_empty() { String::new() } else { format!("<style>{}</style>", self.css) };
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" color=\"{INK}\" \
             fill=\"currentColor\" font-family=\"{FONT}\">{css}{}</svg>\n",
            self.body
        )
    }
}

/// Width and height of an SVG from this module, in whole pixels.
///
/// ```
/// let svg = etude::plot::chart(&[vec!["C6".to_string()]]);
/// assert_eq!(etude::plot::size(&svg), Some((684, 66)));
/// ```
pub fn size(svg: &str) -> Option<(u64, u64)> {
    let head = svg.split('>').next()?;
    let side = |name: &str| head.split_once(&format!(" {name}=\""))?.1.split('"').next()?.parse::<f64>().ok();
    Some((side("width")?.round() as u64, side("height")?.round() as u64))
}

/// An upper bound of a text's width, in the units of `size`: the widths of DejaVu Sans, which is wider than the usual
/// system fonts.
pub(super) fn text_width(text: &str, size: f64, bold: bool) -> f64 {
    let em = |c: char| match c {
        'i' | 'j' | 'l' | '\'' | '|' => 0.3,
        ' ' | '.' | ',' | ':' | ';' | 'I' | 'f' | 't' | '(' | ')' | '[' | ']' | '/' | '-' => 0.38,
        'r' => 0.42,
        'm' | 'w' | 'M' | 'W' | '%' | '@' | '…' => 0.98,
        c if c.is_ascii_uppercase() => 0.72,
        c if c.is_ascii() => 0.63,
        c => c.width().map_or(0.0, |columns| if columns > 1 { 1.0 } else { 0.7 * columns as f64 }),
    };
    let bolder = if bold { 1.1 } else { 1.0 };
    text.chars().map(em).sum::<f64>() * size * bolder
}

/// Escapes text for markup and attribute values; characters that XML does not allow are left out.
///
/// ```
/// assert_eq!(etude::plot::escape("a < b & c"), "a &lt; b &amp; c");
/// ```
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\t' | '\n' | '\r' => safe.push(c),
            // XML 1.0, §2.2: no control characters, no surrogates (Rust has none), no U+FFFE and U+FFFF.
            '\0'..' ' | '\u{fffe}' | '\u{ffff}' => {}
            c => safe.push(c),
        }
    }
    safe
}

/// A length with at most one decimal.
pub(super) struct Px(pub(super) f64);

impl Display for Px {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tenths = (self.0 * 10.0).round();
        if tenths % 10.0 == 0.0 { write!(f, "{}", (tenths / 10.0) as i64) } else { write!(f, "{:.1}", tenths / 10.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_short() {
        for (length, text) in
            [(1.0, "1"), (0.04, "0"), (-0.04, "0"), (12.26, "12.3"), (-3.5, "-3.5"), (f64::NAN, "NaN")]
        {
            assert_eq!(Px(length).to_string(), text, "{length}");
        }
    }

    #[test]
    fn markup_in_text_is_text() {
        let mut svg = Svg::new(10.0, 10.0);
        svg.styled((1.0, 2.0), Anchor::Middle, 9.0, "", "a<b>&\"c\"\u{0}\u{1b}[0m");
        let text = svg.finish();
        assert!(text.contains(">a&lt;b&gt;&amp;&quot;c&quot;[0m</text>"), "{text}");
        assert_eq!((size(&text), size("<p>")), (Some((10, 10)), None));
    }

    #[test]
    fn much_of_one_style_is_one_path() {
        let mut svg = Svg::new(10.0, 10.0);
        svg.merged(" a=\"1\"", "M0 0");
        svg.merged(" a=\"1\"", "M1 1");
        svg.merged(" a=\"2\"", "M2 2");
        svg.styled((0.0, 0.0), Anchor::Start, 9.0, "", "x");
        svg.merged(" a=\"2\"", "M3 3");
        let text = svg.finish();
        assert!(text.contains("<path d=\"M0 0M1 1\" a=\"1\"/><path d=\"M2 2\" a=\"2\"/><text"), "{text}");
        assert!(text.contains("</text><path d=\"M3 3\" a=\"2\"/></svg>"), "{text}");
    }

    #[test]
    fn texts_have_a_width() {
        assert!((text_width("Cmaj7", 10.0, false) - 31.9).abs() < 3.0, "{}", text_width("Cmaj7", 10.0, false));
        assert!(text_width("夜", 10.0, false) >= 10.0 && text_width("a", 10.0, true) > text_width("a", 10.0, false));
    }
}
