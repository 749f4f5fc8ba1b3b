//! Pieces of HTML for notebooks. Whatever comes from outside goes through [`escape`].

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::plot::Roll;
pub(crate) use crate::plot::escape;

/// The largest output of a cell, in bytes, unless the user asked for more.
pub(crate) const LARGEST: usize = 2_000_000;

/// Bytes as text, as notebooks hold them.
pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// An audio player that holds its sound itself (base64); `more` are more attributes.
pub(crate) fn player(base64: &str, more: &str) -> String {
    format!(
        "<audio controls=\"\" preload=\"metadata\" style=\"width:100%;max-width:960px;height:36px;margin-top:4px\" \
         src=\"data:audio/mpeg;base64,{base64}\"{more}></audio>"
    )
}

/// A picture as part of the page, in the colours of the page.
pub(crate) fn picture(svg: &str) -> String {
    format!("<div>{}</div>", crate::plot::inline(svg))
}

/// Pictures side by side, as many as there is room for.
pub(crate) fn pictures(svgs: &[String]) -> String {
    let all: String = svgs.iter().map(|svg| format!("<div>{}</div>", crate::plot::inline(svg))).collect();
    format!("<div style=\"display:flex;flex-wrap:wrap;gap:8px 20px\">{all}</div>")
}

/// A heading in bold.
pub(crate) fn heading(text: &str) -> String {
    format!("<div style=\"font-weight:600;margin:2px 0\">{}</div>", escape(text))
}

/// A cell of a [`table`].
pub(crate) enum Cell {
    /// Words, on the left.
    Word(String),
    /// A number or numbers, on the right and in one line.
    Number(String),
    /// A share between 0 and 1, as a bar.
    Bar(f64),
}

/// Rows under headings.
pub(crate) fn table(headings: &[&str], rows: &[Vec<Cell>]) -> String {
    let head: String = headings.iter().map(|h| format!("<th style=\"text-align:left\">{}</th>", escape(h))).collect();
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
    format!("<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>")
}

/// Something that opens at a click.
pub(crate) fn folded(summary: &str, body: &str, open: bool) -> String {
    let open = if open { " open=\"\"" } else { "" };
    format!("<details{open}><summary>{}</summary>{body}</details>", escape(summary))
}

/// A word below a picture.
pub(crate) fn note(text: &str) -> String {
    format!("<div style=\"font-size:85%;opacity:.75\">{}</div>", escape(text))
}

/// A piano roll with a line that moves along while its player, the next element, plays.
pub(crate) fn moving_roll(roll: &Roll, base64: &str) -> String {
    let systems: Vec<String> = roll
        .systems
        .iter()
        .map(|s| format!("[{:.3},{:.3},{:.1},{:.1}]", s.seconds.0, s.seconds.1, s.pixels.0, s.pixels.1))
        .collect();
    let begin = roll.systems.first().map_or(0.0, |s| s.seconds.0);
    let head = "<path class=\"head\" stroke=\"#e0701a\" stroke-width=\"1.5\" fill=\"none\"/></svg>";
    let svg = crate::plot::inline(&roll.svg).replacen("</svg>", head, 1);
    let moves = format!(
        "const h=this.previousElementSibling.querySelector('.head'),p=()=>{{const t=this.currentTime+{begin:.3},\
         s=[{}].find(s=>t&lt;s[1]);h.setAttribute('d',s?'M'+({}+(t-s[0])*{:.4})+' '+s[2]+'V'+s[3]:'');\
         if(!this.paused)requestAnimationFrame(p)}};p()",
        systems.join(","),
        roll.left,
        roll.scale,
    );
    format!("<div>{svg}</div>{}", player(base64, &format!(" onplay=\"{moves}\" onseeked=\"{moves}\"")))
}
