//! Byte-pair encoding over every encoding, compared with Hugging Face's pipeline.

use std::path::PathBuf;

use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

use crate::harmony::{Chord, ChordAt};
use crate::midi::{Marker, Meter, Note, Score, Tempo, Track};
use crate::progress::Progress;
use crate::tokens::{Options, TokenKind, Tokenizer};

/// Phrases from a small stock, so that there are pairs to learn; metres, tempi and chords change at times.
fn piece(rng: &mut ChaCha8Rng) -> Score {
    let mut score = Score::new(480);
    let meters = [(4, 4), (3, 4), (6, 8)];
    for bar in 0..3 {
        let &(numerator, denominator) = meters.choose(rng).expect("there are three");
        score.meters.push(Meter { tick: bar * 4 * 1920, numerator, denominator });
        score.tempos.push(Tempo { tick: bar * 3 * 1920, micros_per_quarter: rng.random_range(300_000..900_000) });
        let text = format!("chord:{}", ["C", "Dm7", "G7"].choose(rng).expect("there are three"));
        score.markers.push(Marker { tick: bar * 1920, text });
    }
    for channel in [0, 1, 9] {
        let mut track = Track { channel, program: channel * 13, ..Track::default() };
        let mut tick = 0;
        for _ in 0..rng.random_range(2..12) {
            let root = rng.random_range(36..60);
            let length = *[240, 480, 1920].choose(rng).expect("there are three");
            for step in [0, 4, 7] {
                let velocity = *[60, 90].choose(rng).expect("there are two");
                track.notes.push(Note { start: tick, pitch: root + step, end: tick + length, velocity });
                tick += *[0, 240, 480].choose(rng).expect("there are three");
            }
            tick += 480;
        }
        track.notes.sort();
        score.tracks.push(track);
    }
    score
}

fn corpus(folder: &TempDir) -> Vec<PathBuf> {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let path = |i: usize| folder.path().join(format!("{i}.mid"));
    (0..12)
        .map(|i| {
            piece(&mut rng).write(path(i)).expect("written");
            path(i)
        })
        .collect()
}

/// Every encoding, every way to cut, and the kinds of tokens that come in twos.
fn variety(files: &[PathBuf]) -> Vec<Tokenizer> {
    let full = Options { use_programs: Some(true), use_tempos: Some(true), ..Options::default() };
    let bare = Options {
        use_velocities: Some(false),
        use_time_signatures: Some(false),
        remove_duplicated_notes: Some(true),
        ..Options::default()
    };
    let split = |name: &str| Options { encode_ids_split: Some(name.into()), ..Options::default() };
    let mut made = vec![Tokenizer::new("performance", &Options::default())];
    for scheme in ["remi", "tsd", "midi_like"] {
        for options in [&Options::default(), &full, &bare, &split("beat"), &split("no")] {
            made.push(Tokenizer::new(scheme, options));
        }
    }
    let trained = |tokenizer: Tokenizer| tokenizer.train_bpe(files, tokenizer.vocab_size() + 150, &Progress::silent());
    made.into_iter().map(|made| made.and_then(trained).expect("it trains")).collect()
}

