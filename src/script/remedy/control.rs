//! Hints for conditions and loops as C, JavaScript and Lua write them.

use super::{Remedy, SourceLine, block, ours};
use crate::script::scan::LexemeKind;

/// The hint for such a line.
pub(super) fn remedy(line: &SourceLine) -> Option<Remedy> {
    let finders: [fn(&SourceLine) -> Option<Remedy>; 9] =
        [c_loop, counting, each, number_of_rounds, assigned, truth, braces, caught, cases];
    finders.iter().find_map(|find| find(line).filter(|remedy| remedy.code.trim() != line.text))
}

const RANGE: &str = "a loop that counts goes through a range";

/// `for (int i = 0; i < 10; i++) { … }`
fn c_loop(line: &SourceLine) -> Option<Remedy> {
    if line.word(0) != "for" {
        return None;
    }
    let (open, close) = match line.word(1) {
        "(" => (1, line.close(1)?),
        _ => (0, line.find(1, line.len(), "{")?),
    };
    let first = line.find(open + 1, close, ";")?;
    let second = line.find(first + 1, close, ";")?;
    let set = line.find(open + 1, first, "=")?;
    let (name, from) = (line.word(set - 1), ours(line.part(set + 1, first)));
    let less = (first + 1..second).find(|&i| matches!(line.word(i), "<" | ">"))?;
    let inclusive = line.word(less + 1) == "=";
    let end = ours(line.part(less + 1 + usize::from(inclusive), second));
    let step = line.part(second + 1, close);
    let by = step.split_once("+=").map(|(_, by)| by.trim()).filter(|by| *by != "1");
    let range = match (line.word(less), inclusive, by) {
        (">", false, _) => format!("range({from}, {end}, -1)"),
        (">", true, _) => format!("range({from}, {end} - 1, -1)"),
        (_, false, Some(by)) => format!("range({from}, {end}, {by})"),
        (_, true, Some(by)) => format!("range({from}, {end} + 1, {by})"),
        (_, false, None) => format!("{from}..{end}"),
        (_, true, None) => format!("{from}..={end}"),
    };
    let rest = line.part(if open == 1 { close + 1 } else { close }, line.len());
    Remedy::new(RANGE, format!("for {name} in {range} {}", block(rest)))
}

/// `for i = 1, 10 do print(i) end`, `for i = 1 to 10 { }`
fn counting(line: &SourceLine) -> Option<Remedy> {
    if !(line.word(0) == "for" && line.is_name(1) && line.word(2) == "=") {
        return None;
    }
    let comma = line.find(3, line.len(), ",").or_else(|| line.find(3, line.len(), "to"))?;
    let begin = ["{", "do", ":"].into_iter().filter_map(|mark| line.find(comma, line.len(), mark)).min()?;
    let end = line.find(begin, line.len(), "end").unwrap_or(line.len());
    let rest = line.part(begin + usize::from(line.word(begin) != "{"), end);
    let range = format!("{}..={}", ours(line.part(3, comma)), ours(line.part(comma + 1, begin)));
    Remedy::new(RANGE, format!("for {} in {range} {}", line.word(1), block(rest)))
}

/// `for x of xs { }`, `for (x in xs) { }`, `for (auto x : xs) { }`
fn each(line: &SourceLine) -> Option<Remedy> {
    if !matches!(line.word(0), "for" | "foreach") {
        return None;
    }
    let (from, to) = match line.word(1) {
        "(" if line.word(line.close(1)? + 1) != "in" => (2, line.close(1)?),
        _ => (1, line.find(1, line.len(), "{")?),
    };
    let mark = ["in", "of", ":", "as"].into_iter().find_map(|mark| line.find(from, to, mark))?;
    let (name, values) = match line.word(mark) {
        "as" => (line.part(mark + 1, to), line.part(from, mark)),
        _ => (line.word(mark - 1), line.part(mark + 1, to)),
    };
    let rest = line.part(if from == 2 { to + 1 } else { to }, line.len());
    Remedy::new("a loop is written for x in xs", format!("for {name} in {} {}", ours(values), block(rest)))
}

/// `for i in 3 { }`
fn number_of_rounds(line: &SourceLine) -> Option<Remedy> {
    let within = (0..line.len()).find(|&i| line.word(i) == "in" && line.is_name(i))?;
    let number = line.kind(within + 1) == Some(LexemeKind::Number) && line.word(within + 2) == "{";
    let counted = number.then(|| line.replaced(within + 1, within + 1, &format!("0..{}", line.word(within + 1))));
    Remedy::new(RANGE, counted?)
}

