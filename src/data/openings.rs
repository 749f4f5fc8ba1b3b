//! Repeats the style and the chord in force where a row begins inside a piece.
//!
//! A model sees one row at a time. Without this opening it would know the style in the first row of a piece only, and
//! pitches relative to the chord would be without a chord until the next change.

use crate::data::ids::Ids;
use crate::tokens::Tokenizer;

/// The same pieces with [`Grammar::opening`](crate::tokens::Grammar::opening) inserted at the first position of each
/// row of `width` ids when they are laid end to end, unless a piece begins there; unchanged where the encoding has no
/// openings, and where a row is too short for one.
pub(super) fn repeat(parts: Vec<Ids>, width: usize, tokenizer: &Tokenizer) -> Vec<Ids> {
    if tokenizer.grammar().opening().is_none() {
        return parts;
    }
    let mut grammar = tokenizer.grammar();
    let mut place = 0;
    let with_openings = |part: Ids| {
        let mut ids = Ids::with_capacity(tokenizer.vocab_size(), part.len() + part.len() / width * 3);
        for id in part.range(0..part.len()) {
            if id == tokenizer.bos() {
                grammar = tokenizer.grammar();
            } else if place % width == 0
                && let Some(opening) = grammar.opening().filter(|opening| opening.len() < width / 2)
            {
                place += opening.len();
                ids.extend(opening);
            }
            grammar.push(id);
            ids.push(id);
            place += 1;
        }
        ids
    };
    parts.into_iter().map(with_openings).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::data::Split;
    use crate::data::split::VocabularyRules;
    use crate::tokens::{Options, TokenKind};

    fn part(tokenizer: &Tokenizer, names: &[&str]) -> Ids {
        let mut ids = Ids::with_capacity(tokenizer.vocab_size(), names.len());
        ids.extend(names.iter().map(|name| tokenizer.id(name).expect("a token")));
        ids
    }

    #[test]
    fn a_row_inside_a_piece_begins_with_its_style_and_its_chord() {
        let tokenizer = Tokenizer::new("note_duration", &Options::default()).expect("a tokenizer");
        let note = ["Pitch_60", "Duration_10", "TimeShift_10"];
        let mut names = vec!["BOS_None", "Style_rag", "Root_+2", "Quality_7", "Velocity_16"];
        names.extend(note.repeat(3));
        names.extend(["Root_-7", "Quality_maj", "Velocity_17", "Pitch_48", "Duration_10", "EOS_None"]);
        names.extend(["BOS_None", "Velocity_16", "Pitch_60", "Duration_10", "EOS_None"]);
        let parts = repeat(vec![part(&tokenizer, &names)], 10, &tokenizer);
        let split = Split::pack(parts, 10, Arc::new(VocabularyRules::new(&tokenizer)));
        let named = |row| -> Vec<String> {
            let ids: Vec<u32> = split.row(row).expect("a row");
            ids.into_iter().map(|id| tokenizer.token(id).expect("a token").to_string()).collect()
        };
        assert_eq!(named(1)[..5], ["Style_rag", "Root_+2", "Quality_7", "TimeShift_10", "Pitch_60"]);
        // The new chord, relative to the first anchor; a piece that begins in the row begins with BOS.
        assert_eq!(named(2)[..4], ["Style_rag", "Root_-5", "Quality_maj", "Pitch_48"]);
        assert_eq!(named(2)[5..], ["EOS_None", "BOS_None", "Velocity_16", "Pitch_60", "Duration_10"]);
        let batch = split.in_order(1).nth(1).expect("a batch");
        let given = |id: u32| matches!(tokenizer.kind(id), TokenKind::Chord | TokenKind::Style | TokenKind::Tempo);
        assert!(batch.labels.iter().all(|&id| id == crate::data::IGNORE || !given(id)), "an opening is not predicted");
    }

    #[test]
    fn encodings_without_openings_and_short_rows_stay_as_they_are() {
        let performance = Tokenizer::new("performance", &Options::default()).expect("a tokenizer");
        let parts = || vec![part(&performance, &["BOS_None", "TimeShift_10", "TimeShift_10", "EOS_None"])];
        assert_eq!(repeat(parts(), 2, &performance), parts());
        let tokenizer = Tokenizer::new("note_duration", &Options::default()).expect("a tokenizer");
        let parts = || vec![part(&tokenizer, &["BOS_None", "Style_rag", "Velocity_16", "Pitch_60", "Duration_10"])];
        assert_eq!(repeat(parts(), 2, &tokenizer), parts());
    }
}
