//! Hints for Python expressions: f-strings, lambdas, comprehensions, slices, dictionaries, tuples, operators in words.

use super::{Remedy, SourceLine, ours, quoted};
use crate::script::scan::LexemeKind;

/// The hint for a line with a Python expression.
pub(super) fn remedy(line: &SourceLine) -> Option<Remedy> {
    let finders: [fn(&SourceLine) -> Option<Remedy>; 12] = [
        unclosed,
        f_string,
        layout,
        lambda,
        comprehension,
        conditional,
        named_arguments,
        dictionary,
        slice,
        counter,
        entry,
        tuple,
    ];
    finders.iter().find_map(|find| find(line)).or_else(|| words(line))
}

/// The line with the tokens `from..=to` replaced.
fn replaced(line: &SourceLine, from: usize, to: usize, new: &str) -> String {
    format!("{}{new}{}", ours(&line.text[..line.start(from)]), ours(&line.text[line.end(to)..]))
}

/// `print("hi`
fn unclosed(line: &SourceLine) -> Option<Remedy> {
    let last = line.len().checked_sub(1)?;
    let word = line.word(last);
    let quote = word
        .chars()
        .next()
        .filter(|c| matches!(c, '"' | '\''))
        .filter(|_| line.kind(last) == Some(LexemeKind::Text))?;
    if word.len() > 1 && word.ends_with(quote) && !word.ends_with("\\\"") {
        return None;
    }
    let open = (0..last).filter(|&i| line.word(i) == "(" && line.close(i).is_none()).count();
    let inside = word[1..].trim_end_matches(';');
    let text = inside.trim_end_matches(')');
    // Closing brackets at the end belong to the code as far as brackets are open.
    let kept = (inside.len() - text.len()).saturating_sub(open);
    let text = &inside[..text.len() + kept];
    let code = format!("{}\"{text}\"{}", &line.text[..line.start(last)], ")".repeat(open));
    Remedy::new("a string has no end; one over several lines is written in backticks", code)
}

/// f"…{x:.2f}…"
fn f_string(line: &SourceLine) -> Option<Remedy> {
    let i = (0..line.len())
        .find(|&i| matches!(line.word(i), "f" | "F") && line.kind(i + 1) == Some(LexemeKind::Text) && line.touch(i))?;
    let word = line.word(i + 1);
    let inside = word.trim_matches(|c| c == '"' || c == '\'');
    let mut text = String::new();
    let mut rest = inside;
    while let Some((before, after)) = rest.split_once('{') {
        let (value, behind) = after.split_once('}')?;
        text += &before.replace('`', "``");
        text += &match value.split_once(':') {
            Some((value, how)) => format!("${{format({}, \"{how}\")}}", ours(value)),
            None => format!("${{{}}}", ours(value.trim_end_matches('='))),
        };
        rest = behind;
    }
    text += rest;
    Remedy::new("values stand in a text in backticks, as ${x}", replaced(line, i, i + 1, &format!("`{text}`")))
}

/// `${x:.2f}`
fn layout(line: &SourceLine) -> Option<Remedy> {
    let open = (0..line.len()).find(|&i| line.word(i) == "${" && line.close(i).is_some())?;
    let close = line.close(open)?;
    let colon = line.find(open + 1, close, ":")?;
    let how = line.part(colon + 1, close);
    let code = format!("format({}, \"{how}\")", line.part(open + 1, colon));
    Remedy::new("a number is laid out by format", replaced(line, open + 1, close - 1, &code))
}

/// lambda x: x + 1
fn lambda(line: &SourceLine) -> Option<Remedy> {
    let i = (0..line.len()).find(|&i| line.word(i) == "lambda")?;
    let colon = line.find(i + 1, line.len(), ":")?;
    Remedy::new(
        "a function without a name is |x| x + 1",
        replaced(line, i, colon, &format!("|{}|", line.part(i + 1, colon))),
    )
}

/// [x * 2 for x in xs if x > 1]
fn comprehension(line: &SourceLine) -> Option<Remedy> {
    let open = (0..line.len()).find(|&i| {
        line.word(i) == "[" && line.close(i).is_some_and(|close| line.find(i + 1, close, "for").is_some())
    })?;
    let close = line.close(open)?;
    let each = line.find(open + 1, close, "for")?;
    let within = line.find(each + 1, close, "in")?;
    let when = line.find(within + 1, close, "if");
    let (name, list) = (line.part(each + 1, within), ours(line.part(within + 1, when.unwrap_or(close))));
    // A range must be converted to an array.
    let list = match list.strip_prefix("0..") {
        Some(end) => format!("range({})", end.trim_start_matches('=')),
        None => list,
    };
    let filter = when.map_or(String::new(), |when| format!(".filter(|{name}| {})", ours(line.part(when + 1, close))));
    let value = ours(line.part(open + 1, each));
    let map = if value == name { String::new() } else { format!(".map(|{name}| {value})") };
    Remedy::new("lists are made by map and filter", replaced(line, open, close, &format!("{list}{filter}{map}")))
}

/// a if c else b
fn conditional(line: &SourceLine) -> Option<Remedy> {
    let test = line.find(1, line.len(), "if")?;
    let other = line.find(test + 1, line.len(), "else")?;
    if line.word(test + 1).is_empty() || line.word(other - 1) == "}" {
        return None;
    }
    let from = (0..test).rev().find(|&i| matches!(line.word(i), "=" | "(" | "," | "return" | ":")).map_or(0, |i| i + 1);
    let mut to = line.len();
    if from > 0 && matches!(line.word(from - 1), "(" | ",") {
        to = (other..line.len()).find(|&i| matches!(line.word(i), ")" | ",")).unwrap_or(to);
    }
    let to = if line.word(to - 1) == ";" { to - 1 } else { to };
    let (yes, no) = (ours(line.part(from, test)), ours(line.part(other + 1, to)));
    let code = format!("if {} {{ {yes} }} else {{ {no} }}", ours(line.part(test + 1, other)));
    Remedy::new("a choice between values begins with if", replaced(line, from, to - 1, &code))
}

