//! The commands of the prompt, the same in terminal and notebook: `:help`, `:vars`, `?name`, `!cmd`.

mod ask;
mod cells;
mod complete;
mod exported;
mod files;
mod ipynb;
mod parts;
mod shell;

pub use complete::{complete, completeness};
pub use files::run_file;
pub use parts::run_cell;

use crate::error::Error;
use crate::script::{Bundle, CellError, Session};

/// The result of a command.
#[derive(Debug)]
pub enum Outcome {
    /// The output; empty for none.
    Shown(Bundle),
    /// A page of documentation; a notebook shows it in its pager.
    Page(Bundle),
    /// A request to exit.
    Quit,
    /// The text is not a command and must be run as code.
    NotACommand,
}

/// A command that begins with a colon.
struct Command {
    name: &'static str,
    args: &'static str,
    about: &'static str,
    run: fn(&mut Session, &str) -> Result<Outcome, CellError>,
}

const COMMANDS: &[Command] = &[
    Command { name: "help", args: "[NAME]", about: "what can be done here; what NAME is (also ?NAME)", run: ask::help },
    Command { name: "vars", args: "", about: "the variables, their types and values", run: ask::vars },
    Command { name: "type", args: "EXPR", about: "the type of a value", run: ask::type_of },
    Command { name: "time", args: "CODE", about: "run code and say how long it took", run: ask::time },
    Command { name: "history", args: "[N]", about: "the last N cells that ran (20)", run: ask::history },
    Command {
        name: "save",
        args: "FILE",
        about: "write the cells as a script, or as a notebook if FILE ends in .ipynb",
        run: files::save,
    },
    Command {
        name: "load",
        args: "FILE [ARGS]",
        about: "run a script, a notebook, or a program by its name, in this session",
        run: files::load,
    },
    Command { name: "reset", args: "", about: "forget variables, functions and cells", run: ask::reset },
    Command { name: "cd", args: "[FOLDER]", about: "go to a folder", run: files::cd },
    Command { name: "pwd", args: "", about: "say which folder this is", run: files::pwd },
    Command { name: "quit", args: "", about: "leave (also Ctrl-D, exit())", run: |_, _| Ok(Outcome::Quit) },
];

/// Other names of commands.
const ALIASES: [(&str, &str); 6] =
    [("doc", "help"), ("h", "help"), ("?", "help"), ("q", "quit"), ("exit", "quit"), ("run", "load")];

/// The beginnings of commands that take code.
pub(crate) const TAKE_CODE: [&str; 8] =
    [":time ", ":type ", "%time ", "%timeit ", "%%time\n", "%%timeit\n", "%%time ", "%%timeit "];

/// Commands that work without their colon if they are the whole line.
const BARE: [&str; 3] = ["exit", "help", "quit"];

/// Runs `line` if it is a command (`:name …`, `?name`, `name?`, `!shell`).
///
/// # Errors
/// The error of the command.
pub fn run(session: &mut Session, line: &str) -> Result<Outcome, CellError> {
    let line = line.trim();
    if let Some(rest) = line.strip_prefix(':') {
        let (name, args) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let command = command(name).ok_or_else(|| {
            let names: Vec<&str> = COMMANDS.iter().map(|c| c.name).collect();
            CellError::from(&Error::unknown("command", name, &names))
        })?;
        if args.trim().contains('\n') && !matches!(command.name, "time" | "type") {
            return mistake(format!(":{name} needs a line of its own"), "run it first, then the code below it");
        }
        return (command.run)(session, args.trim());
    }
    if let Some(name) = line.strip_prefix('?').or_else(|| asked(line)) {
        return ask::help(session, name.trim_matches('?').trim());
    }
    if let Some(command) = line.strip_prefix('!') {
        return shell::shell(session, command);
    }
    if line.starts_with('%') {
        return magic(session, line);
    }
    // What newcomers type to exit or to get help, unless they have a variable of that name.
    if BARE.contains(&line) && !session.variables().iter().any(|v| v.name == line) {
        return run(session, &format!(":{line}"));
    }
    Ok(Outcome::NotACommand)
}

