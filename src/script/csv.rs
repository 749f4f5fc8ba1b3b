//! Reads and writes comma-separated values (RFC 4180).

use crate::error::{Error, Result};

/// Parses rows; the separator is that of the first line: a comma, a semicolon or a tab.
///
/// # Errors
/// An unclosed quote, with its line.
pub(crate) fn read(text: &str) -> Result<Vec<Vec<String>>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let head = text.lines().next().unwrap_or_default();
    let separator = [',', ';', '\t'].into_iter().max_by_key(|c| (head.matches(*c).count(), *c == ',')).unwrap_or(',');
    let (mut rows, mut row, mut field) = (Vec::new(), Vec::new(), String::new());
    let (mut line, mut opened) = (1, None);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        line += usize::from(c == '\n');
        match (c, opened) {
            ('"', Some(_)) if rest.next_if_eq(&'"').is_some() => field.push('"'),
            ('"', Some(_)) => opened = None,
            (c, Some(_)) => field.push(c),
            ('"', None) if field.is_empty() => opened = Some(line),
            ('\r', None) if rest.peek() == Some(&'\n') => {}
            ('\n', None) => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            (c, None) if c == separator => row.push(std::mem::take(&mut field)),
            (c, None) => field.push(c),
        }
    }
    if let Some(line) = opened {
        return Err(Error::broken(format!("a quote that opens in line {line} is never closed")));
    }
    if !field.is_empty() || !row.is_empty() {
        row.push(field);
        rows.push(row);
    }
    rows.retain(|row| row.iter().any(|field| !field.is_empty()));
    Ok(rows)
}

/// Writes rows, quoted where necessary.
pub(crate) fn write(rows: &[Vec<String>]) -> String {
    let quoted = |field: &String| {
        let plain = !field.contains([',', '"', '\n', '\r', ';', '\t']) && field.trim() == field;
        if plain { field.clone() } else { format!("\"{}\"", field.replace('"', "\"\"")) }
    };
    rows.iter().map(|row| row.iter().map(quoted).collect::<Vec<_>>().join(",") + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let rows = [["step", "a, \"b\""], ["1", "two\nlines"], ["", " x "]].map(|row| row.map(String::from).to_vec());
        assert_eq!(read(&write(&rows)).expect("read"), rows);
    }

    #[test]
    fn tables_of_other_programs_are_read() {
        assert_eq!(read("\u{feff}a;b\r\n1,5;2\r\n\r\n").expect("read"), [["a", "b"], ["1,5", "2"]]);
        assert_eq!(read("a\tb\n1\t2").expect("read"), [["a", "b"], ["1", "2"]]);
        let error = read("a\nb,\"open\n").expect_err("a quote is open");
        assert!(error.message().contains("line 2"), "{error}");
    }
}
