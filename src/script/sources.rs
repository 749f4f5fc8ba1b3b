//! The source texts of a session, so that errors can show their line, also in a function of an earlier cell.

use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

use rhai::{AST, Position};

use crate::script::sugar::ColumnMap;

/// A source text.
#[derive(Debug, Clone)]
pub(crate) struct ScriptSource {
    /// The file, or the number of the cell; `None` for the text just run without a file.
    pub(crate) name: Option<String>,
    pub(crate) text: Rc<str>,
    /// The map of positions from its Rhai form.
    pub(crate) places: ColumnMap,
}

impl ScriptSource {
    /// The line and column (from 1, in characters) of a position in the Rhai form.
    pub(crate) fn place(&self, position: Position) -> Option<(usize, usize)> {
        let line = position.line()?;
        Some((line, self.places.column(line, position.position().unwrap_or(1).max(1))))
    }

    /// A line of the text, counted from 1.
    pub(crate) fn line(&self, number: usize) -> &str {
        self.text.lines().nth(number - 1).unwrap_or_default()
    }

    /// The place in words: `line 3`, or `cell 2:3` if the text has a name.
    fn at(&self, line: usize) -> String {
        self.name.as_ref().map_or_else(|| format!("line {line}"), |name| format!("{name}:{line}"))
    }
}

/// The length at which a calling line is truncated.
const LINE: usize = 60;

/// The source of each function.
#[derive(Debug, Default)]
pub(crate) struct ScriptSources {
    current: Option<ScriptSource>,
    runs: usize,
    functions: HashMap<String, ScriptSource>,
}

impl ScriptSources {
    /// Begins to run a text.
    pub(crate) fn begin(&mut self, text: &str, file: Option<&Path>) {
        self.runs += 1;
        let name = file.map(|f| f.display().to_string());
        self.current = Some(ScriptSource { name, text: text.into(), places: ColumnMap::default() });
    }

    /// Sets the map of positions of the running text.
    pub(crate) fn set_places(&mut self, places: ColumnMap) {
        if let Some(current) = &mut self.current {
            current.places = places;
        }
    }

    /// Records the functions that the running text defines.
    pub(crate) fn define(&mut self, ast: &AST) {
        let Some(current) = &self.current else { return };
        let name = current.name.clone().unwrap_or_else(|| format!("cell {}", self.runs));
        for function in ast.iter_functions() {
            let source = ScriptSource { name: Some(name.clone()), ..current.clone() };
            self.functions.insert(function.name.to_string(), source);
        }
    }

    /// True for a function defined by a text of the session.
    pub(crate) fn defines(&self, function: &str) -> bool {
        self.functions.contains_key(function)
    }

    /// The source of a function; the running text for `None` and for unknown functions.
    pub(crate) fn of(&self, function: Option<&str>) -> Option<ScriptSource> {
        let running = self.current.clone();
        let Some(source) = function.and_then(|f| self.functions.get(f)) else { return running };
        match running {
            Some(running) if Rc::ptr_eq(&running.text, &source.text) => Some(running),
            _ => Some(source.clone()),
        }
    }

    /// A line of the list of calls: the function, its source if that is another text, and the line of the call, which
    /// is in function `caller`, or in the running text.
    pub(crate) fn call(&self, function: &str, caller: Option<&str>, position: Position) -> String {
        let name = if function.starts_with("anon$") { "a closure" } else { function };
        let mut told = match self.of(Some(function)) {
            Some(ScriptSource { name: Some(home), .. }) if function != "eval" => format!("{name} ({home})"),
            _ => name.to_string(),
        };
        let source = self.of(caller);
        if let (Some(source), Some(line)) = (source, position.line()) {
            let code = source.line(line).trim();
            let code: String = match code.chars().count() > LINE {
                true => code.chars().take(LINE).chain(['…']).collect(),
                false => code.into(),
            };
            told += &format!(", called at {}: {code}", source.at(line));
        }
        told
    }
}
