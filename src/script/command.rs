//! The commands of the prompt, the same in terminal and notebook: `:help`, `:vars`, `?name`, `!cmd`.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::plot::table_within;
use crate::script::programs::{PROGRAMS, Program};
use crate::script::{Bundle, Completeness, Completion, Completions, Fault, Output, Session, save, shell};

/// What a command did.
#[derive(Debug)]
pub enum Done {
    /// It said this; empty when there is nothing to say.
    Said(Bundle),
    /// It asks to leave.
    Quit,
    /// It was no command: run the text as code.
    NotACommand,
}

/// A command that begins with a colon.
struct Command {
    name: &'static str,
    args: &'static str,
    about: &'static str,
    run: fn(&mut Session, &str) -> Result<Done, Fault>,
}

const COMMANDS: &[Command] = &[
    Command { name: "help", args: "[NAME]", about: "what can be done here; what NAME is (also ?NAME)", run: help },
    Command { name: "vars", args: "", about: "the variables, their types and values", run: vars },
    Command { name: "type", args: "EXPR", about: "the type of a value", run: type_of },
    Command { name: "time", args: "CODE", about: "run code and say how long it took", run: time },
    Command { name: "history", args: "[N]", about: "the last N cells that ran (20)", run: history },
    Command { name: "save", args: "FILE.rhai", about: "write the cells as a script", run: save_cells },
    Command {
        name: "load",
        args: "FILE [ARGS]",
        about: "run a script, or a program by its name, in this session",
        run: load,
    },
    Command { name: "reset", args: "", about: "forget variables, functions and cells", run: reset },
    Command { name: "cd", args: "[FOLDER]", about: "go to a folder", run: cd },
    Command { name: "pwd", args: "", about: "say which folder this is", run: pwd },
    Command { name: "quit", args: "", about: "leave (also Ctrl-D, exit())", run: |_, _| Ok(Done::Quit) },
];

/// Other names of commands.
const ALIASES: [(&str, &str); 6] =
    [("doc", "help"), ("h", "help"), ("?", "help"), ("q", "quit"), ("exit", "quit"), ("run", "load")];

/// Runs `line` if it is a command (`:name …`, `?name`, `name?`, `!shell`).
///
/// # Errors
/// What the command did wrong.
pub fn run(session: &mut Session, line: &str) -> Result<Done, Fault> {
    let line = line.trim();
    if let Some(rest) = line.strip_prefix(':') {
        let (name, args) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let command = command(name).ok_or_else(|| {
            let names: Vec<&str> = COMMANDS.iter().map(|c| c.name).collect();
            Fault::from(&Error::unknown("command", name, &names))
        })?;
        return (command.run)(session, args.trim());
    }
    if let Some(name) = line.strip_prefix('?').or_else(|| line.strip_suffix('?').filter(|name| is_path(name))) {
        return help(session, name.trim_matches('?').trim());
    }
    match line.strip_prefix('!') {
        Some(command) => in_shell(session, command),
        None => Ok(Done::NotACommand),
    }
}

/// What could stand at `cursor` (a byte offset) if the text is a command; `None` when it is code.
pub fn complete(session: &Session, text: &str, cursor: usize) -> Option<Completions> {
    let before = text.get(..cursor)?;
    if let Some(name) = before.strip_prefix('?') {
        return Some(shifted(session.complete(name, name.len()), 1));
    }
    let rest = before.strip_prefix(':')?;
    let Some((name, args)) = rest.split_once(char::is_whitespace) else {
        let items = COMMANDS.iter().filter(|c| c.name.starts_with(rest));
        let item = |c: &Command| Completion { text: c.name.into(), kind: "command", doc: c.about.into() };
        let mut items: Vec<Completion> = items.map(item).collect();
        items.sort_by(|a, b| a.text.cmp(&b.text));
        return Some(Completions { start: 1, items });
    };
    let begin = cursor - args.len();
    Some(match command(name)?.name {
        "load" | "save" | "cd" => {
            // Paths are completed inside strings: the text becomes one.
            let quoted = format!("\"{args}");
            let mut found = shifted(session.complete(&quoted, quoted.len()), begin - 1);
            if name == "load" && !args.contains(['/', ' ']) {
                let programs = PROGRAMS.iter().filter(|p| p.name.starts_with(args));
                let item = |p: &Program| Completion { text: p.name.into(), kind: "function", doc: p.about().into() };
                found.items.extend(programs.map(item));
                found.start = begin;
            }
            found
        }
        "help" => {
            let mut found = shifted(session.complete(args, args.len()), begin);
            let commands = COMMANDS.iter().filter(|c| c.name.starts_with(args));
            found.items.extend(commands.map(|c| Completion {
                text: c.name.into(),
                kind: "command",
                doc: c.about.into(),
            }));
            found
        }
        _ => shifted(session.complete(args, args.len()), begin),
    })
}

