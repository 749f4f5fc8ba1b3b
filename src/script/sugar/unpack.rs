//! Rewrites destructuring: `let (a, b) = f()`, `a, b = b, a`, `for (key, value) in map`.

use super::Edits;
use super::tokens::Tokens;

/// Methods that return pairs at the end of a loop's head.
const PAIRS: [&str; 3] = ["enumerate", "zip", "items"];

pub(super) fn edit(tokens: &Tokens, edits: &mut Edits) {
    for i in 0..tokens.len() {
        match tokens.word(i) {
            "let" if tokens.is_word(i) => declared(tokens, i, edits),
            "for" if tokens.is_word(i) => walked(tokens, i, edits),
            _ if tokens.is_word(i) && tokens.begins_statement(i) && tokens.is_symbol(i + 1, ",") => {
                assigned(tokens, i, edits);
            }
            _ => {}
        }
    }
}

/// Names separated by commas from token `from` on, and the token after them.
fn list<'t>(tokens: &Tokens<'t>, from: usize) -> Option<(Vec<&'t str>, usize)> {
    let (mut names, mut i) = (Vec::new(), from);
    loop {
        if !tokens.is_word(i) {
            return None;
        }
        names.push(tokens.word(i));
        i += 1;
        if !tokens.is_symbol(i, ",") {
            return Some((names, i));
        }
        i += 1;
    }
}

/// Two or more names from token `from` on, with or without brackets, and the token after them.
fn pattern<'t>(tokens: &Tokens<'t>, from: usize) -> Option<(Vec<&'t str>, usize)> {
    let close = match tokens.word(from) {
        "(" => ")",
        "[" => "]",
        _ => "",
    };
    let (names, behind) = list(tokens, from + usize::from(!close.is_empty()))?;
    let behind = if close.is_empty() { behind } else { tokens.is_symbol(behind, close).then_some(behind + 1)? };
    let one_line = !tokens.text[tokens.start(from)..tokens.end(behind - 1)].contains('\n');
    (names.len() > 1 && one_line).then_some((names, behind))
}

/// True when token `i` is an assignment.
fn assigns(tokens: &Tokens, i: usize) -> bool {
    tokens.is_symbol(i, "=") && !(tokens.touch(i) && matches!(tokens.word(i + 1), "="))
}

/// Wraps the expression from token `from` on in a call of `__unpack`; returns its end.
fn wrap(tokens: &Tokens, from: usize, names: usize, edits: &mut Edits) -> Option<usize> {
    let end = tokens.expression_end(from);
    if end == from {
        return None;
    }
    let close = tokens.end(end - 1);
    if tokens.is_symbol(from, "(") && tokens.partner(from) == Some(end - 1) && has_comma(tokens, from + 1, end - 1) {
        // (1, 2)
        edits.replace(tokens.start(from), 1, "__unpack([");
        edits.replace(tokens.start(end - 1), 1, &format!("], {names})"));
    } else if has_comma(tokens, from, end) {
        edits.insert_first(tokens.start(from), "__unpack([");
        edits.insert(close, &format!("], {names})"));
    } else {
        edits.insert_first(tokens.start(from), "__unpack(");
        edits.insert(close, &format!(", {names})"));
    }
    Some(close)
}

/// True when a comma is between tokens, outside of brackets.
fn has_comma(tokens: &Tokens, from: usize, to: usize) -> bool {
    let (mut i, mut bars) = (from, 0);
    while i < to {
        bars += usize::from(tokens.is_symbol(i, "|"));
        // Not between the bars of |a, b|.
        if tokens.is_symbol(i, ",") && bars % 2 == 0 {
            return true;
        }
        i = tokens.partner(i).filter(|&p| p > i).unwrap_or(i) + 1;
    }
    false
}

/// A name for each position; `_` for ignored ones.
fn places(names: &[&str]) -> Vec<String> {
    let place = |(i, name): (usize, &&str)| if *name == "_" { format!("__x{i}") } else { (*name).into() };
    names.iter().enumerate().map(place).collect()
}

/// `let (a, b) = pair;` becomes `let a = __unpack(pair, 2); let b = a[1]; a = a[0];`.
fn declared(tokens: &Tokens, at: usize, edits: &mut Edits) {
    let Some((names, behind)) = pattern(tokens, at + 1).filter(|(_, behind)| assigns(tokens, *behind)) else { return };
    let names = places(&names);
    let Some(close) = wrap(tokens, behind + 1, names.len(), edits) else { return };
    let (begin, end) = (tokens.start(at + 1), tokens.end(behind - 1));
    edits.replace(begin, end - begin, &names[0]);
    let rest: String =
        names.iter().enumerate().skip(1).map(|(i, name)| format!("; let {name} = {}[{i}]", names[0])).collect();
    edits.insert(close, &format!("{rest}; {0} = {0}[0]", names[0]));
}

