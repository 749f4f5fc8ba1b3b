//! Fingerprints of datasets.

use crate::data::Dataset;

/// A hash of the rows of both splits in order (64-bit FNV-1a), in hexadecimal.
pub(super) fn fingerprint(data: &Dataset) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut take = |value: u64| hash = (hash ^ value).wrapping_mul(0x0100_0000_01b3);
    for split in [&data.train, &data.val] {
        take(split.width() as u64);
        (0..split.len()).filter_map(|row| split.row(row)).flatten().for_each(|id| take(u64::from(id)));
    }
    format!("{hash:016x}")
}
