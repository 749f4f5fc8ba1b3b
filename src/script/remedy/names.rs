//! Hints for Python names: variables, functions, methods.

use super::{Remedy, SourceLine, calls, elsewhere, ours, statements};

/// The hint for an unknown variable at `column` (from 1, in characters) of a line.
pub(crate) fn word(name: &str, text: &str, column: usize) -> Option<Remedy> {
    let literal = |code: &str| Remedy::new(format!("'{name}' is written {code}"), code);
    match name {
        "True" => return literal("true"),
        "False" => return literal("false"),
        "None" | "null" | "nil" | "undefined" | "NULL" => return literal("()"),
        "pi" | "PI" => return literal("PI()"),
        "inf" | "Infinity" => return literal("1.0 / 0.0"),
        "nan" | "NaN" => return literal("0.0 / 0.0"),
        "self" => return literal("this"),
        "quit" | "bye" => return literal("exit()"),
        "clear" | "cls" => return literal("clear_output()"),
        _ => {}
    }
    let trimmed = text.trim();
    let line = SourceLine::new(trimmed);
    statements::of_line(&line)
        .or_else(|| elsewhere::command(&line))
        .or_else(|| elsewhere::printed(&line))
        .or_else(|| calls::of_module(name, text, column))
        .or_else(|| assignment(name, text, column))
}

/// `x = 5`, where there is no x.
fn assignment(name: &str, text: &str, column: usize) -> Option<Remedy> {
    let message = format!("there is no variable '{name}' yet: let makes it");
    if let Some(code) = several(name, text.trim()) {
        return Remedy::new(message, code);
    }
    let at = text.char_indices().nth(column.saturating_sub(1))?.0;
    let rest = text[at..].strip_prefix(name)?.trim_start();
    let made = rest.strip_prefix('=').filter(|rest| !rest.starts_with('=') && !rest.starts_with('>'));
    if let Some(value) = made {
        return Remedy::new(message, format!("let {name} = {}", ours(value.split(';').next().unwrap_or(value).trim())));
    }
    let ops = ["+=", "-=", "*=", "/=", "%="];
    if ops.iter().any(|op| rest.starts_with(op)) {
        return Remedy::new(message, format!("let {name} = 0"));
    }
    None
}

/// `a, b = 1, 2`
fn several(name: &str, text: &str) -> Option<String> {
    let (names, values) = text.split_once('=').filter(|(_, values)| !values.starts_with('='))?;
    let all: Vec<&str> = names.split(',').map(str::trim).collect();
    let simple = |word: &&str| word.chars().all(|c| c.is_alphanumeric() || c == '_') && !word.is_empty();
    if all.len() < 2 || !all.iter().all(simple) || !all.contains(&name) {
        return None;
    }
    let values = values.trim().trim_end_matches(';').trim();
    let line = SourceLine::new(values);
    let values = match line.find(0, line.len(), ",") {
        Some(_) => format!("[{}]", ours(values)),
        None => ours(values),
    };
    Some(format!("let ({}) = {values}", all.join(", ")))
}

/// The hint for a condition that is no truth value, at its beginning: `if xs { }`.
pub(crate) fn condition(kind: &str, text: &str, column: usize) -> Option<Remedy> {
    let byte = text.char_indices().nth(column.checked_sub(1)?)?.0;
    let line = SourceLine::new(text);
    let at = line.tokens.iter().position(|token| token.start == byte)?;
    let from = if line.word(at) == "!" { at + 1 } else { at };
    let asks = |i: usize| matches!(line.word(i), "if" | "while" | "!" | "until");
    if from == 0 || !asks(from - 1) {
        return None;
    }
    let to = if line.word(from - 1) == "!" { line.operand_after(from)? } else { line.find(from, line.len(), "{")? };
    let value = line.part(from, to);
    let simple = line.operand_after(from) == Some(to);
    let value = if simple { value.to_owned() } else { format!("({value})") };
    let code = match kind {
        "int" | "float" => format!("{value} != 0"),
        "string" | "array" | "map" => format!("{value}.len > 0"),
        "()" => format!("{value} != ()"),
        _ => return None,
    };
    let whole = if line.word(from - 1) == "!" {
        line.replaced(from - 1, to - 1, &format!("!({code})"))
    } else {
        line.replaced(from, to - 1, &code)
    };
    Remedy::new(format!("only true and false are conditions, not {kind}"), whole)
}

/// The hint for a loop over what is no list: `for i in n { }`.
pub(crate) fn rounds(text: &str) -> Option<Remedy> {
    let line = SourceLine::new(text);
    let within = (1..line.len()).find(|&i| line.word(i) == "in" && line.is_name(i))?;
    let open = line.find(within, line.len(), "{").filter(|&open| open > within + 1)?;
    let code = line.replaced(within + 1, open - 1, &format!("0..{}", ours(line.part(within + 1, open))));
    Remedy::new("a loop that counts goes through a range", code)
}
