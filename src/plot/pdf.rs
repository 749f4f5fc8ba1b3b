//! A picture as a page of PDF 1.4, for exporting notebooks: LaTeX does not read SVG, and nbconvert would need Inkscape.

use png::{BitDepth, ColorType, Compression, Encoder};

use super::raster::Pixels;
use crate::error::{Error, Result};

/// Points of a page for each unit of a picture (CSS: 96 to an inch; PDF: 72).
const POINTS: f64 = 0.75;

impl Pixels {
    /// A PDF with the picture as its page, `width` points wide.
    ///
    /// # Errors
    /// None that an input could cause.
    pub fn pdf(&self, width: f64) -> Result<Vec<u8>> {
        page(self, width)
    }
}

/// A page of the size of the picture, `width` units wide, transparent pixels as white.
///
/// # Errors
/// None that an input could cause.
fn page(pixels: &Pixels, width: f64) -> Result<Vec<u8>> {
    let (columns, rows) = (pixels.width(), pixels.height());
    let data = compressed(pixels)?;
    let (w, h) = (width * POINTS, width * POINTS * f64::from(rows) / f64::from(columns));
    let content = format!("q {w:.2} 0 0 {h:.2} 0 0 cm /P Do Q");
    // Flate with PNG's filters is what a PDF calls predictor 15 (ISO 32000-1, 7.4.4.4).
    let image = format!(
        "<< /Type /XObject /Subtype /Image /Width {columns} /Height {rows} /ColorSpace /DeviceRGB /BitsPerComponent 8 \
         /Filter /FlateDecode /DecodeParms << /Predictor 15 /Colors 3 /BitsPerComponent 8 /Columns {columns} >> \
         /Length {} >>",
        data.len()
    );
    let objects: [(String, Option<&[u8]>); 5] = [
        ("<< /Type /Catalog /Pages 2 0 R >>".into(), None),
        ("<< /Type /Pages /Kids [3 0 R] /Count 1 >>".into(), None),
        (
            format!(
                "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {w:.2} {h:.2}] /Contents 4 0 R \
                 /Resources << /XObject << /P 5 0 R >> >> >>"
            ),
            None,
        ),
        (format!("<< /Length {} >>", content.len()), Some(content.as_bytes())),
        (image, Some(&data)),
    ];
    let mut file = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n".to_vec();
    let mut places = Vec::new();
    for (i, (head, stream)) in objects.iter().enumerate() {
        places.push(file.len());
        file.extend(format!("{} 0 obj\n{head}\n", i + 1).bytes());
        if let Some(stream) = stream {
            file.extend(b"stream\n");
            file.extend_from_slice(stream);
            file.extend(b"\nendstream\n");
        }
        file.extend(b"endobj\n");
    }
    let begin = file.len();
    file.extend(format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).bytes());
    places.iter().for_each(|place| file.extend(format!("{place:010} 00000 n \n").bytes()));
    let size = objects.len() + 1;
    file.extend(format!("trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{begin}\n%%EOF\n").bytes());
    Ok(file)
}

/// The pixels as the compressed data of a PNG of three colours.
fn compressed(pixels: &Pixels) -> Result<Vec<u8>> {
    let mut colors = Vec::with_capacity(3 * (pixels.width() * pixels.height()) as usize);
    for (x, y) in (0..pixels.height()).flat_map(|y| (0..pixels.width()).map(move |x| (x, y))) {
        let [r, g, b, a] = pixels.at(x, y).map(u32::from);
        colors.extend([r, g, b].map(|c| ((c * a + 255 * (255 - a)) / 255) as u8));
    }
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, pixels.width(), pixels.height());
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Balanced);
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&colors));
    written.map_err(|e| Error::internal(e.to_string()))?;
    Ok(image_data(&file))
}

/// The contents of the IDAT chunks of a PNG, whose chunks (length, type, data, checksum) follow a signature of eight
/// bytes.
fn image_data(mut file: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    file = file.get(8..).unwrap_or_default();
    while let Some((head, rest)) = file.split_at_checked(8) {
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let Some(chunk) = rest.get(..length) else { break };
        if &head[4..] == b"IDAT" {
            data.extend_from_slice(chunk);
        }
        file = rest.get(length + 4..).unwrap_or_default();
    }
    data
}

#[cfg(test)]
mod tests {
    use super::super::Paper;
    use super::*;

    #[test]
    fn a_page_holds_the_picture_and_its_table_is_right() {
        let svg = r#"<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"><rect width="20" height="20" fill="red"/></svg>"#;
        let pixels = Pixels::draw(svg, 1.0, Paper::Clear).expect("a picture");
        let file = page(&pixels, 40.0).expect("a page");
        let text = String::from_utf8_lossy(&file);
        assert!(text.starts_with("%PDF-1.4") && text.ends_with("%%EOF\n"));
        assert!(text.contains("/MediaBox [0 0 30.00 15.00]"), "{text}");
        let at = |marker: &[u8]| file.windows(marker.len()).position(|w| w == marker).expect("it is there");
        let table = String::from_utf8_lossy(&file[at(b"xref\n")..]).into_owned();
        for (i, line) in table.lines().skip(3).take(5).enumerate() {
            let place: usize = line[..10].parse().expect("a place");
            assert!(file[place..].starts_with(format!("{} 0 obj", i + 1).as_bytes()), "{line}");
        }
        assert!(table.contains(&format!("startxref\n{}\n", at(b"xref\n"))));
    }
}
