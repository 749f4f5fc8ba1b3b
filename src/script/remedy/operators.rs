//! Hints for operators and numbers as other languages write them.

use super::{Remedy, SourceLine, ours, placed, quoted};
use crate::script::scan::LexemeKind;

/// The hint for such a line.
pub(super) fn remedy(line: &SourceLine) -> Option<Remedy> {
    defined(line)
        .or_else(|| symbols(line))
        .or_else(|| percent(line))
        .or_else(|| words(line))
        .or_else(|| numbers(line))
        .or_else(|| prefixed(line))
}

/// `x := 5`, `let x == 5`, `let mut x = 5`, `const x: int = 5`, `a = b = 3`, `let x = 5, y = 6`
fn defined(line: &SourceLine) -> Option<Remedy> {
    let made = matches!(line.word(0), "let" | "const" | "var");
    let word = if line.word(0) == "const" { "const" } else { "let" };
    let name = usize::from(made) + usize::from(made && line.word(1) == "mut" && line.is_name(2));
    if !line.is_name(name) {
        return None;
    }
    let message = "a variable is made with let";
    let mut at = name + 1;
    if line.word(at) == ":" && line.is_name(at + 1) {
        at += 2;
    } else if line.word(at) == ":" || made && line.word(at) == "=" && line.word(at + 1) == "=" {
        at += 1;
    }
    if line.word(at) != "=" {
        return None;
    }
    let value = line.part(at + 1, line.len());
    // Further variables on the same line.
    if line.word(at + 2) == "=" && line.word(at + 3) != "=" && line.is_name(at + 1) {
        let second = line.word(at + 1);
        let last = ours(line.part(at + 3, line.len()).trim_end_matches(';'));
        return Remedy::new(
            "one variable is assigned at a time",
            format!("let {second} = {last}; let {} = {second}", line.word(name)),
        );
    }
    if let Some(comma) = line.find(at + 1, line.len(), ",").filter(|&comma| line.word(comma + 2) == "=") {
        let rest = ours(line.part(comma + 1, line.len()));
        let first = ours(line.part(at + 1, comma));
        return Remedy::new(
            "one variable is made at a time",
            format!("{word} {} = {first}; {word} {rest}", line.word(name)),
        );
    }
    let plain = at == name + 1 && name < 2;
    if plain || line.word(at + 1) == "=" {
        return None;
    }
    let message =
        if line.word(name + 1) == ":" && at == name + 3 { "variables have no declared type" } else { message };
    Remedy::new(message, format!("{word} {} = {}", line.word(name), ours(value)))
}

/// `=<`, `=>` in a condition, `=!`
fn symbols(line: &SourceLine) -> Option<Remedy> {
    let condition = matches!(line.word(0), "if" | "while");
    let switches = (0..line.len()).any(|i| line.word(i) == "switch");
    for i in 1..line.len() {
        let (new, last) = match (line.word(i), line.word(i + 1)) {
            ("=", "<") if line.touch(i) => ("<=", i + 1),
            ("=", "!") if line.touch(i) && !line.touch(i + 1) && line.word(i - 1) != "=" => ("!=", i + 1),
            ("=>", _) if !switches && (condition || line.kind(i - 1) == Some(LexemeKind::Number)) => (">=", i),
            _ => continue,
        };
        let theirs = line.part(i, last + 1);
        return Remedy::new(format!("'{theirs}' is written {new}"), line.replaced(i, last, new));
    }
    None
}