/// sampler(temperature=0.9)
fn named_arguments(line: &SourceLine) -> Option<Remedy> {
    let named = |i: usize| {
        line.is_name(i)
            && line.word(i + 1) == "="
            && line.word(i + 2) != "="
            && matches!(line.word(i.wrapping_sub(1)), "(" | ",")
    };
    let first = (1..line.len()).find(|&i| named(i))?;
    let open = (0..first).rev().find(|&i| line.word(i) == "(" && line.close(i).is_none_or(|close| close > first))?;
    let close = line.close(open)?;
    if open == 0 || !line.is_name(open - 1) {
        return None;
    }
    let (mut plain, mut options, mut i) = (Vec::new(), Vec::new(), open + 1);
    while i < close {
        let end = line.find(i, close, ",").unwrap_or(close);
        if named(i) {
            options.push(format!("{}: {}", line.word(i), ours(line.part(i + 2, end))));
        } else {
            plain.push(ours(line.part(i, end)));
        }
        i = end + 1;
    }
    plain.push(format!("#{{ {} }}", options.join(", ")));
    Remedy::new("options stand in a map", replaced(line, open + 1, close - 1, &plain.join(", ")))
}

/// {"a": 1}
fn dictionary(line: &SourceLine) -> Option<Remedy> {
    let open = (0..line.len()).find(|&i| {
        line.word(i) == "{"
            && (line.kind(i + 1) == Some(LexemeKind::Text) || line.is_name(i + 1))
            && line.word(i + 2) == ":"
    })?;
    let close = line.close(open)?;
    let mut inside = String::new();
    for i in open + 1..close {
        inside += &line.text[line.end(i - 1)..line.start(i)];
        inside += &if line.kind(i) == Some(LexemeKind::Text) { quoted(line.word(i)) } else { ours(line.word(i)) };
    }
    Remedy::new("a map begins with #{", replaced(line, open, close, &format!("#{{{inside} }}")))
}

/// a[1:3]
fn slice(line: &SourceLine) -> Option<Remedy> {
    let marked = |i: usize, mark: &str| line.close(i).is_some_and(|close| line.find(i + 1, close, mark).is_some());
    let open = (1..line.len()).find(|&i| line.word(i) == "[" && (marked(i, ":") || marked(i, "::")))?;
    let close = line.close(open)?;
    if marked(open, "::") {
        let whole = line.word(open + 1) == "::" && line.part(open + 2, close) == "-1";
        let code = replaced(line, open, close, ".reversed()");
        return if whole { Remedy::new("an array is turned round by reversed", code) } else { None };
    }
    let colon = line.find(open + 1, close, ":")?;
    let end = line.find(colon + 1, close, ":").unwrap_or(close);
    let code = format!("{}..{}", ours(line.part(open + 1, colon)), ours(line.part(colon + 1, end)));
    let code = if code == ".." { "0..".into() } else { code };
    Remedy::new("a slice is written with ..", replaced(line, open + 1, close - 1, &code))
}

/// i++
fn counter(line: &SourceLine) -> Option<Remedy> {
    let i = (0..line.len())
        .find(|&i| line.is_name(i) && matches!((line.word(i + 1), line.word(i + 2)), ("+", "+") | ("-", "-")))?;
    Remedy::new("there is no ++", replaced(line, i, i + 2, &format!("{} {}= 1", line.word(i), line.word(i + 1))))
}

/// map.39
fn entry(line: &SourceLine) -> Option<Remedy> {
    let i = (1..line.len()).find(|&i| line.kind(i) == Some(LexemeKind::Number) && line.word(i - 1) == ".")?;
    Remedy::new(
        "a key that is not a name is written in brackets",
        replaced(line, i - 1, i, &format!("[\"{}\"]", line.word(i))),
    )
}

/// (1, 2)
fn tuple(line: &SourceLine) -> Option<Remedy> {
    let open = (0..line.len()).find(|&i| {
        let called = i > 0
            && (line.is_name(i - 1) && !matches!(line.word(i - 1), "return" | "in")
                || matches!(line.word(i - 1), ")" | "]"));
        line.word(i) == "(" && !called && line.close(i).is_some_and(|close| line.find(i + 1, close, ",").is_some())
    })?;
    let close = line.close(open)?;
    let inside = ours(line.part(open + 1, close));
    Remedy::new(
        "several values stand in an array",
        replaced(line, open, close, &format!("[{}]", inside.trim_end_matches(','))),
    )
}

/// `not a`, `a and b`, `'text'`
fn words(line: &SourceLine) -> Option<Remedy> {
    let has = |words: &[&str]| (0..line.len()).any(|i| line.is_name(i) && words.contains(&line.word(i)));
    let code = ours(line.text);
    if has(&["and", "or", "not", "is"]) {
        return Remedy::new("and, or, not are && || !", code);
    }
    let text = (0..line.len()).any(|i| line.kind(i) == Some(LexemeKind::Text) && line.word(i).starts_with('\''));
    if text {
        return Remedy::new("strings stand in double quotes", code);
    }
    None
}
