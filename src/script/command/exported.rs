//! Reads scripts exported from notebooks by `jupyter nbconvert --to script`: the code of all cells, concatenated.
//! Unlike a script, cells may lack the final `;` and may contain commands.

use super::parts::{CommandPart, parts};
use crate::script::parser;

/// The cells of a text that does not parse as a program although each of its paragraphs does, commands apart: the first
/// line of each, from 0, and its text. `None` for other texts.
pub(super) fn cells(text: &str) -> Option<Vec<(usize, String)>> {
    if parser::parse(text).is_ok() {
        return None;
    }
    let mut cells = Vec::new();
    let (mut cell, mut first) = (String::new(), 0);
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() && (cell.trim().is_empty() || whole(&cell)) {
            keep(&mut cells, &mut cell, first);
            first = number + 1;
        } else {
            cell += line;
            cell.push('\n');
        }
    }
    if !whole(&cell) {
        return None;
    }
    keep(&mut cells, &mut cell, first);
    (cells.len() > 1 || text.lines().any(|line| line.starts_with([':', '?', '!']))).then_some(cells)
}

fn keep(cells: &mut Vec<(usize, String)>, cell: &mut String, first: usize) {
    let cell = std::mem::take(cell);
    if !cell.trim().is_empty() {
        cells.push((first, cell));
    }
}

/// True when all code of a cell parses.
fn whole(cell: &str) -> bool {
    parts(cell).iter().all(|part| match part {
        CommandPart::Code(code, _) => parser::parse(code).is_ok(),
        CommandPart::Command(_) => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_cells_where_the_whole_is_no_program() {
        let text = "#!x\n\n// In[1]:\n\nlet x = 1\n\n\nfn f(a) {\n\n    a\n}\n\n:vars\nf(x)\n\nprint(2)\n";
        let text = text.strip_prefix("#!x\n").expect("a line");
        let cells = cells(text).expect("cells");
        let begins: Vec<(usize, &str)> =
            cells.iter().map(|(at, text)| (*at, text.lines().next().unwrap_or(""))).collect();
        assert_eq!(begins, [(1, "// In[1]:"), (3, "let x = 1"), (6, "fn f(a) {"), (11, ":vars"), (14, "print(2)")]);
    }

    #[test]
    fn programs_and_what_is_broken_are_left_alone() {
        for text in ["let x = 1;\n\nx", "", "let x = ;\n\nx", "let = 1", "print(1", "a b\n\nc"] {
            assert_eq!(cells(text), None, "{text}");
        }
    }
}