fn words(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    ids.iter().map(|&id| tokenizer.token(id).expect("it is in the vocabulary")).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_trained_vocabulary_shortens_pieces_and_loses_nothing() {
    let folder = TempDir::new().expect("a folder");
    let mut rng = ChaCha8Rng::seed_from_u64(12);
    let pieces: Vec<Score> = (0..20).map(|_| piece(&mut rng)).collect();
    for tokenizer in variety(&corpus(&folder)) {
        let json = tokenizer.to_json();
        let base = Tokenizer::from_json(&json.replace("\"_model\"", "\"_old\"")).expect("it is a tokenizer");
        assert_eq!(tokenizer.vocab_size(), base.vocab_size() + 150, "{}", tokenizer.scheme());
        let again = Tokenizer::from_json(&json).expect("it was just written");
        assert_eq!(again.to_json(), json);
        for piece in &pieces {
            let ids = tokenizer.encode(piece);
            let plain = base.encode(piece);
            assert!(ids.len() < plain.len(), "{} of {}", ids.len(), plain.len());
            assert_eq!(tokenizer.decode(&ids), base.decode(&plain));
            assert_eq!(tokenizer.encode(&tokenizer.decode(&ids)), ids);
            assert_eq!(again.encode(piece), ids);
            assert_eq!(tokenizer.show(&ids).lines().count(), ids.len());
        }
        for id in 0..tokenizer.vocab_size() as u32 {
            assert_eq!(tokenizer.id(tokenizer.token(id).expect("it is one")).ok(), Some(id));
        }
    }
}

/// The file holds all that Hugging Face's library needs to spell words as we do.
#[test]
fn words_are_spelled_as_the_pipeline_in_the_file_spells_them() {
    let folder = TempDir::new().expect("a folder");
    let files = corpus(&folder);
    let mut rng = ChaCha8Rng::seed_from_u64(13);
    let score = piece(&mut rng);
    for split in ["bar", "no"] {
        let options = Options { encode_ids_split: Some(split.into()), ..Options::default() };
        let base = Tokenizer::new("tsd", &options).expect("it is known");
        let trained = base.train_bpe(&files, 500, &Progress::silent()).expect("it trains");
        let document: serde_json::Value = serde_json::from_str(&trained.to_json()).expect("it is JSON");
        let model = document["_model"].as_str().expect("it is text");
        let pipeline: tokenizers::Tokenizer = model.parse().expect("the library reads it");
        let ids = trained.encode(&score);
        // The names say what each token joins, and where a word begins.
        let mut spelled = vec![String::new()];
        for &id in &ids {
            let name = trained.token(id).expect("it is one");
            let parts = name.trim_start_matches('▁').split('+').filter(|part| !part.is_empty());
            if name.starts_with('▁') && !spelled[0].is_empty() {
                spelled.push(String::new());
            }
            let character = |part| super::character(base.id(part).expect("it is a base token"));
            spelled.last_mut().expect("there is one").extend(parts.map(character));
        }
        assert_eq!(spelled.len() > 3, split == "bar");
        assert_eq!(pipeline.encode(spelled, false).expect("it encodes").get_ids(), ids);
    }
}

#[test]
fn the_grammar_takes_what_encoding_makes() {
    let folder = TempDir::new().expect("a folder");
    for tokenizer in variety(&corpus(&folder)) {
        let mut rng = ChaCha8Rng::seed_from_u64(14);
        for _ in 0..8 {
            let ids = tokenizer.encode(&piece(&mut rng));
            let mut grammar = tokenizer.grammar();
            for (i, &id) in ids.iter().chain(&[tokenizer.eos()]).enumerate() {
                let previous = words(&tokenizer, &ids[..i]);
                assert!(grammar.accepts(id), "{} after {previous}", words(&tokenizer, &[id]));
                grammar.push(id);
            }
        }
    }
}

#[test]
fn what_the_grammar_allows_is_what_encoding_makes() {
    let folder = TempDir::new().expect("a folder");
    let (mut walks, mut other_spellings) = (0, 0);
    for tokenizer in variety(&corpus(&folder)) {
        let mut learned = 0;
        for seed in 0..2 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut grammar = tokenizer.grammar();
            let mut ids = Vec::new();
            let mut mask = vec![true; tokenizer.vocab_size()];
            while ids.len() < 400 {
                grammar.allow(&mut mask);
                let allowed: Vec<u32> = (0..).zip(&mask).filter(|&(_, &ok)| ok).map(|(id, _)| id).collect();
                assert!(allowed.iter().all(|&id| grammar.accepts(id)));
                let ends = allowed.contains(&tokenizer.eos());
                if ends && (ids.len() > 100 || allowed.len() == 1) {
                    break;
                }
                let off = |id: &&u32| tokenizer.kind(**id) == TokenKind::NoteOff && ids.len() > 100;
                let offs: Vec<u32> = allowed.iter().filter(off).copied().collect();
                let from = if offs.is_empty() { &allowed } else { &offs };
                let id = *from.choose(&mut rng).expect("the mask is never empty");
                if id != tokenizer.eos() {
                    learned += usize::from(tokenizer.kind(id) == TokenKind::Other);
                    ids.push(id);
                    grammar.push(id);
                }
            }
            grammar.allow(&mut mask);
            if mask[tokenizer.eos() as usize] {
                let score = tokenizer.decode(&ids);
                let again = tokenizer.encode(&score);
                assert_eq!(tokenizer.decode(&again), score, "{}", tokenizer.scheme());
                walks += 1;
                other_spellings += usize::from(again != ids);
            }
        }
        assert!(learned > 15, "{}: {learned} learned", tokenizer.scheme());
    }
    // A random walk may reach a state in which BPE spells nothing; the mask then allows another spelling.
    assert!(walks > 10 && other_spellings * 3 <= walks, "{other_spellings} of {walks}");
}

