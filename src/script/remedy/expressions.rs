//! Hints for Python expressions: f-strings, lambdas, comprehensions, slices, dictionaries, tuples, operators in words.

use super::{Remedy, SourceLine, ours, placed, quoted};
use crate::script::scan::LexemeKind;

/// The hint for a line with a Python expression.
pub(super) fn remedy(line: &SourceLine) -> Option<Remedy> {
    let finders: [fn(&SourceLine) -> Option<Remedy>; 18] = [
        unclosed,
        f_string,
        layout,
        map_comprehension,
        comprehension,
        generator,
        named_arguments,
        lambda,
        conditional,
        equal_sign,
        dictionary,
        set,
        slice,
        indices,
        counter,
        stars,
        entry,
        tuple,
    ];
    finders.iter().find_map(|find| find(line)).or_else(|| words(line))
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
            Some((value, how)) => placed(value, how),
            None => placed(value.trim_end_matches('='), ""),
        };
        rest = behind;
    }
    text += rest;
    Remedy::new("values stand in a text in backticks, as ${x}", line.replaced(i, i + 1, &format!("`{text}`")))
}

/// `${x:.2f}`
fn layout(line: &SourceLine) -> Option<Remedy> {
    let open = (0..line.len()).find(|&i| line.word(i) == "${" && line.close(i).is_some())?;
    let close = line.close(open)?;
    let colon = line.find(open + 1, close, ":")?;
    let how = line.part(colon + 1, close);
    let code = format!("format({}, \"{how}\")", line.part(open + 1, colon));
    Remedy::new("a number is laid out by format", line.replaced(open + 1, close - 1, &code))
}

/// lambda x: x + 1
fn lambda(line: &SourceLine) -> Option<Remedy> {
    let i = (0..line.len()).find(|&i| line.word(i) == "lambda")?;
    let colon = line.find(i + 1, line.len(), ":")?;
    Remedy::new(
        "a function without a name is |x| x + 1",
        line.replaced(i, colon, &format!("|{}|", line.part(i + 1, colon))),
    )
}

/// The bracket with this text that has `for` inside.
fn with_for(line: &SourceLine, bracket: &str) -> Option<usize> {
    let inside = |i: usize| line.close(i).is_some_and(|close| line.find(i + 1, close, "for").is_some());
    (0..line.len()).find(|&i| line.word(i) == bracket && inside(i))
}

/// `x * 2 for x in xs if x > 1` in a bracket: the list with what is left, the name, the value.
fn mapped(line: &SourceLine, open: usize) -> Option<(String, String, String)> {
    let close = line.close(open)?;
    let each = line.find(open + 1, close, "for")?;
    let within = line.find(each + 1, close, "in")?;
    let when = line.find(within + 1, close, "if");
    let (name, list) = (line.part(each + 1, within), ours(line.part(within + 1, when.unwrap_or(close))));
    // A range must be converted to an array.
    let list = match list.split_once("..") {
        Some(("0", end)) if !end.starts_with('=') => format!("range({end})"),
        Some((from, end)) if from.chars().all(char::is_alphanumeric) => {
            format!("range({from}, {})", end.strip_prefix('=').map_or(end.to_owned(), |end| format!("{end} + 1")))
        }
        _ => list,
    };
    let filter = when.map_or(String::new(), |when| format!(".filter(|{name}| {})", ours(line.part(when + 1, close))));
    Some((format!("{list}{filter}"), name.into(), ours(line.part(open + 1, each))))
}

/// [x * 2 for x in xs if x > 1]
fn comprehension(line: &SourceLine) -> Option<Remedy> {
    let open = with_for(line, "[")?;
    let (list, name, value) = mapped(line, open)?;
    let map = if value == name { String::new() } else { format!(".map(|{name}| {value})") };
    Remedy::new("lists are made by map and filter", line.replaced(open, line.close(open)?, &format!("{list}{map}")))
}

/// {x: x * 2 for x in xs}
fn map_comprehension(line: &SourceLine) -> Option<Remedy> {
    let open = with_for(line, "{").filter(|_| !matches!(line.word(0), "for" | "fn" | "while" | "if"))?;
    let (list, name, entry) = mapped(line, open)?;
    let Some((key, value)) = entry.split_once(':') else {
        let map = if entry == name { String::new() } else { format!(".map(|{name}| {entry})") };
        let code = line.replaced(open, line.close(open)?, &format!("{list}{map}.unique()"));
        return Remedy::new("a set is an array without repeats", code);
    };
    let made = (0..open).rev().find(|&i| line.word(i) == "let" && line.word(i + 2) == "=");
    let to = made.map_or("m", |at| line.word(at + 1));
    let (key, value) = (key.trim(), value.trim());
    let before = ours(&line.text[..line.start(made.unwrap_or(open))]);
    let code = format!("{before}let {to} = #{{}}; for {name} in {list} {{ {to}[`${{{key}}}`] = {value} }}");
    Remedy::new("a map is filled in a loop", code)
}

