//! Writes and reads rows as an Arrow IPC stream.
//!
//! Format: <https://arrow.apache.org/docs/format/Columnar.html#ipc-streaming-format>. We write `List(int32)`; we read
//! lists of any integers, long lists and lists of a fixed size.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hasher};
use std::io::{BufReader, BufWriter, Read, Seek, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{Int32Builder, ListBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Int8Type, Int16Type, Int32Type, Int64Type};
use arrow_array::types::{UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema};

use super::meta::{self, SplitState};
use super::{STATE, folder};
use crate::data::Split;
use crate::data::ids::Ids;
use crate::data::split::VocabularyRules;
use crate::error::{Error, Result};
use crate::files::check_is_file;

/// The file of a split.
const FILE: &str = "data-00000-of-00001.arrow";
/// The column of the ids.
const COLUMN: &str = "input_ids";
/// Rows in a record batch, as `datasets` writes them.
const BATCH: usize = 1000;

/// Writes a split into a new folder.
pub(super) fn write(split: &Split, dir: &Path) -> Result<()> {
    fs::create_dir(dir).map_err(|e| Error::io("cannot create", dir, e))?;
    let path = dir.join(FILE);
    let file = File::create(&path).map_err(|e| Error::io("cannot create", &path, e))?;
    let file = write_stream(split, BufWriter::new(file)).map_err(|e| refused(&path, e))?;
    let file = file.into_inner().map_err(|e| Error::io("cannot write", &path, e.into_error()))?;
    file.sync_all().map_err(|e| Error::io("cannot write", &path, e))?;
    folder::write_json(&dir.join(STATE), &meta::state(FILE, fingerprint(split)))?;
    folder::write_json(&dir.join("dataset_info.json"), &meta::info())
}

fn write_stream<W: Write>(split: &Split, to: W) -> Result<W, ArrowError> {
    let item = Arc::new(Field::new("item", DataType::Int32, true));
    let schema = Arc::new(Schema::new(vec![Field::new(COLUMN, DataType::List(Arc::clone(&item)), true)]));
    let mut writer = StreamWriter::try_new(to, &schema)?;
    let rows: Vec<usize> = (0..split.len()).collect();
    for rows in rows.chunks(BATCH) {
        let mut column = ListBuilder::new(Int32Builder::with_capacity(rows.len() * split.width()));
        for row in rows.iter().filter_map(|&row| split.row(row)) {
            row.iter().for_each(|&id| column.values().append_value(id as i32));
            column.append(true);
        }
        let column: ArrayRef = Arc::new(column.finish());
        writer.write(&RecordBatch::try_new(Arc::clone(&schema), vec![column])?)?;
    }
    writer.finish()?;
    writer.into_inner()
}

/// A name for the contents; two datasets with the same rows have the same.
fn fingerprint(split: &Split) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_usize(split.width());
    split.ids().for_each(|id| hasher.write_u32(id));
    hasher.finish()
}

/// Reads the split in a folder.
pub(super) fn read(dir: &Path, rules: &Arc<VocabularyRules>) -> Result<Split> {
    let state: SplitState = folder::read_json(&dir.join(STATE))?;
    let mut rows =
        ArrowRows { ids: Ids::with_capacity(rules.vocab_size, 0), ends: Vec::new(), vocab_size: rules.vocab_size };
    for file in state.files() {
        let path = dir.join(file);
        check_is_file(&path)?;
        let file = File::open(&path).map_err(|e| Error::io("cannot read", &path, e))?;
        // arrow-ipc 60 validates a stream, but asserts on record batches with buffers outside of it or of odd length.
        let read = catch_unwind(AssertUnwindSafe(|| rows.read(BufReader::new(file), &path)));
        read.unwrap_or_else(|_| Err(Error::broken(format!("{}: no good Arrow stream", path.display()))))?;
    }
    rows.split(rules).map_err(|e| e.context(dir.display()))
}

/// Rows of any lengths, end to end.
struct ArrowRows {
    ids: Ids,
    ends: Vec<usize>,
    vocab_size: usize,
}