fn command(name: &str) -> Option<&'static Command> {
    let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name);
    COMMANDS.iter().find(|c| c.name == name)
}

fn shifted(mut completions: Completions, by: usize) -> Completions {
    completions.start += by;
    completions
}

/// A name or a name of a member: `net`, `Model.generate`.
fn is_path(text: &str) -> bool {
    let name = |part: &str| {
        part.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    text.split('.').all(name)
}

fn said(text: impl Into<String>) -> Result<Done, Fault> {
    Ok(Done::Said(Bundle::text(text)))
}

fn mistake<T>(message: impl Into<String>, hint: &str) -> Result<T, Fault> {
    Err(Fault::from(&Error::mistake(message).with_hint(hint)))
}

fn help(session: &mut Session, name: &str) -> Result<Done, Fault> {
    if name.is_empty() {
        return said(overview());
    }
    let of_command = |name: &str| command(name).map(|c| format!(":{} {}\n  {}", c.name, c.args, c.about));
    if let Some(name) = name.strip_prefix(':') {
        return match of_command(name) {
            Some(text) => said(text),
            None => mistake(format!("there is no command :{name}"), ":help lists them"),
        };
    }
    let known = session.help(name).or_else(|| Program::named(name).map(Program::help)).or_else(|| of_command(name));
    match known {
        Some(text) => said(text),
        None => {
            mistake(format!("nothing is known about '{name}'"), ":help says what can be asked; Tab completes names")
        }
    }
}

fn overview() -> String {
    let mut text = String::from(
        "Type code, and its value is shown; a final ; hides it, _ is the last value. Tab completes, Ctrl-C stops.\n\n",
    );
    for c in COMMANDS {
        let call = format!(":{} {}", c.name, c.args);
        let _ = writeln!(text, "  {call:<18} {}", c.about);
    }
    text.push_str("  ?NAME or NAME?     the documentation of a function, type or member: ?midi, Model.generate?\n");
    text.push_str(
        "  !COMMAND           a command of the system's shell: !ls\n\nPrograms, for :load NAME or etude NAME:\n\n",
    );
    for program in PROGRAMS {
        let _ = writeln!(text, "  {:<18} {}", program.name, program.about());
    }
    text.push_str(concat!(
        "\nA first piece of music:\n\n",
        "  let song = chords(\"Dm7 G7 Cmaj7\").score()\n",
        "  song.plot()\n",
        "  song.save(\"song.mid\")",
    ));
    text
}

fn vars(session: &mut Session, args: &str) -> Result<Done, Fault> {
    let mut variables = session.variables();
    variables.retain(|v| v.name.starts_with(args));
    if variables.is_empty() {
        return said("no variables");
    }
    let rows: Vec<Vec<String>> = variables.into_iter().map(|v| vec![v.name, v.type_name, v.summary]).collect();
    said(table_within(&["name", "type", "value"], &rows, session.width()))
}

fn type_of(session: &mut Session, code: &str) -> Result<Done, Fault> {
    if code.is_empty() {
        return mistake(":type needs an expression", ":type midi(\"a.mid\").notes");
    }
    said(session.type_of(code)?)
}

fn time(session: &mut Session, code: &str) -> Result<Done, Fault> {
    if code.is_empty() {
        return mistake(":time needs code to run", ":time net.loss(batch)");
    }
    let begun = Instant::now();
    let value = session.eval(code)?;
    let took = begun.elapsed();
    if let Some(value) = value {
        (session.host().output)(Output::Display(value));
    }
    said(format!("took {}", duration(took)))
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

fn history(session: &mut Session, args: &str) -> Result<Done, Fault> {
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
    said(lines.collect::<Vec<_>>().join("\n"))
}

fn save_cells(session: &mut Session, args: &str) -> Result<Done, Fault> {
    if args.is_empty() {
        return mistake(":save needs a file name", ":save song.rhai");
    }
    let mut path = home(unquoted(args));
    if path.extension().is_none() {
        path.set_extension("rhai");
    }
    if session.cells().is_empty() {
        return mistake("there is nothing to save: no cell has run yet", "run some code first");
    }
    if std::fs::read(&path).is_ok_and(|old| !old.is_empty() && !old.starts_with(save::HEADER.as_bytes())) {
        let message = format!("{} is there already and was not written by :save", path.display());
        return mistake(message, "choose another name, or remove it first");
    }
    let text = save::script(session.cells(), |text| session.completeness(text) == Completeness::Complete);
    crate::atomic::write(&path, text.as_bytes()).map_err(|e| Fault::from(&e))?;
    let count = session.cells().len();
    let cells = if count == 1 { "cell" } else { "cells" };
    said(format!("{count} {cells} in {0}; run it with: etude run {0}", path.display()))
}

fn load(session: &mut Session, args: &str) -> Result<Done, Fault> {
    let mut words = words(args).into_iter();
    let Some(name) = words.next() else {
        return mistake(":load needs a file or the name of a program", ":load quickstart");
    };
    let path = home(&name);
    let program = Program::named(&name).filter(|_| !path.exists());
    if program.is_none() && !path.exists() && path.extension().is_none() && path.components().count() == 1 {
        let names: Vec<&str> = PROGRAMS.iter().map(|p| p.name).collect();
        return Err(Fault::from(&Error::unknown("file or program", &name, &names)));
    }
    session.set_args(&words.collect::<Vec<_>>());
    let value = match program {
        Some(program) => session.run_source(program.name, program.source)?,
        None => session.run(&path)?,
    };
    Ok(Done::Said(value.unwrap_or_default()))
}

fn reset(session: &mut Session, _: &str) -> Result<Done, Fault> {
    session.reset();
    said("variables, functions and cells are forgotten")
}

fn cd(session: &mut Session, args: &str) -> Result<Done, Fault> {
    let folder = home(if args.is_empty() { "~" } else { unquoted(args) });
    std::env::set_current_dir(&folder).map_err(|e| Fault::from(&Error::io("cannot go to", &folder, e)))?;
    pwd(session, "")
}

fn pwd(_: &mut Session, _: &str) -> Result<Done, Fault> {
    let folder =
        std::env::current_dir().map_err(|e| Fault::from(&Error::io("cannot find", "the current folder", e)))?;
    said(folder.display().to_string())
}

fn in_shell(session: &mut Session, command: &str) -> Result<Done, Fault> {
    if command.trim().is_empty() {
        return mistake("! needs a command of the shell", "!ls");
    }
    session.host().progress.interrupt().clear();
    let status = shell::run(command, session.host()).map_err(|e| Fault::from(&e))?;
    match status.code() {
        Some(0) => said(""),
        Some(127) => said("exit code 127 (the shell knows no such command; for 'not' in code, write (!x))"),
        Some(code) => said(format!("exit code {code}")),
        None => said("ended by a signal"),
    }
}

/// A path with `~` for the user's home.
fn home(path: &str) -> PathBuf {
    match (path.strip_prefix('~'), std::env::home_dir()) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
        _ => Path::new(path).into(),
    }
}

fn unquoted(text: &str) -> &str {
    let within = |quote| text.strip_prefix(quote).and_then(|t| t.strip_suffix(quote));
    within('"').or_else(|| within('\'')).unwrap_or(text)
}

/// Words between spaces; quotes keep spaces in a word.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quote) = (None::<String>, None);
    for c in text.chars() {
        match quote {
            Some(q) if c == q => quote = None,
            None if c == '"' || c == '\'' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Host;

    #[test]
    fn words_keep_what_stands_in_quotes() {
        assert_eq!(words("a  'b c' \"\" --d=\"e f\"g"), ["a", "b c", "", "--d=e fg"]);
        assert_eq!(words("  "), [""; 0]);
    }

    #[test]
    fn durations_have_three_digits() {
        let cases =
            [(0.000_001_5, "1.50 µs"), (0.012_34, "12.3 ms"), (1.0, "1.00 s"), (99.0, "99.0 s"), (125.0, "2:05 min")];
        for (seconds, text) in cases {
            assert_eq!(duration(Duration::from_secs_f64(seconds)), text);
        }
    }

    #[test]
    fn only_names_are_asked_about_with_a_mark_behind() {
        assert!(is_path("Model.generate") && is_path("x"));
        for no in ["", "1", "a b", "f()", "a.", "\"what\""] {
            assert!(!is_path(no), "{no}");
        }
    }

    fn session() -> Session {
        Session::new(Host::silent())
    }

    fn says(session: &mut Session, line: &str) -> String {
        match run(session, line) {
            Ok(Done::Said(bundle)) => bundle.plain().to_owned(),
            other => panic!("{line}: {other:?}"),
        }
    }

    fn refuses(session: &mut Session, line: &str) -> String {
        run(session, line).expect_err("a fault").render(false)
    }

    #[test]
    fn code_is_no_command() {
        let mut session = session();
        for code in ["1 + 1", "x.y", "`a?`", "let a = 1;"] {
            assert!(matches!(run(&mut session, code), Ok(Done::NotACommand)), "{code}");
        }
    }

    #[test]
    fn an_unknown_command_is_told_its_neighbour() {
        assert!(refuses(&mut session(), ":hisotry").contains("did you mean 'history'"));
        assert!(refuses(&mut session(), ":help nonesuch").contains("nothing is known about 'nonesuch'"));
    }

    #[test]
    fn variables_types_and_history_are_listed() {
        let mut session = session();
        assert_eq!(says(&mut session, ":vars"), "no variables");
        session.eval("let lr = 0.5;").expect("runs");
        session.eval("let name =\n  \"a\";").expect("runs");
        let vars = says(&mut session, ":vars");
        assert!(vars.starts_with("name  type") && vars.lines().count() == 4, "{vars}");
        assert_eq!(says(&mut session, ":history"), "1  let lr = 0.5;\n2  let name =\n     \"a\";");
        assert_eq!(says(&mut session, ":history 1"), "2  let name =\n     \"a\";");
        assert!(refuses(&mut session, ":history x").contains("not 'x'"));
        says(&mut session, ":type lr + 1");
        assert_eq!(session.cells().len(), 2, "asking for a type leaves no cell");
        says(&mut session, ":reset");
        assert_eq!(says(&mut session, ":vars"), "no variables");
        assert!(matches!(run(&mut session, ":q"), Ok(Done::Quit)));
    }

    #[test]
    fn help_knows_commands_and_programs() {
        let mut session = session();
        let overview = says(&mut session, ":help");
        for word in [":vars", ":load FILE", "!COMMAND", "quickstart"] {
            assert!(overview.contains(word), "no {word} in {overview}");
        }
        assert!(says(&mut session, ":help :save").contains(":save FILE.rhai"));
        assert!(says(&mut session, "quickstart?").contains("etude quickstart"));
    }

    #[test]
    fn what_is_saved_loads_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("cells.rhai");
        let mut first = session();
        for cell in ["fn f(x) { x }", "fn f(x) { x * 2 }", "40 + 1", "let y = f(_) + args.len"] {
            first.eval(cell).expect(cell);
        }
        let save = format!(":save \"{}\"", path.display());
        assert!(says(&mut first, &save).starts_with("4 cells in "));
        assert!(says(&mut first, &save).starts_with("4 cells in "), "its own file is written over");
        let mut second = session();
        says(&mut second, &format!(":load '{}' one two", path.display()));
        assert_eq!(second.eval("y").expect("runs").expect("a value").plain(), "84");

        std::fs::write(&path, "let mine = 1;").expect("written");
        assert!(refuses(&mut first, &save).contains("was not written by :save"));
        assert!(refuses(&mut first, ":load quickstrat").contains("quickstart"));
        assert!(refuses(&mut first, ":load no/such.rhai").contains("no/such.rhai"));
    }

    #[test]
    fn commands_are_completed() {
        let session = session();
        let texts = |line: &str| -> Vec<String> {
            complete(&session, line, line.len())
                .map_or_else(Vec::new, |c| c.items.into_iter().map(|i| i.text).collect())
        };
        assert_eq!(texts(":he"), ["help"]);
        assert_eq!(texts(":").len(), COMMANDS.len());
        assert!(texts(":load quick").contains(&"quickstart".to_owned()));
        assert!(complete(&session, "let x", 5).is_none());
    }
}
