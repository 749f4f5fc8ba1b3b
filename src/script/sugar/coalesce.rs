//! Rewrites `map["key"] ?? 0`: a missing key is an error, except before `??`.

use super::Edits;
use super::tokens::Tokens;

/// Rewrites the look-ups of the chain before `??` to `__get`, which returns `()` for missing values.
pub(super) fn edit(tokens: &Tokens, edits: &mut Edits) {
    for mark in 1..tokens.len() {
        if tokens.is_symbol(mark, "?")
            && tokens.is_symbol(mark + 1, "?")
            && tokens.touch(mark)
            && !tokens.is_symbol(mark - 1, "?")
        {
            chain(tokens, mark - 1, edits);
        }
    }
}

/// Rewrites the chain whose last token is `last`.
fn chain(tokens: &Tokens, mut last: usize, edits: &mut Edits) {
    loop {
        let begin = if tokens.is_symbol(last, "]") {
            let Some(open) = tokens.partner(last).filter(|&open| tokens.indexes(open)) else { return };
            // A slice was rewritten already.
            if !edits.replaces(tokens.start(open)) {
                edits.replace(tokens.start(open), 1, ".__get(");
                edits.replace(tokens.start(last), 1, ")");
            }
            last = open - 1;
            continue;
        } else if tokens.is_symbol(last, ")") {
            match tokens.partner(last).and_then(|open| open.checked_sub(1)) {
                Some(name) if tokens.is_word(name) => name,
                _ => return,
            }
        } else if tokens.is_word(last) {
            if matches!(tokens.before(last), "." | "?.") {
                edits.replace(
                    tokens.start(last),
                    tokens.word(last).len(),
                    &format!("__get(\"{}\")", tokens.word(last)),
                );
            }
            last
        } else {
            return;
        };
        if !matches!(tokens.before(begin), "." | "?.") || begin < 2 {
            return;
        }
        last = begin - 2;
    }
}

#[cfg(test)]
mod tests {
    use crate::script::sugar::tests::edited;

    #[test]
    fn look_ups_before_two_question_marks_may_find_nothing() {
        assert_eq!(edited("m[\"a\"] ?? 7"), "m.__get(\"a\") ?? 7");
        assert_eq!(edited("1 + m.a.b ?? 7"), "1 + m.__get(\"a\").__get(\"b\") ?? 7");
        assert_eq!(edited("m.list()[k][0] ?? x[1]"), "m.list().__get(k).__get(0) ?? x[1]");
        assert_eq!(edited("x ?? 7"), "x ?? 7");
        assert_eq!(edited("m[1..2] ?? 7"), "m.slice(1..2) ?? 7");
    }
}
