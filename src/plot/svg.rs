//! A canvas that becomes SVG 1.1, as few bytes as will do, the same for the same drawing.
//!
//! Text and rules are drawn in the current colour: a grey that reads on white and on black where the picture stands
//! alone, the colour of the page where it is part of one. The background stays clear.

use std::fmt::{Display, Write as _};

/// The colour of text and rules in a picture that stands alone: as far from white as from black.
const INK: &str = " color=\"#7a7d85\"";
/// The font of the picture, by the names that systems have for one.
const FONT: &str = "system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif";

/// Where a text stands relative to its point.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A picture in the making; lengths in pixels, from the upper left corner.
pub(super) struct Svg {
    width: f64,
    height: f64,
    body: String,
}

/// Colours that people with any kind of sight tell apart, none too near to white or to black
/// (after Okabe and Ito, "Color Universal Design", 2008).
pub(super) const COLORS: [&str; 6] = ["#2f86c8", "#e0701a", "#12a07a", "#c96aa4", "#d99a16", "#5aa9dd"];

impl Svg {
    pub(super) fn new(width: f64, height: f64) -> Self {
        Self { width, height, body: String::new() }
    }

    /// Sets the height, when it is known at last.
    pub(super) fn set_height(&mut self, height: f64) {
        self.height = height;
    }

    /// Markup as it is, for groups.
    pub(super) fn raw(&mut self, markup: impl Display) {
        let _ = write!(self.body, "{markup}");
    }

    pub(super) fn text(&mut self, x: f64, y: f64, anchor: Anchor, size: f64, text: &str) {
        self.styled((x, y), anchor, size, "", text);
    }

    /// Text with more attributes, such as ` opacity=".7"`.
    pub(super) fn styled(&mut self, (x, y): (f64, f64), anchor: Anchor, size: f64, style: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let (x, y, size, text) = (Px(x), Px(y), Px(size), escape(text));
        let _ = write!(self.body, "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\"{anchor}{style}>{text}</text>");
    }

    /// A filled box; `style` are its attributes, such as ` fill="red"`.
    pub(super) fn rect(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), style: &str) {
        let (x, y, width, height) = (Px(x), Px(y), Px(width), Px(height));
        let _ = write!(self.body, "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"{style}/>");
    }

    /// A stroked path; `style` are its attributes, such as ` stroke-width="2"`.
    pub(super) fn path(&mut self, data: &str, style: &str) {
        if !data.is_empty() {
            let _ = write!(self.body, "<path d=\"{data}\" fill=\"none\"{style}/>");
        }
    }

    /// Rules in the current colour, so faint.
    pub(super) fn rules(&mut self, data: &str, opacity: f64) {
        self.path(data, &format!(" stroke=\"currentColor\" stroke-opacity=\"{opacity}\""));
    }

    pub(super) fn finish(self) -> String {
        let (w, h) = (Px(self.width), Px(self.height));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\"{INK} \
             fill=\"currentColor\" font-family=\"{FONT}\" style=\"max-width:100%;height:auto\">{}</svg>\n",
            self.body
        )
    }
}

/// The picture as part of a page: in the colour of the page's text.
pub(crate) fn inline(svg: &str) -> String {
    svg.trim_end().replacen(INK, "", 1)
}

/// Text that is safe in markup and between quotation marks; what XML cannot hold is left out.
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

/// A length in at most one decimal.
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
        svg.text(1.0, 2.0, Anchor::Middle, 9.0, "a<b>&\"c\"\u{0}\u{1b}[0m");
        let text = svg.finish();
        assert!(text.contains(">a&lt;b&gt;&amp;&quot;c&quot;[0m</text>"), "{text}");
        assert!(text.contains("color="));
        assert!(!inline(&text).contains(" color="));
    }
}
