//! Counts of a dataset.

use crate::data::Dataset;
use crate::tokens::TokenKind;

/// Counts of a dataset: files, rows, ids, kinds of tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct Stats {
    /// Files read.
    pub files: usize,
    /// Files skipped.
    pub broken: usize,
    /// Rows of the two splits: train, val.
    pub rows: [usize; 2],
    /// Ids of the two splits, padding left out.
    pub tokens: [u64; 2],
    /// Ids in a row.
    pub width: usize,
    /// How often each kind of token occurs in the training rows, the commonest first; padding is left out.
    pub kinds: Vec<(TokenKind, u64)>,
}

impl Dataset {
    /// The counts.
    pub fn stats(&self) -> Stats {
        Stats {
            files: self.files.len(),
            broken: self.broken.len(),
            rows: [self.train.len(), self.val.len()],
            tokens: [self.train.tokens(), self.val.tokens()],
            width: self.train.width(),
            kinds: self.kinds(),
        }
    }

    fn kinds(&self) -> Vec<(TokenKind, u64)> {
        let rules = self.train.rules();
        let mut counts = vec![0_u64; rules.vocab_size];
        self.train.ids().for_each(|id| counts[id as usize] += 1);
        let mut kinds: Vec<(TokenKind, u64)> = Vec::new();
        for (id, &count) in (0..).zip(&counts) {
            if count == 0 || id == rules.pad {
                continue;
            }
            let kind = self.tokenizer.kind(id);
            match kinds.iter_mut().find(|(k, _)| *k == kind) {
                Some((_, sum)) => *sum += count,
                None => kinds.push((kind, count)),
            }
        }
        kinds.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        kinds
    }
}
