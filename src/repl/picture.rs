//! Pictures in the terminal: the graphics protocol of kitty, the inline images of iTerm2, sixel, or coloured half
//! blocks.
//!
//! The environment decides: `ETUDE_IMAGES` (kitty, iterm, sixel, blocks, none), else the name of the terminal. Inside
//! tmux and screen pictures would be misplaced, so there are none.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::sixel;
use crate::error::Result;
use crate::plot::{Paper, Pixels};

/// How pictures are displayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// kitty, Ghostty, WezTerm: sw.kovidgoyal.net/kitty/graphics-protocol
    Kitty,
    /// iTerm2 and others: iterm2.com/documentation-images.html
    Iterm,
    /// DEC's graphics of the VT340: foot, mlterm, xterm with the right flags, …
    Sixel,
    /// Two pixels a letter.
    Blocks,
}

/// The most columns of a picture, and the pixels a column with and without scaling by the terminal.
const COLUMNS: usize = 110;
const FINE: usize = 16;
const COARSE: usize = 8;
/// Bytes of base64 in one command of kitty.
const CHUNK: usize = 4096;

impl Protocol {
    /// The protocol for an environment; `None` for no pictures.
    pub(super) fn of(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let value = |name: &str| variable(name).unwrap_or_default();
        match value("ETUDE_IMAGES").to_lowercase().as_str() {
            "kitty" => return Some(Self::Kitty),
            "iterm" | "iterm2" => return Some(Self::Iterm),
            "sixel" => return Some(Self::Sixel),
            "blocks" => return Some(Self::Blocks),
            "none" => return None,
            _ => {}
        }
        let term = value("TERM");
        let within = variable("TMUX").is_some() || variable("STY").is_some();
        if within || term.starts_with("screen") || term.starts_with("tmux") {
            return None;
        }
        let program = value("TERM_PROGRAM");
        if variable("KITTY_WINDOW_ID").is_some()
            || term.contains("kitty")
            || term.contains("ghostty")
            || program == "ghostty"
        {
            return Some(Self::Kitty);
        }
        if ["iTerm.app", "WezTerm", "rio"].contains(&program.as_str()) || value("LC_TERMINAL") == "iTerm2" {
            return Some(Self::Iterm);
        }
        ["foot", "mlterm", "yaft", "contour"].iter().any(|name| term.starts_with(name)).then_some(Self::Sixel)
    }

    /// The bytes that show an SVG on a terminal of a width in columns, line end included.
    pub(super) fn draw(self, svg: &str, columns: usize) -> Result<String> {
        let columns = columns.saturating_sub(1).clamp(10, COLUMNS);
        let wide = |each: usize| Pixels::wide(svg, (columns * each) as u32, Paper::Clear);
        Ok(match self {
            Self::Kitty => kitty(&wide(FINE)?.png()?, columns),
            Self::Iterm => iterm(&wide(FINE)?.png()?, columns),
            Self::Sixel => sixel::encode(&wide(COARSE)?) + "\n",
            Self::Blocks => blocks(&Pixels::wide(svg, columns as u32, Paper::White)?),
        })
    }
}

/// `a=T`: show at once; `f=100`: PNG; `c`: width in columns; `q=2`: no answers; `m=1`: more chunks follow.
fn kitty(png: &[u8], columns: usize) -> String {
    let text = STANDARD.encode(png);
    let chunks: Vec<&str> = text.as_bytes().chunks(CHUNK).filter_map(|c| std::str::from_utf8(c).ok()).collect();
    let mut commands = String::new();
    for (i, chunk) in chunks.iter().enumerate() {
        let head = if i == 0 { format!("a=T,f=100,c={columns},q=2,") } else { String::new() };
        let more = u8::from(i + 1 < chunks.len());
        commands += format!("\x1b_G{head}m={more};{chunk}\x1b\\").as_str();
    }
    commands + "\n"
}

fn iterm(png: &[u8], columns: usize) -> String {
    let (size, text) = (png.len(), STANDARD.encode(png));
    format!("\x1b]1337;File=inline=1;width={columns};preserveAspectRatio=1;size={size}:{text}\x07\n")
}

/// Two pixels a letter: the upper as the colour of `▀`, the lower as its background.
fn blocks(pixels: &Pixels) -> String {
    let mut text = String::new();
    for y in (0..pixels.height()).step_by(2) {
        for x in 0..pixels.width() {
            let [r, g, b, _] = pixels.at(x, y);
            let [r2, g2, b2, _] = if y + 1 < pixels.height() { pixels.at(x, y + 1) } else { [255; 4] };
            text += format!("\x1b[38;2;{r};{g};{b};48;2;{r2};{g2};{b2}m▀").as_str();
        }
        text += "\x1b[0m\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const RED: &str = r#"<svg xmlns="http://www.w3.org/2000/svg" width="20" height="10"><rect width="20" height="10" fill="red"/></svg>"#;

    fn known(variables: &[(&str, &str)]) -> Option<Protocol> {
        Protocol::of(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string()))
    }

    #[test]
    fn terminals_are_known_by_their_names() {
        assert_eq!(known(&[("TERM", "xterm-256color")]), None);
        assert_eq!(known(&[("TERM", "xterm-kitty")]), Some(Protocol::Kitty));
        assert_eq!(known(&[("KITTY_WINDOW_ID", "1")]), Some(Protocol::Kitty));
        assert_eq!(known(&[("KITTY_WINDOW_ID", "1"), ("TMUX", "x")]), None);
        assert_eq!(known(&[("TERM_PROGRAM", "iTerm.app")]), Some(Protocol::Iterm));
        assert_eq!(known(&[("TERM", "foot")]), Some(Protocol::Sixel));
        assert_eq!(known(&[("TERM", "foot"), ("ETUDE_IMAGES", "blocks")]), Some(Protocol::Blocks));
        assert_eq!(known(&[("TERM", "xterm-kitty"), ("ETUDE_IMAGES", "none")]), None);
    }

    #[test]
    fn kitty_gets_a_png_in_chunks() {
        let text = kitty(&[7; 5000], 40);
        let commands: Vec<&str> = text.trim_end().split_terminator("\x1b\\").collect();
        assert_eq!(commands.len(), 2);
        assert!(commands[0].starts_with("\x1b_Ga=T,f=100,c=40,q=2,m=1;") && commands[1].starts_with("\x1b_Gm=0;"));
        let sent: String = commands.iter().filter_map(|c| c.split_once(';')).map(|(_, data)| data).collect();
        assert_eq!(STANDARD.decode(sent).expect("base64"), [7; 5000]);
        assert!(Protocol::Kitty.draw(RED, 30).expect("drawn").contains(",c=29,"));
    }

    #[test]
    fn iterm_gets_a_png_with_its_size() {
        let text = Protocol::Iterm.draw(RED, 30).expect("drawn");
        let (head, data) = text.split_once(':').expect("a head");
        let png = STANDARD.decode(data.trim_end_matches("\x07\n")).expect("base64");
        assert!(
            head.starts_with("\x1b]1337;File=inline=1;width=29;") && head.ends_with(&format!("size={}", png.len()))
        );
        assert!(png.starts_with(b"\x89PNG"));
    }

    #[test]
    fn blocks_are_two_pixels_each() {
        let text = Protocol::Blocks.draw(RED, 21).expect("drawn");
        assert_eq!(text.lines().count(), 5);
        assert_eq!(text.matches("\x1b[38;2;255;0;0;48;2;255;0;0m▀").count(), 100);
    }
}
