//! The grammar over learned tokens: the grammar of their base tokens, the word boundaries, and the way BPE spells a
//! word.

use std::sync::Arc;

use crate::harmony::{ChordAt, ChordClass};
use crate::tokens::automaton::Automaton;

use super::Bpe;
use super::trie::TrieNode;

const EOS: u32 = 2;

/// Whether a base token may follow, for sampling or for checking.
type May = fn(&Automaton, u32) -> bool;

/// The state of a sequence.
#[derive(Debug, Clone)]
pub(crate) struct BpeRules {
    bpe: Arc<Bpe>,
    state: BpeState,
    /// The last id of the current word.
    last: Option<u32>,
}

/// The state of the base tokens.
#[derive(Debug, Clone)]
struct BpeState {
    base: Automaton,
    /// The start of the current word; `None` where one must begin.
    word: Option<u64>,
    /// The mark of a word was read, without a base token yet.
    marked: bool,
    /// A word that begins after the first one must contain the start of an event.
    owes: bool,
    /// A word that did not begin where one could must contain no further start of an event.
    tail: bool,
}

impl BpeState {
    /// The state after a base token, if words may be split so; the base grammar is not checked.
    fn after(&self, id: u32, marked: bool, bpe: &Bpe) -> Option<Self> {
        let marked = marked || self.marked;
        let mut then = self.clone();
        if bpe.alone[id as usize] {
            if marked || (id == EOS && self.owes) {
                return None;
            }
            then.word = None;
        } else if bpe.marks {
            let place = self.base.word(id);
            let begins = self.word.is_none_or(|word| place > word);
            match (begins, marked) {
                (true, true) => {
                    then.owes = self.word.is_some() && self.base.has_tail();
                    then.word = Some(place);
                }
                (true, false) if self.word.is_some() && self.base.has_tail() => {
                    then.tail = true;
                    then.word = Some(place);
                }
                (false, false) => {}
                _ => return None,
            }
            if then.tail && (then.owes || self.base.begins(id) || (self.base.shifts(id) && !self.base.sounds())) {
                return None;
            }
            then.owes &= !self.base.begins(id);
        }
        then.marked = false;
        then.base.push(id);
        Some(then)
    }
}

impl BpeRules {
    pub(crate) fn new(base: Automaton, bpe: &Arc<Bpe>) -> Self {
        let state = BpeState { base, word: None, marked: false, owes: false, tail: false };
        Self { bpe: Arc::clone(bpe), state, last: None }
    }

    pub(crate) fn allow(&self, mask: &mut [bool]) {
        mask.fill(false);
        let mut base = vec![false; self.bpe.base as usize];
        self.state.base.allow(&mut base);
        let mut paint = |id: u32| {
            if let Some(allowed) = mask.get_mut(id as usize) {
                *allowed = true;
            }
        };
        let root = self.bpe.trie.root(false);
        self.paint(root, &base, self.state.marked, Automaton::samples, &mut |id| {
            if self.joins(id) {
                paint(id)
            }
        });
        if !self.state.marked && self.bpe.marks {
            let root = self.bpe.trie.root(true);
            self.paint(root, &base, true, Automaton::samples, &mut paint);
            if let Some(mark) = root.token.filter(|&mark| self.begins(&base, Automaton::samples, mark)) {
                paint(mark);
            }
        }
        if !(0..).zip(mask.iter()).any(|(id, &allowed)| allowed && id != EOS) {
            // Only the end is left that BPE would spell so: another spelling is allowed rather than none.
            mask.iter_mut().zip(base).for_each(|(allowed, base)| *allowed |= base);
        }
    }

    /// Calls `paint` with the tokens of a trie that may follow, by the base grammar and the word boundaries; `base` are
    /// the base tokens allowed now, `may` decides on those after them.
    fn paint(&self, root: &TrieNode, base: &[bool], marked: bool, may: May, paint: &mut impl FnMut(u32)) {
        for (&id, node) in root.next.iter().filter(|&(&id, _)| base[id as usize]) {
            if let Some(then) = self.state.after(id, marked, &self.bpe) {
                descend(node, &then, &self.bpe, may, paint);
            }
        }
    }