/// `"%s is %.2f" % (a, b)`
pub(super) fn percent(line: &SourceLine) -> Option<Remedy> {
    let text = |i: usize| line.kind(i) == Some(LexemeKind::Text) && line.word(i).starts_with(['"', '\'']);
    let at = (0..line.len()).find(|&i| text(i) && line.word(i + 1) == "%" && line.word(i).contains('%'))?;
    let (values, end) = if line.word(at + 2) == "(" {
        let close = line.close(at + 2)?;
        (line.arguments(at + 2)?, close)
    } else {
        let ends = |i: usize| matches!(line.word(i), ")" | "," | ";" | "+" | "]" | "}");
        let end = (at + 3..line.len()).find(|&i| ends(i)).unwrap_or(line.len());
        (vec![line.part(at + 2, end)], end - 1)
    };
    let inside = line.word(at).get(1..line.word(at).len() - 1)?;
    let (mut code, mut rest, mut values) = (String::new(), inside, values.into_iter());
    while let Some((before, behind)) = rest.split_once('%') {
        code += &before.replace('`', "``");
        let kind = behind.find(|c: char| c.is_ascii_alphabetic() || c == '%')?;
        let (how, mark) = (&behind[..kind], behind[kind..].chars().next()?);
        rest = &behind[kind + 1..];
        match mark {
            '%' => code.push('%'),
            's' | 'r' | 'd' | 'i' if how.is_empty() => code += &placed(values.next()?, ""),
            mark => code += &placed(values.next()?, &format!("{how}{mark}")),
        }
    }
    code += rest;
    Remedy::new("values stand in a text in backticks, as ${x}", line.replaced(at, end, &format!("`{code}`")))
}

/// `7 div 2`, `7 mod 2`
fn words(line: &SourceLine) -> Option<Remedy> {
    let at = (1..line.len()).find(|&i| matches!(line.word(i), "div" | "mod" | "xor") && line.is_name(i))?;
    let new = match line.word(at) {
        "div" => "/",
        "mod" => "%",
        _ => "^",
    };
    Remedy::new(format!("{} is written {new}", line.word(at)), line.replaced(at, at, new))
}

/// `1,000`, `.5`, `5.`, `5f`
fn numbers(line: &SourceLine) -> Option<Remedy> {
    let number = |i: usize| line.kind(i) == Some(LexemeKind::Number);
    for i in 0..line.len() {
        let free = i == 0
            || !(line.is_name(i - 1) || number(i - 1) || matches!(line.word(i - 1), ")" | "]" | "}" | ":" | "."));
        if free && line.word(i) == "." && number(i + 1) && line.touch(i) {
            let code = line.replaced(i, i + 1, &format!("0.{}", line.word(i + 1)));
            return Remedy::new("a number begins with a digit", code);
        }
        let grouped = |at: usize| number(at + 1) && line.word(at) == "," && line.word(at + 1).len() == 3;
        if number(i) && line.word(i).len() < 4 && line.touch(i) && line.touch(i + 1) && grouped(i + 1) {
            let mut last = i + 2;
            while line.touch(last) && line.touch(last + 1) && grouped(last + 1) {
                last += 2;
            }
            let digits = line.part(i, last + 1).replace(',', "_");
            return Remedy::new("digits are grouped by _", line.replaced(i, last, &digits));
        }
        if number(i) && line.word(i + 1) == "." && i + 2 == line.len() && line.touch(i) {
            return Remedy::new("a digit follows the point", line.replaced(i, i + 1, &format!("{}.0", line.word(i))));
        }
        let word = line.word(i);
        let plain = word.trim_end_matches(['f', 'F', 'L', 'l', 'n', 'u']);
        if number(i) && free && plain.len() < word.len() && plain.chars().all(|c| c.is_ascii_digit() || c == '.') {
            return Remedy::new("numbers have no letter behind them", line.replaced(i, i, plain));
        }
    }
    None
}

/// `r"\d"`, `b"abc"`, `'''text'''`
fn prefixed(line: &SourceLine) -> Option<Remedy> {
    let text = |i: usize| line.kind(i) == Some(LexemeKind::Text);
    let tripled = |i: usize| {
        line.word(i) == "''" && text(i + 1) && line.word(i + 2) == "''" && line.touch(i) && line.touch(i + 1)
    };
    if let Some(at) = (0..line.len()).find(|&i| tripled(i)) {
        return Remedy::new(
            "strings over lines stand in backticks",
            line.replaced(at, at + 2, &quoted(line.word(at + 1))),
        );
    }
    let at =
        (0..line.len()).find(|&i| matches!(line.word(i), "r" | "R" | "b" | "u") && text(i + 1) && line.touch(i))?;
    let (word, inside) = (line.word(at + 1), line.word(at + 1).trim_matches(['"', '\'']));
    if line.word(at).eq_ignore_ascii_case("r") {
        return Remedy::new(
            "in backticks \\ is a character as any other",
            line.replaced(at, at + 1, &format!("`{inside}`")),
        );
    }
    Remedy::new("a text has no letter in front", line.replaced(at, at + 1, &quoted(word)))
}
