//! SoundFonts made smaller without loss: everything but the samples as it is, the samples predicted and Rice-coded.
//!
//! Little-endian: `ETSF`, the length of what is before the samples, how many samples there are, the length of what
//! is behind them; the two pieces; then blocks of 4096 samples as bits, highest bit first. A block has 2 bits for
//! the order of the predictor (0 to 3: the differences of Robinson, "SHORTEN", 1994), 4 bits for the parameter `k`, and
//! the residuals, zigzag, as Rice codes: quotient by `2^k` in ones and a zero, `k` bits of rest. A quotient of 24 ones
//! without a zero is before a residual in 20 plain bits.

use crate::error::{Error, Result};

/// The magic number of packed files.
const MAGIC: &[u8; 4] = b"ETSF";
const BLOCK: usize = 4096;
const LONGEST: u32 = 24;
const PLAIN: u32 = 20;

/// Packs a SoundFont.
///
/// # Errors
/// When the bytes are not a SoundFont with samples.
pub fn pack(font: &[u8]) -> Result<Vec<u8>> {
    let (begin, end) = samples(font).ok_or_else(|| Error::broken("this is not a SoundFont: it has no samples"))?;
    let pcm: Vec<i32> = font[begin..end].chunks_exact(2).map(|b| i32::from(i16::from_le_bytes([b[0], b[1]]))).collect();
    let mut packed = MAGIC.to_vec();
    for length in [begin, pcm.len(), font.len() - end] {
        packed.extend((length as u32).to_le_bytes());
    }
    packed.extend(&font[..begin]);
    packed.extend(&font[end..]);
    let mut bits = BitWriter { bytes: packed, free_bits: 0 };
    for (i, block) in pcm.chunks(BLOCK).enumerate() {
        let residuals =
            |order| residuals(&pcm[(i * BLOCK).saturating_sub(3)..], block.len(), (i * BLOCK).min(3), order);
        let choices = (0..4).flat_map(|order| {
            let codes: Vec<u32> = residuals(order);
            let mean = codes.iter().map(|&c| u64::from(c)).sum::<u64>() / codes.len().max(1) as u64;
            let near = mean.max(1).ilog2().min(15);
            [near.saturating_sub(1), near].map(|k| (codes.iter().map(|&c| cost(c, k)).sum::<u64>(), order, k))
        });
        let (_, order, k) = choices.min().unwrap_or((0, 0, 0));
        bits.put(order, 2);
        bits.put(k, 4);
        residuals(order).into_iter().for_each(|code| bits.code(code, k));
    }
    Ok(bits.bytes)
}

/// True when the bytes are a packed SoundFont.
pub(super) fn is_packed(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Unpacks a packed SoundFont.
pub(super) fn unpack(packed: &[u8]) -> Result<Vec<u8>> {
    unpacked(packed).ok_or_else(|| Error::broken("the packed SoundFont is damaged"))
}

fn unpacked(packed: &[u8]) -> Option<Vec<u8>> {
    let length = |i: usize| Some(u32::from_le_bytes(packed.get(4 + 4 * i..8 + 4 * i)?.try_into().ok()?) as usize);
    let (begin, count, tail) = (length(0)?, length(1)?, length(2)?);
    let (head, rest) = packed.get(16..)?.split_at_checked(begin)?;
    let (tail, coded) = rest.split_at_checked(tail)?;
    // Every residual takes at least one bit.
    if count > coded.len() * 8 {
        return None;
    }
    let mut font = Vec::with_capacity(packed.len() * 2);
    font.extend(head);
    let mut bits = BitReader { bytes: coded, at: 0, held: 0, have: 0, block: (0, 0) };
    let mut last = [0; 3];
    for i in 0..count {
        if i % BLOCK == 0 {
            bits.block = (bits.take(2)?, bits.take(4)?);
        }
        let value = bits.residual()? + predicted(bits.block.0, last);
        last = [value, last[0], last[1]];
        font.extend((value as i16).to_le_bytes());
    }
    font.extend(tail);
    Some(font)
}

/// The byte range of the samples in a SoundFont: the content of `smpl` in the list `sdta` (SoundFont 2.04, §6).
fn samples(font: &[u8]) -> Option<(usize, usize)> {
    let size = |at: usize| Some(u32::from_le_bytes(font.get(at..at + 4)?.try_into().ok()?) as usize);
    if font.get(..4)? != b"RIFF" || font.get(8..12)? != b"sfbk" {
        return None;
    }
    let mut at = 12;
    loop {
        let (name, length) = (font.get(at..at + 4)?, size(at + 4)?);
        if name == b"LIST" && font.get(at + 8..at + 12)? == b"sdta" {
            at += 12;
        } else if name == b"smpl" {
            let (begin, end) = (at + 8, at + 8 + length / 2 * 2);
            return (end <= font.len()).then_some((begin, end));
        } else {
            at += 8 + length + length % 2;
        }
    }
}

/// The prediction of the next sample from the last three, newest first.
fn predicted(order: u32, [a, b, c]: [i32; 3]) -> i32 {
    match order {
        0 => 0,
        1 => a,
        2 => 2 * a - b,
        _ => 3 * a - 3 * b + c,
    }
}

/// The residuals of a predictor for the `count` samples after `before`, in zigzag order: 0, −1, 1, −2 are 0, 1, 2, 3.
fn residuals(pcm: &[i32], count: usize, before: usize, order: u32) -> Vec<u32> {
    let past = |i: usize, back: usize| if i >= back { pcm[i - back] } else { 0 };
    (before..before + count)
        .map(|i| {
            let missed = pcm[i] - predicted(order, [past(i, 1), past(i, 2), past(i, 3)]);
            ((missed << 1) ^ (missed >> 31)) as u32
        })
        .collect()
}

fn cost(code: u32, k: u32) -> u64 {
    let ones = code >> k;
    u64::from(if ones < LONGEST { ones + 1 + k } else { LONGEST + PLAIN })
}

struct BitWriter {
    bytes: Vec<u8>,
    /// Unused bits of the last byte.
    free_bits: u32,
}

impl BitWriter {
    fn put(&mut self, value: u32, count: u32) {
        for bit in (0..count).rev() {
            if self.free_bits == 0 {
                self.bytes.push(0);
                self.free_bits = 8;
            }
            self.free_bits -= 1;
            if let Some(last) = self.bytes.last_mut() {
                *last |= ((value >> bit & 1) as u8) << self.free_bits;
            }
        }
    }

    fn code(&mut self, code: u32, k: u32) {
        let ones = code >> k;
        if ones < LONGEST {
            self.put(((1 << ones) - 1) << 1, ones + 1);
            self.put(code & ((1 << k) - 1), k);
        } else {
            self.put((1 << LONGEST) - 1, LONGEST);
            self.put(code, PLAIN);
        }
    }
}

struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Bits read but not yet consumed, from the most significant.
    held: u64,
    have: u32,
    /// Order and parameter of the block.
    block: (u32, u32),
}

