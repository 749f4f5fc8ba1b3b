//! Builds HTML for notebooks. All external text is escaped by [`escape`].
//!
//! A picture is an output of its own, as SVG and as PNG, so that it is visible in every viewer: an untrusted notebook,
//! GitHub, `nbconvert --sanitize-html` and e-mail lack support for SVG or HTML, but each shows one of the two. With a
//! PDF in addition nbconvert can make a PDF of a notebook without Inkscape.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub(crate) use crate::plot::escape;
use crate::plot::{self, Paper, Pixels, Roll};
use crate::script::Bundle;

/// The default limit of a cell's output, in bytes.
pub(crate) const LARGEST: usize = 2_000_000;
/// The width of a PNG in a notebook, in pixels.
const PNG_WIDTH: u32 = 1200;

/// Bytes as base64.
pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Renders a picture as PNG with a transparent background, in base64.
fn png(svg: &str) -> Option<String> {
    Pixels::wide(svg, PNG_WIDTH, Paper::Clear).and_then(|pixels| pixels.png()).ok().map(|bytes| base64(&bytes))
}

/// Renders a picture as a PDF page, in base64.
fn pdf(svg: &str) -> Option<String> {
    let width = plot::size(svg)?.0 as f64;
    let pixels = Pixels::wide(svg, PNG_WIDTH, Paper::White).ok()?;
    pixels.pdf(width).ok().map(|bytes| base64(&bytes))
}

/// Adds PNG and PDF to a bundle with an SVG; other bundles are unchanged.
pub(crate) fn with_picture(bundle: Bundle) -> Bundle {
    let Some(svg) = bundle.forms.get("image/svg+xml") else { return bundle };
    let (png, pdf, fluid) = (png(svg), pdf(svg), fluid(svg));
    bundle.with("image/svg+xml", Some(fluid)).with("image/png", png).with("application/pdf", pdf)
}

/// Removes the fixed size of a picture, so that it fills the width of the page: JupyterLab and nbconvert display an SVG
/// at its stated size and crop it.
fn fluid(svg: &str) -> String {
    match plot::size(svg) {
        Some((width, height)) if width >= u64::from(PNG_WIDTH) => {
            svg.replacen(&format!(" width=\"{width}\" height=\"{height}\""), "", 1)
        }
        _ => svg.to_owned(),
    }
}

/// A picture in the formats of a notebook, without a text.
pub(crate) fn picture(svg: String) -> Bundle {
    with_picture(Bundle::default().with("image/svg+xml", Some(svg)))
}

/// A picture inside of HTML that is updated while something runs.
pub(crate) fn image(svg: &str) -> String {
    format!("<img style=\"max-width:100%\" src=\"data:image/svg+xml;base64,{}\"/>", base64(svg.as_bytes()))
}

/// A player with embedded sound (base64): a word that becomes an audio element when it is hovered or clicked; `line` is
/// the code that moves a line during playback. Sanitizers (`nbconvert --sanitize-html`, untrusted notebooks, GitHub)
/// leave the word: an `<audio>` tag would be shown as text, including the sound.
pub(crate) fn player(base64: &str, label: &str, line: &str) -> String {
    const SWAP: &str = "var a=document.createElement('audio'),d=this.dataset;a.controls=true;\
        a.style.cssText='width:100%;max-width:1200px;height:36px';\
        if(d.line){a.setAttribute('onplay',d.line);a.setAttribute('onseeked',d.line)}\
        a.src=d.sound;this.replaceWith(a);if(event.type=='click')a.play()";
    let line = if line.is_empty() { String::new() } else { format!(" data-line=\"{line}\"") };
    format!(
        "<div role=\"button\" tabindex=\"0\" style=\"cursor:pointer;line-height:36px\" onmouseenter=\"{SWAP}\" onclick=\"{SWAP}\" \
         onkeydown=\"if(event.key=='Enter')this.click()\" data-sound=\"data:audio/mpeg;base64,{base64}\"{line}>▶ {}</div>",
        escape(label)
    )
}

/// A heading in bold.
pub(crate) fn heading(text: &str) -> String {
    format!("<div style=\"font-weight:600;margin:2px 0\">{}</div>", escape(text))
}

/// A cell of a [`table`].
pub(crate) enum Cell {
    /// Text, left-aligned.
    Word(String),
    /// A number or numbers, right-aligned and not wrapped.
    Number(String),
    /// A fraction between 0 and 1, as a bar.
    Bar(f64),
}

/// A table in the tags that `nbconvert --sanitize-html` preserves: without thead and tbody.
pub(crate) fn table(headings: &[&str], rows: &[Vec<Cell>]) -> String {
    let head: String =
        headings.iter().map(|h| format!("<td style=\"text-align:left\"><b>{}</b></td>", escape(h))).collect();
    let cell = |cell: &Cell| match cell {
        Cell::Word(text) => format!("<td style=\"text-align:left\">{}</td>", escape(text)),
        Cell::Number(text) => format!("<td style=\"text-align:right;white-space:nowrap\">{}</td>", escape(text)),
        Cell::Bar(share) if *share <= 0.0 => "<td></td>".into(),
        Cell::Bar(share) => format!(
            "<td style=\"text-align:left\"><div style=\"background:#2f86c8;border-radius:2px;height:10px;width:{}px\"></div></td>",
            (share.clamp(0.0, 1.0) * 160.0).round().max(1.0)
        ),
    };
    let rows: String =
        rows.iter().map(|row| format!("<tr>{}</tr>", row.iter().map(cell).collect::<String>())).collect();
    format!("<table><tr>{head}</tr>{rows}</table>")
}

