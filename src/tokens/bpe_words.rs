//! Words: the spans of a sequence in which byte-pair encoding may merge tokens.

/// Ids of base tokens, split into words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Words {
    pub(super) ids: Vec<u32>,
    /// The start of each word, ascending; the first is 0 unless there are no ids.
    pub(super) starts: Vec<usize>,
}

impl Words {
    /// The words one after the other.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u32]> {
        let ends = self.starts.iter().skip(1).copied().chain([self.ids.len()]);
        self.starts.iter().zip(ends).map(|(&start, end)| &self.ids[start..end])
    }

    /// Begins a word at the next id, unless one has just begun.
    pub(super) fn cut(&mut self) {
        if self.starts.last() != Some(&self.ids.len()) {
            self.starts.push(self.ids.len());
        }
    }
}

/// Where a sequence is split into words before merging (MidiTok's `encode_ids_split`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WordSplit {
    No,
    Bar,
    Beat,
}

impl WordSplit {
    pub(super) const ALL: [Self; 3] = [Self::Bar, Self::Beat, Self::No];

    /// MidiTok's name for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Bar => "bar",
            Self::Beat => "beat",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_lies_between_the_cuts() {
        let mut words = Words::default();
        words.cut();
        words.cut();
        words.ids.extend([7, 8]);
        words.cut();
        words.ids.push(9);
        assert_eq!(words.iter().collect::<Vec<_>>(), [&[7, 8][..], &[9]]);
        assert_eq!(Words::default().iter().count(), 0);
    }
}
