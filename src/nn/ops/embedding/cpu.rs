//! Gathering rows of a table, and adding rows to one.

/// The rows of a table for ids.
pub(super) fn gather(table: &[f32], hidden: usize, ids: &[u32]) -> Vec<f32> {
    let mut out = Vec::with_capacity(ids.len() * hidden);
    for &id in ids {
        let first = id as usize * hidden;
        out.extend_from_slice(&table[first..first + hidden]);
    }
    out
}

/// A zero table (rows, hidden) with the rows of `dy` added, in order.
pub(super) fn scatter(dy: &[f32], (rows, hidden): (usize, usize), ids: &[u32]) -> Vec<f32> {
    let mut out = vec![0.0; rows * hidden];
    if hidden > 0 {
        for (&id, dy) in ids.iter().zip(dy.chunks_exact(hidden)) {
            let row = &mut out[id as usize * hidden..(id as usize + 1) * hidden];
            for (out, dy) in row.iter_mut().zip(dy) {
                *out += dy;
            }
        }
    }
    out
}