/// A collapsible section; if `open`, the body is below the title, since sanitizers remove the element and show its tags
/// as text.
pub(crate) fn folded(summary: &str, body: &str, open: bool) -> String {
    if open {
        return format!("<div>{}{body}</div>", note(summary));
    }
    format!("<details><summary>{}</summary>{body}</details>", escape(summary))
}

/// A caption.
pub(crate) fn note(text: &str) -> String {
    format!("<div style=\"font-size:85%;opacity:.75\">{}</div>", escape(text))
}

/// A player for the piano roll in the adjacent output: a line moves along it during playback, where the page allows
/// scripts. The roll is identified by its size, so that no other picture is affected.
pub(crate) fn roll_player(roll: &Roll, base64: &str, label: &str) -> String {
    let (wide, high) = roll.size;
    let systems: Vec<String> = roll
        .systems
        .iter()
        .map(|s| {
            let ((from, to), (top, bottom)) = (s.seconds, s.pixels);
            format!("[{from:.3},{to:.3},{:.5},{:.5}]", top / high, bottom / high)
        })
        .collect();
    let begin = roll.systems.first().map_or(0.0, |s| s.seconds.0);
    let script = format!(
        "var a=this,e=a,h=a.h,i,f=function(x){{var g=x&amp;&amp;x.querySelector('img');\
         return g&amp;&amp;Math.abs(g.naturalWidth/g.naturalHeight-{:.5})&lt;.05?g:0}};\
         while(!i&amp;&amp;(e=e.parentElement))i=f(e.nextElementSibling)||f(e.previousElementSibling);\
         if(i){{if(!h){{h=a.h=document.createElement('div');\
         h.style.cssText='position:absolute;width:2px;background:#e0701a;pointer-events:none';\
         i.parentElement.style.position='relative';i.parentElement.appendChild(h)}}\
         var p=function(){{var t=a.currentTime+{begin:.3},s=[{}].find(function(s){{return t&lt;s[1]}});h.hidden=!s;\
         if(s){{h.style.left=i.offsetLeft+i.offsetWidth*({:.5}+(t-s[0])*{:.7})+'px';h.style.top=i.offsetTop+i.offsetHeight*s[2]+'px';\
         h.style.height=i.offsetHeight*(s[3]-s[2])+'px'}}if(!a.paused)requestAnimationFrame(p)}};p()}}",
        wide / high,
        systems.join(","),
        roll.left / wide,
        roll.scale / wide,
    );
    player(base64, label, &script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_svg_and_png_and_no_html() {
        let svg = crate::plot::bars("a", &[("b".into(), 1.0)]);
        let bundle = picture(svg.clone());
        assert_eq!(bundle.forms["image/svg+xml"], svg);
        let png = STANDARD.decode(&bundle.forms["image/png"]).expect("base64");
        assert!(png.starts_with(b"\x89PNG"));
        let pdf = STANDARD.decode(&bundle.forms["application/pdf"]).expect("base64");
        assert!(pdf.starts_with(b"%PDF"));
        assert_eq!(bundle.forms.len(), 3);
        assert!(!image(&svg).contains("<svg"));
        let wide =
            "<svg viewBox=\"0 0 1200 400\" width=\"1200\" height=\"400\"><rect width=\"1200\" height=\"400\"/></svg>";
        let shown = picture(wide.into());
        assert_eq!(
            shown.forms["image/svg+xml"],
            "<svg viewBox=\"0 0 1200 400\"><rect width=\"1200\" height=\"400\"/></svg>"
        );
        assert!(shown.forms.contains_key("image/png"));
    }

    /// The tags of nbconvert's `clean_html` (7.16): all others are shown as text, all attributes but class and id go.
    #[test]
    fn a_player_and_a_table_survive_a_cleaning() {
        let player = player("c291bmQ=", "12.0 s of <sound>", "p()");
        let table = table(&["a"], &[vec![Cell::Number("1".into())]]);
        let page = format!("{player}{table}{}", folded("2 items", "", true));
        let tags =
            page.split('<').skip(1).map(|tag| tag.trim_start_matches('/').split([' ', '>']).next().unwrap_or(""));
        let left = ["a", "b", "code", "div", "em", "i", "pre", "span", "strong", "table", "td", "tr"];
        assert!(tags.clone().count() > 8 && tags.clone().all(|tag| left.contains(&tag)), "{page}");
        assert!(page.contains(">▶ 12.0 s of &lt;sound&gt;</div>"), "{page}");
        assert_eq!(page.matches("c291bmQ=").count(), 1, "the sound is there once");
    }

    #[test]
    fn names_from_outside_are_text() {
        let page = table(&["<b>"], &[vec![Cell::Word("a & b".into())]]);
        assert!(page.contains("&lt;b&gt;") && page.contains("a &amp; b"), "{page}");
    }
}
