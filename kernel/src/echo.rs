//! The echo language, a minimal [`Interpreter`]: a cell's value is its last line.
//!
//! `print WORDS` prints the words, `show WORDS` displays them, `fail WORDS` fails with them, and so on through its
//! commands; a line that ends in a backslash continues. It remembers words and completes them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::{
    Assistant, Bundle, Completeness, Completion, Completions, Fault, Interpreter, Language, Outbox, Output, Stdin,
};

const COMMANDS: [(&str, &str); 10] = [
    ("print", "says the words that follow"),
    ("warn", "says them on standard error"),
    ("show", "displays the words that follow"),
    ("page", "shows them in the pager"),
    ("clear", "clears the output"),
    ("ask", "asks with them and has the answer for its value"),
    ("wait", "waits, in milliseconds"),
    ("count", "says the numbers below the one that follows"),
    ("fail", "fails with them"),
    ("panic", "panics with them"),
];

/// An interpreter of the echo language.
#[derive(Debug)]
pub struct Echo {
    outbox: Outbox,
    stdin: Stdin,
    stop: Arc<AtomicBool>,
    words: Words,
}

/// The words of earlier cells, for completion.
#[derive(Debug, Clone)]
pub struct Words(BTreeSet<String>);

impl Echo {
    /// An interpreter without words.
    pub fn new(outbox: Outbox) -> Self {
        Self::with(outbox, Stdin::closed(), Arc::default())
    }

    /// An interpreter that can ask for input and be interrupted.
    pub fn with(outbox: Outbox, stdin: Stdin, stop: Arc<AtomicBool>) -> Self {
        let words = Words(COMMANDS.iter().map(|(name, _)| (*name).to_owned()).collect());
        Self { outbox, stdin, stop, words }
    }

    fn line(&self, line: &str) -> Result<Option<Bundle>, Fault> {
        match line.split_once(' ') {
            Some(("print", rest)) => self.outbox.send(Output::Stdout(format!("{rest}\n"))),
            Some(("show", rest)) => self.outbox.send(Output::Display { bundle: Bundle::text(rest), id: None }),
            Some(("warn", rest)) => self.outbox.send(Output::Stderr(format!("{rest}\n"))),
            Some(("page", rest)) => self.outbox.send(Output::Page(Bundle::text(rest))),
            Some(("ask", rest)) => return self.stdin.ask(rest, false).map(|answer| Some(Bundle::text(answer))),
            Some(("wait", rest)) => self.wait(rest)?,
            Some(("count", rest)) => {
                for n in 0..rest.trim().parse().unwrap_or(0_u64) {
                    self.outbox.send(Output::Stdout(format!("{n}\n")));
                }
            }
            Some(("panic", rest)) => panic!("{rest}"),
            Some(("fail", rest)) => return Err(Fault::new("EchoError", rest)),
            _ if line == "clear" => self.outbox.send(Output::Clear { wait: false }),
            _ if line.trim().is_empty() => {}
            _ => return Ok(Some(Bundle::text(line))),
        }
        Ok(None)
    }
}

impl Echo {
    /// Waits some milliseconds, or until the interrupt.
    fn wait(&self, milliseconds: &str) -> Result<(), Fault> {
        for _ in 0..milliseconds.trim().parse().unwrap_or(0_u64) {
            if self.stop.load(Ordering::SeqCst) {
                return Err(Fault::interrupted());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

/// The byte at which the word that ends at `cursor` begins.
fn word_start(code: &str, cursor: usize) -> usize {
    code[..cursor].rfind(char::is_whitespace).map_or(0, |at| at + code[at..].chars().next().map_or(1, char::len_utf8))
}

/// The nearest character boundary at or before `cursor`.
fn border(code: &str, cursor: usize) -> usize {
    (0..=cursor.min(code.len())).rev().find(|&at| code.is_char_boundary(at)).unwrap_or(0)
}

impl Interpreter for Echo {
    fn language(&self) -> Language {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Language {
            name: "echo".into(),
            version: version.clone(),
            mimetype: "text/plain".into(),
            file_extension: ".echo".into(),
            pygments_lexer: "text".into(),
            codemirror_mode: "text".into(),
            implementation: "echo".into(),
            implementation_version: version,
            banner: "It says what you say.".into(),
            help_links: Vec::new(),
        }
    }

    fn execute(&mut self, cell: &str) -> Result<Option<Bundle>, Fault> {
        self.stop.store(false, Ordering::SeqCst);
        let joined = cell.replace("\\\n", "");
        self.words.0.extend(joined.split_whitespace().map(str::to_owned));
        let mut value = None;
        for line in joined.lines() {
            value = self.line(line)?;
        }
        Ok(value)
    }

    fn assistant(&self) -> Box<dyn Assistant> {
        Box::new(self.words.clone())
    }
}

impl Assistant for Words {
    fn completeness(&self, code: &str) -> Completeness {
        if code.ends_with('\\') {
            return Completeness::Incomplete { indent: String::new() };
        }
        Completeness::Complete
    }

    fn complete(&self, code: &str, cursor: usize) -> Completions {
        let end = border(code, cursor);
        let start = word_start(code, end);
        let kind = |word: &str| if COMMANDS.iter().any(|(name, _)| *name == word) { "keyword" } else { "word" };
        let items = self
            .0
            .iter()
            .filter(|word| word.starts_with(&code[start..end]))
            .map(|word| Completion { text: word.clone(), kind: kind(word).into(), signature: String::new() })
            .collect();
        Completions { start, end, items }
    }

    fn inspect(&self, code: &str, cursor: usize) -> Option<Bundle> {
        let at = border(code, cursor);
        let start = word_start(code, at);
        let word = code[start..].split_whitespace().next()?;
        COMMANDS.iter().find(|(name, _)| *name == word).map(|(name, doc)| Bundle::text(format!("{name}: {doc}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo() -> (Echo, crate::Recorder) {
        let (outbox, seen) = Outbox::recorder();
        (Echo::new(outbox), seen)
    }

    #[test]
    fn the_last_line_is_the_value() {
        let (mut echo, seen) = echo();
        assert_eq!(echo.execute("one\ntwo\\\n three"), Ok(Some(Bundle::text("two three"))));
        assert_eq!(echo.execute(""), Ok(None));
        assert!(seen.take().is_empty());
    }

    #[test]
    fn output_comes_in_order_and_before_the_failure() {
        let (mut echo, seen) = echo();
        let fault = echo.execute("print a\nshow b\nfail on purpose\nprint never").expect_err("it fails");
        assert_eq!((fault.name.as_str(), fault.message.as_str()), ("EchoError", "on purpose"));
        let display = Output::Display { bundle: Bundle::text("b"), id: None };
        assert_eq!(seen.take(), [Output::Stdout("a\n".into()), display]);
    }

    #[test]
    fn words_once_seen_are_completed() {
        let (mut echo, _) = echo();
        echo.execute("print prélude").expect("it runs");
        let found = echo.assistant().complete("é pr", "é pr".len());
        assert_eq!((found.start, found.end), (3, 5));
        let texts: Vec<_> = found.items.iter().map(|c| (c.text.as_str(), c.kind.as_str())).collect();
        assert_eq!(texts, [("print", "keyword"), ("prélude", "word")]);
    }

    #[test]
    fn a_cursor_inside_a_character_or_past_the_end_is_no_panic() {
        let echo = echo().0.assistant();
        for cursor in 0..9 {
            echo.complete("é é", cursor);
            echo.inspect("é é", cursor);
        }
        assert!(echo.inspect("print x", 3).is_some());
        assert!(echo.inspect("hello", 3).is_none());
    }
}
