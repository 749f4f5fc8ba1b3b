//! The messages of `onnx.proto3` that a graph is made of, by their field numbers
//! (github.com/onnx/onnx/blob/main/onnx/onnx.proto3).

use crate::proto::ProtoMessage;

/// The type of a tensor's elements: `TensorProto.DataType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ElementType {
    F32 = 1,
    U8 = 2,
    I64 = 7,
    Bool = 9,
}

impl ElementType {
    /// Bytes of an element.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::Bool => 1,
            Self::F32 => 4,
            Self::I64 => 8,
        }
    }
}

/// One axis of an input or output.
#[derive(Debug, Clone, Copy)]
pub(super) enum AxisSize<'a> {
    /// The same in every call.
    Fixed(usize),
    /// Chosen by the caller; those of one name are equal.
    Named(&'a str),
}

/// An attribute of a node.
#[derive(Debug)]
pub(super) enum NodeAttribute {
    Float(&'static str, f32),
    Int(&'static str, i64),
    Ints(&'static str, Vec<i64>),
    Graph(&'static str, ProtoMessage),
}

/// `ValueInfoProto`: the name, type and shape of an input or output; without `axes` the shape is open.
pub(super) fn value_info(name: &str, kind: ElementType, axes: Option<&[AxisSize<'_>]>) -> ProtoMessage {
    let mut tensor = ProtoMessage::new().int(1, kind as i64);
    if let Some(axes) = axes {
        let shape = axes.iter().fold(ProtoMessage::new(), |shape, axis| {
            let axis = match *axis {
                AxisSize::Fixed(size) => ProtoMessage::new().int(1, size as i64),
                AxisSize::Named(name) => ProtoMessage::new().bytes(2, name),
            };
            shape.message(1, &axis)
        });
        tensor = tensor.message(2, &shape);
    }
    ProtoMessage::new().bytes(1, name).message(2, &ProtoMessage::new().message(1, &tensor))
}

/// `NodeProto`; a domain stands in front of the operator's name: "com.microsoft::MatMulBnb4".
pub(super) fn node(
    name: &str,
    operator: &str,
    inputs: &[&str],
    outputs: &[&str],
    attributes: &[NodeAttribute],
) -> ProtoMessage {
    let (domain, operator) = operator.split_once("::").unwrap_or(("", operator));
    let message = inputs.iter().fold(ProtoMessage::new(), |message, input| message.bytes(1, input));
    let message = outputs.iter().fold(message, |message, output| message.bytes(2, output));
    let message = message.bytes(3, name).bytes(4, operator);
    let message = attributes.iter().fold(message, |message, attribute| message.message(5, &encoded(attribute)));
    if domain.is_empty() { message } else { message.bytes(7, domain) }
}

/// `AttributeProto`.
fn encoded(attribute: &NodeAttribute) -> ProtoMessage {
    let named = |name: &str| ProtoMessage::new().bytes(1, name);
    match attribute {
        NodeAttribute::Float(name, value) => named(name).float(2, *value).int(20, 1),
        NodeAttribute::Int(name, value) => named(name).int(3, *value).int(20, 2),
        NodeAttribute::Graph(name, graph) => named(name).message(6, graph).int(20, 5),
        NodeAttribute::Ints(name, values) => values.iter().fold(named(name), |m, value| m.int(8, *value)).int(20, 7),
    }
}

/// `OperatorSetIdProto`.
pub(super) fn operator_set(domain: &str, version: i64) -> ProtoMessage {
    ProtoMessage::new().bytes(1, domain).int(2, version)
}

/// `StringStringEntryProto`.
pub(super) fn metadata(key: &str, value: &str) -> ProtoMessage {
    ProtoMessage::new().bytes(1, key).bytes(2, value)
}