/// IPython magics that correspond to our commands.
fn magic(session: &mut Session, line: &str) -> Result<Outcome, CellError> {
    let rest = line.trim_start_matches('%');
    let (name, args) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let as_command = match name {
        "time" | "timeit" | "prun" => "time",
        "cd" => "cd",
        "pwd" => "pwd",
        "who" | "whos" | "who_ls" => "vars",
        "run" | "load" => "load",
        "hist" | "history" => "history",
        "reset" | "reset_selective" => "reset",
        "save" | "notebook" => "save",
        "help" | "quickref" | "lsmagic" | "magic" => "help",
        "ls" | "ll" | "cat" | "mkdir" | "cp" | "mv" | "rm" | "head" | "tail" => {
            let name = if name == "ll" { "ls -l" } else { name };
            return shell::shell(session, &format!("{name} {args}"));
        }
        "sx" | "sh" | "bash" | "system" => return shell::shell(session, args),
        "matplotlib" | "autoreload" | "load_ext" | "config" | "pylab" | "precision" => {
            return text_output(format!("%{name} does nothing here: pictures and values show by themselves"));
        }
        "pip" | "conda" => {
            return mistake("nothing is installed with pip: what is needed is built in", "help() lists it");
        }
        _ => {
            return mistake(
                format!("there is no command %{name}"),
                ":help lists the commands: %time is :time, %cd :cd, %who :vars, %run :load",
            );
        }
    };
    run(session, &format!(":{as_command} {args}"))
}

fn command(name: &str) -> Option<&'static Command> {
    let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name);
    COMMANDS.iter().find(|c| c.name == name)
}

/// A name or a name of a member: `net`, `Model.generate`.
/// The name in `name?` and `name??`, a question of its own line.
pub(crate) fn asked(line: &str) -> Option<&str> {
    let name = line.strip_suffix("??").or_else(|| line.strip_suffix('?'))?;
    is_path(name).then_some(name)
}

