//! Protocol-buffer messages as lists of fields, written and read without generated code.
//!
//! The wire format is prost's (protobuf.dev/programming-guides/encoding); this module only keeps the order of fields. The
//! field numbers come from the `.proto` files that the callers name: TensorBoard's events, W&B's records, ONNX.

use prost::encoding::{WireType, decode_key, decode_varint, double, encode_key, encode_varint, float, int64};

/// A message under construction: fields in the order in which they are added.
#[derive(Debug, Clone, Default)]
pub struct ProtoMessage(Vec<u8>);

impl ProtoMessage {
    /// An empty message.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an `int64`, `int32`, `bool` or enum field.
    ///
    /// ```
    /// use etude::proto::ProtoMessage;
    ///
    /// assert_eq!(ProtoMessage::new().int(1, 150).as_bytes(), [0x08, 0x96, 0x01]);
    /// ```
    #[must_use]
    pub fn int(mut self, field: u32, value: i64) -> Self {
        int64::encode(field, &value, &mut self.0);
        self
    }

    /// Adds a `double` field.
    #[must_use]
    pub fn double(mut self, field: u32, value: f64) -> Self {
        double::encode(field, &value, &mut self.0);
        self
    }

    /// Adds a `float` field.
    #[must_use]
    pub fn float(mut self, field: u32, value: f32) -> Self {
        float::encode(field, &value, &mut self.0);
        self
    }

    /// Adds a `bytes` or `string` field.
    #[must_use]
    pub fn bytes(mut self, field: u32, value: impl AsRef<[u8]>) -> Self {
        self = self.length(field, value.as_ref().len());
        self.0.extend(value.as_ref());
        self
    }

    /// Adds a message as a field.
    #[must_use]
    pub fn message(self, field: u32, value: &Self) -> Self {
        self.bytes(field, &value.0)
    }

    /// Adds the beginning of a `bytes` field or of a message whose `length` bytes follow elsewhere.
    #[must_use]
    pub fn length(mut self, field: u32, length: usize) -> Self {
        encode_key(field, WireType::LengthDelimited, &mut self.0);
        encode_varint(length as u64, &mut self.0);
        self
    }

    /// Adds the fields of another message.
    #[must_use]
    pub fn append(mut self, other: &Self) -> Self {
        self.0.extend(&other.0);
        self
    }

    /// The encoded message.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A field of a message that is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Field<'a> {
    /// An integer, as unsigned 64 bits.
    Int(u64),
    /// Bytes, a string or a message.
    Bytes(&'a [u8]),
    /// A `float` or a `double`, whose value is not read.
    Fixed,
}

/// The fields of a message with their numbers, in order; stops at the first that is cut off or of an unknown wire type.
pub fn fields(mut rest: &[u8]) -> impl Iterator<Item = (u32, Field<'_>)> {
    std::iter::from_fn(move || {
        let (number, kind) = decode_key(&mut rest).ok()?;
        let mut skip = |bytes: usize| rest.get(bytes..).map(|left| rest = left);
        let field = match kind {
            WireType::Varint => Field::Int(decode_varint(&mut rest).ok()?),
            WireType::SixtyFourBit => skip(8).map(|()| Field::Fixed)?,
            WireType::ThirtyTwoBit => skip(4).map(|()| Field::Fixed)?,
            WireType::LengthDelimited => {
                let length = usize::try_from(decode_varint(&mut rest).ok()?).ok()?;
                let (bytes, left) = rest.split_at_checked(length)?;
                rest = left;
                Field::Bytes(bytes)
            }
            WireType::StartGroup | WireType::EndGroup => return None,
        };
        Some((number, field))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the encoding guide: `Test1 { a: 150 }`, `Test2 { b: "testing" }`, `Test3 { c: Test1 }`.
    #[test]
    fn the_examples_of_the_guide() {
        let a = ProtoMessage::new().int(1, 150);
        assert_eq!(a.as_bytes(), [0x08, 0x96, 0x01]);
        let b = ProtoMessage::new().bytes(2, "testing");
        assert_eq!(b.as_bytes(), [0x12, 7, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67]);
        assert_eq!(ProtoMessage::new().message(3, &a).as_bytes(), [0x1a, 3, 0x08, 0x96, 0x01]);
        assert_eq!(ProtoMessage::new().int(1, -1).as_bytes().len(), 11);
        let all = ProtoMessage::new().double(4, 1.0).message(3, &a).float(5, 1.0).int(1, -1);
        let read: Vec<_> = fields(all.as_bytes()).collect();
        let inner: &[u8] = a.as_bytes();
        assert_eq!(read, [(4, Field::Fixed), (3, Field::Bytes(inner)), (5, Field::Fixed), (1, Field::Int(u64::MAX))]);
        assert!((0..all.as_bytes().len()).all(|cut| fields(&all.as_bytes()[..cut]).count() < 4), "a cut one ends");
        assert_eq!(ProtoMessage::new().float(2, 1.0).as_bytes(), [0x15, 0, 0, 0x80, 0x3f]);
    }
}
