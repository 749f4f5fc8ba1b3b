//! The command line: parses the arguments and runs the command.

use std::fmt::Write as _;
use std::io::{IsTerminal, Read, Write as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use etude::error::Error;
use etude::files;
use etude::notebook::{self, Choice};
use etude::plot;
use etude::repl;
use etude::script::programs::{PROGRAMS, Program};

use crate::{launch, logging};

/// The exit code for a wrong call.
const USAGE: i32 = 2;

/// A practice room for music transformers: a scriptable notebook in one binary.
///
/// Without arguments a prompt opens; a script that is piped in is run whole.
#[derive(Debug, Parser)]
#[command(name = "etude", version, max_term_width = 100, disable_help_subcommand = true)]
struct Call {
    /// Run CODE and print its value
    #[arg(short = 'e', long = "eval", value_name = "CODE", allow_hyphen_values = true)]
    eval: Option<String>,
    /// Do not run the startup script (init.rhai in ~/.config/etude)
    #[arg(long)]
    no_init: bool,
    /// Compute on N threads [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Run a script or a notebook (- for standard input); ARGS go to its `args` untouched
    Run {
        /// The script, and what its `args` holds
        #[arg(value_names = ["FILE", "ARGS"], num_args = 1.., required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        file: Vec<String>,
    },
    /// The Jupyter kernel: install it, or serve one
    Kernel {
        #[command(subcommand)]
        what: KernelCommand,
    },
    /// A program that comes with the binary, or a script file
    #[command(external_subcommand)]
    Program(Vec<String>),
}

#[derive(Debug, Subcommand)]
enum KernelCommand {
    /// Tell Jupyter about this binary
    Install {
        /// Install for the current user [default]
        #[arg(long, conflicts_with_all = ["prefix", "sys_prefix"])]
        user: bool,
        /// Install under PREFIX/share/jupyter
        #[arg(long, value_name = "PREFIX", conflicts_with = "sys_prefix")]
        prefix: Option<PathBuf>,
        /// Install into the active virtual or conda environment
        #[arg(long)]
        sys_prefix: bool,
        /// Name that front ends ask for [default: etude]
        #[arg(long)]
        name: Option<String>,
        /// Name in menus [default: Étude]
        #[arg(long)]
        display_name: Option<String>,
    },
    /// The kernels of this binary and its kin that Jupyter finds
    List,
    /// Take a kernel away again, with what came with it
    Uninstall {
        /// Its name [default: etude]
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// From PREFIX/share/jupyter [default: the first place that has it]
        #[arg(long, value_name = "PREFIX", conflicts_with = "sys_prefix")]
        prefix: Option<PathBuf>,
        /// From the active virtual or conda environment
        #[arg(long)]
        sys_prefix: bool,
    },
    /// Serve a kernel; Jupyter calls this
    Run {
        /// Ports and key, written by the front end
        #[arg(short = 'f', long, value_name = "FILE")]
        connection_file: PathBuf,
        /// What a front end passes on besides, such as the file of `jupyter run`
        #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
        _besides: Vec<String>,
    },
}

/// Runs the command line and returns the exit code.
pub(crate) fn main() -> i32 {
    let matches = Call::command().after_help(after_help()).get_matches();
    let call = match Call::from_arg_matches(&matches) {
        Ok(call) => call,
        Err(e) => e.exit(),
    };
    match &call.what {
        Some(What::Kernel { what: KernelCommand::Run { .. } }) => {
            notebook::log_file().into_iter().for_each(logging::to_file)
        }
        _ => logging::to_stderr(),
    }
    if let Some(threads) = call.threads.map(NonZeroUsize::get).or_else(launch::threads) {
        // It fails only when the pool exists already, and nothing has computed yet.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    }
    match (call.eval, call.what) {
        (Some(code), what) => match what {
            None => repl::code("-e", &code, &[], true),
            Some(What::Program(args)) => repl::code("-e", &code, &args, true),
            Some(What::Run { .. }) => usage(&Error::mistake("-e and run exclude each other")),
            Some(What::Kernel { .. }) => usage(&Error::mistake("-e and kernel exclude each other")),
        },
        (None, Some(What::Run { file })) => run(&file),
        (None, Some(What::Kernel { what })) => kernel(what),
        (None, Some(What::Program(words))) => match launch::wanted(&words) {
            Ok(None) => program(&words),
            Ok(Some(ranks)) => launch::run(ranks, call.threads, &words).unwrap_or_else(|error| usage(&error)),
            Err(error) => usage(&error),
        },
        (None, None) if std::io::stdin().is_terminal() => repl::prompt(!call.no_init),
        (None, None) => piped(&[]),
    }
}

/// `etude run FILE [ARGS]`
fn run(words: &[String]) -> i32 {
    let (file, args) = words.split_first().map_or(("-", &[][..]), |(file, args)| (file.as_str(), args));
    // As the shell gives it: `~` in quotes is still to be read.
    let path = match files::locate(file) {
        Ok(path) => path,
        Err(error) => return usage(&error),
    };
    match () {
        () if file == "-" => piped(args),
        () if path.exists() && !path.is_dir() => repl::file(&path, args),
        () if path.is_dir() => usage(&Error::mistake(format!("{file} is a folder, not a script"))),
        () => {
            let error = Error::mistake(format!("there is no script {file}"));
            usage(&match Program::named(file) {
                Some(program) => error.with_hint(format!("the program of that name is run by: etude {}", program.name)),
                None => error,
            })
        }
    }
}

/// `etude kernel …`
fn kernel(what: KernelCommand) -> i32 {
    let done = match what {
        KernelCommand::Install { prefix, sys_prefix, name, display_name, .. } => {
            notebook::install(&Choice { prefix, sys_prefix, name, display_name }).map(|done| say(&installed(&done)))
        }
        KernelCommand::List => Ok(say(&kernels())),
        KernelCommand::Uninstall { name, prefix, sys_prefix } => {
            notebook::uninstall(&Choice { prefix, sys_prefix, name, display_name: None })
                .map(|folder| say(&format!("removed the kernel in {}", folder.display())))
        }
        // After a restart request the front end starts another process.
        KernelCommand::Run { connection_file, .. } => notebook::serve(&connection_file).map(|_| 0),
    };
    done.unwrap_or_else(|error| {
        let _ = writeln!(std::io::stderr(), "error: {error}");
        1
    })
}

/// The report of an installation.
fn installed(done: &notebook::Support) -> String {
    let mut text = format!("installed the kernel in {}", done.folder.display());
    for folder in &done.packages {
        text += &format!("\ninstalled Rhai for papermill, Pygments and nbconvert in {}", folder.display());
    }
    if done.packages.is_empty() {
        text +=
            "\npapermill, Pygments and nbconvert learn Rhai where the kernel goes into an environment: --sys-prefix";
    }
    text
}

/// A line for each installed kernel.
fn kernels() -> String {
    let found = notebook::list();
    let row = |kernel: &notebook::Installed| {
        let gone = if kernel.program.exists() { "" } else { " (not there: etude kernel install)" };
        vec![
            kernel.name.clone(),
            kernel.display_name.clone(),
            kernel.folder.display().to_string(),
            format!("{}{gone}", kernel.program.display()),
        ]
    };
    if found.is_empty() {
        return "no kernel is installed; etude kernel install installs one".into();
    }
    plot::table_within(&["name", "shown as", "folder", "program"], &found.iter().map(row).collect::<Vec<_>>(), 1000)
}

/// `etude NAME [ARGS]` and `etude FILE.rhai [ARGS]`
fn program(words: &[String]) -> i32 {
    let Some((name, args)) = words.split_first() else { return USAGE };
    if let Some(program) = Program::named(name) {
        if matches!(args, [only] if only == "--help" || only == "-h") {
            return say(&program.help());
        }
        return repl::program(program, args);
    }
    if [".rhai", ".ipynb"].iter().any(|e| name.ends_with(e)) || Path::new(name).is_file() {
        return run(words);
    }
    let names: Vec<&str> = PROGRAMS.iter().map(|p| p.name).chain(["run", "kernel"]).collect();
    usage(&Error::unknown("command or program", name, &names))
}

/// The script on standard input.
fn piped(args: &[String]) -> i32 {
    let mut bytes = Vec::new();
    if let Err(e) = std::io::stdin().read_to_end(&mut bytes) {
        return usage(&Error::io("cannot read", "standard input", e));
    }
    match files::text(bytes) {
        Ok(code) => repl::code("stdin", &code, args, false),
        Err(e) => usage(&e.context("standard input")),
    }
}

/// Prints a text; a closed pipe is not a failure.
fn say(text: &str) -> i32 {
    let _ = writeln!(std::io::stdout(), "{text}");
    0
}

fn usage(error: &Error) -> i32 {
    let _ = writeln!(std::io::stderr(), "error: {error}\n\nFor more information, try 'etude --help'.");
    USAGE
}

fn after_help() -> String {
    let mut text = String::from("Programs (etude NAME --help says more):\n");
    for program in PROGRAMS {
        let _ = writeln!(text, "  {:<10}  {}", program.name, program.about());
    }
    text.push_str(
        "
Examples:
  etude                                   open the prompt
  etude quickstart                        the whole story: MIDI in, a tuned model and a new solo out
  etude run tune.rhai midi/ --steps 500   run a script; its args are [\"midi/\", \"--steps\", \"500\"]
  etude -e 'midi(\"song.mid\").tempo'       print a value
  echo 'print(1 + 1)' | etude             run what is piped in

Environment: NO_COLOR (no colours), ETUDE_HISTORY (file of typed lines; empty for none),
RUST_LOG (what is logged, as in debug: to standard error; of a kernel to ~/.local/state/etude/kernel.log).
Exit codes: 0 done, 1 the script failed, 2 wrong usage, 130 interrupted, or what exit(n) says.",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &[&str]) -> Call {
        let matches = Call::command().try_get_matches_from(line).expect("a call");
        Call::from_arg_matches(&matches).expect("a call")
    }

    #[test]
    fn the_definition_holds() {
        Call::command().debug_assert();
    }

    #[test]
    fn what_follows_a_script_is_its_own() {
        let call = words(&["etude", "--threads", "2", "run", "a.rhai", "--threads", "3", "-e", "--", "--help"]);
        assert_eq!(call.threads.map(NonZeroUsize::get), Some(2));
        assert!(call.eval.is_none());
        let Some(What::Run { file }) = call.what else { panic!("{call:?}") };
        assert_eq!(file, ["a.rhai", "--threads", "3", "-e", "--", "--help"]);
    }

    #[test]
    fn what_follows_a_program_is_its_own() {
        let call = words(&["etude", "quickstart", "--no-init", "-e", "x", "--"]);
        assert!(!call.no_init);
        let Some(What::Program(all)) = call.what else { panic!("{call:?}") };
        assert_eq!(all, ["quickstart", "--no-init", "-e", "x", "--"]);
    }

    #[test]
    fn zero_threads_are_refused() {
        assert!(Call::command().try_get_matches_from(["etude", "--threads", "0"]).is_err());
    }
}
