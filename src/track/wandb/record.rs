//! The records of a `.wandb` file (wandb/proto/wandb_internal.proto), as far as a run has them.

use serde_json::{Map, Value, json};

use crate::track::proto::Message;
use crate::track::sink::Beginning;

/// The release whose records these are, and the oldest that reads them.
const PRODUCER: &str = "0.31.0";
const MIN_CONSUMER: &str = "0.70.0";

/// `FilesItem.FileType.MEDIA`, `FilesItem.PolicyType.NOW`.
const MEDIA: i64 = 2;
const NOW: i64 = 0;

/// Keys and their values in JSON: a config, a history, a summary.
fn items(of: Message, field: u64, values: &Map<String, Value>) -> Message {
    values.iter().fold(of, |message, (key, value)| {
        // A field of its own makes a key with dots one key; `nested_key` would take it apart.
        message.message(field, &Message::new().bytes(1, key).bytes(16, value.to_string()))
    })
}

/// A number as W&B writes it: JSON has no word for those that are not finite.
pub(super) fn number(value: f64) -> Value {
    match value {
        v if v.is_nan() => json!("NaN"),
        v if v.is_infinite() => json!(if v > 0.0 { "Infinity" } else { "-Infinity" }),
        v => json!(v),
    }
}

pub(super) fn header() -> Message {
    let version = Message::new().bytes(1, PRODUCER).bytes(2, MIN_CONSUMER);
    Message::new().message(21, &Message::new().message(1, &version))
}

pub(super) fn run(run: &Beginning) -> Message {
    let config = items(Message::new(), 1, &run.config);
    let start = Message::new().int(1, run.time as i64).int(2, (run.time.fract() * 1e9) as i64);
    let mut record = Message::new().bytes(1, &run.id).bytes(3, &run.project).message(4, &config);
    record = record.bytes(8, &run.name);
    if !run.notes.is_empty() {
        record = record.bytes(9, &run.notes);
    }
    record = run.tags.iter().fold(record, |record, tag| record.bytes(10, tag));
    Message::new().message(17, &record.message(17, &start))
}

pub(super) fn history(step: u64, values: &Map<String, Value>) -> Message {
    let step = Message::new().int(1, step as i64);
    Message::new().message(2, &items(Message::new(), 1, values).message(2, &step))
}

pub(super) fn summary(values: &Map<String, Value>) -> Message {
    Message::new().message(3, &items(Message::new(), 1, values))
}

/// A file under `files/`, to be sent with the run.
pub(super) fn file(path: &str) -> Message {
    let item = Message::new().bytes(1, path).int(2, NOW).int(3, MEDIA);
    Message::new().message(6, &Message::new().message(1, &item))
}

pub(super) fn exit(code: i64, runtime: f64) -> Message {
    Message::new().message(18, &Message::new().int(1, code).int(2, runtime as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Record(header=HeaderRecord(version_info=VersionInfo(producer="0.31.0", min_consumer="0.70.0")))` of wandb 0.31.0,
    /// serialised: field 21, field 1 in it, fields 1 and 2 in that.
    #[test]
    fn the_header_is_wandbs() {
        let version = b"\x0a\x060.31.0\x12\x060.70.0";
        let expected = [&[0xaa, 0x01, 18, 0x0a, 16][..], version].concat();
        assert_eq!(header().as_bytes(), expected);
    }
}
