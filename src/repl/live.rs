//! The part of a cell's output that can still change on a terminal: the display at the bottom of the screen, and all of
//! it when the cell clears its output. Only builds text and control sequences (ECMA-48 §8.3); the caller writes them.

use unicode_width::UnicodeWidthStr;

/// Columns and lines of the terminal.
pub(super) type Size = (usize, usize);

/// Moves up a number of lines, to the first column; clear from here to the end of the line, of the screen.
fn up(lines: usize) -> String {
    if lines > 0 { format!("\x1b[{lines}A\r") } else { "\r".into() }
}
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";
/// Clear the screen, go to its first line.
const CLEAR_ALL: &str = "\x1b[2J\x1b[H";

/// The output of one cell.
#[derive(Debug, Default)]
pub(super) struct Live {
    bottom: Option<Bottom>,
    /// Lines the cell has written.
    lines: usize,
    /// The output goes away when the next comes.
    clear: bool,
    /// Where nothing can be redrawn: the latest state of each display that was updated.
    kept: Vec<(u64, String)>,
}

/// The display at the bottom of the screen.
#[derive(Debug)]
struct Bottom {
    id: u64,
    text: String,
    /// It was updated, so it will be again.
    moves: bool,
}

impl Live {
    /// Text that stays as it is.
    pub(super) fn text(&mut self, text: &str, size: Size) -> String {
        let before = self.cleared(size);
        self.bottom = None;
        self.lines += lines(text.strip_suffix('\n').unwrap_or(text), size);
        before + text
    }

    /// A display, which updates may replace.
    pub(super) fn display(&mut self, id: Option<u64>, text: &str, size: Size) -> String {
        let drawn = self.text(&format!("{text}\n"), size);
        self.bottom = id.map(|id| Bottom { id, text: text.into(), moves: false });
        drawn
    }

    /// New text for a display: over the old one where that is still at the bottom, else once more below.
    pub(super) fn update(&mut self, id: u64, text: &str, size: Size) -> String {
        let pending = self.clear;
        let old = self.bottom.take().filter(|b| b.id == id && !pending);
        let old = old.map(|b| lines(&b.text, size)).filter(|old| *old < size.1);
        let drawn = match old {
            None => self.display(Some(id), text, size),
            Some(old) => {
                self.lines = self.lines.saturating_sub(old) + lines(text, size);
                let body: String = text.split('\n').map(|line| format!("{line}{CLEAR_LINE}\n")).collect();
                format!("{}{body}{CLEAR_BELOW}", up(old))
            }
        };
        self.bottom = Some(Bottom { id, text: text.into(), moves: true });
        drawn
    }

    /// What must be written before and after a line that is not the cell's output, so that a display that moves stays
    /// at the bottom.
    pub(super) fn around(&mut self, size: Size) -> (String, String) {
        match self.bottom.take() {
            Some(bottom) if bottom.moves && lines(&bottom.text, size) < size.1 => {
                let around = (up(lines(&bottom.text, size)) + CLEAR_BELOW, format!("{}\n", bottom.text));
                self.bottom = Some(bottom);
                around
            }
            _ => (String::new(), String::new()),
        }
    }

    /// Clears the output so far: now, or when the next comes.
    pub(super) fn clear(&mut self, wait: bool, size: Size) -> String {
        self.clear = true;
        if wait { String::new() } else { self.cleared(size) }
    }

    /// Stores the latest state of a display for [`Live::settle`], where nothing can be redrawn.
    pub(super) fn keep(&mut self, id: u64, text: &str) {
        match self.kept.iter_mut().find(|(known, _)| *known == id) {
            Some((_, kept)) => text.clone_into(kept),
            None => self.kept.push((id, text.into())),
        }
    }

    /// Ends the cell: its output is final. Returns what [`Live::keep`] stored.
    pub(super) fn settle(&mut self) -> String {
        let kept = std::mem::take(self).kept;
        kept.into_iter().map(|(_, text)| text + "\n").collect()
    }

    fn cleared(&mut self, (_, rows): Size) -> String {
        if !std::mem::take(&mut self.clear) {
            return String::new();
        }
        self.bottom = None;
        let lines = std::mem::take(&mut self.lines);
        if lines < rows { up(lines) + CLEAR_BELOW } else { CLEAR_ALL.into() }
    }
}

/// The number of lines of a text on a terminal of this width.
fn lines(text: &str, (columns, _): Size) -> usize {
    text.split('\n').map(|line| line.width().div_ceil(columns.max(1)).max(1)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = (20, 10);

    #[test]
    fn a_display_at_the_bottom_is_redrawn_in_place() {
        let mut live = Live::default();
        assert_eq!(live.text("hello\n", SIZE), "hello\n");
        assert_eq!(live.display(Some(1), "a\nb", SIZE), "a\nb\n");
        assert_eq!(live.update(1, "c", SIZE), "\x1b[2A\rc\x1b[K\n\x1b[J");
        assert_eq!(live.update(1, "d", SIZE), "\x1b[1A\rd\x1b[K\n\x1b[J");
        assert_eq!(live.text("after\n", SIZE), "after\n");
        assert_eq!(live.update(1, "e", SIZE), "e\n", "what is above stays");
        assert_eq!(live.update(2, "f", SIZE), "f\n", "another display");
    }

    #[test]
    fn lines_that_wrap_are_counted() {
        let mut live = Live::default();
        live.display(Some(1), &"x".repeat(45), SIZE);
        assert!(live.update(1, "y", SIZE).starts_with("\x1b[3A\r"));
        live.display(Some(2), &"tall\n".repeat(30), SIZE);
        assert_eq!(live.update(2, "z", SIZE), "z\n", "what left the screen cannot be redrawn");
    }

    #[test]
    fn warnings_go_above_a_display_that_moves() {
        let mut live = Live::default();
        live.display(Some(1), "still", SIZE);
        assert_eq!(live.around(SIZE), (String::new(), String::new()));
        live.display(Some(2), "a", SIZE);
        live.update(2, "b\nc", SIZE);
        assert_eq!(live.around(SIZE), ("\x1b[2A\r\x1b[J".into(), "b\nc\n".into()));
        assert_eq!(live.update(2, "d", SIZE), "\x1b[2A\rd\x1b[K\n\x1b[J");
    }

    #[test]
    fn the_output_of_a_cell_can_be_cleared() {
        let mut live = Live::default();
        live.text("1\n2\n", SIZE);
        assert_eq!(live.clear(true, SIZE), "");
        assert_eq!(live.text("3\n", SIZE), "\x1b[2A\r\x1b[J3\n");
        assert_eq!(live.clear(false, SIZE), "\x1b[1A\r\x1b[J");
        live.text(&"long\n".repeat(50), SIZE);
        assert_eq!(live.clear(false, SIZE), CLEAR_ALL);
        live.text("next\n", SIZE);
        live.settle();
        assert_eq!(live.clear(false, SIZE), "\r\x1b[J", "the cell before is out of reach");
    }

    #[test]
    fn the_last_state_is_kept_where_nothing_can_be_redrawn() {
        let mut live = Live::default();
        live.keep(1, "a");
        live.keep(2, "x");
        live.keep(1, "b");
        assert_eq!(live.settle(), "b\nx\n");
        assert_eq!(live.settle(), "");
    }
}
