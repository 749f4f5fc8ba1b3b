//! Scripts that were made of notebooks, as `jupyter nbconvert --to script` makes them: the code of cells one below the
//! other. A cell need not end its last statement, and it may hold commands; a script has to and may not.

use super::parts::{CommandPart, parts};
use crate::script::parser;

/// The cells of a text that is not a program as a whole, but each of whose paragraphs is, commands apart: the line on which
/// each begins, from 0, and its text. `None` for any other.
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

/// True when all code of a cell is a program.
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
