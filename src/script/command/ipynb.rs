//! Notebook files: nbformat 4.5 (<https://nbformat.readthedocs.io/en/latest/format_description.html>).

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::script::Bundle;
use crate::script::transcript::Shown;

/// The name of the language in a notebook.
const LANGUAGE: &str = "rhai";
/// The key of a notebook's metadata that says `:save` wrote it.
const SAVED: &str = "saved_by_etude";

#[derive(Debug, Deserialize)]
struct IpynbFile {
    nbformat: u64,
    #[serde(default)]
    metadata: Map<String, Value>,
    cells: Vec<IpynbCell>,
}

#[derive(Debug, Deserialize)]
struct IpynbCell {
    cell_type: String,
    source: IpynbSource,
}

/// A text, whole or by lines.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum IpynbSource {
    Whole(String),
    Lines(Vec<String>),
}

/// The code cells of a notebook with their numbers among all cells, from 1.
///
/// # Errors
/// A text that is not a notebook of version 4; a notebook of another language.
pub(super) fn code_cells(text: &str) -> Result<Vec<(usize, String)>> {
    let value: Value = serde_json::from_str(text).map_err(|e| Error::broken(format!("no notebook: {e}")))?;
    let version = value["nbformat"].as_u64();
    if version != Some(4) {
        let found = version.map_or_else(|| "no version".into(), |v| format!("version {v}"));
        return Err(Error::broken(format!("a notebook of format version 4 is needed, this has {found}"))
            .with_hint("convert it: jupyter nbconvert --to notebook --nbformat 4 FILE"));
    }
    let file: IpynbFile = serde_json::from_value(value).map_err(|e| Error::broken(format!("no notebook: {e}")))?;
    let language = |key: &str, field: &str| file.metadata.get(key).and_then(|v| v[field].as_str()).map(str::to_owned);
    let language = language("language_info", "name").or_else(|| language("kernelspec", "language"));
    if let Some(other) = language.filter(|name| name != LANGUAGE) {
        return Err(Error::mistake(format!("this notebook is written in {other}, not in {LANGUAGE}")));
    }
    debug_assert_eq!(file.nbformat, 4);
    let numbered = file.cells.into_iter().enumerate().filter(|(_, cell)| cell.cell_type == "code");
    let text = |source| match source {
        IpynbSource::Whole(text) => text,
        IpynbSource::Lines(lines) => lines.concat(),
    };
    Ok(numbered.map(|(i, cell)| (i + 1, text(cell.source))).collect())
}

/// True for the text of a notebook that `:save` wrote.
pub(super) fn is_saved(text: &[u8]) -> bool {
    serde_json::from_slice::<Value>(text).is_ok_and(|file| file["metadata"][SAVED] == json!(true))
}

/// A notebook of cells that ran, with their outputs.
pub(super) fn notebook<'c>(cells: impl Iterator<Item = (&'c str, &'c [Shown])>) -> String {
    let cell = |(i, (source, shown)): (usize, (&str, &[Shown]))| {
        let number = i + 1;
        json!({
            "cell_type": "code",
            "execution_count": number,
            "id": format!("cell-{number}"),
            "metadata": {},
            "outputs": shown.iter().map(|shown| output(shown, number)).collect::<Vec<_>>(),
            "source": lines(source.trim()),
        })
    };
    let file = json!({
        "cells": cells.enumerate().map(cell).collect::<Vec<_>>(),
        "metadata": {
            "kernelspec": { "display_name": "Étude", "language": LANGUAGE, "name": "etude" },
            "language_info": {
                "file_extension": ".rhai", "mimetype": "text/x-rhai", "name": LANGUAGE, "pygments_lexer": "rust",
            },
            SAVED: true,
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    });
    format!("{file:#}\n")
}

fn output(shown: &Shown, number: usize) -> Value {
    match shown {
        Shown::Text(stream, text) => json!({ "output_type": "stream", "name": stream, "text": lines(text) }),
        Shown::Display(bundle, _) => {
            json!({ "output_type": "display_data", "data": data(bundle), "metadata": {} })
        }
        Shown::Value(bundle) => json!({ "output_type": "execute_result", "execution_count": number,
            "data": data(bundle), "metadata": {} }),
    }
}

/// Formats in the notation of notebooks: JSON as such, texts by lines, binary types in one string.
fn data(bundle: &Bundle) -> Map<String, Value> {
    let form = |(mime, content): (&&str, &String)| {
        let json = mime.ends_with("json").then(|| serde_json::from_str(content).ok()).flatten();
        let text = mime.starts_with("text/") || mime.ends_with("+xml");
        let value = json.unwrap_or_else(|| if text { lines(content) } else { content.as_str().into() });
        ((*mime).to_owned(), value)
    };
    bundle.forms.iter().map(form).collect()
}

/// A text by lines, so that a change of one line is one line in a diff.
fn lines(text: &str) -> Value {
    text.split_inclusive('\n').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let shown = [Shown::Text("stdout", "a\nb\n".into()), Shown::Value(Bundle::text("7"))];
        let text = notebook([("let x = 1;\nx", &shown[..]), ("\n\ny", &[])].into_iter());
        assert!(is_saved(text.as_bytes()));
        assert_eq!(code_cells(&text).expect("a notebook"), [(1, "let x = 1;\nx".into()), (2, "y".into())]);
        let file: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(file["cells"][0]["outputs"][0]["text"], json!(["a\n", "b\n"]));
        assert_eq!(file["cells"][0]["outputs"][1]["data"]["text/plain"], json!(["7"]));
        assert_eq!(file["cells"][1]["id"], "cell-2");
    }

    #[test]
    fn prose_is_passed_over_and_counted() {
        let text = r##"{"nbformat": 4, "nbformat_minor": 2, "metadata": {}, "cells": [
            {"cell_type": "markdown", "source": "# Title"}, {"cell_type": "code", "source": ["a\n", "b"]}]}"##;
        assert_eq!(code_cells(text).expect("a notebook"), [(2, "a\nb".into())]);
        assert!(!is_saved(text.as_bytes()));
    }

    #[test]
    fn what_is_no_notebook_of_ours_is_refused() {
        for (text, word) in [
            ("let x = 1;", "no notebook"),
            ("{}", "no version"),
            (r#"{"nbformat": 3, "worksheets": []}"#, "version 3"),
            (r#"{"nbformat": 4, "cells": 5}"#, "no notebook"),
            (r#"{"nbformat": 4, "cells": [], "metadata": {"language_info": {"name": "python"}}}"#, "python"),
        ] {
            let error = code_cells(text).expect_err(text);
            assert!(error.message().contains(word), "{error}");
        }
    }
}
