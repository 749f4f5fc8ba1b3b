//! Syntax highlighting of a line while it is typed.

use super::style::{code, paint};
use crate::script::scan::{LexemeKind, scan};

/// The keywords of the language.
const KEYWORDS: [&str; 31] = [
    "let",
    "const",
    "fn",
    "private",
    "if",
    "else",
    "switch",
    "for",
    "in",
    "while",
    "loop",
    "do",
    "until",
    "break",
    "continue",
    "return",
    "throw",
    "try",
    "catch",
    "import",
    "export",
    "as",
    "true",
    "false",
    "this",
    "is_def_var",
    "is_def_fn",
    "type_of",
    "Fn",
    "call",
    "curry",
];

/// The text with colour codes; the bracket that matches the one at the cursor is highlighted.
pub(super) fn highlight(text: &str, cursor: usize) -> String {
    if let Some(end) = command_end(text) {
        let (command, rest) = text.split_at(end);
        return format!("{}{}", paint(true, code::COMMAND, command), highlight_code(rest, cursor.wrapping_sub(end)));
    }
    highlight_code(text, cursor)
}

fn highlight_code(text: &str, cursor: usize) -> String {
    let partner = partner(text, cursor);
    let mut painted = String::with_capacity(text.len() * 2);
    let mut end = 0;
    for token in &scan(text).tokens {
        let word = &text[token.start..token.end];
        let color = match token.kind {
            LexemeKind::Word if KEYWORDS.contains(&word) => code::KEYWORD,
            LexemeKind::Number => code::NUMBER,
            LexemeKind::Text => code::TEXT,
            LexemeKind::Comment => code::COMMENT,
            LexemeKind::Symbol if partner == Some(token.start) => code::PARTNER,
            _ => "",
        };
        painted.push_str(&text[end..token.start]);
        painted.push_str(&paint(!color.is_empty(), color, word));
        end = token.end;
    }
    painted.push_str(&text[end..]);
    painted
}

/// Where the name of a command ends (`:vars`, `!`, `?`), if the text is one.
fn command_end(text: &str) -> Option<usize> {
    match text.chars().next()? {
        ':' | '%' => Some(text.find(char::is_whitespace).unwrap_or(text.len())),
        '!' | '?' => Some(1),
        _ => None,
    }
}

/// The byte of the bracket that matches the one at the cursor, or just before it.
fn partner(text: &str, cursor: usize) -> Option<usize> {
    let mut open: Vec<usize> = Vec::new();
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    for token in scan(text).tokens.iter().filter(|t| t.kind == LexemeKind::Symbol) {
        match &text[token.start..token.end] {
            "(" | "[" | "{" | "#{" | "${" => open.push(token.start),
            ")" | "]" | "}" => pairs.extend(open.pop().map(|start| (start, token.start))),
            _ => {}
        }
    }
    let of = |at: usize| pairs.iter().find_map(|&(a, b)| (a == at).then_some(b).or((b == at).then_some(a)));
    of(cursor).or_else(|| of(cursor.checked_sub(1)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Escape codes as letters in angle brackets.
    fn shown(text: &str, cursor: usize) -> String {
        let mut shown = highlight(text, cursor).replace("\x1b[0m", "</>");
        for (code, name) in [
            (code::KEYWORD, "k"),
            (code::TEXT, "t"),
            (code::NUMBER, "n"),
            (code::COMMENT, "c"),
            (code::COMMAND, "m"),
            (code::PARTNER, "p"),
        ] {
            shown = shown.replace(&format!("\x1b[{code}m"), &format!("<{name}>"));
        }
        shown
    }

    #[test]
    fn words_have_their_colours() {
        assert_eq!(shown("let x = midi(\"a\") + 1; // c", 99), "<k>let</> x = midi(<t>\"a\"</>) + <n>1</>; <c>// c</>");
        assert_eq!(shown("`a ${b} c`", 99), "`<t>a </>${b}<t> c`</>");
        assert_eq!(shown(":time 1 + x", 99), "<m>:time</> <n>1</> + x");
    }

    #[test]
    fn the_other_bracket_is_marked() {
        assert_eq!(shown("f(a[x])", 7), "f<p>(</>a[x])");
        assert_eq!(shown("f(a[x])", 1), "f(a[x]<p>)</>");
        assert_eq!(shown("f(')')", 6), "f<p>(</><t>')'</>)");
    }

    #[test]
    fn any_text_keeps_its_letters() {
        for text in ["", "é 𝄞 `", "\"open", "/* open", "a ${", ")))", "#{ a: [", ":", "!", "夜\n想"] {
            for cursor in 0..=text.len() {
                let mut plain = highlight(text, cursor);
                while let Some(start) = plain.find('\x1b') {
                    let end = start + plain[start..].find('m').expect("an end");
                    plain.replace_range(start..=end, "");
                }
                assert_eq!(plain, text);
            }
        }
    }
}
