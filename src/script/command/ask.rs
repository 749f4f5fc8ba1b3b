//! Commands that show information: help, variables, types, times, earlier cells.

use std::fmt::Write;
use std::time::{Duration, Instant};

use super::{COMMANDS, Outcome, command, mistake, text_output};
use crate::plot::table_within;
use crate::script::doc_page::{readable, wrapped};
use crate::script::programs::{PROGRAMS, Program};
use crate::script::{Bundle, CellError, Output, Session};

/// Columns of the names in the overview, with the space around them.
const NAMES: usize = 21;

pub(super) fn help(session: &mut Session, name: &str) -> Result<Outcome, CellError> {
    if name.is_empty() {
        return Ok(Outcome::Page(Bundle::text(overview(session.width()))));
    }
    let of_command = |name: &str| command(name).map(|c| format!(":{} {}\n  {}", c.name, c.args, c.about));
    if let Some(name) = name.strip_prefix(':') {
        return match of_command(name) {
            Some(text) => text_output(text),
            None => mistake(format!("there is no command :{name}"), ":help lists them"),
        };
    }
    let text = Program::named(name).map(Program::help).or_else(|| of_command(name));
    let width = session.width();
    match session.symbols().help_within(name, width).or_else(|| text.map(Bundle::text)) {
        Some(page) => Ok(Outcome::Page(page)),
        None => {
            mistake(format!("nothing is known about '{name}'"), ":help says what can be asked; Tab completes names")
        }
    }
}

fn overview(width: usize) -> String {
    let mut text = String::from(
        "Type code, and its value is shown; a final ; hides it, _ is the last value. Tab completes, Ctrl-C stops.",
    );
    text = wrapped(&text, readable(width)).join("\n") + "\n\n";
    let line = |name: &str, about: &str, text: &mut String| {
        for (i, words) in wrapped(about, readable(width) - NAMES).iter().enumerate() {
            let name = if i == 0 { name } else { "" };
            let _ = writeln!(text, "  {name:<18} {words}");
        }
    };
    for c in COMMANDS {
        line(&format!(":{} {}", c.name, c.args), c.about, &mut text);
    }
    line(
        "?NAME or NAME?",
        "the documentation of a function, type, member or word: ?midi, Model.generate?, ?for",
        &mut text,
    );
    line("help()", "all functions and types; help(\"python\"): coming from Python", &mut text);
    line("!COMMAND", "a command of the system's shell: !ls", &mut text);
    text.push_str("\nPrograms, for :load NAME or etude NAME:\n\n");
    for program in PROGRAMS {
        line(program.name, program.about(), &mut text);
    }
    text.push_str(concat!(
        "\nA first piece of music:\n\n",
        "  let song = chords(\"Dm7 G7 Cmaj7\").score()\n",
        "  song.plot()\n",
        "  song.save(\"song.mid\")",
    ));
    text
}

pub(super) fn vars(session: &mut Session, args: &str) -> Result<Outcome, CellError> {
    let mut variables = session.variables();
    variables.retain(|v| v.name.starts_with(args));
    if variables.is_empty() {
        return text_output("no variables");
    }
    let rows: Vec<Vec<String>> = variables.into_iter().map(|v| vec![v.name, v.type_name, v.summary]).collect();
    text_output(table_within(&["name", "type", "value"], &rows, session.width()))
}

pub(super) fn type_of(session: &mut Session, code: &str) -> Result<Outcome, CellError> {
    if code.is_empty() {
        return mistake(":type needs an expression", ":type midi(\"a.mid\").notes");
    }
    text_output(session.type_of(code)?)
}

pub(super) fn time(session: &mut Session, code: &str) -> Result<Outcome, CellError> {
    if code.is_empty() {
        return mistake(":time needs code to run", ":time net.loss(batch)");
    }
    let begun = Instant::now();
    let value = session.eval(code)?;
    let took = begun.elapsed();
    if let Some(value) = value {
        (session.host().output)(Output::Display { bundle: value, id: None });
    }
    text_output(format!("took {}", duration(took)))
}

/// A duration to three digits: "1.23 ms".
fn duration(d: Duration) -> String {
    let seconds = d.as_secs_f64();
    let (value, unit) = match seconds {
        s if s >= 100.0 => return format!("{}:{:02} min", d.as_secs() / 60, d.as_secs() % 60),
        s if s >= 1.0 => (s, "s"),
        s if s >= 1e-3 => (s * 1e3, "ms"),
        s => (s * 1e6, "µs"),
    };
    let decimals = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.decimals$} {unit}")
}

pub(super) fn history(session: &mut Session, args: &str) -> Result<Outcome, CellError> {
    let Ok(count) = (if args.is_empty() { Ok(20) } else { args.parse::<usize>() }) else {
        return mistake(format!(":history takes a number of cells, not '{args}'"), ":history 50");
    };
    let cells = session.cells();
    let skip = cells.len().saturating_sub(count);
    let wide = cells.len().to_string().len();
    let lines = cells.iter().enumerate().skip(skip).flat_map(|(i, cell)| {
        let number = format!("{:>wide$}", i + 1);
        cell.trim_end().lines().enumerate().map(move |(l, line)| {
            let margin = if l == 0 { number.clone() } else { " ".repeat(wide) };
            format!("{margin}  {line}")
        })
    });
    text_output(lines.collect::<Vec<_>>().join("\n"))
}

pub(super) fn reset(session: &mut Session, _: &str) -> Result<Outcome, CellError> {
    session.reset();
    text_output("variables, functions and cells are forgotten")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_overview_is_as_wide_as_the_terminal() {
        for width in [60, 80, 200] {
            let text = overview(width);
            assert!(text.lines().all(|line| line.chars().count() < width.min(101)), "{text}");
            assert!(text.contains(":help [NAME]") && text.contains("song.save"), "{text}");
        }
    }

    #[test]
    fn durations_have_three_digits() {
        let cases =
            [(0.000_001_5, "1.50 µs"), (0.012_34, "12.3 ms"), (1.0, "1.00 s"), (99.0, "99.0 s"), (125.0, "2:05 min")];
        for (seconds, text) in cases {
            assert_eq!(duration(Duration::from_secs_f64(seconds)), text);
        }
    }
}