impl BitReader<'_> {
    fn fill(&mut self) {
        while self.have <= 56 {
            let Some(&byte) = self.bytes.get(self.at) else { return };
            self.held |= u64::from(byte) << (56 - self.have);
            self.have += 8;
            self.at += 1;
        }
    }

    fn take(&mut self, count: u32) -> Option<u32> {
        if count == 0 {
            return Some(0);
        }
        self.fill();
        self.have = self.have.checked_sub(count)?;
        let value = (self.held >> (64 - count)) as u32;
        self.held <<= count;
        Some(value)
    }

    fn residual(&mut self) -> Option<i32> {
        self.fill();
        let ones = self.held.leading_ones().min(LONGEST);
        let code = if ones == LONGEST {
            self.take(LONGEST)?;
            self.take(PLAIN)?
        } else {
            self.take(ones + 1)?;
            ones << self.block.1 | self.take(self.block.1)?
        };
        Some((code >> 1) as i32 ^ -((code & 1) as i32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A SoundFont with these samples between other chunks.
    fn font(samples: &[i16]) -> Vec<u8> {
        let pcm: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
        let mut font = b"RIFF\0\0\0\0sfbkLIST\x05\0\0\0INFOx\0LIST\0\0\0\0sdtasmpl".to_vec();
        font.extend((pcm.len() as u32).to_le_bytes());
        font.extend(pcm);
        font.extend(b"LIST and the rest");
        font
    }

    #[test]
    fn what_is_packed_comes_back() {
        let wave = |i: i32| (12_000.0 * (f64::from(i) * 0.05).sin()) as i16 + (i * 7919 % 13) as i16;
        let smooth: Vec<i16> = (0..10_000).map(wave).collect();
        let wild: Vec<i16> = (0..5000).map(|i: i32| if i % 2 == 0 { i16::MAX } else { i16::MIN }).collect();
        for samples in [&smooth[..], &wild, &[], &[-1], &[0; 9000]] {
            let font = font(samples);
            let packed = pack(&font).expect("a font");
            assert!(is_packed(&packed));
            assert_eq!(unpack(&packed).expect("packed"), font);
        }
        assert!(pack(&font(&smooth)).expect("a font").len() < 9000);
    }

    #[test]
    fn damage_is_noticed() {
        let packed = pack(&font(&[1; 5000])).expect("a font");
        for end in [0, 3, 10, 20, packed.len() - 2] {
            assert!(unpack(&packed[..end]).is_err(), "{end}");
        }
        assert!(pack(b"RIFF").is_err());
        assert!(pack(b"RIFF\0\0\0\0sfbkLIST\xff\xff\xff\xffINFO").is_err());
    }
}
