//! Writing a graph as `ModelProto`, one tensor in memory at a time.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::graph::OnnxGraph;
use super::messages;
use crate::atomic;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::proto::ProtoMessage;

/// The version of the file format, of ONNX 1.13.
const IR_VERSION: i64 = 8;

/// The version of ONNX's own operators, of ONNX 1.13 (ONNX Runtime 1.14 and newer).
const OPERATORS: i64 = 18;

/// A protocol buffer ends here: lengths are 32-bit numbers with a sign.
const LARGEST: usize = i32::MAX as usize;

/// Writes a graph atomically, with `metadata` as `metadata_props`.
///
/// # Errors
/// Names the path when the file system refuses, and the size of a file beyond 2 GiB; `interrupted`, when the user cancels.
pub(super) fn write(
    path: &Path,
    (name, graph): (&str, &OnnxGraph),
    metadata: &[(String, String)],
    interrupt: &Interrupt,
) -> Result<()> {
    let nodes = graph.nodes.iter().fold(ProtoMessage::new(), |message, node| message.message(1, node)).bytes(2, name);
    let nodes = graph.inputs.iter().fold(nodes, |message, input| message.message(11, input));
    let nodes = graph.outputs.iter().fold(nodes, |message, output| message.message(12, output));
    let headers: Vec<ProtoMessage> = graph
        .initializers
        .iter()
        .map(|tensor| {
            let header = tensor.header();
            let length = header.as_bytes().len() + tensor.bytes();
            ProtoMessage::new().length(5, length).append(&header)
        })
        .collect();
    let tensors: usize = headers.iter().zip(&graph.initializers).map(|(h, t)| h.as_bytes().len() + t.bytes()).sum();
    let head = ProtoMessage::new()
        .int(1, IR_VERSION)
        .bytes(2, "etude")
        .bytes(3, env!("CARGO_PKG_VERSION"))
        .message(8, &messages::operator_set("", OPERATORS))
        .message(8, &messages::operator_set("com.microsoft", 1));
    let head = metadata.iter().fold(head, |head, (key, value)| head.message(14, &messages::metadata(key, value)));
    let length = nodes.as_bytes().len() + tensors;
    let head = head.length(7, length);
    let size = head.as_bytes().len() + length;
    if size > LARGEST {
        let message = format!(
            "{}: the model takes {:.1} GiB, an ONNX file 2 at most",
            path.display(),
            size as f64 / f64::from(1 << 30)
        );
        return Err(Error::mistake(message).with_hint("quantized: true stores the blocks in 4 bits"));
    }
    let mut failed = None;
    let written = atomic::write_with(path, |temporary| {
        let mut file = BufWriter::new(File::create(temporary)?);
        file.write_all(head.as_bytes())?;
        file.write_all(nodes.as_bytes())?;
        for (header, tensor) in headers.iter().zip(&graph.initializers) {
            file.write_all(header.as_bytes())?;
            match interrupt.check().and_then(|()| tensor.elements()) {
                Ok(elements) => file.write_all(&elements)?,
                Err(error) => {
                    failed = Some(error);
                    return Err(io::Error::other("the tensors cannot be had"));
                }
            }
        }
        file.flush()
    });
    failed.map_or(written, Err)
}
