//! Renders SVG to pixels, for PNG files and for terminals that show pictures. Text uses a built-in font
//! (`font/LICENSE`), so that pictures look the same on all machines.

use std::sync::{Arc, OnceLock};

use resvg::tiny_skia::{Color, Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

use crate::error::{Error, Result};

static FONT: &[u8] = include_bytes!("font/DejaVuSans-subset.ttf");

/// The longest side of a picture, in pixels.
const LONGEST: f32 = 8192.0;

/// The background of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paper {
    /// White, for files.
    White,
    /// Transparent, for screens.
    Clear,
}

/// A picture in pixels.
#[derive(Debug, Clone)]
pub struct Pixels {
    map: Pixmap,
}

impl Pixels {
    /// Draws an SVG, `scale` pixels for each of its units, fewer where it would be larger than 8192 × 8192.
    ///
    /// # Errors
    /// What is not an SVG.
    ///
    /// ```
    /// use etude::plot::{Paper, Pixels};
    ///
    /// let svg = r#"<svg xmlns="http://www.w3.org/2000/svg" width="4" height="2"><rect width="4" height="2" fill="red"/></svg>"#;
    /// let pixels = Pixels::draw(svg, 2.0, Paper::White)?;
    /// assert_eq!((pixels.width(), pixels.height(), pixels.at(3, 1)), (8, 4, [255, 0, 0, 255]));
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn draw(svg: &str, scale: f32, paper: Paper) -> Result<Self> {
        let tree = parsed(svg)?;
        let size = tree.size();
        let scale = scale.min(LONGEST / size.width()).min(LONGEST / size.height());
        let side = |length: f32| ((length * scale).ceil() as u32).max(1);
        let map = Pixmap::new(side(size.width()), side(size.height()));
        let mut map = map.ok_or_else(|| Error::internal("a picture without size"))?;
        if paper == Paper::White {
            map.fill(Color::WHITE);
        }
        resvg::render(&tree, Transform::from_scale(scale, scale), &mut map.as_mut());
        Ok(Self { map })
    }

    /// Draws an SVG at a width in pixels.
    ///
    /// # Errors
    /// What is not an SVG.
    pub fn wide(svg: &str, pixels: u32, paper: Paper) -> Result<Self> {
        let width = parsed(svg)?.size().width();
        Self::draw(svg, pixels.max(1) as f32 / width, paper)
    }

    /// Pixels from left to right.
    pub fn width(&self) -> u32 {
        self.map.width()
    }

    /// Pixels from top to bottom.
    pub fn height(&self) -> u32 {
        self.map.height()
    }

    /// Red, green, blue and alpha of a pixel, not premultiplied.
    pub fn at(&self, x: u32, y: u32) -> [u8; 4] {
        self.map.pixel(x, y).map_or([0; 4], |p| {
            let color = p.demultiply();
            [color.red(), color.green(), color.blue(), color.alpha()]
        })
    }

    /// The bytes of a PNG file.
    ///
    /// # Errors
    /// None that an input could cause.
    pub fn png(&self) -> Result<Vec<u8>> {
        self.map.encode_png().map_err(|e| Error::internal(e.to_string()))
    }
}

fn parsed(svg: &str) -> Result<Tree> {
    static FONTS: OnceLock<Arc<fontdb::Database>> = OnceLock::new();
    let fonts = FONTS.get_or_init(|| {
        let mut fonts = fontdb::Database::new();
        fonts.load_font_data(FONT.to_vec());
        fonts.set_sans_serif_family("DejaVu Sans");
        Arc::new(fonts)
    });
    let options = Options { fontdb: fonts.clone(), font_family: "DejaVu Sans".into(), ..Options::default() };
    Tree::from_str(svg, &options).map_err(|e| Error::broken(format!("this is not an SVG: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQUARE: &str = r#"<svg xmlns="http://www.w3.org/2000/svg" width="10" height="4"><rect width="5" height="4" fill="red"/></svg>"#;

    #[test]
    fn a_picture_becomes_pixels() {
        let pixels = Pixels::draw(SQUARE, 2.0, Paper::Clear).expect("a picture");
        assert_eq!((pixels.width(), pixels.height()), (20, 8));
        assert_eq!(pixels.at(1, 1), [255, 0, 0, 255]);
        assert_eq!(pixels.at(15, 1), [0; 4]);
        assert_eq!(pixels.at(99, 1), [0; 4]);
        let white = Pixels::wide(SQUARE, 30, Paper::White).expect("a picture");
        assert_eq!((white.width(), white.height()), (30, 12));
        assert_eq!(white.at(25, 1), [255; 4]);
        assert!(white.png().expect("a file").starts_with(b"\x89PNG\r\n\x1a\n"));
    }

    #[test]
    fn letters_are_drawn_without_fonts_on_the_machine() {
        let text = r#"<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20" font-family="system-ui,sans-serif"><text x="2" y="15" font-size="16">B♭</text></svg>"#;
        let pixels = Pixels::draw(text, 1.0, Paper::White).expect("a picture");
        let dark = |from: u32, to: u32| {
            (from..to).flat_map(|x| (0..20).map(move |y| (x, y))).any(|(x, y)| pixels.at(x, y)[0] < 90)
        };
        assert!(dark(0, 12) && dark(14, 30));
    }

    #[test]
    fn what_is_no_svg_is_refused() {
        assert!(Pixels::draw("<svg", 1.0, Paper::White).is_err());
        assert!(Pixels::draw("", 1.0, Paper::White).is_err());
    }
}
