//! Rewrites calls: of closures by name, of methods whose closures read the receiver, of `eval`; and the value of
//! `catch`.

use std::collections::BTreeSet;

use super::tokens::Tokens;
use super::{Edits, KnownNames};

/// Methods that call a function for every item and do not change the receiver.
const WALKS: [&str; 10] =
    ["filter", "map", "all", "some", "find", "find_map", "reduce", "reduce_rev", "for_each", "sorted"];

pub(super) fn edit(tokens: &Tokens, names: &KnownNames, edits: &mut Edits) {
    let own = variables(tokens);
    let defined: BTreeSet<&str> =
        (1..tokens.len()).filter(|&i| tokens.before(i) == "fn" && tokens.is_word(i)).map(|i| tokens.word(i)).collect();
    for open in (1..tokens.len()).filter(|&i| tokens.is_symbol(i, "(") && tokens.is_word(i - 1)) {
        let (at, name) = (open - 1, tokens.word(open - 1));
        match tokens.before(at) {
            "." | "?." => walk(tokens, at, open, edits),
            "fn" | "::" => {}
            _ if name == "eval" => evaluated(tokens, open, edits),
            _ if name == "catch" => caught(tokens, open, edits),
            _ => {
                let variable = own.contains(name) || names.closures.contains(name);
                if variable && !names.functions.contains(name) && !defined.contains(name) {
                    edits.insert(tokens.start(at), "call(");
                    let more = if tokens.is_symbol(open + 1, ")") { "" } else { "," };
                    edits.replace(tokens.start(open), 1, more);
                }
            }
        }
    }
}

/// The names of variables and parameters in this text.
fn variables<'t>(tokens: &Tokens<'t>) -> BTreeSet<&'t str> {
    let mut found = BTreeSet::new();
    let mut words = |from: usize, to: usize| {
        found.extend((from..to).filter(|&i| tokens.is_word(i)).map(|i| tokens.word(i)));
    };
    for i in 0..tokens.len() {
        match tokens.word(i) {
            "let" | "const" | "for" if tokens.is_word(i) => words(i + 1, i + 2),
            "(" if i > 1 && (tokens.before(i - 1) == "fn" || tokens.before(i) == "for") => {
                words(i + 1, tokens.partner(i).unwrap_or(i));
            }
            // |a, b| at the start of an expression; `a | b` is the bitwise operator.
            "|" if matches!(tokens.before(i), "(" | "," | "=" | ":" | "" | ";" | "{" | "[" | "=>" | "return") => {
                let close = (i + 1..tokens.len()).find(|&j| !tokens.is_word(j) && tokens.word(j) != ",");
                words(i + 1, close.filter(|&j| tokens.is_symbol(j, "|")).unwrap_or(i));
            }
            _ => {}
        }
    }
    found
}

/// `xs.filter(|x| x > xs[0])` is called on a copy, so that the closure does not share it.
fn walk(tokens: &Tokens, name: usize, open: usize, edits: &mut Edits) {
    let (Some(close), true) = (tokens.partner(open), WALKS.contains(&tokens.word(name))) else { return };
    let Some(root) = root(tokens, name) else { return };
    let word = tokens.word(root);
    // A closure with `this` may change the items.
    let given = tokens.is_word(open + 1) && open + 2 == close;
    if word == "this" || tokens.names(open, close, "this") || !(given || tokens.names(open, close, word)) {
        return;
    }
    // A method call would still lock the variable.
    edits.insert(tokens.start(root), "__own(");
    edits.insert_first(tokens.end(root), ")");
}

/// The variable at the start of the chain before member `name`.
fn root(tokens: &Tokens, name: usize) -> Option<usize> {
    let mut at = name;
    loop {
        if !matches!(tokens.before(at), "." | "?.") {
            return tokens.is_word(at).then_some(at).filter(|&at| at != name);
        }
        let mut last = at.checked_sub(2)?;
        while matches!(tokens.word(last), ")" | "]") {
            let open = tokens.partner(last)?;
            last = open.checked_sub(1)?;
            // The result of a function, or an array literal, is not a variable.
            let part = match tokens.word(open) {
                "[" => tokens.indexes(open),
                _ => tokens.is_word(last) && matches!(tokens.before(last), "." | "?."),
            };
            if !part {
                return None;
            }
        }
        at = last;
        if !tokens.is_word(at) {
            return None;
        }
    }
}

/// `eval(text)`: the text is rewritten, too.
fn evaluated(tokens: &Tokens, open: usize, edits: &mut Edits) {
    let Some(close) = tokens.partner(open).filter(|&close| close > open + 1) else { return };
    edits.insert(tokens.end(open), "__ready(");
    edits.insert_first(tokens.start(close), ")");
}

/// `catch (e) {`: Rhai's own errors are converted to errors with message and hint.
fn caught(tokens: &Tokens, open: usize, edits: &mut Edits) {
    if tokens.is_word(open + 1) && tokens.is_symbol(open + 2, ")") && tokens.is_symbol(open + 3, "{") {
        let name = tokens.word(open + 1);
        edits.insert(tokens.end(open + 3), &format!(" {name} = __caught({name});"));
    }
}

#[cfg(test)]
mod tests {
    use crate::script::sugar::tests::edited;

    #[test]
    fn closures_are_called_by_their_name() {
        assert_eq!(edited("f(1) + g()"), "call(f,1) + call(g)");
        assert_eq!(edited("let h = |x| x; h(h(2))"), "let h = |x| x; call(h,call(h,2))");
        assert_eq!(edited("fn apply(h, x) { h(x) }"), "fn apply(h, x) { call(h,x) }");
        assert_eq!(edited("[1].map(|h| h(1))"), "[1].map(|h| call(h,1))");
        for same in ["x.f(1)", "fn f(x) { x } f(1)", "let midi = midi(\"a\"); midi(\"b\")", "m::f(1)", "nothing(1)"] {
            assert_eq!(edited(same), same);
        }
    }

    #[test]
    fn a_closure_may_read_what_it_walks_through() {
        assert_eq!(edited("xs.filter(|x| x > xs[0])"), "__own(xs).filter(|x| x > xs[0])");
        assert_eq!(edited("m.list[0].map(|x| m.n * x)"), "__own(m).list[0].map(|x| m.n * x)");
        assert_eq!(edited("xs[0..2].map(|x| xs[0])"), "__own(xs).slice(0..2).map(|x| xs[0])");
        assert_eq!(
            edited("let (a, b) = xs.map(big), 1;"),
            "let a = __unpack([__own(xs).map(big), 1], 2); let b = a[1]; a = a[0];"
        );
        assert_eq!(edited("xs.filter(big)"), "__own(xs).filter(big)");
        for same in [
            "return [1, 2].map(g)",
            "xs.filter(|x| x > 1)",
            "xs.map(|x| x.xs)",
            "xs.sort(|a, b| xs.len - a)",
            "get(xs).map(|x| xs)",
        ] {
            assert_eq!(edited(same), same);
        }
    }

    #[test]
    fn what_is_evaluated_and_what_is_caught_goes_through_helpers() {
        assert_eq!(edited("eval(\"x = \" + f(1))"), "eval(__ready(\"x = \" + call(f,1)))");
        assert_eq!(edited("try { 1 } catch (e) { e }"), "try { 1 } catch (e) { e = __caught(e); e }");
    }
}
