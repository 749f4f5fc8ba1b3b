//! Files: what lies in a folder, what stands in a text.

use std::path::Path;

use rhai::{Array, Dynamic};

use crate::atomic;
use crate::data;
use crate::error::Error;
use crate::script::failure::Fallible;
use crate::script::kit::Kit;

pub(super) fn register(kit: &mut Kit) {
    kit.function(
        "midi_files(folder: string) -> array",
        "The paths of the MIDI files in a folder and the folders in it, sorted.",
        |folder: &str| -> Fallible<Array> {
            let files = data::scan(Path::new(folder))?;
            Ok(files.into_iter().map(|path| Dynamic::from(path.display().to_string())).collect())
        },
    );
    kit.function("exists(path: string) -> bool", "True when there is a file or folder.", |path: &str| {
        Path::new(path).exists()
    });
    kit.function(
        "make_folder(path: string)",
        "Makes a folder and those above it, if they are not there.",
        |path: &str| -> Fallible<()> {
            Ok(std::fs::create_dir_all(path).map_err(|e| Error::io("cannot make the folder", path, e))?)
        },
    );
    kit.function("read(path: string) -> string", "The text of a file.", |path: &str| -> Fallible<String> {
        Ok(std::fs::read_to_string(path).map_err(|e| Error::io("cannot read", path, e))?)
    });
    kit.function(
        "write(path: string, text: string)",
        "Writes a text file; what stood there is replaced.",
        |path: &str, text: &str| -> Fallible<()> { Ok(atomic::write(Path::new(path), text.as_bytes())?) },
    );
}
