//! Completion inside of commands.

use super::parts::{CommandPart, parts};
use super::{COMMANDS, Command, TAKE_CODE, command};
use crate::script::programs::{PROGRAMS, Program};
use crate::script::{Completeness, Completion, Completions, Symbols};

/// IPython's commands that work here, and what they do, for completion.
const MAGICS: [(&str, &str); 12] = [
    ("cat", "show a file"),
    ("cd", "go to a folder"),
    ("history", "the cells that ran"),
    ("load", "run a script in this session"),
    ("ls", "the files of a folder"),
    ("pwd", "say which folder this is"),
    ("reset", "forget variables, functions and cells"),
    ("run", "run a script in this session"),
    ("save", "write the cells as a script or a notebook"),
    ("time", "run code and say how long it took"),
    ("timeit", "run code and say how long it took"),
    ("who", "the variables, their types and values"),
];

/// The completions at `cursor` (a byte offset) in a command; `None` in code.
pub fn complete(symbols: &Symbols, text: &str, cursor: usize) -> Option<Completions> {
    let before = text.get(..cursor)?;
    if let Some(name) = before.strip_prefix('?') {
        return Some(shifted(symbols.topics(name), 1));
    }
    if before.starts_with('!') {
        return Some(path(symbols, before));
    }
    if let Some(typed) = before.strip_prefix('%') {
        let name = typed.trim_start_matches('%');
        if name.contains(char::is_whitespace) {
            return Some(path(symbols, before));
        }
        let fitting = MAGICS.iter().filter(|(magic, _)| magic.starts_with(name));
        let item =
            |(magic, about): &(&str, &str)| Completion { text: (*magic).into(), kind: "command", doc: (*about).into() };
        return Some(Completions { start: cursor - name.len(), items: fitting.map(item).collect() });
    }
    let rest = before.strip_prefix(':')?;
    let Some((name, args)) = rest.split_once(char::is_whitespace) else {
        let items = COMMANDS.iter().filter(|c| c.name.starts_with(rest));
        let item = |c: &Command| Completion { text: c.name.into(), kind: "command", doc: c.about.into() };
        let mut items: Vec<Completion> = items.map(item).collect();
        items.sort_by(|a, b| a.text.cmp(&b.text));
        return Some(Completions { start: 1, items });
    };
    let begin = cursor - args.len();
    Some(match command(name)?.name {
        "load" | "save" | "cd" => {
            // Completed as the contents of a string, in which paths are completed.
            let quoted = format!("\"{args}");
            let mut found = shifted(symbols.complete(&quoted, quoted.len()), begin - 1);
            if name == "load" && !args.contains(['/', ' ']) {
                let programs = PROGRAMS.iter().filter(|p| p.name.starts_with(args));
                let item = |p: &Program| Completion { text: p.name.into(), kind: "function", doc: p.about().into() };
                found.items.extend(programs.map(item));
                found.start = begin;
            }
            found
        }
        "help" => {
            let mut found = shifted(symbols.topics(args), begin);
            let commands = COMMANDS.iter().filter(|c| c.name.starts_with(args));
            found.items.extend(commands.map(|c| Completion {
                text: c.name.into(),
                kind: "command",
                doc: c.about.into(),
            }));
            found
        }
        _ => shifted(symbols.complete(args, args.len()), begin),
    })
}

/// Completes the last word of a shell command as a path.
fn path(symbols: &Symbols, before: &str) -> Completions {
    let begin = before.rfind([' ', '!', '=', '\'', '"']).map_or(0, |i| i + 1);
    // Completed as the contents of a string, in which paths are completed.
    let quoted = format!("\"{}", &before[begin..]);
    let mut found = symbols.complete(&quoted, quoted.len());
    found.start = found.start + begin - 1;
    found
}

fn shifted(mut completions: Completions, by: usize) -> Completions {
    completions.start += by;
    completions
}

/// Completeness of a cell of code and commands.
pub fn completeness(symbols: &Symbols, cell: &str) -> Completeness {
    match parts(cell).last() {
        Some(CommandPart::Command(line)) => match TAKE_CODE.iter().find_map(|name| line.strip_prefix(name)) {
            Some(code) => symbols.completeness(code),
            None => Completeness::Complete,
        },
        Some(CommandPart::Code(code, _)) => symbols.completeness(code),
        None => Completeness::Complete,
    }
}
