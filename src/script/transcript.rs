//! The recorded outputs of the cells, for `:save x.ipynb`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::script::{Bundle, Output};

/// The most bytes of text kept for one cell, and for all cells of a session.
const TEXT: usize = 1 << 20;
const SESSION: usize = 64 << 20;

/// An output of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Text on "stdout" or "stderr".
    Text(&'static str, String),
    /// A display.
    Display(Bundle, Option<u64>),
    /// The value of the cell.
    Value(Bundle),
}

/// The outputs of the running cell.
#[derive(Debug, Clone, Default)]
pub(crate) struct Transcript(Arc<Mutex<TranscriptInner>>);

#[derive(Debug, Default)]
struct TranscriptInner {
    shown: Vec<Shown>,
    /// Bytes kept in the session.
    bytes: usize,
}

impl Transcript {
    fn inner(&self) -> MutexGuard<'_, TranscriptInner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records an output.
    pub(crate) fn keep(&self, output: &Output) {
        let mut inner = self.inner();
        match output {
            Output::Text(text) => inner.text("stdout", text),
            Output::Warning(text) => inner.text("stderr", text),
            Output::Display { bundle, id } => inner.push(bundle, |bundle| Shown::Display(bundle, *id)),
            Output::Update { bundle: new, id } => {
                let same = |shown: &&mut Shown| matches!(shown, Shown::Display(_, Some(known)) if known == id);
                if let Some(Shown::Display(old, _)) = inner.shown.iter_mut().find(same) {
                    *old = new.clone();
                }
            }
            Output::Clear { .. } => inner.shown.clear(),
        }
    }

    /// Records the value of a cell.
    pub(crate) fn value(&self, value: &Bundle) {
        self.inner().push(value, Shown::Value);
    }

    /// Removes all records and resets the count.
    pub(crate) fn clear(&self) {
        *self.inner() = TranscriptInner::default();
    }

    /// Takes the outputs since the last call.
    pub(crate) fn take(&self) -> Vec<Shown> {
        std::mem::take(&mut self.inner().shown)
    }
}

impl TranscriptInner {
    fn text(&mut self, stream: &'static str, text: &str) {
        if self.bytes + text.len() > SESSION {
            return;
        }
        if !matches!(self.shown.last(), Some(Shown::Text(last, _)) if *last == stream) {
            self.shown.push(Shown::Text(stream, String::new()));
        }
        if let Some(Shown::Text(_, kept)) = self.shown.last_mut()
            && kept.len() < TEXT
        {
            kept.push_str(text);
            self.bytes += text.len();
            if kept.len() >= TEXT {
                kept.push_str("… the rest was not kept\n");
            }
        }
    }

    fn push(&mut self, bundle: &Bundle, shown: impl Fn(Bundle) -> Shown) {
        let bytes: usize = bundle.forms.values().map(String::len).sum();
        if self.bytes + bytes <= SESSION {
            self.bytes += bytes;
            self.shown.push(shown(bundle.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_gathered_and_displays_are_as_last_updated() {
        let record = Transcript::default();
        record.keep(&Output::Text("gone\n".into()));
        record.keep(&Output::Clear { wait: false });
        record.keep(&Output::Text("a\n".into()));
        record.keep(&Output::Text("b\n".into()));
        record.keep(&Output::Display { bundle: Bundle::text("old"), id: Some(3) });
        record.keep(&Output::Update { bundle: Bundle::text("new"), id: 3 });
        record.value(&Bundle::text("7"));
        let expected = [
            Shown::Text("stdout", "a\nb\n".into()),
            Shown::Display(Bundle::text("new"), Some(3)),
            Shown::Value(Bundle::text("7")),
        ];
        assert_eq!(record.take(), expected);
        assert!(record.take().is_empty());
    }

    #[test]
    fn a_flood_of_text_is_cut() {
        let record = Transcript::default();
        for _ in 0..3 {
            record.keep(&Output::Text("x".repeat(TEXT / 2 + 1)));
        }
        let shown = record.take();
        let [Shown::Text(_, text)] = &shown[..] else { panic!("{} pieces", shown.len()) };
        assert!(text.ends_with("not kept\n") && text.len() < TEXT + 100, "{}", text.len());
    }
}
