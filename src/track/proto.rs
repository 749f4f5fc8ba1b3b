//! Protocol buffers, as far as writing a few messages goes (the wire format of protobuf.dev/programming-guides/encoding).

/// A message under construction: fields in the order they are added.
#[derive(Debug, Clone, Default)]
pub(super) struct Message(Vec<u8>);

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

impl Message {
    pub(super) fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub(super) fn int(mut self, field: u64, value: i64) -> Self {
        self.key(field, VARINT);
        self.varint(value as u64); // negative numbers take ten bytes, as two's complement
        self
    }

    #[must_use]
    pub(super) fn double(mut self, field: u64, value: f64) -> Self {
        self.key(field, FIXED64);
        self.0.extend(value.to_le_bytes());
        self
    }

    #[must_use]
    pub(super) fn float(mut self, field: u64, value: f32) -> Self {
        self.key(field, FIXED32);
        self.0.extend(value.to_le_bytes());
        self
    }

    #[must_use]
    pub(super) fn bytes(mut self, field: u64, value: impl AsRef<[u8]>) -> Self {
        self.key(field, BYTES);
        self.varint(value.as_ref().len() as u64);
        self.0.extend(value.as_ref());
        self
    }

    #[must_use]
    pub(super) fn message(self, field: u64, value: &Self) -> Self {
        self.bytes(field, &value.0)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn key(&mut self, field: u64, kind: u64) {
        self.varint(field << 3 | kind);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// A field of a message that is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Field<'a> {
    Int(u64),
    Bytes(&'a [u8]),
    /// A float or a double, which nobody here asks for.
    Fixed,
}

/// The fields of a message in their order, up to one that is cut or of a kind that there is not.
pub(super) fn fields(mut rest: &[u8]) -> impl Iterator<Item = (u64, Field<'_>)> {
    std::iter::from_fn(move || {
        let key = read_varint(&mut rest)?;
        let field = match key & 7 {
            VARINT => Field::Int(read_varint(&mut rest)?),
            BYTES => {
                let length = usize::try_from(read_varint(&mut rest)?).ok()?;
                let (bytes, left) = rest.split_at_checked(length)?;
                rest = left;
                Field::Bytes(bytes)
            }
            FIXED64 => {
                rest = rest.get(8..)?;
                Field::Fixed
            }
            FIXED32 => {
                rest = rest.get(4..)?;
                Field::Fixed
            }
            _ => return None,
        };
        Some((key >> 3, field))
    })
}

fn read_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, left) = rest.split_first()?;
        *rest = left;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the encoding guide: `Test1 { a: 150 }`, `Test2 { b: "testing" }`, `Test3 { c: Test1 }`.
    #[test]
    fn the_examples_of_the_guide() {
        let a = Message::new().int(1, 150);
        assert_eq!(a.as_bytes(), [0x08, 0x96, 0x01]);
        let b = Message::new().bytes(2, "testing");
        assert_eq!(b.as_bytes(), [0x12, 7, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67]);
        assert_eq!(Message::new().message(3, &a).as_bytes(), [0x1a, 3, 0x08, 0x96, 0x01]);
        assert_eq!(Message::new().int(1, -1).as_bytes().len(), 11);
        let all = Message::new().double(4, 1.0).message(3, &a).float(5, 1.0).int(1, -1);
        let read: Vec<_> = fields(all.as_bytes()).collect();
        let inner: &[u8] = a.as_bytes();
        assert_eq!(read, [(4, Field::Fixed), (3, Field::Bytes(inner)), (5, Field::Fixed), (1, Field::Int(u64::MAX))]);
        assert!((0..all.as_bytes().len()).all(|cut| fields(&all.as_bytes()[..cut]).count() < 4), "a cut one ends");
        assert_eq!(Message::new().float(2, 1.0).as_bytes(), [0x15, 0, 0, 0x80, 0x3f]);
    }
}
