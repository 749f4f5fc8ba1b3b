//! Rewrites `a[1..3]` for arrays: Rhai supports it only for strings.

use super::Edits;
use super::tokens::Tokens;

/// Rewrites `a[1..3]` to `a.slice(1..3)`, except as the target of an assignment.
pub(super) fn edit(tokens: &Tokens, edits: &mut Edits) {
    for open in (0..tokens.len()).filter(|&i| tokens.indexes(i)) {
        let Some(close) = tokens.partner(open) else { continue };
        let assigned =
            tokens.word(close + 1) == "=" && !(tokens.touch(close + 1) && matches!(tokens.word(close + 2), "="));
        if ranges(tokens, open, close) && !assigned {
            edits.replace(tokens.start(open), 1, ".slice(");
            edits.replace(tokens.start(close), 1, ")");
        }
    }
}

/// True when there is a range directly inside of the brackets.
fn ranges(tokens: &Tokens, open: usize, close: usize) -> bool {
    let mut i = open + 1;
    while i < close {
        if tokens.is_symbol(i, "..") {
            return true;
        }
        i = tokens.partner(i).filter(|&p| p > i).unwrap_or(i) + 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use crate::script::sugar::tests::edited;

    #[test]
    fn ranges_in_an_index_are_slices() {
        assert_eq!(edited("a[1..3]"), "a.slice(1..3)");
        assert_eq!(edited("f.x()[..n][-1]"), "f.x().slice(..n)[-1]");
        assert_eq!(edited("a[b[0..2].len..=5]"), "a.slice(b.slice(0..2).len..=5)");
        assert_eq!(edited("a[1..3] == b"), "a.slice(1..3) == b");
        assert_eq!(edited("`${a[1..]}`"), "`${a.slice(1..)}`");
        for same in ["a[h(0..3)]", "for i in [0..3] { }", "[1..3]", "s[0..2] = \"x\""] {
            assert_eq!(edited(same), same);
        }
    }
}