/// sum(x * 2 for x in xs)
fn generator(line: &SourceLine) -> Option<Remedy> {
    let open = with_for(line, "(").filter(|&open| open > 0 && line.is_name(open - 1))?;
    let (list, name, value) = mapped(line, open)?;
    let map = if value == name { String::new() } else { format!(".map(|{name}| {value})") };
    let code = match line.word(open - 1) {
        "any" => format!("{list}.some(|{name}| {value})"),
        "all" => format!("{list}.all(|{name}| {value})"),
        "list" | "tuple" => format!("{list}{map}"),
        "set" => format!("{list}{map}.unique()"),
        function => format!("{function}({list}{map})"),
    };
    Remedy::new("lists are made by map and filter", line.replaced(open - 1, line.close(open)?, &code))
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
    Remedy::new("a choice between values begins with if", line.replaced(from, to - 1, &code))
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
    if line.word(0) == "fn" && line.word(2) == "(" && open == 2 {
        return None;
    }
    let (mut plain, mut options, mut i) = (Vec::new(), Vec::new(), open + 1);
    while i < close {
        let end = line.find(i, close, ",").unwrap_or(close);
        if named(i) {
            options.push((line.word(i), value_of_argument(line, i + 2, end)));
        } else {
            plain.push(ours(line.part(i, end)));
        }
        i = end + 1;
    }
    let option = |name: &str| options.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str());
    let method = open > 2 && line.word(open - 2) == ".";
    let from = if method { line.operand_before(open - 2) } else { open - 1 };
    let list = if method { line.part(from, open - 2).to_owned() } else { plain.first().cloned().unwrap_or_default() };
    let sorted = || {
        let key = option("key").map_or("()".into(), |key| format!("({key})"));
        format!("{list}.sorted{key}{}", if option("reverse") == Some("true") { ".reversed()" } else { "" })
    };
    let known = match line.word(open - 1) {
        "print" => Some(("print ends its line and puts a space between", format!("print({})", plain.join(", ")))),
        "sorted" => Some(("sorted takes a function", sorted())),
        "sort" if method => Some(("sort takes no options; sorted gives a new array", sorted())),
        "max" | "min" if option("key").is_some() => {
            let end = if line.word(open - 1) == "max" { "[-1]" } else { "[0]" };
            Some(("sorted takes a function", sorted() + end))
        }
        "dict" => None,
        name if line.defines(name) => {
            let values = options.iter().map(|(_, value)| value.clone());
            let all: Vec<String> = plain.iter().cloned().chain(values).collect();
            Some(("arguments have no names", format!("{name}({})", all.join(", "))))
        }
        _ => None,
    };
    if let Some((message, code)) = known {
        return Remedy::new(message, line.replaced(from, close, &code));
    }
    let options: Vec<String> = options.iter().map(|(key, value)| format!("{key}: {value}")).collect();
    if line.word(open - 1) == "dict" {
        let code = line.replaced(open - 1, close, &format!("#{{ {} }}", options.join(", ")));
        return Remedy::new("a map begins with #{", code);
    }
    plain.push(format!("#{{ {} }}", options.join(", ")));
    Remedy::new("options stand in a map", line.replaced(open + 1, close - 1, &plain.join(", ")))
}

/// The value of a named argument, which may be a function.
fn value_of_argument(line: &SourceLine, from: usize, to: usize) -> String {
    let value = line.part(from, to);
    match (line.word(from), line.find(from, to, ":")) {
        ("lambda", Some(colon)) => format!("|{}| {}", line.part(from + 1, colon), ours(line.part(colon + 1, to))),
        _ => ours(value),
    }
}

/// #{ a = 1 }
fn equal_sign(line: &SourceLine) -> Option<Remedy> {
    let inside = |i: usize| (0..i).rev().find(|&open| line.close(open).is_some_and(|close| close > i));
    let single =
        |i: usize| line.word(i) == "=" && line.word(i + 1) != "=" && !matches!(line.word(i - 1), "=" | "!" | "<" | ">");
    let at = (2..line.len()).find(|&i| single(i) && inside(i).is_some_and(|open| line.word(open) == "#{"))?;
    let end = line.end(at - 1);
    Remedy::new(
        "an entry of a map is written name: value",
        format!("{}:{}", &line.text[..end], &line.text[line.end(at)..]),
    )
}

/// {1, 2}
fn set(line: &SourceLine) -> Option<Remedy> {
    let open = (0..line.len()).find(|&i| {
        line.word(i) == "{"
            && line
                .close(i)
                .is_some_and(|close| line.find(i + 1, close, ",").is_some() && line.find(i + 1, close, ";").is_none())
    })?;
    let before = open.checked_sub(1).map_or("", |i| line.word(i));
    let stands = matches!(before, "" | "=" | "(" | "," | "[" | "return" | ";" | "in");
    let code =
        line.replaced(open, line.close(open)?, &format!("[{}].unique()", ours(line.part(open + 1, line.close(open)?))));
    stands.then(|| Remedy::new("a set is an array without repeats", code))?
}