/// `a, b = b, a;` becomes `{ let __all = __unpack([b, a], 2); a = __all[0]; b = __all[1] };`.
fn assigned(tokens: &Tokens, at: usize, edits: &mut Edits) {
    let Some((names, behind)) = list(tokens, at).filter(|(_, behind)| assigns(tokens, *behind)) else { return };
    let (begin, end) = (tokens.start(at), tokens.end(behind - 1));
    if tokens.text[begin..end].contains('\n') {
        return;
    }
    let Some(close) = wrap(tokens, behind + 1, names.len(), edits) else { return };
    edits.replace(begin, end - begin, "{ let __all");
    let each: String = names.iter().enumerate().map(|(i, name)| format!("; {name} = __all[{i}]")).collect();
    edits.insert(close, &format!("{each} }}"));
}

/// `for (k, v) in map {` becomes `for (k, v) in __pairs(map) { v = __second(k, v); k = __first(k);`.
fn walked(tokens: &Tokens, at: usize, edits: &mut Edits) {
    let Some((names, behind)) = pattern(tokens, at + 1).filter(|(names, _)| names.len() == 2) else { return };
    if tokens.word(behind) != "in" {
        return;
    }
    let from = behind + 1;
    let Some(body) = body(tokens, from) else { return };
    let names = places(&names);
    let helper = if gives_pairs(tokens, from, body) { "__items" } else { "__pairs" };
    let (begin, end) = (tokens.start(at + 1), tokens.end(behind - 1));
    edits.replace(begin, end - begin, &format!("({}, {})", names[0], names[1]));
    edits.insert_first(tokens.start(from), &format!("{helper}("));
    edits.insert(tokens.end(body - 1), ")");
    edits.insert(tokens.end(body), &format!(" {1} = __second({0}, {1}); {0} = __first({0});", names[0], names[1]));
}

/// The bracket that opens the body of a loop whose head begins at token `from`.
fn body(tokens: &Tokens, from: usize) -> Option<usize> {
    let mut i = from;
    while i < tokens.len() {
        match tokens.word(i) {
            "{" => return (i > from).then_some(i),
            "if" | "switch" | ";" | "}" => return None,
            _ => i = tokens.partner(i).filter(|&p| p > i).unwrap_or(i) + 1,
        }
    }
    None
}

/// True when the head of a loop ends in `.enumerate()`, `.zip(…)` or `.items()`, or is such a call.
fn gives_pairs(tokens: &Tokens, from: usize, body: usize) -> bool {
    let name = tokens.partner(body - 1).and_then(|open| open.checked_sub(1));
    name.is_some_and(|name| PAIRS.contains(&tokens.word(name)) && (tokens.before(name) == "." || name == from))
}

#[cfg(test)]
mod tests {
    use crate::script::sugar::tests::edited;

    #[test]
    fn several_variables_are_made_at_once() {
        assert_eq!(edited("let (a, b) = pair; a"), "let a = __unpack(pair, 2); let b = a[1]; a = a[0]; a");
        assert_eq!(edited("let [a, _, c] = x()"), "let a = __unpack(x(), 3); let __x1 = a[1]; let c = a[2]; a = a[0]");
        assert_eq!(edited("let a, b = 1, 2;"), "let a = __unpack([1, 2], 2); let b = a[1]; a = a[0];");
        assert_eq!(edited("let (a, b) = (1, 2);"), "let a = __unpack([1, 2], 2); let b = a[1]; a = a[0];");
        assert_eq!(edited("a, b = b, a;"), "{ let __all = __unpack([b, a], 2); a = __all[0]; b = __all[1] };");
        for same in ["let a = [1, 2];", "let (a) = 1", "f(a, b == c)", "let x = 1;"] {
            assert_eq!(edited(same), same.replace("f(", "call(f,"));
        }
    }

    #[test]
    fn loops_take_pairs_apart() {
        assert_eq!(
            edited("for (k, v) in m { k }"),
            "for (k, v) in __pairs(m) { v = __second(k, v); k = __first(k); k }"
        );
        assert_eq!(
            edited("for k, v in #{ a: 1 } { }"),
            "for (k, v) in __pairs(#{ a: 1 }) { v = __second(k, v); k = __first(k); }"
        );
        assert_eq!(
            edited("for (i, x) in xs.enumerate() { }"),
            "for (i, x) in __items(xs.enumerate()) { x = __second(i, x); i = __first(i); }"
        );
        assert_eq!(edited("for x in xs { }"), "for x in xs { }");
    }
}