impl ArrowRows {
    /// Reads a stream; other columns are ignored.
    fn read(&mut self, mut file: impl Read + Seek, path: &Path) -> Result<()> {
        let broken = |what: String| Error::broken(format!("{}: {what}", path.display()));
        let schema = StreamReader::try_new(&mut file, None).map_err(|e| refused(path, e))?.schema();
        let Ok(column) = schema.index_of(COLUMN) else {
            let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
            return Err(broken(format!("no column {COLUMN}; there are: {}", names.join(", ")))
                .with_hint("rename_column of the datasets library gives the column of ids that name"));
        };
        file.rewind().map_err(|e| Error::io("cannot read", path, e))?;
        for batch in StreamReader::try_new(file, Some(vec![column])).map_err(|e| refused(path, e))? {
            let batch = batch.map_err(|e| refused(path, e))?;
            self.take(batch.column(0)).map_err(|e| e.context(path.display()))?;
        }
        Ok(())
    }

    fn take(&mut self, column: &ArrayRef) -> Result<()> {
        for row in 0..column.len() {
            let ids = if column.is_null(row) { None } else { list(column, row) };
            let Some(ids) = ids else {
                return Err(Error::broken(format!(
                    "{COLUMN} is {}, but a list of integers is wanted in every row",
                    column.data_type()
                )));
            };
            self.push(&ids)?;
        }
        Ok(())
    }

    fn push(&mut self, row: &ArrayRef) -> Result<()> {
        match row.data_type() {
            DataType::Int8 => self.push_as::<Int8Type>(row),
            DataType::Int16 => self.push_as::<Int16Type>(row),
            DataType::Int32 => self.push_as::<Int32Type>(row),
            DataType::Int64 => self.push_as::<Int64Type>(row),
            DataType::UInt8 => self.push_as::<UInt8Type>(row),
            DataType::UInt16 => self.push_as::<UInt16Type>(row),
            DataType::UInt32 => self.push_as::<UInt32Type>(row),
            DataType::UInt64 => self.push_as::<UInt64Type>(row),
            other => Err(Error::broken(format!("{COLUMN} holds {other}, but integers are wanted"))),
        }
    }

    fn push_as<T: ArrowPrimitiveType<Native: TryInto<u32> + std::fmt::Display>>(
        &mut self,
        row: &ArrayRef,
    ) -> Result<()> {
        let place = self.ends.len();
        for id in row.as_primitive::<T>() {
            let Some(id) = id else { return Err(Error::broken(format!("row {place} has a null among its ids"))) };
            match id.try_into() {
                Ok(known) if (known as usize) < self.vocab_size => self.ids.push(known),
                _ => {
                    let size = self.vocab_size;
                    return Err(Error::broken(format!("row {place} has the id {id}, but the vocabulary has {size}"))
                        .with_hint("the tokenizer.json beside it is not the one that made these ids"));
                }
            }
        }
        self.ends.push(self.ids.len());
        Ok(())
    }

    /// The rows as a split, padded to the longest.
    fn split(self, rules: &Arc<VocabularyRules>) -> Result<Split> {
        let lengths = || self.ends.iter().scan(0, |begin, &end| Some(end - std::mem::replace(begin, end)));
        let (shortest, width) = (lengths().min().unwrap_or(0), lengths().max().unwrap_or(0));
        if shortest == width {
            return Ok(Split::new(self.ids, width, Arc::clone(rules)));
        }
        let padded = self.ends.len().saturating_mul(width);
        if padded > MUCH_PADDING && padded / 8 > self.ids.len() {
            return Err(Error::broken(format!(
                "its rows have {shortest} to {width} ids: padded, most would be padding"
            ))
            .with_hint("cut the rows to one length before they are saved"));
        }
        let mut ids = Ids::with_capacity(rules.vocab_size, padded);
        let mut begin = 0;
        for (place, &end) in self.ends.iter().enumerate() {
            ids.extend(self.ids.range(begin..end));
            ids.resize((place + 1) * width, rules.pad);
            begin = end;
        }
        Ok(Split::new(ids, width, Arc::clone(rules)))
    }
}

/// Padding of fewer ids than this is accepted without a check.
const MUCH_PADDING: usize = 1 << 24;

/// The list in a row, of any Arrow list type.
fn list(column: &ArrayRef, row: usize) -> Option<ArrayRef> {
    match column.data_type() {
        DataType::List(_) => Some(column.as_list::<i32>().value(row)),
        DataType::LargeList(_) => Some(column.as_list::<i64>().value(row)),
        // Empty lists take no memory, so that a file could declare any number of them.
        DataType::FixedSizeList(_, size) if *size > 0 => Some(column.as_fixed_size_list().value(row)),
        _ => None,
    }
}

fn refused(path: &Path, error: ArrowError) -> Error {
    match error {
        ArrowError::IoError(_, e) => Error::io("cannot use", path, e),
        other => Error::broken(format!("{}: {other}", path.display())),
    }
}
