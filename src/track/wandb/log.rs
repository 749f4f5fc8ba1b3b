//! The transaction log of a `.wandb` file: LevelDB's framing with W&B's checksum.
//!
//! The file begins `:W&B`, 0xBEE1 (little-endian), version 0. It is cut into blocks of 32 KiB; the seven bytes of the
//! beginning count in the first. A chunk is `crc32 u32 | length u16 | type u8 | data`, the CRC-32 (IEEE) over type and
//! data; a record is one full chunk, or a first, middle ones and a last. A block with less than seven bytes left is
//! filled with zeros (wandb/core/pkg/leveldb, internal/transactionlog).

use std::io::{self, Write};

const BEGINNING: [u8; 7] = [b':', b'W', b'&', b'B', 0xe1, 0xbe, 0];
const BLOCK: usize = 32 * 1024;
const HEADER: usize = 7;

const FULL: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;

/// A writer of records.
#[derive(Debug)]
pub(super) struct Log<W: Write> {
    to: W,
    /// Bytes used of the current block.
    used: usize,
}

impl<W: Write> Log<W> {
    pub(super) fn new(mut to: W) -> io::Result<Self> {
        to.write_all(&BEGINNING)?;
        Ok(Self { to, used: BEGINNING.len() })
    }

    /// Appends to a log of `length` bytes that ends with a complete record.
    pub(super) fn resume(to: W, bytes: usize) -> Self {
        Self { to, used: bytes % BLOCK }
    }

    pub(super) fn record(&mut self, data: &[u8]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(data.len() + 2 * HEADER);
        let (mut rest, mut begun) = (data, false);
        loop {
            if BLOCK - self.used < HEADER {
                bytes.extend(std::iter::repeat_n(0, BLOCK - self.used));
                self.used = 0;
            }
            let (chunk, left) = rest.split_at(rest.len().min(BLOCK - self.used - HEADER));
            let kind = match (begun, left.is_empty()) {
                (false, true) => FULL,
                (false, false) => FIRST,
                (true, false) => MIDDLE,
                (true, true) => LAST,
            };
            let mut crc = crc32fast::Hasher::new();
            crc.update(&[kind]);
            crc.update(chunk);
            bytes.extend(crc.finalize().to_le_bytes());
            bytes.extend((chunk.len() as u16).to_le_bytes());
            bytes.push(kind);
            bytes.extend(chunk);
            self.used += HEADER + chunk.len();
            (rest, begun) = (left, true);
            if rest.is_empty() {
                break;
            }
        }
        // One write per record, so that a killed run leaves complete records.
        self.to.write_all(&bytes)?;
        self.to.flush()
    }

    pub(super) fn get_ref(&self) -> &W {
        &self.to
    }
}

/// The records of a log, up to the first incomplete or damaged one; empty for other files.
pub(super) fn records(bytes: &[u8]) -> Vec<Vec<u8>> {
    let (mut at, mut records, mut open) = (BEGINNING.len(), Vec::new(), None::<Vec<u8>>);
    if !bytes.starts_with(&BEGINNING) {
        return records;
    }
    loop {
        if BLOCK - at % BLOCK < HEADER {
            at += BLOCK - at % BLOCK;
        }
        let Some((kind, data)) = chunk(bytes, at) else { return records };
        at += HEADER + data.len();
        match (kind, &mut open) {
            (FULL, None) => records.push(data.to_vec()),
            (FIRST, None) => open = Some(data.to_vec()),
            (MIDDLE, Some(begun)) => begun.extend(data),
            (LAST, Some(begun)) => {
                begun.extend(data);
                records.extend(open.take());
            }
            _ => return records,
        }
    }
}

/// Type and data of the chunk at an offset.
fn chunk(bytes: &[u8], at: usize) -> Option<(u8, &[u8])> {
    let header = bytes.get(at..at + HEADER)?;
    let length = usize::from(u16::from_le_bytes(header[4..6].try_into().ok()?));
    let data = bytes.get(at + HEADER..at + HEADER + length)?;
    let sum = crc32fast::hash(&bytes[at + 6..at + HEADER + length]);
    (sum.to_le_bytes() == header[..4]).then_some((header[6], data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_any_length_come_back_over_the_ends_of_blocks() {
        // The second ends six bytes before a block does, the third exactly with one.
        let lengths = [1, BLOCK - 7 - 8 - 7 - 6, BLOCK - 7, 5, 100_000, 3];
        let written: Vec<Vec<u8>> = lengths.iter().zip(1..).map(|(&n, byte)| vec![byte; n]).collect();
        let mut log = Log::new(Vec::new()).expect("memory takes it");
        for record in &written {
            log.record(record).expect("memory takes it");
        }
        assert_eq!(records(log.get_ref()), written);
        let whole = log.get_ref().clone();
        assert!(
            (0..whole.len()).step_by(997).all(|cut| records(&whole[..cut]).len() < written.len()),
            "a cut one ends"
        );
        assert!(records(b"something else").is_empty());
        // It goes on where it ended.
        let mut log = Log::resume(whole.clone(), whole.len());
        log.record(&[9; 40_000]).expect("memory takes it");
        assert_eq!(records(log.get_ref())[written.len()..], [vec![9; 40_000]]);
    }
}