    /// Whether a word may begin with the bare mark and one of these base tokens.
    fn begins(&self, base: &[bool], may: May, mark: u32) -> bool {
        let mut any = false;
        let root = self.bpe.trie.root(false);
        self.paint(root, base, true, may, &mut |id| any = any || self.bpe.canonical(mark, id));
        any
    }

    /// Whether BPE would leave `id` unmerged behind the last id of its word.
    fn joins(&self, id: u32) -> bool {
        let mark = self.bpe.trie.root(true).token;
        let last = if self.state.marked { mark } else { self.last };
        last.is_none_or(|last| self.bpe.canonical(last, id))
    }

    pub(crate) fn accepts(&self, id: u32) -> bool {
        self.spells(id) || (id < self.bpe.base && self.state.base.accepts(id) && self.stuck())
    }

    /// Whether an encoding could have `id` at this place.
    fn spells(&self, id: u32) -> bool {
        let Some(piece) = self.bpe.pieces.get(id as usize) else { return false };
        let [first, rest @ ..] = &piece.ids[..] else {
            let base: Vec<bool> = (0..self.bpe.base).map(|id| self.state.base.accepts(id)).collect();
            return !self.state.marked && self.begins(&base, Automaton::accepts, id);
        };
        if (self.state.marked && piece.marked) || !self.bpe.trie.root(piece.marked).holds(&piece.ids) {
            return false;
        }
        if !piece.marked && !self.bpe.alone[*first as usize] && !self.joins(id) {
            return false;
        }
        if !self.state.base.accepts(*first) {
            return false;
        }
        let Some(mut state) = self.state.after(*first, piece.marked, &self.bpe) else { return false };
        for &id in rest {
            match state.after(id, false, &self.bpe).filter(|_| state.base.accepts(id)) {
                Some(then) => state = then,
                None => return false,
            }
        }
        true
    }

    /// Whether only the end or another spelling may follow.
    fn stuck(&self) -> bool {
        let mut mask = vec![false; self.bpe.len()];
        self.allow(&mut mask);
        !(0..).zip(&mask).any(|(id, &allowed)| id != EOS && allowed && self.spells(id))
    }

    pub(crate) fn push(&mut self, id: u32) {
        if !self.accepts(id) {
            return;
        }
        let Some(piece) = self.bpe.pieces.get(id as usize) else { return };
        if piece.ids.is_empty() {
            self.state.marked = true;
            return;
        }
        for (i, &base) in piece.ids.iter().enumerate() {
            match self.state.after(base, piece.marked && i == 0, &self.bpe) {
                Some(then) => self.state = then,
                None => {
                    // Another spelling than BPE's: the word continues.
                    self.state.marked = false;
                    self.state.base.push(base);
                }
            }
        }
        let ends = self.bpe.alone(piece);
        self.last = Some(id).filter(|_| !ends);
    }

    pub(crate) fn set_horizon(&mut self, at: Option<&ChordAt>) {
        self.state.base.set_horizon(at);
    }

    pub(crate) fn approach(&self, at: &ChordAt) -> Vec<u32> {
        self.state.base.approach(at)
    }

    pub(crate) fn reached(&self, at: &ChordAt) -> bool {
        self.state.base.reached(at)
    }

    /// Chords are never merged: their ids are those of the base vocabulary.
    pub(crate) fn chord_ids(&self, class: ChordClass) -> Vec<u32> {
        self.state.base.chord_ids(class)
    }

    pub(crate) fn chord(&self) -> Option<ChordClass> {
        self.state.base.chord()
    }

    pub(crate) fn opening(&self) -> Option<Vec<u32>> {
        self.state.base.opening()
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.state.base.seconds()
    }
}

/// Calls `paint` with the token of a node and those below it that the grammar allows.
fn descend(node: &TrieNode, state: &BpeState, bpe: &Bpe, may: May, paint: &mut impl FnMut(u32)) {
    if let Some(token) = node.token {
        paint(token);
    }
    for (&id, child) in &node.next {
        if may(&state.base, id)
            && let Some(then) = state.after(id, false, bpe)
        {
            descend(child, &then, bpe, may, paint);
        }
    }
}