/// a[0, 1]
fn indices(line: &SourceLine) -> Option<Remedy> {
    let open = (1..line.len()).find(|&i| {
        line.word(i) == "["
            && line.touch(i - 1)
            && (line.is_name(i - 1) || line.word(i - 1) == "]")
            && line.close(i).is_some_and(|close| line.find(i + 1, close, ",").is_some())
    })?;
    let all: Vec<String> = line.arguments(open)?.into_iter().map(ours).collect();
    Remedy::new(
        "each index has its own brackets",
        line.replaced(open, line.close(open)?, &format!("[{}]", all.join("]["))),
    )
}

/// `print(*xs)`, `a, *rest = xs`
fn stars(line: &SourceLine) -> Option<Remedy> {
    let at = (1..line.len()).find(|&i| {
        line.word(i) == "*" && line.is_name(i + 1) && line.touch(i) && matches!(line.word(i - 1), "(" | ",")
    })?;
    if line.word(at - 1) == "(" && line.word(at - 2) == "print" {
        return Remedy::new(
            "print writes values",
            line.replaced(at, at + 1, &format!("{}.join(\" \")", line.word(at + 1))),
        );
    }
    let (name, rest) = (line.word(at.checked_sub(2)?), line.word(at + 1));
    if !(line.word(at - 1) == "," && line.word(at + 2) == "=" && line.is_name(at - 2)) {
        return None;
    }
    let begin = line.text[..line.start(at - 2)].trim_end_matches("let ");
    let values = ours(line.part(at + 3, line.len()).trim_end_matches(';'));
    Remedy::new("a rest is a slice", format!("{begin}let {name} = {values}[0]; let {rest} = {values}[1..]"))
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
    Remedy::new("a map begins with #{", line.replaced(open, close, &format!("#{{{inside} }}")))
}

/// a[1:3]
fn slice(line: &SourceLine) -> Option<Remedy> {
    let marked = |i: usize, mark: &str| line.close(i).is_some_and(|close| line.find(i + 1, close, mark).is_some());
    let open = (1..line.len()).find(|&i| line.word(i) == "[" && (marked(i, ":") || marked(i, "::")))?;
    let close = line.close(open)?;
    let steps = |from: &str, to: &str, step: &str| {
        let begin = line.operand_before(open);
        let values = line.part(begin, open);
        let (from, to) =
            (if from.is_empty() { "0" } else { from }, if to.is_empty() { format!("{values}.len") } else { to.into() });
        let code = line.replaced(begin, close, &format!("range({from}, {to}, {step}).map(|i| {values}[i])"));
        Remedy::new("items in steps are taken by range and map", code)
    };
    if let Some(at) = line.find(open + 1, close, "::") {
        let step = ours(line.part(at + 1, close));
        if at == open + 1 && step == "-1" {
            return Remedy::new("an array is turned round by reversed", line.replaced(open, close, ".reversed()"));
        }
        return if step.is_empty() { None } else { steps(&ours(line.part(open + 1, at)), "", &step) };
    }
    let colon = line.find(open + 1, close, ":")?;
    let end = line.find(colon + 1, close, ":").unwrap_or(close);
    if end + 1 < close {
        let (from, to) = (ours(line.part(open + 1, colon)), ours(line.part(colon + 1, end)));
        return steps(&from, &to, &ours(line.part(end + 1, close)));
    }
    let code = format!("{}..{}", ours(line.part(open + 1, colon)), ours(line.part(colon + 1, end)));
    let code = if code == ".." { "0..".into() } else { code };
    Remedy::new("a slice is written with ..", line.replaced(open + 1, close - 1, &code))
}

/// i++, ++i
fn counter(line: &SourceLine) -> Option<Remedy> {
    let front = |i: usize| matches!((line.word(i), line.word(i + 1)), ("+", "+") | ("-", "-")) && line.is_name(i + 2);
    if let Some(i) = (0..line.len()).find(|&i| front(i) && (i == 0 || line.word(i - 1) == ";")) {
        let code = line.replaced(i, i + 2, &format!("{} {}= 1", line.word(i + 2), line.word(i)));
        return Remedy::new("there is no ++", code);
    }
    let i = (0..line.len())
        .find(|&i| line.is_name(i) && matches!((line.word(i + 1), line.word(i + 2)), ("+", "+") | ("-", "-")))?;
    Remedy::new("there is no ++", line.replaced(i, i + 2, &format!("{} {}= 1", line.word(i), line.word(i + 1))))
}

/// map.39, and pair.0 of an array that the line has made
fn entry(line: &SourceLine) -> Option<Remedy> {
    let i = (1..line.len()).find(|&i| line.kind(i) == Some(LexemeKind::Number) && line.word(i - 1) == ".")?;
    let made =
        |k: usize| i > 1 && line.word(k) == line.word(i - 2) && line.word(k + 1) == "=" && line.word(k + 2) == "[";
    if (0..i).any(made) || i > 1 && line.word(i - 2) == "]" {
        let code = line.replaced(i - 1, i, &format!("[{}]", line.word(i)));
        return Remedy::new("an item is written in brackets", code);
    }
    Remedy::new(
        "a key that is not a name is written in brackets",
        line.replaced(i - 1, i, &format!("[\"{}\"]", line.word(i))),
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
        line.replaced(open, close, &format!("[{}]", inside.trim_end_matches(','))),
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
