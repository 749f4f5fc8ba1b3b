//! Files: what lies in a folder, what stands in a text.

use rhai::{Array, Dynamic};

use crate::atomic;
use crate::data;
use crate::error::Error;
use crate::files::{locate, read_text};
use crate::script::failure::Fallible;
use crate::script::kit::Kit;

pub(super) fn register(kit: &mut Kit) {
    kit.function(
        "midi_files(folder: string) -> array",
        "The paths of the MIDI files in a folder and the folders in it, sorted.",
        |folder: &str| -> Fallible<Array> {
            let files = data::scan(&locate(folder)?)?;
            Ok(files.into_iter().map(|path| Dynamic::from(path.display().to_string())).collect())
        },
    );
    kit.function("exists(path: string) -> bool", "True when there is a file or folder.", |path: &str| {
        locate(path).is_ok_and(|path| path.exists())
    });
    kit.function(
        "make_folder(path: string)",
        "Makes a folder and those above it, if they are not there.",
        |path: &str| -> Fallible<()> {
            let path = locate(path)?;
            Ok(std::fs::create_dir_all(&path).map_err(|e| Error::io("cannot make the folder", path, e))?)
        },
    );
    kit.function("read(path: string) -> string", "The text of a file.", |path: &str| -> Fallible<String> {
        Ok(read_text(&locate(path)?)?)
    });
    kit.function(
        "write(path: string, text: string)",
        "Writes a text file; what stood there is replaced.",
        |path: &str, text: &str| -> Fallible<()> { Ok(atomic::write(&locate(path)?, text.as_bytes())?) },
    );
}
