//! Converts the output of a session to types of the kernel host.

use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use etude_kernel as kernel;
use serde_json::{Value, json};

use crate::error::Error;
use crate::plot;
use crate::script::{Bundle, CellError, Completeness, Completions, Output};

/// The id of a display for updates, unique over kernels and restarts, since a notebook still contains earlier displays.
pub(super) fn display_id(id: u64) -> String {
    static RUN: LazyLock<u128> =
        LazyLock::new(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos()));
    format!("etude-{:x}-{:x}-{id}", std::process::id(), *RUN)
}

/// Converts a value with its formats.
pub(super) fn bundle(value: &Bundle) -> kernel::Bundle {
    let mut bundle = kernel::Bundle::default();
    for (mime, content) in &value.forms {
        let json = mime.ends_with("json").then(|| serde_json::from_str::<Value>(content).ok()).flatten();
        bundle = bundle.with(mime, json.unwrap_or_else(|| content.as_str().into()));
    }
    // A PNG is displayed at the width of its SVG, with more pixels for high-resolution screens.
    match value.forms.get("image/svg+xml").filter(|_| value.forms.contains_key("image/png")).and_then(|s| plot::size(s))
    {
        Some((width, height)) => bundle.about("image/png", json!({ "width": width, "height": height })),
        None => bundle,
    }
}

/// Converts an output of a running cell.
pub(super) fn output(output: Output) -> kernel::Output {
    match output {
        Output::Text(text) => kernel::Output::Stdout(text),
        Output::Warning(text) => kernel::Output::Stderr(text),
        Output::Display { bundle: value, id } => {
            kernel::Output::Display { bundle: bundle(&value), id: id.map(display_id) }
        }
        Output::Update { bundle: value, id } => kernel::Output::Update { bundle: bundle(&value), id: display_id(id) },
        Output::Clear { wait } => kernel::Output::Clear { wait },
    }
}

/// Converts the error of a cell, with the source line and caret as coloured traceback.
pub(super) fn fault(fault: &CellError) -> kernel::Fault {
    if fault.interrupted {
        let mut stopped = kernel::Fault::interrupted();
        // Below it, the line at which the cell stopped.
        stopped.traceback.extend(fault.render(true).lines().skip(1).map(str::to_owned));
        return stopped;
    }
    let message = match &fault.hint {
        Some(hint) => format!("{} (hint: {hint})", fault.message),
        None => fault.message.clone(),
    };
    let traceback = fault.render(true).lines().map(str::to_owned).collect();
    kernel::Fault { name: fault.name.clone(), message, traceback }
}

/// The error of `input` without a line.
pub(super) fn no_line(fault: &kernel::Fault) -> Error {
    if *fault == kernel::Fault::interrupted() {
        return Error::interrupted();
    }
    Error::mistake(format!("input() got no line: {}", fault.message))
        .with_hint("run the notebook where somebody can answer, or set the variable in a cell")
}

/// Converts the completions at a cursor.
pub(super) fn completions(found: Completions, cursor: usize) -> kernel::Completions {
    let item = |item: crate::script::Completion| kernel::Completion {
        text: item.text,
        // Front ends have icons for these names.
        kind: match item.kind {
            "method" => "function",
            "key" => "property",
            "command" => "magic",
            kind => kind,
        }
        .into(),
        signature: item.doc,
    };
    let start = found.start.min(cursor);
    kernel::Completions { start, end: cursor, items: found.items.into_iter().map(item).collect() }
}

/// Converts the completeness of a text.
pub(super) fn completeness(found: Completeness) -> kernel::Completeness {
    match found {
        Completeness::Complete => kernel::Completeness::Complete,
        Completeness::Incomplete(spaces) => kernel::Completeness::Incomplete { indent: " ".repeat(spaces) },
        Completeness::Invalid => kernel::Completeness::Invalid,
    }
}
