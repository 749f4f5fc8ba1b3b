//! The texts that ran, so that a fault can show the line it happened in, also in a function of an earlier cell.

use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

use rhai::AST;

/// A text that ran.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// The file, or the cell by its number; none for the text just run when it is no file.
    pub(crate) name: Option<String>,
    pub(crate) text: Rc<str>,
}

/// Which text each function came from.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    current: Option<Source>,
    runs: usize,
    functions: HashMap<String, Source>,
}

impl Sources {
    /// A text begins to run.
    pub(crate) fn begin(&mut self, text: &str, file: Option<&Path>) {
        self.runs += 1;
        self.current = Some(Source { name: file.map(|f| f.display().to_string()), text: text.into() });
    }

    /// Notes the functions the running text defines.
    pub(crate) fn define(&mut self, ast: &AST) {
        let Some(Source { name, text }) = &self.current else { return };
        let name = name.clone().unwrap_or_else(|| format!("cell {}", self.runs));
        for function in ast.iter_functions() {
            let source = Source { name: Some(name.clone()), text: text.clone() };
            self.functions.insert(function.name.to_string(), source);
        }
    }

    /// The text a function came from; the running one for `None` and for what is not known.
    pub(crate) fn of(&self, function: Option<&str>) -> Option<Source> {
        let running = self.current.clone();
        let Some(source) = function.and_then(|f| self.functions.get(f)) else { return running };
        match running {
            Some(running) if Rc::ptr_eq(&running.text, &source.text) => Some(running),
            _ => Some(source.clone()),
        }
    }

    /// The name a function is known by in the list of calls, with its home when that is another text.
    pub(crate) fn call(&self, function: &str) -> String {
        let name = if function.starts_with("anon$") { "a closure" } else { function };
        match self.of(Some(function)) {
            Some(Source { name: Some(home), .. }) => format!("{name} ({home})"),
            _ => name.to_string(),
        }
    }
}
