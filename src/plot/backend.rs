//! The backend with which plotters draws into our SVG. plotters counts in whole units, of which a pixel has [`UNITS`]
//! here.

use std::convert::Infallible;

use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea};
use plotters::style::{Color, FontDesc, FontFamily, FontStyle, RGBAColor, RGBColor, TextStyle};
use plotters_backend::text_anchor::{HPos, Pos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
    FontStyle as BackendFontStyle, FontTransform,
};

use super::svg::{Anchor, INK, Px, Svg, text_width};
use crate::error::Error;

/// Units in a pixel.
pub(super) const UNITS: f64 = 10.0;

/// An area of a picture on which plotters draws.
pub(super) type Area<'s> = DrawingArea<Backend<'s>, Shift>;

/// The result of drawing with plotters: this backend never fails, so errors are bugs.
pub(super) type Drawn<T = ()> = Result<T, DrawingAreaErrorKind<Infallible>>;

type DrawResult = Result<(), DrawingErrorKind<Infallible>>;

/// An SVG as a backend of plotters.
pub(super) struct Backend<'s> {
    svg: &'s mut Svg,
    size: (u32, u32),
}

impl<'s> Backend<'s> {
    /// The upper left part of a picture, width and height in pixels.
    pub(super) fn area(svg: &'s mut Svg, (width, height): (f64, f64)) -> Area<'s> {
        Backend { svg, size: (units(width) as u32, units(height) as u32) }.into_drawing_area()
    }
}

/// A length in plotters' units.
pub(super) fn units(pixels: f64) -> i32 {
    (pixels * UNITS).round() as i32
}

/// Converts an error of plotters to an internal error.
pub(super) fn failed(error: DrawingAreaErrorKind<Infallible>) -> Error {
    Error::internal(format!("a chart: {error}"))
}

/// A colour of plotters from `#rrggbb`.
pub(super) fn color(hex: &str, opacity: f64) -> RGBAColor {
    let part = |at: usize| hex.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok()).unwrap_or(0);
    RGBColor(part(1), part(3), part(5)).mix(opacity)
}

/// The colour of text and lines.
pub(super) fn ink(opacity: f64) -> RGBAColor {
    color(INK, opacity)
}

/// A text style with a height in pixels, in the text colour.
pub(super) fn text(size: f64, bold: bool, at: (HPos, VPos)) -> TextStyle<'static> {
    let style = if bold { FontStyle::Bold } else { FontStyle::Normal };
    let font = FontDesc::new(FontFamily::SansSerif, size * UNITS, style);
    TextStyle { font, color: ink(1.0).to_backend_color(), pos: Pos::new(at.0, at.1) }
}

