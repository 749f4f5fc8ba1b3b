//! Words: the stretches of a sequence in which byte-pair encoding may join tokens.

/// Ids of base tokens, cut into words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Words {
    pub(super) ids: Vec<u32>,
    /// Where each word begins; rising, the first at 0 where there are ids.
    pub(super) starts: Vec<usize>,
}

impl Words {
    /// The words one after the other.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u32]> {
        let ends = self.starts.iter().skip(1).copied().chain([self.ids.len()]);
        self.starts.iter().zip(ends).map(|(&start, end)| &self.ids[start..end])
    }

    /// Begins a word with the next id, unless one has just begun.
    pub(super) fn cut(&mut self) {
        if self.starts.last() != Some(&self.ids.len()) {
            self.starts.push(self.ids.len());
        }
    }
}

/// Where a sequence is cut into words before tokens are joined (MidiTok's `encode_ids_split`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Split {
    No,
    Bar,
    Beat,
}

impl Split {
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
