//! Files: listing folders, reading and writing texts.

use rhai::{Array, Dynamic};

use crate::atomic;
use crate::data;
use crate::error::Error;
use crate::files::{locate, read_text};
use crate::script::failure::Fallible;
use crate::script::registry::Registry;
use crate::script::shell::{ShellLine, run};
use crate::script::{Output, glob};

pub(super) fn register(registry: &mut Registry) {
    look(registry);
    shell(registry);
    registry.function(
        "midi_files(folder: string) -> array",
        "The paths of the MIDI files in a folder and the folders in it, sorted.",
        |folder: &str| -> Fallible<Array> {
            let files = data::scan(&locate(folder)?)?;
            Ok(files.into_iter().map(|path| Dynamic::from(path.display().to_string())).collect())
        },
    );
    registry.function("exists(path: string) -> bool", "True when there is a file or folder.", |path: &str| {
        locate(path).is_ok_and(|path| path.exists())
    });
    registry.function(
        "make_folder(path: string)",
        "Makes a folder and those above it, if they are not there.",
        |path: &str| -> Fallible<()> {
            let path = locate(path)?;
            Ok(std::fs::create_dir_all(&path).map_err(|e| Error::io("cannot make the folder", path, e))?)
        },
    );
    registry.function("read(path: string) -> string", "The text of a file.", |path: &str| -> Fallible<String> {
        Ok(read_text(&locate(path)?)?)
    });
    registry.function(
        "write(path: string, text: string)",
        "Writes a text file; what stood there is replaced.",
        |path: &str, text: &str| -> Fallible<()> { Ok(atomic::write(&locate(path)?, text.as_bytes())?) },
    );
}

fn look(registry: &mut Registry) {
    let ctx = registry.ctx();
    registry.function(
        "glob(pattern: string) -> array",
        "The paths that a pattern names, sorted: glob(\"midi/*.mid\"), glob(\"**/*.csv\").",
        move |pattern: &str| -> Fallible<Array> {
            let pattern = locate(pattern)?;
            let found = glob::glob(&pattern.to_string_lossy(), ctx.progress().interrupt())?;
            Ok(found.into_iter().map(Dynamic::from).collect())
        },
    );
    registry.function(
        "list_folder(path: string) -> array",
        "The names of the files and folders in a folder, sorted.",
        |path: &str| -> Fallible<Array> { Ok(glob::list(&locate(path)?)?.into_iter().map(Dynamic::from).collect()) },
    );
    registry.function(
        "file_size(path: string) -> int",
        "The size of a file in bytes.",
        |path: &str| -> Fallible<i64> {
            Ok(std::fs::metadata(locate(path)?).map_err(|e| Error::io("cannot read", path, e))?.len() as i64)
        },
    );
}

fn shell(registry: &mut Registry) {
    let ctx = registry.ctx();
    registry.function(
        "shell(command: string) -> string",
        "Runs a command of the system's shell and gives what it writes: let files = shell(\"ls\"). One that fails is an error.",
        move |command: &str| -> Fallible<String> {
            let (mut out, mut errors) = (String::new(), String::new());
            let status = run(command, ctx.progress().interrupt(), &mut |line| match line {
                ShellLine::Out(text) => out += &text,
                ShellLine::Err(text) => errors += &text,
            })?;
            let stderr = errors.trim_end();
            if status.success() {
                if !stderr.is_empty() {
                    ctx.say(Output::Warning(format!("{stderr}\n")));
                }
                return Ok(out.strip_suffix('\n').map_or(out.clone(), str::to_string));
            }
            let how = status.code().map_or("was ended by a signal".into(), |code| format!("ended with exit code {code}"));
            let error = Error::mistake(format!("the command '{command}' {how}"));
            Err(if stderr.is_empty() { error } else { error.with_hint(stderr) }.into())
        },
    );
}
