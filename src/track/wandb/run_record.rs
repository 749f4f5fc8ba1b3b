//! The records of a `.wandb` file (wandb/proto/wandb_internal.proto) that a run needs.

use serde_json::{Map, Value, json};

use crate::proto::{Field, ProtoMessage, fields};
use crate::track::sink::Beginning;

/// The release whose format this is, and the oldest that can read it.
const PRODUCER: &str = "0.31.0";
const MIN_CONSUMER: &str = "0.70.0";

/// `FilesItem.FileType.MEDIA`, `FilesItem.PolicyType.NOW`.
const MEDIA: i64 = 2;
const NOW: i64 = 0;

/// Keys with values in JSON, as in a config, a history or a summary.
fn items(of: ProtoMessage, field: u32, values: &Map<String, Value>) -> ProtoMessage {
    values.iter().fold(of, |message, (key, value)| {
        // `key` keeps a name with dots whole; `nested_key` would split it.
        message.message(field, &ProtoMessage::new().bytes(1, key).bytes(16, value.to_string()))
    })
}

/// A number in W&B's form: JSON cannot represent those that are not finite.
pub(super) fn number(value: f64) -> Value {
    match value {
        v if v.is_nan() => json!("NaN"),
        v if v.is_infinite() => json!(if v > 0.0 { "Infinity" } else { "-Infinity" }),
        v => json!(v),
    }
}

pub(super) fn header() -> ProtoMessage {
    let version = ProtoMessage::new().bytes(1, PRODUCER).bytes(2, MIN_CONSUMER);
    ProtoMessage::new().message(21, &ProtoMessage::new().message(1, &version))
}

pub(super) fn run(run: &Beginning) -> ProtoMessage {
    let config = items(ProtoMessage::new(), 1, &run.config);
    let start = ProtoMessage::new().int(1, run.time as i64).int(2, (run.time.fract() * 1e9) as i64);
    let mut record = ProtoMessage::new().bytes(1, &run.id).bytes(3, &run.project).message(4, &config);
    record = record.bytes(8, &run.name);
    if !run.notes.is_empty() {
        record = record.bytes(9, &run.notes);
    }
    record = run.tags.iter().fold(record, |record, tag| record.bytes(10, tag));
    ProtoMessage::new().message(17, &record.message(17, &start))
}

/// The configuration of a resumed run.
pub(super) fn config(config: &Map<String, Value>) -> ProtoMessage {
    ProtoMessage::new().message(5, &items(ProtoMessage::new(), 1, config))
}

/// A record that is kept when a run is resumed from a step, without its number: the start, files, and the history up to
/// the step; not the exit record.
pub(super) fn kept(record: &[u8], step: u64) -> Option<ProtoMessage> {
    const KEPT: [u32; 5] = [HISTORY, 5, 6, 17, 21];
    let (kind, body) = body(record)?;
    let late = kind == HISTORY && step_of(body).is_none_or(|at| at > step);
    (KEPT.contains(&kind) && !late).then(|| ProtoMessage::new().bytes(kind, body))
}

/// The values of a history record; empty for other records.
pub(super) fn values(record: &[u8]) -> Map<String, Value> {
    let Some((HISTORY, body)) = body(record) else { return Map::new() };
    let items = fields(body).filter_map(|(field, item)| match (field, item) {
        (1, Field::Bytes(item)) => Some(item),
        _ => None,
    });
    let text = |item: &[u8], wanted: u32| {
        fields(item).find_map(|(field, value)| match value {
            Field::Bytes(bytes) if field == wanted => String::from_utf8(bytes.to_vec()).ok(),
            _ => None,
        })
    };
    items.filter_map(|item| Some((text(item, 1)?, serde_json::from_str(&text(item, 16)?).ok()?))).collect()
}

/// The field of a history.
const HISTORY: u32 = 2;

/// The type of a record and its contents: its only field that is a message.
fn body(record: &[u8]) -> Option<(u32, &[u8])> {
    fields(record).find_map(|(field, value)| match value {
        Field::Bytes(body) if field != 1 => Some((field, body)),
        _ => None,
    })
}

fn step_of(history: &[u8]) -> Option<u64> {
    let step = fields(history).find_map(|(field, value)| match value {
        Field::Bytes(step) if field == 2 => Some(step),
        _ => None,
    })?;
    fields(step).find_map(|(field, value)| match value {
        Field::Int(number) if field == 1 => Some(number),
        _ => None,
    })
}

pub(super) fn history(step: u64, values: &Map<String, Value>) -> ProtoMessage {
    let step = ProtoMessage::new().int(1, step as i64);
    ProtoMessage::new().message(2, &items(ProtoMessage::new(), 1, values).message(2, &step))
}

pub(super) fn summary(values: &Map<String, Value>) -> ProtoMessage {
    ProtoMessage::new().message(3, &items(ProtoMessage::new(), 1, values))
}

/// A file under `files/`, to be sent with the run.
pub(super) fn file(path: &str) -> ProtoMessage {
    let item = ProtoMessage::new().bytes(1, path).int(2, NOW).int(3, MEDIA);
    ProtoMessage::new().message(6, &ProtoMessage::new().message(1, &item))
}

pub(super) fn exit(code: i64, runtime: f64) -> ProtoMessage {
    ProtoMessage::new().message(18, &ProtoMessage::new().int(1, code).int(2, runtime as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Record(header=HeaderRecord(version_info=VersionInfo(producer="0.31.0", min_consumer="0.70.0")))` of wandb 0.31.0,
    /// serialised: field 21, field 1 in it, fields 1 and 2 in that.
    #[test]
    fn the_history_up_to_a_step_is_kept_and_the_end_is_not() {
        let values_of = |step: u64| Map::from_iter([("loss".to_string(), json!(step)), ("a.b".into(), json!("x"))]);
        let record = |step| history(step, &values_of(step)).int(1, 7);
        assert_eq!(kept(record(3).as_bytes(), 3).expect("kept").as_bytes(), history(3, &values_of(3)).as_bytes());
        assert!(kept(record(4).as_bytes(), 3).is_none());
        assert!(kept(exit(0, 1.0).as_bytes(), 9).is_none() && kept(summary(&values_of(1)).as_bytes(), 9).is_none());
        assert!(kept(header().as_bytes(), 0).is_some() && kept(file("a").as_bytes(), 0).is_some());
        assert_eq!(values(record(4).as_bytes()), values_of(4));
        assert!(values(header().as_bytes()).is_empty());
    }

    #[test]
    fn the_header_is_wandbs() {
        let version = b"\x0a\x060.31.0\x12\x060.70.0";
        let expected = [&[0xaa, 0x01, 18, 0x0a, 16][..], version].concat();
        assert_eq!(header().as_bytes(), expected);
    }
}
