//! Detects lost changes: `song.notes[0].pitch = 61` would change the copy that `song.notes` returns.

use super::Edits;
use super::tokens::Tokens;

/// Methods that change their array or map.
const CHANGES: [&str; 17] = [
    "push", "insert", "append", "pop", "shift", "remove", "clear", "reverse", "sort", "retain", "drain", "dedup",
    "splice", "truncate", "chop", "pad", "shuffle",
];

/// Inserts `__settable(variable, "property");` before a statement that changes something inside of a property; it fails
/// if the property returns a copy.
pub(super) fn edit(tokens: &Tokens, edits: &mut Edits) {
    for root in (0..tokens.len()).filter(|&i| tokens.is_word(i) && tokens.begins_statement(i)) {
        // song, songs[0]
        let mut at = root + 1;
        while tokens.indexes(at) {
            match tokens.partner(at) {
                Some(close) => at = close + 1,
                None => break,
            }
        }
        if !tokens.is_symbol(at, ".") || !tokens.is_word(at + 1) || tokens.is_symbol(at + 2, "(") {
            continue;
        }
        if changes(tokens, at + 2) {
            let object = &tokens.text[tokens.start(root)..tokens.start(at)];
            if !object.contains('\n') {
                edits.insert_first(tokens.start(root), &format!("__settable({object}, \"{}\"); ", tokens.word(at + 1)));
            }
        }
    }
}

/// True when the chain at token `at` ends in an assignment or a changing method.
fn changes(tokens: &Tokens, mut at: usize) -> bool {
    let begin = at;
    loop {
        if tokens.indexes(at) {
            match tokens.partner(at) {
                Some(close) => at = close + 1,
                None => return false,
            }
        } else if tokens.is_symbol(at, ".") && tokens.is_word(at + 1) {
            if tokens.is_symbol(at + 2, "(") {
                return CHANGES.contains(&tokens.word(at + 1));
            }
            at += 2;
        } else {
            break;
        }
    }
    let op = matches!(tokens.word(at), "+" | "-" | "*" | "/" | "%") && tokens.touch(at);
    let equals = at + usize::from(op);
    at > begin && tokens.is_symbol(equals, "=") && !(tokens.touch(equals) && tokens.is_symbol(equals + 1, "="))
}

#[cfg(test)]
mod tests {
    use crate::script::sugar::tests::edited;

    #[test]
    fn changes_inside_a_property_are_looked_at() {
        assert_eq!(edited("s.notes[0].pitch = 61"), "__settable(s, \"notes\"); s.notes[0].pitch = 61");
        assert_eq!(edited("s[0].notes.push(1)"), "__settable(s[0], \"notes\"); s[0].notes.push(1)");
        assert_eq!(edited("m.a.b += 1"), "__settable(m, \"a\"); m.a.b += 1");
        for same in
            ["s.tempo = 5", "s.notes.len", "s.notes[0] == 1", "let a = s.notes.pop();", "s.notes.map(|n| n)", "x = 1"]
        {
            assert_eq!(edited(same), same);
        }
    }
}
