//! The inputs of a forward pass as a map, under the names that `transformers` gives them.

use rhai::Map;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::data::{self, EncoderInput, IGNORE};
use crate::error::{Error, Result};
use crate::script::convert::options;

/// The inputs, with descriptions of [`ModelInputs`].
pub(super) const MODEL_INPUTS: &[(&str, &str)] = &[
    ("input_ids", "rows of ids, all of one length"),
    ("attention_mask", "1 for an id, 0 for padding, at the start or the end of a row (no padding)"),
    ("position_ids", "the position of each id; a piece begins where it is 0 (counted from the first id of the row)"),
    ("labels", "the id that should follow each, -100 where none counts (the next of the row)"),
    ("encoder", "what an encoder reads, a row for each: #{ input_ids, attention_mask }"),
];

/// What a model reads.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ModelInputs {
    input_ids: Vec<Vec<u32>>,
    attention_mask: Option<Vec<Vec<Value>>>,
    position_ids: Option<Vec<Vec<u32>>>,
    labels: Option<Vec<Vec<i64>>>,
    encoder: Option<SourceInputs>,
}

/// What its encoder reads.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SourceInputs {
    input_ids: Vec<Vec<u32>>,
    attention_mask: Option<Vec<Vec<Value>>>,
}

/// Reads the inputs; `what` names the function in errors.
pub(super) fn batch(what: &str, map: &Map) -> Result<data::Batch> {
    let inputs: ModelInputs = options(what, map)?;
    let width = width(what, "input_ids", &inputs.input_ids)?;
    let rows = inputs.input_ids.len();
    let mask = inputs.attention_mask.map(|mask| read_mask(what, "attention_mask", (rows, width), mask)).transpose()?;
    let positions = inputs.position_ids;
    let encoder = inputs.encoder.map(|source| source.read(what)).transpose()?;
    let batch = data::Batch {
        input_ids: inputs.input_ids.concat(),
        attention_mask: mask,
        position_ids: positions.map(|ids| same_shape(what, "position_ids", (rows, width), ids)).transpose()?,
        encoder,
        rows,
        width,
        ..data::Batch::default()
    };
    let Some(labels) = inputs.labels else { return Ok(batch.with_next_ids()) };
    let labels = same_shape(what, "labels", (rows, width), labels)?;
    if width > 1 && labels.iter().zip(&batch.input_ids).all(|(&label, &id)| label == NO_LABEL || label == i64::from(id))
    {
        return Err(Error::mistake(format!("{what}: the labels are the input_ids themselves"))
            .with_hint("a label is the id that follows: leave labels out, and each is the next id of its row"));
    }
    let label = |(place, &label): (usize, &i64)| match label {
        NO_LABEL => Ok(IGNORE),
        _ => u32::try_from(label).map_err(|_| {
            Error::mistake(format!("{what}: labels[{}][{}] is {label}", place / width, place % width))
                .with_hint("labels are ids, and -100 where none counts")
        }),
    };
    Ok(data::Batch { labels: labels.iter().enumerate().map(label).collect::<Result<_>>()?, ..batch })
}

/// The label that counts for nothing in `transformers`.
pub(super) const NO_LABEL: i64 = -100;

impl SourceInputs {
    fn read(self, what: &str) -> Result<EncoderInput> {
        let width = width(what, "encoder.input_ids", &self.input_ids)?;
        let shape = (self.input_ids.len(), width);
        let attention_mask = match self.attention_mask {
            Some(mask) => read_mask(what, "encoder.attention_mask", shape, mask)?,
            None => vec![true; shape.0 * width],
        };
        Ok(EncoderInput { input_ids: self.input_ids.concat(), attention_mask, width })
    }
}

/// The length of all rows.
fn width(what: &str, name: &str, rows: &[Vec<u32>]) -> Result<usize> {
    let width = rows.first().map_or(0, Vec::len);
    if width == 0 {
        return Err(Error::mistake(format!("{what}: {name} has no ids"))
            .with_hint("it is an array of rows of ids: [[1, 64, 65], [1, 70, 0]]"));
    }
    match rows.iter().position(|row| row.len() != width) {
        Some(row) => {
            let message = format!("{what}: {name}[{row}] has {} ids, and {name}[0] has {width}", rows[row].len());
            Err(Error::mistake(message)
                .with_hint("pad rows to one length, and set attention_mask to 0 where the padding is"))
        }
        None => Ok(width),
    }
}

/// The values of rows, which have this shape.
fn same_shape<T>(what: &str, name: &str, (rows, width): (usize, usize), values: Vec<Vec<T>>) -> Result<Vec<T>> {
    if values.len() != rows {
        return Err(Error::mistake(format!("{what}: {name} has {} rows, and input_ids has {rows}", values.len())));
    }
    match values.iter().position(|row| row.len() != width) {
        Some(row) => {
            let message = format!("{what}: {name}[{row}] has {} values for {width} ids", values[row].len());
            Err(Error::mistake(message))
        }
        None => Ok(values.into_iter().flatten().collect()),
    }
}

/// A mask of 1 and 0, or of true and false.
fn read_mask(what: &str, name: &str, shape: (usize, usize), mask: Vec<Vec<Value>>) -> Result<Vec<bool>> {
    let values = same_shape(what, name, shape, mask)?;
    let seen = |(place, value): (usize, &Value)| match (value.as_bool(), value.as_f64()) {
        (Some(seen), _) => Ok(seen),
        (_, Some(1.0)) => Ok(true),
        (_, Some(0.0)) => Ok(false),
        _ => Err(Error::mistake(format!("{what}: {name}[{}][{}] is {value}", place / shape.1, place % shape.1))
            .with_hint("1 is for an id, 0 for padding")),
    };
    values.iter().enumerate().map(seen).collect()
}
