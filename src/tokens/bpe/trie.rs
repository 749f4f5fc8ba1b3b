//! The learned tokens as a trie of base tokens, so that a mask visits only what the grammar allows.

use std::collections::BTreeMap;

use super::MergedToken;

/// Tokens by their base tokens, with and without the mark in two tries.
#[derive(Debug, Default)]
pub(super) struct Trie {
    marked: TrieNode,
    plain: TrieNode,
}

/// A run of base tokens.
#[derive(Debug, Default)]
pub(super) struct TrieNode {
    /// The token that is this run.
    pub(super) token: Option<u32>,
    /// What continues it.
    pub(super) next: BTreeMap<u32, Self>,
}

impl Trie {
    pub(super) fn insert(&mut self, piece: &MergedToken, id: u32) {
        let mut node = if piece.marked { &mut self.marked } else { &mut self.plain };
        for &base in &piece.ids {
            node = node.next.entry(base).or_default();
        }
        node.token = Some(id);
    }

    /// The trie of tokens that begin a word, or of those that do not.
    pub(super) fn root(&self, marked: bool) -> &TrieNode {
        if marked { &self.marked } else { &self.plain }
    }
}

impl TrieNode {
    /// Whether a token is this run.
    pub(super) fn holds(&self, ids: &[u32]) -> bool {
        let node = ids.iter().try_fold(self, |node, id| node.next.get(id));
        node.is_some_and(|node| node.token.is_some())
    }
}
