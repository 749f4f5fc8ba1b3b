//! Atomic writing of safetensors and text files.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;
use std::rc::Rc;

use safetensors::{Dtype as Stored, View};

use crate::atomic;
use crate::error::{Error, Result};

/// A tensor to be written.
pub(super) struct Entry<'a> {
    pub(super) dtype: Stored,
    pub(super) shape: Vec<usize>,
    pub(super) bytes: usize,
    /// Makes the bytes during writing, so that one tensor at a time is in memory.
    pub(super) data: Box<dyn Fn() -> Result<Cow<'a, [u8]>> + 'a>,
}

/// An entry being written, and a place for the error when its bytes cannot be made, which safetensors cannot return.
struct Written<'a> {
    entry: Entry<'a>,
    failed: Rc<RefCell<Option<Error>>>,
}

impl View for Written<'_> {
    fn dtype(&self) -> Stored {
        self.entry.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.entry.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        (self.entry.data)().unwrap_or_else(|error| {
            *self.failed.borrow_mut() = Some(error);
            Cow::Owned(vec![0; self.entry.bytes])
        })
    }

    fn data_len(&self) -> usize {
        self.entry.bytes
    }
}

/// Makes the folder `dir` and those above it.
pub(super) fn make_folder(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).map_err(|e| Error::io("cannot make the folder", dir, e))
}

/// Writes a safetensors file with the metadata that `transformers` asks for.
pub(super) fn write_tensors(path: &Path, entries: Vec<(String, Entry<'_>)>) -> Result<()> {
    write_tensors_with(path, entries, None)
}

/// [`write_tensors`] with one more entry of the metadata.
pub(super) fn write_tensors_with(
    path: &Path,
    entries: Vec<(String, Entry<'_>)>,
    more: Option<(String, String)>,
) -> Result<()> {
    let format = (String::from("format"), String::from("pt"));
    let metadata: HashMap<String, String> = std::iter::once(format).chain(more).collect();
    let failed = Rc::new(RefCell::new(None));
    let written = entries.into_iter().map(|(name, entry)| (name, Written { entry, failed: failed.clone() }));
    atomic::write_with(path, |temporary| {
        safetensors::serialize_to_file(written, Some(metadata), temporary).map_err(|e| match e {
            safetensors::SafeTensorError::IoError(e) => e,
            other => io::Error::other(other),
        })?;
        failed.take().map_or(Ok(()), |error: Error| Err(io::Error::other(error)))
    })
}

/// Writes a text file.
pub(super) fn write_text(path: &Path, text: &str) -> Result<()> {
    atomic::write(path, text.as_bytes())
}
