//! TFRecord: the frame around each event.
//!
//! `u64 length | masked CRC-32C of the length | data | masked CRC-32C of the data`, all little-endian; the mask is
//! `rotate_right(crc, 15) + 0xa282ead8` (tensorflow/core/lib/io/record_writer.h, core/lib/hash/crc32c.h).

/// The remainders of all bytes for the Castagnoli polynomial, reflected.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut rest = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            rest = (rest >> 1) ^ (0x82f6_3b78 & (rest & 1).wrapping_neg());
            bit += 1;
        }
        table[byte] = rest;
        byte += 1;
    }
    table
};

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, &byte| TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8))
}

fn masked(bytes: &[u8]) -> [u8; 4] {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// An event in its frame.
pub(super) fn frame(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut frame = Vec::with_capacity(data.len() + 16);
    frame.extend(length);
    frame.extend(masked(&length));
    frame.extend(data);
    frame.extend(masked(data));
    frame
}

/// The events of a file, up to the first that is cut or damaged.
pub(super) fn frames(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, sum) = (rest.get(..8)?, rest.get(8..12)?);
        let size = usize::try_from(u64::from_le_bytes(length.try_into().ok()?)).ok()?;
        let data = rest.get(12..)?.get(..size)?;
        let whole = masked(length) == sum && masked(data) == rest.get(12 + size..)?.get(..4)?;
        rest = &rest[12 + size + 4..];
        whole.then_some(data)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_back_up_to_one_that_is_cut() {
        let file = [frame(b"one"), frame(b""), frame(b"three")].concat();
        assert_eq!(frames(&file).collect::<Vec<_>>(), [&b"one"[..], b"", b"three"]);
        for cut in 0..file.len() {
            assert!(frames(&file[..cut]).count() < 3, "{cut}");
        }
        let mut flipped = file.clone();
        flipped[12] ^= 1;
        assert_eq!(frames(&flipped).count(), 0);
    }

    /// The test vectors of RFC 3720, appendix B.4.
    #[test]
    fn the_checksums_of_the_rfc() {
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&(0..32).collect::<Vec<u8>>()), 0x46dd_794e);
    }
}
