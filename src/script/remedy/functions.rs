//! Hints for functions as other languages define them: types, defaults and bodies without braces, arrows.

use super::{Remedy, SourceLine, block};

/// The hint for a line with such a function.
pub(super) fn remedy(line: &SourceLine) -> Option<Remedy> {
    named(line).or_else(|| nameless(line)).or_else(|| arrow(line))
}

/// The names of parameters in `from..to`, without types, defaults and stars; whether one had a default.
fn parameters(line: &SourceLine, from: usize, to: usize) -> (String, bool) {
    let (mut names, mut defaults, mut i) = (Vec::new(), false, from);
    while i < to {
        let end = line.find(i, to, ",").unwrap_or(to);
        names.extend((i..end).find(|&at| line.is_name(at)).map(|at| line.word(at)));
        defaults |= line.find(i, end, "=").is_some();
        i = end + 1;
    }
    (names.join(", "), defaults)
}

/// The body from token `at` on, in braces.
fn body(line: &SourceLine, mut at: usize) -> String {
    // `-> int`, `: int` in front of a body
    if line.word(at) == "-" && line.word(at + 1) == ">" || line.word(at) == ":" {
        at = line.find(at, line.len(), "{").unwrap_or(line.len());
    }
    let rest = if line.word(at) == "=" { line.part(at + 1, line.len()) } else { line.part(at, line.len()) };
    let rest = rest.strip_prefix('>').unwrap_or(rest).trim();
    if rest.trim_end_matches(';').is_empty() { "{ }".into() } else { block(rest) }
}

/// `fn f(x: int, y=1) -> int { x }`, `fn f(x) = x * 2`, `fn f x { x }`
fn named(line: &SourceLine) -> Option<Remedy> {
    if line.word(0) != "fn" || !line.is_name(1) {
        return None;
    }
    let (from, to, rest) = match line.word(2) {
        "(" => (3, line.close(2)?, line.close(2)? + 1),
        _ => {
            let open = line.find(2, line.len(), "{").filter(|open| (2..*open).all(|i| line.is_name(i)))?;
            let names: Vec<&str> = (2..open).map(|i| line.word(i)).collect();
            let code = format!("fn {}({}) {}", line.word(1), names.join(", "), body(line, open));
            return Remedy::new("the parameters of a function stand in parentheses", code);
        }
    };
    let (names, defaults) = parameters(line, from, to);
    let message = if defaults || line.part(from, to).contains('*') {
        "parameters have no defaults and no stars: options are a map"
    } else {
        "a function is written with fn and braces, its parameters without types"
    };
    Remedy::new(message, format!("fn {}({names}) {}", line.word(1), body(line, rest)))
}

const NAMELESS: &str = "a function without a name is |x| x + 1";

/// `let f = function(x) { x }`, `let f = fn(x) { x }`, `let f = fn x { x }`
fn nameless(line: &SourceLine) -> Option<Remedy> {
    let at = (0..line.len()).find(|&i| matches!(line.word(i), "fn" | "function" | "func") && line.is_name(i))?;
    let brace = line.find(at, line.len(), "{")?;
    let (from, to) = match line.word(at + 1) {
        "(" => (at + 2, line.close(at + 1)?),
        _ if at > 0 && line.is_name(at + 1) => (at + 1, brace),
        _ => return None,
    };
    let (names, _) = parameters(line, from, to);
    Remedy::new(NAMELESS, line.replaced(at, brace - 1, &format!("|{names}|")))
}

/// `x => x * 2`, `(a, b) => a + b`, `(x) -> x * 2`
fn arrow(line: &SourceLine) -> Option<Remedy> {
    let switches = matches!(line.word(0), "if" | "while" | "fn") || (0..line.len()).any(|i| line.word(i) == "switch");
    let is_arrow = |i: usize| line.word(i) == "=>" || line.word(i) == "-" && line.word(i + 1) == ">" && line.touch(i);
    let at = (1..line.len()).find(|&i| is_arrow(i)).filter(|_| !switches)?;
    let behind = if line.word(at) == "=>" { at + 1 } else { at + 2 };
    let from = match line.word(at - 1) {
        ")" => (0..at).find(|&i| line.word(i) == "(" && line.close(i) == Some(at - 1))?,
        _ if line.is_name(at - 1) => at - 1,
        _ => return None,
    };
    let (names, _) = parameters(line, if line.word(from) == "(" { from + 1 } else { from }, at);
    (behind < line.len()).then(|| Remedy::new(NAMELESS, line.replaced(from, behind - 1, &format!("|{names}|"))))?
}