fn is_path(text: &str) -> bool {
    let name = |part: &str| {
        part.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    text.split('.').all(name)
}

fn text_output(text: impl Into<String>) -> Result<Outcome, CellError> {
    Ok(Outcome::Shown(Bundle::text(text)))
}

fn mistake<T>(message: impl Into<String>, hint: &str) -> Result<T, CellError> {
    Err(CellError::from(&Error::mistake(message).with_hint(hint)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Host;

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

    fn output_of(session: &mut Session, line: &str) -> String {
        match run(session, line) {
            Ok(Outcome::Shown(bundle) | Outcome::Page(bundle)) => bundle.plain().to_owned(),
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
            assert!(matches!(run(&mut session, code), Ok(Outcome::NotACommand)), "{code}");
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
        assert_eq!(output_of(&mut session, ":vars"), "no variables");
        session.eval("let lr = 0.5;").expect("runs");
        session.eval("let name =\n  \"a\";").expect("runs");
        let vars = output_of(&mut session, ":vars");
        assert!(vars.starts_with("name  type") && vars.lines().count() == 4, "{vars}");
        assert_eq!(output_of(&mut session, ":history"), "1  let lr = 0.5;\n2  let name =\n     \"a\";");
        assert_eq!(output_of(&mut session, ":history 1"), "2  let name =\n     \"a\";");
        assert!(refuses(&mut session, ":history x").contains("not 'x'"));
        output_of(&mut session, ":type lr + 1");
        assert_eq!(session.cells().len(), 2, "asking for a type leaves no cell");
        output_of(&mut session, ":reset");
        assert_eq!(output_of(&mut session, ":vars"), "no variables");
        assert!(matches!(run(&mut session, ":q"), Ok(Outcome::Quit)));
    }

    #[test]
    fn what_newcomers_type_works_without_a_colon() {
        let mut session = session();
        assert!(
            matches!(run(&mut session, "exit"), Ok(Outcome::Quit))
                && matches!(run(&mut session, "quit"), Ok(Outcome::Quit))
        );
        assert_eq!(output_of(&mut session, "help"), output_of(&mut session, ":help"));
        session.eval("let exit = 1;").expect("runs");
        assert!(matches!(run(&mut session, "exit"), Ok(Outcome::NotACommand)), "a variable");
    }

    #[test]
    fn help_knows_commands_and_programs() {
        let mut session = session();
        let overview = output_of(&mut session, ":help");
        for word in [":vars", ":load FILE", "!COMMAND", "quickstart"] {
            assert!(overview.contains(word), "no {word} in {overview}");
        }
        assert!(output_of(&mut session, ":help :save").contains(":save FILE"));
        session.eval("let tune = chords(\"Dm7 G7\");").expect("runs");
        let about = output_of(&mut session, "tune?");
        assert!(about.starts_with("tune: Chords, ") && about.contains("transpose"), "{about}");
        assert_eq!(output_of(&mut session, "tune.transpose?"), output_of(&mut session, "?Chords.transpose"));
        assert_eq!(output_of(&mut session, "tune.transpose??"), output_of(&mut session, "?Chords.transpose"));
        assert_eq!((asked("a.b??"), asked("a ??"), asked("a ?? b"), asked("f()?")), (Some("a.b"), None, None, None));
        assert!(output_of(&mut session, "quickstart?").contains("etude quickstart"));
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
        assert!(output_of(&mut first, &save).starts_with("4 cells in "));
        assert!(output_of(&mut first, &save).starts_with("4 cells in "), "its own file is written over");
        let mut second = session();
        output_of(&mut second, &format!(":load '{}' one two", path.display()));
        assert_eq!(second.eval("y").expect("runs").expect("a value").plain(), "84");

        std::fs::write(&path, "let mine = 1;").expect("written");
        assert!(refuses(&mut first, &save).contains("was not written by :save"));
        assert!(refuses(&mut first, ":load quickstrat").contains("quickstart"));
        assert!(refuses(&mut first, ":load no/such.rhai").contains("no/such.rhai"));
    }

    #[test]
    fn a_saved_notebook_loads_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("cells.ipynb");
        let mut first = session();
        for cell in ["let x = 20;", "print(x);\nx + 1", "let y = _ * 2;"] {
            first.eval(cell).expect(cell);
        }
        let save = format!(":save {}", path.display());
        output_of(&mut first, &save);
        assert!(output_of(&mut first, &save).starts_with("3 cells in "), "its own file is written over");
        let text = std::fs::read_to_string(&path).expect("a file");
        assert!(text.contains("\"20\\n\"") && text.contains("\"21\""), "outputs are kept: {text}");
        let mut second = session();
        output_of(&mut second, &format!(":load {}", path.display()));
        assert_eq!(second.eval("y").expect("runs").expect("a value").plain(), "42");

        std::fs::write(&path, text.replace("x + 1", "z + 1")).expect("written");
        let fault = refuses(&mut session(), &format!(":load {}", path.display()));
        assert!(fault.contains("cells.ipynb, cell 2:2:1"), "{fault}");
    }

    #[test]
    fn commands_are_completed() {
        let session = session();
        let texts = |line: &str| -> Vec<String> {
            complete(&session.symbols(), line, line.len())
                .map_or_else(Vec::new, |c| c.items.into_iter().map(|i| i.text).collect())
        };
        assert_eq!(texts(":he"), ["help"]);
        assert_eq!(texts(":").len(), COMMANDS.len());
        assert!(texts(":load quick").contains(&"quickstart".to_owned()));
        assert_eq!(
            (texts("%ti"), texts("%%tim")),
            (vec!["time".into(), "timeit".into()], vec!["time".into(), "timeit".into()])
        );
        assert!(texts("%ls Cargo.t").iter().any(|path| path.contains("Cargo.toml")));
        assert!(complete(&session.symbols(), "let x", 5).is_none());
    }
}