#[test]
fn chords_are_given_and_never_learned() {
    let folder = TempDir::new().expect("a folder");
    let plain = Tokenizer::new("performance", &Options::default()).expect("it is known");
    let trained = plain.train_bpe(&corpus(&folder), 800, &Progress::silent()).expect("it trains");
    assert!((561..800).all(|id| !trained.token(id).expect("it is one").contains("Chord")));
    let at = ChordAt { tick: 960, beat: 2.0, seconds: 1.0, chord: Chord::none() };
    let mut grammar = trained.grammar();
    grammar.set_horizon(Some(&at));
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut mask = vec![true; trained.vocab_size()];
    while !grammar.reached(&at) {
        grammar.allow(&mut mask);
        let allowed: Vec<u32> = (3..).zip(&mask[3..]).filter(|&(_, &ok)| ok).map(|(id, _)| id).collect();
        grammar.push(*allowed.choose(&mut rng).expect("the mask is never empty"));
        assert!(grammar.seconds() <= 1.0 + 1e-9);
    }
    let chord = grammar.chord_ids(at.chord.class())[0];
    assert!(grammar.accepts(chord));
    grammar.push(chord);
    grammar.allow(&mut mask);
    assert!(mask.contains(&true));
}

#[test]
fn transposed_ids_are_the_ids_of_the_transposed_piece() {
    let folder = TempDir::new().expect("a folder");
    let mut rng = ChaCha8Rng::seed_from_u64(15);
    let mut score = piece(&mut rng);
    let files = corpus(&folder);
    for scheme in ["performance", "midi_like"] {
        let plain = Tokenizer::new(scheme, &Options::default()).expect("it is known");
        let trained = plain.train_bpe(&files, 700, &Progress::silent()).expect("it trains");
        score.markers.clear();
        let mut up = score.clone();
        up.tracks[..2].iter_mut().flat_map(|track| &mut track.notes).for_each(|note| note.pitch += 3);
        assert_eq!(trained.transpose(&trained.encode(&score), 3), Some(trained.encode(&up)));
        assert_eq!(trained.transpose(&trained.encode(&score), 90), None);
    }
}

#[test]
fn any_ids_decode() {
    let folder = TempDir::new().expect("a folder");
    for tokenizer in variety(&corpus(&folder)) {
        let mut rng = ChaCha8Rng::seed_from_u64(16);
        for _ in 0..10 {
            let ids: Vec<u32> = (0..300).map(|_| rng.random_range(0..tokenizer.vocab_size() as u32 + 9)).collect();
            let ids = tokenizer.encode(&tokenizer.decode(&ids));
            assert_eq!(tokenizer.encode(&tokenizer.decode(&ids)), ids);
        }
    }
}

#[test]
fn training_again_begins_anew_and_is_the_same() {
    let folder = TempDir::new().expect("a folder");
    let files = corpus(&folder);
    let plain = Tokenizer::new("remi", &Options::default()).expect("it is known");
    let train =
        |tokenizer: &Tokenizer, size| tokenizer.train_bpe(&files, size, &Progress::silent()).expect("it trains");
    assert_eq!(train(&train(&plain, 600), 450).to_json(), train(&plain, 450).to_json());
}

#[test]
fn mistakes_are_named() {
    let folder = TempDir::new().expect("a folder");
    let files = corpus(&folder);
    let plain = Tokenizer::new("remi", &Options::default()).expect("it is known");
    let refused = |files: &[PathBuf], size| {
        plain.train_bpe(files, size, &Progress::silent()).expect_err("it is refused").to_string()
    };
    assert!(refused(&files, 358).contains("a vocabulary of 358 leaves nothing to learn"));
    assert!(refused(&files, usize::MAX).contains("too large"));
    assert!(refused(&[], 1000).contains("there are none"));
    assert!(refused(&[folder.path().join("no.mid")], 1000).contains("no.mid"));
    let stopped = Progress::silent();
    stopped.interrupt().trigger();
    assert!(plain.train_bpe(&files, 1000, &stopped).is_err_and(|e| e.is_interrupted()));
    let json = plain.train_bpe(&files, 400, &Progress::silent()).expect("it trains").to_json();
    let broken = |from: &str, to: &str| {
        assert!(json.contains(from), "{from}");
        Tokenizer::from_json(&json.replacen(from, to, 1)).expect_err("it is wrong").to_string()
    };
    assert!(broken("\"Bar_None\": 4", "\"Bar_None\": 5").contains("'Bar_None' the id 5"));
    assert!(broken("\\\"type\\\":\\\"BPE\\\"", "\\\"type\\\":\\\"Nothing\\\"").contains("'_model'"));
    assert!(broken("\"encode_ids_split\": \"bar\"", "\"encode_ids_split\": \"no\"").contains("encode_ids_split"));
    assert!(broken("\"REMI\"", "\"TSD\"").contains("_vocab_base"));
}
