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

/// Writes records.
#[derive(Debug)]
pub(super) struct Log<W: Write> {
    to: W,
    /// Bytes in this block.
    used: usize,
}

impl<W: Write> Log<W> {
    pub(super) fn new(mut to: W) -> io::Result<Self> {
        to.write_all(&BEGINNING)?;
        Ok(Self { to, used: BEGINNING.len() })
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
        // One call a record, so that a run that is killed leaves whole records.
        self.to.write_all(&bytes)?;
        self.to.flush()
    }

    pub(super) fn get_ref(&self) -> &W {
        &self.to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a log as the description above says.
    fn records(bytes: &[u8]) -> Vec<Vec<u8>> {
        assert_eq!(bytes[..7], BEGINNING);
        let (mut at, mut records, mut open) = (7, Vec::new(), Vec::new());
        while at < bytes.len() {
            if BLOCK - at % BLOCK < HEADER {
                at += BLOCK - at % BLOCK;
                continue;
            }
            let crc = u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four"));
            let length = usize::from(u16::from_le_bytes(bytes[at + 4..at + 6].try_into().expect("two")));
            let (kind, data) = (bytes[at + 6], &bytes[at + 7..at + 7 + length]);
            assert_eq!(crc32fast::hash(&[&[kind], data].concat()), crc);
            assert_eq!(kind == FULL || kind == FIRST, open.is_empty());
            open.extend(data);
            if kind == FULL || kind == LAST {
                records.push(std::mem::take(&mut open));
            }
            at += HEADER + length;
        }
        records
    }

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
    }
}