/// `if x = 5 { }`
fn assigned(line: &SourceLine) -> Option<Remedy> {
    let test = (0..line.len()).find(|&i| matches!(line.word(i), "if" | "while") && line.is_name(i))?;
    let open = line.find(test, line.len(), "{")?;
    let alone = |i: usize| {
        line.word(i) == "="
            && line.word(i + 1) != "="
            && !matches!(line.word(i - 1), "=" | "!" | "<" | ">" | ".." | "+" | "-" | "*" | "/")
    };
    let at = (test + 1..open).find(|&i| alone(i))?;
    Remedy::new("values are compared by ==", line.replaced(at, at, "=="))
}

/// `while 1 { }`
fn truth(line: &SourceLine) -> Option<Remedy> {
    let number = |i: usize| line.kind(i) == Some(LexemeKind::Number) && line.word(i + 1) == "{";
    let at = (1..line.len()).find(|&i| matches!(line.word(i - 1), "if" | "while") && number(i))?;
    let value = if line.word(at) == "0" { "false" } else { "true" };
    Remedy::new("only true and false are conditions", line.replaced(at, at, value))
}

/// `if x > 3 print(x)`, `if (a) b(); else c();`
fn braces(line: &SourceLine) -> Option<Remedy> {
    let test = (0..line.len()).find(|&i| matches!(line.word(i), "if" | "while") && line.is_name(i))?;
    let other_language = |word: &&str| line.find(test, line.len(), word).is_some();
    if ["then", "do", "end"].iter().any(other_language) {
        return None;
    }
    if line.find(test, line.len(), "{").is_some() || line.find(test, line.len(), ":").is_some() {
        return None;
    }
    let value = |i: usize| {
        matches!(line.kind(i), Some(LexemeKind::Number | LexemeKind::Text)) || matches!(line.word(i), ")" | "]")
    };
    let joins = |i: usize| matches!(line.word(i), "and" | "or" | "not" | "in" | "is");
    let begins = |i: usize| {
        line.is_name(i) && !joins(i) && (value(i - 1) || line.is_name(i - 1) && !joins(i - 1) && i - 1 > test)
    };
    let behind = match line.word(test + 1) {
        "(" => line.close(test + 1)? + 1,
        _ => (test + 2..line.len()).find(|&i| begins(i))?,
    };
    let other = line.find(behind, line.len(), "else");
    let inside = |from: usize, to: usize| ours(line.part(from, to).trim_end_matches(';').trim());
    let (yes, condition) = (inside(behind, other.unwrap_or(line.len())), ours(line.part(test + 1, behind)));
    if yes.is_empty() || !line.is_name(behind) {
        return None;
    }
    let no = other.map_or(String::new(), |other| format!(" else {{ {} }}", inside(other + 1, line.len())));
    let before = line.text[..line.start(test)].to_owned();
    Remedy::new("a block is written in braces", format!("{before}{} {condition} {{ {yes} }}{no}", line.word(test)))
}

/// `try { } except { }`
fn caught(line: &SourceLine) -> Option<Remedy> {
    if line.word(0) != "try" {
        return None;
    }
    let at = line.find(1, line.len(), "except").or_else(|| line.find(1, line.len(), "rescue"))?;
    let open = line.find(at, line.len(), "{")?;
    Remedy::new("a mistake is caught with catch", line.replaced(at, open - 1, "catch (e)"))
}

/// `switch x { case 1: "one"; default: "many" }`, `match x { 1 => 2 }`
fn cases(line: &SourceLine) -> Option<Remedy> {
    let at = (0..line.len()).find(|&i| matches!(line.word(i), "switch" | "match") && line.is_name(i))?;
    let open = line.find(at, line.len(), "{")?;
    let close = line.close(open)?;
    let mut inside: Vec<String> = Vec::new();
    for i in open + 1..close {
        let word = match line.word(i) {
            "case" | "break" => continue,
            "default" => "_",
            ":" => "=>",
            ";" => ",",
            other => other,
        };
        if word == "," && inside.last().is_none_or(|last| last == ",") {
            continue;
        }
        let joined = i > open + 1 && line.touch(i - 1) && !matches!(word, "=>" | "_");
        match inside.last_mut() {
            Some(last) if (word == "," || joined) && last != "," => last.push_str(word),
            _ => inside.push(word.into()),
        }
    }
    let tested = line.part(at + 1, open);
    let tested = tested.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')).unwrap_or(tested);
    let code = format!("switch {tested} {{ {} }}", inside.join(" ").trim_end_matches(','));
    Remedy::new("cases are written switch x { 1 => \"one\", _ => \"many\" }", line.replaced(at, close, &code))
}
