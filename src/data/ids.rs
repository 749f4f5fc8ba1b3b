//! Token ids in memory: two bytes each where the vocabulary fits, else four.

use std::ops::Range;

/// A long list of ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ids {
    /// Vocabularies up to 65,536.
    Narrow(Vec<u16>),
    /// Larger ones.
    Wide(Vec<u32>),
}

/// The largest vocabulary that fits two bytes.
const NARROW: usize = 1 << 16;

impl Ids {
    /// An empty list for a vocabulary of `vocab_size`, with a capacity.
    pub(super) fn with_capacity(vocab_size: usize, capacity: usize) -> Self {
        if vocab_size <= NARROW {
            Self::Narrow(Vec::with_capacity(capacity))
        } else {
            Self::Wide(Vec::with_capacity(capacity))
        }
    }

    /// Appends an id, which must be in the vocabulary.
    pub(super) fn push(&mut self, id: u32) {
        match self {
            Self::Narrow(ids) => {
                debug_assert!((id as usize) < NARROW);
                ids.push(id as u16);
            }
            Self::Wide(ids) => ids.push(id),
        }
    }

    /// Appends all of `more`.
    pub(super) fn extend(&mut self, more: impl IntoIterator<Item = u32>) {
        more.into_iter().for_each(|id| self.push(id));
    }

    /// Appends another list of the same vocabulary.
    pub(super) fn append(&mut self, more: &Self) {
        match (self, more) {
            (Self::Narrow(ids), Self::Narrow(more)) => ids.extend_from_slice(more),
            (ids, more) => ids.extend(more.range(0..more.len())),
        }
    }

    /// Number of ids.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Narrow(ids) => ids.len(),
            Self::Wide(ids) => ids.len(),
        }
    }

    /// Truncates, or fills with `id`, to a length.
    pub(super) fn resize(&mut self, len: usize, id: u32) {
        match self {
            Self::Narrow(ids) => ids.resize(len, id as u16),
            Self::Wide(ids) => ids.resize(len, id),
        }
    }

    /// The ids in a range, which must be inside.
    pub(super) fn range(&self, range: Range<usize>) -> impl Iterator<Item = u32> + '_ {
        let (narrow, wide): (&[u16], &[u32]) = match self {
            Self::Narrow(ids) => (&ids[range], &[]),
            Self::Wide(ids) => (&[], &ids[range]),
        };
        narrow.iter().map(|&id| u32::from(id)).chain(wide.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_vocabularies_keep_their_ids() {
        for (vocab_size, id) in [(1 << 16, 65_535), ((1 << 16) + 1, 65_536)] {
            let mut ids = Ids::with_capacity(vocab_size, 1);
            ids.push(id);
            let mut twice = ids.clone();
            twice.append(&ids);
            twice.resize(3, 0);
            assert_eq!(twice.range(0..3).collect::<Vec<_>>(), [id, id, 0]);
        }
    }
}