impl DrawingBackend for Backend<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        self.size
    }

    fn ensure_prepared(&mut self) -> DrawResult {
        Ok(())
    }

    fn present(&mut self) -> DrawResult {
        Ok(())
    }

    fn draw_pixel(&mut self, at: BackendCoord, color: BackendColor) -> DrawResult {
        self.svg.merged(&fill(&color), &format!("M{} {}h.1v.1h-.1z", px(at.0), px(at.1)));
        Ok(())
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> DrawResult {
        let data = format!("M{} {}L{} {}", px(from.0), px(from.1), px(to.0), px(to.1));
        self.svg.merged(&stroke(style), &data);
        Ok(())
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        from: BackendCoord,
        to: BackendCoord,
        style: &S,
        filled: bool,
    ) -> DrawResult {
        let (wide, high) = (to.0 - from.0, to.1 - from.1);
        let data = format!("M{} {}h{}v{}h{}z", px(from.0), px(from.1), px(wide), px(high), px(-wide));
        self.svg.merged(&if filled { fill(&style.color()) } else { stroke(style) }, &data);
        Ok(())
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, path: I, style: &S) -> DrawResult {
        let points: Vec<String> = path.into_iter().map(|(x, y)| format!("{} {}", px(x), px(y))).collect();
        if points.len() > 1 && style.color().alpha > 0.0 {
            let data = format!("M{}", points.join("L"));
            self.svg.raw(format_args!("<path d=\"{data}\"{} stroke-linejoin=\"round\"/>", stroke(style)));
        }
        Ok(())
    }

    /// A filled circle is drawn as a stroke of length zero with round caps, so that many circles share one path.
    fn draw_circle<S: BackendStyle>(&mut self, at: BackendCoord, radius: u32, style: &S, filled: bool) -> DrawResult {
        let color = style.color();
        let radius = f64::from(radius) / UNITS;
        if filled {
            let style = format!("{} stroke-width=\"{}\"{ROUND}", stroke_color(&color), Px(2.0 * radius));
            self.svg.merged(&style, &format!("M{} {}h0", px(at.0), px(at.1)));
        } else {
            let (x, y, style) = (px(at.0), px(at.1), stroke(style));
            self.svg.raw(format_args!("<circle cx=\"{x}\" cy=\"{y}\" r=\"{}\"{style}/>", Px(radius)));
        }
        Ok(())
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> DrawResult {
        let points: Vec<String> = path.into_iter().map(|(x, y)| format!("{} {}", px(x), px(y))).collect();
        if !points.is_empty() {
            self.svg.merged(&fill(&style.color()), &format!("M{}z", points.join("L")));
        }
        Ok(())
    }

    fn draw_text<T: BackendTextStyle>(&mut self, words: &str, style: &T, at: BackendCoord) -> DrawResult {
        let (size, color) = (style.size() / UNITS, style.color());
        if words.is_empty() || color.alpha == 0.0 {
            return Ok(());
        }
        let anchor = match style.anchor().h_pos {
            HPos::Left => Anchor::Start,
            HPos::Center => Anchor::Middle,
            HPos::Right => Anchor::End,
        };
        // Letters of DejaVu Sans extend 0.76 above the baseline and 0.24 below.
        let down = match style.anchor().v_pos {
            VPos::Top => 0.76,
            VPos::Center => 0.36,
            VPos::Bottom => -0.24,
        };
        let (x, y) = (f64::from(at.0) / UNITS, f64::from(at.1) / UNITS);
        let mut more = String::new();
        if matches!(style.style(), BackendFontStyle::Bold) {
            more += " font-weight=\"600\"";
        }
        if rgb(&color) != INK {
            more += &format!(" fill=\"{}\"", rgb(&color));
        }
        if color.alpha < 1.0 {
            more += &format!(" opacity=\"{:.2}\"", color.alpha);
        }
        more += &match style.transform() {
            FontTransform::None => String::new(),
            FontTransform::Rotate90 => format!(" transform=\"rotate(90 {} {})\"", Px(x), Px(y)),
            FontTransform::Rotate180 => format!(" transform=\"rotate(180 {} {})\"", Px(x), Px(y)),
            FontTransform::Rotate270 => format!(" transform=\"rotate(-90 {} {})\"", Px(x), Px(y)),
        };
        self.svg.styled((x, y + down * size), anchor, size, &more, words);
        Ok(())
    }

    fn estimate_text_size<T: BackendTextStyle>(
        &self,
        words: &str,
        style: &T,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        let bold = matches!(style.style(), BackendFontStyle::Bold);
        Ok((text_width(words, style.size(), bold).ceil() as u32, style.size().ceil() as u32))
    }
}

const ROUND: &str = " stroke-linecap=\"round\"";

/// A length in pixels.
fn px(units: i32) -> Px {
    Px(f64::from(units) / UNITS)
}

fn rgb(color: &BackendColor) -> String {
    let (r, g, b) = color.rgb;
    format!("#{r:02x}{g:02x}{b:02x}")
}

fn opacity(kind: &str, color: &BackendColor) -> String {
    if color.alpha < 1.0 { format!(" {kind}-opacity=\"{:.2}\"", color.alpha) } else { String::new() }
}

fn fill(color: &BackendColor) -> String {
    format!(" fill=\"{}\"{}", rgb(color), opacity("fill", color))
}

fn stroke_color(color: &BackendColor) -> String {
    format!(" fill=\"none\" stroke=\"{}\"{}", rgb(color), opacity("stroke", color))
}

/// Lines of one unit are hairlines: plotters' default width.
fn stroke<S: BackendStyle>(style: &S) -> String {
    let wide = if style.stroke_width() <= 1 { UNITS } else { f64::from(style.stroke_width()) };
    let round = if wide > UNITS { ROUND } else { "" };
    let wide = if wide == UNITS { String::new() } else { format!(" stroke-width=\"{}\"", Px(wide / UNITS)) };
    format!("{}{wide}{round}", stroke_color(&style.color()))
}

#[cfg(test)]
mod tests {
    use plotters::element::{Circle, PathElement, Rectangle};
    use plotters::style::ShapeStyle;

    use super::*;

    fn drawn(draw: impl FnOnce(&Area<'_>) -> Drawn) -> String {
        let mut svg = Svg::new(40.0, 20.0);
        draw(&Backend::area(&mut svg, (40.0, 20.0))).expect("it draws");
        svg.finish()
    }

    #[test]
    fn places_are_tenths_of_a_pixel_and_boxes_of_a_colour_are_one_path() {
        let svg = drawn(|area| {
            for x in [15, 105] {
                area.draw(&Rectangle::new([(x, 0), (x + 50, 101)], color("#2f86c8", 0.5).filled()))?;
            }
            area.draw(&PathElement::new([(0, 0), (5, 153)], ShapeStyle::from(ink(1.0)).stroke_width(20)))
        });
        assert!(
            svg.contains("d=\"M1.5 0h5v10.1h-5zM10.5 0h5v10.1h-5z\" fill=\"#2f86c8\" fill-opacity=\"0.50\""),
            "{svg}"
        );
        assert!(svg.contains("d=\"M0 0L0.5 15.3\" fill=\"none\" stroke=\"#7a7d85\" stroke-width=\"2\""), "{svg}");
    }

    #[test]
    fn words_stand_where_they_are_anchored_and_are_escaped() {
        let svg = drawn(|area| {
            let turned = text(10.0, true, (HPos::Center, VPos::Top)).transform(FontTransform::Rotate270);
            area.draw_text("a < b", &turned, (100, 100))?;
            area.draw(&Circle::new((50, 60), 25, ink(1.0).filled()))
        });
        assert!(svg.contains("rotate(-90 10 10)") && svg.contains(">a &lt; b<"), "{svg}");
        assert!(svg.contains("y=\"17.6\"") && svg.contains("text-anchor=\"middle\""), "{svg}");
        assert!(svg.contains("d=\"M5 6h0\"") && svg.contains("stroke-width=\"5\" stroke-linecap=\"round\""), "{svg}");
    }
}
