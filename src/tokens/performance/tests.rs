//! The performance encoding: results, round trips, agreement with the grammar.

use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::harmony::{Chord, ChordAt, ChordClass, Quality};
use crate::midi::{Note, Pedal, Score, Tempo, Track};
use crate::tokens::{Grammar, Options, TokenKind, Tokenizer};

fn performance() -> Tokenizer {
    Tokenizer::new("performance", &Options::default()).expect("it is known")
}

/// A score of one track at 10 ms a tick.
fn score(notes: &[(u32, u32, u8, u8)]) -> Score {
    let mut score = Score::new(50);
    let notes = notes.iter().map(|&(start, end, pitch, velocity)| Note { start, pitch, end, velocity }).collect();
    score.tracks.push(Track { notes, ..Track::default() });
    score
}

fn words(ids: &[u32]) -> String {
    let tokenizer = performance();
    ids.iter().map(|&id| tokenizer.token(id).expect("it is in the vocabulary")).collect::<Vec<_>>().join(" ")
}

fn encoded(score: &Score) -> String {
    words(&performance().encode(score))
}

fn chord_at(seconds: f64, root: u8, quality: Quality) -> ChordAt {
    ChordAt { tick: 0, beat: 2.0 * seconds, seconds, chord: Chord::of_class(ChordClass::Some { root, quality }) }
}

#[test]
fn the_vocabulary_is_the_one_a_base_is_trained_on() {
    let tokenizer = performance();
    assert_eq!(tokenizer.vocab_size(), 561);
    for (id, name, kind) in [
        (0, "PAD_None", TokenKind::Special),
        (1, "BOS_None", TokenKind::Special),
        (2, "EOS_None", TokenKind::Special),
        (3, "MASK_None", TokenKind::Special),
        (4, "NoteOn_0", TokenKind::Note),
        (64, "NoteOn_60", TokenKind::Note),
        (132, "NoteOff_0", TokenKind::NoteOff),
        (260, "TimeShift_1", TokenKind::Time),
        (359, "TimeShift_100", TokenKind::Time),
        (360, "Velocity_0", TokenKind::Velocity),
        (391, "Velocity_31", TokenKind::Velocity),
        (392, "Chord_N.C.", TokenKind::Chord),
        (393, "Chord_C:maj", TokenKind::Chord),
        (407, "Chord_Db:maj", TokenKind::Chord),
        (560, "Chord_B:aug", TokenKind::Chord),
    ] {
        assert_eq!(tokenizer.token(id).expect("it is in the vocabulary"), name);
        assert_eq!(tokenizer.id(name).expect("it is in the vocabulary"), id);
        assert_eq!(tokenizer.kind(id), kind);
    }
    assert_eq!(tokenizer.pitch(64), Some(60));
    assert_eq!(tokenizer.pitch(192), None);
    assert_eq!(tokenizer.chord_tones(392, &mut 0), Some(0));
    assert_eq!(tokenizer.chord_tones(393, &mut 0), Some(0b1001_0001));
    let class = ChordClass::Some { root: 1, quality: Quality::Major };
    assert_eq!(tokenizer.grammar().chord_ids(class), [407]);
    let plain =
        Tokenizer::new("performance", &Options { chords: Some(false), ..Options::default() }).expect("it is known");
    assert_eq!((plain.vocab_size(), plain.has_chords()), (392, false));
    assert!(plain.grammar().chord_ids(class).is_empty());
}

#[test]
fn a_piece_is_spelled_in_order() {
    let piece = score(&[(0, 50, 64, 100), (0, 50, 60, 100), (50, 300, 60, 40)]);
    assert_eq!(
        encoded(&piece),
        "Velocity_25 NoteOn_60 NoteOn_64 TimeShift_50 NoteOff_60 NoteOff_64 Velocity_10 NoteOn_60 \
         TimeShift_100 TimeShift_100 TimeShift_50 NoteOff_60"
    );
}

#[test]
fn leading_silence_stays_and_drums_go() {
    let mut piece = score(&[(120, 130, 60, 64)]);
    piece.tracks.push(Track { channel: 9, ..piece.tracks[0].clone() });
    piece.tracks[1].notes[0].pitch = 36;
    assert_eq!(encoded(&piece), "TimeShift_100 TimeShift_20 Velocity_16 NoteOn_60 TimeShift_10 NoteOff_60");
}

#[test]
fn the_tempo_map_decides_the_time() {
    let mut piece = score(&[(0, 50, 60, 64), (50, 100, 62, 64)]);
    piece.tempos.push(Tempo { tick: 0, micros_per_quarter: 1_000_000 });
    piece.tempos.push(Tempo { tick: 50, micros_per_quarter: 250_000 });
    assert_eq!(encoded(&piece), "Velocity_16 NoteOn_60 TimeShift_100 NoteOff_60 NoteOn_62 TimeShift_25 NoteOff_62");
}

#[test]
fn the_pedal_holds_notes_up_to_its_end_or_their_next_onset() {
    let mut piece = score(&[(0, 20, 60, 64), (10, 20, 64, 64), (40, 50, 64, 64), (40, 50, 67, 64)]);
    piece.tracks[0].pedals.push(Pedal { start: 15, end: 80 });
    assert_eq!(
        encoded(&piece),
        "Velocity_16 NoteOn_60 TimeShift_10 NoteOn_64 TimeShift_30 NoteOff_64 NoteOn_64 NoteOn_67 \
         TimeShift_40 NoteOff_60 NoteOff_64 NoteOff_67"
    );
}

#[test]
fn the_pedal_holds_no_note_that_ended_when_it_went_down_or_outlasts_it() {
    let mut piece = score(&[(0, 20, 60, 64), (20, 90, 64, 64)]);
    piece.tracks[0].pedals.push(Pedal { start: 20, end: 80 });
    assert_eq!(encoded(&piece), "Velocity_16 NoteOn_60 TimeShift_20 NoteOff_60 NoteOn_64 TimeShift_70 NoteOff_64");
}

#[test]
fn a_pitch_sounds_once_at_a_time() {
    let mut piece = score(&[(0, 100, 60, 64), (50, 70, 60, 64)]);
    piece.tracks.push(Track { notes: vec![Note { start: 50, pitch: 60, end: 90, velocity: 80 }], ..Track::default() });
    assert_eq!(
        encoded(&piece),
        "Velocity_16 NoteOn_60 TimeShift_50 NoteOff_60 Velocity_20 NoteOn_60 TimeShift_40 NoteOff_60"
    );
}

#[test]
fn the_shortest_note_is_one_step() {
    let mut piece = score(&[]);
    piece.ticks_per_quarter = 480; // about a millisecond a tick
    piece.tracks[0].notes = vec![Note { start: 0, pitch: 60, end: 1, velocity: 64 }];
    assert_eq!(encoded(&piece), "Velocity_16 NoteOn_60 TimeShift_1 NoteOff_60");
}

#[test]
fn chords_stand_first_and_only_where_they_change() {
    let piece = score(&[(0, 100, 60, 64)]);
    let chords = [
        chord_at(0.0, 0, Quality::MajorSeven),
        chord_at(0.5, 0, Quality::MajorSeven),
        chord_at(1.0, 9, Quality::Minor),
        chord_at(1.001, 9, Quality::MinorSeven),
    ];
    let ids = performance().encode_with(&piece, &chords);
    assert_eq!(words(&ids), "Chord_C:maj7 Velocity_16 NoteOn_60 TimeShift_100 Chord_A:m7 NoteOff_60");
    assert_eq!(performance().encode(&performance().decode(&ids)), ids);
    let plain =
        Tokenizer::new("performance", &Options { chords: Some(false), ..Options::default() }).expect("it is known");
    assert_eq!(words(&plain.encode_with(&piece, &chords)), "Velocity_16 NoteOn_60 TimeShift_100 NoteOff_60");
}

#[test]
fn transposed_ids_are_the_ids_of_the_transposed_piece() {
    let tokenizer = performance();
    let ids = tokenizer.encode_with(&score(&[(0, 9, 60, 64), (3, 9, 100, 9)]), &[chord_at(0.0, 10, Quality::Seven)]);
    let up = tokenizer.encode_with(&score(&[(0, 9, 65, 64), (3, 9, 105, 9)]), &[chord_at(0.0, 3, Quality::Seven)]);
    assert_eq!(tokenizer.transpose(&ids, 5), Some(up));
    assert_eq!(tokenizer.transpose(&ids, 9), None);
    assert_eq!(tokenizer.transpose(&ids, -40), None);
}

#[test]
fn a_broken_file_makes_no_endless_silence() {
    let mut piece = score(&[(0, u32::MAX, 60, 64), (u32::MAX - 9, u32::MAX, 62, 64)]);
    piece.tempos.push(Tempo { tick: 0, micros_per_quarter: u32::MAX });
    let ids = performance().encode(&piece);
    assert_eq!((ids.len(), words(&ids[ids.len() - 1..])), (2 + 86_400 + 1, "NoteOff_60".to_string()));
}

/// Any notes on any grid, in two tracks with pedals.
fn random_score(rng: &mut ChaCha8Rng) -> Score {
    let mut score = Score::new(rng.random_range(1..1000));
    let span = score.ticks_per_quarter * rng.random_range(1..20);
    for _ in 0..rng.random_range(0..4) {
        let (tick, micros_per_quarter) = (rng.random_range(0..span), rng.random_range(100_000..2_000_000));
        score.tempos.push(Tempo { tick, micros_per_quarter });
    }
    score.tempos.sort_by_key(|tempo| tempo.tick);
    score.tempos.dedup_by_key(|tempo| tempo.tick);
    for _ in 0..2 {
        let mut track = Track::default();
        for _ in 0..rng.random_range(0..40) {
            let start = rng.random_range(0..span);
            let end = start + rng.random_range(1..span + 1);
            track.notes.push(Note { start, pitch: rng.random_range(0..128), end, velocity: rng.random_range(1..128) });
        }
        track.notes.sort();
        let mut start = 0;
        for _ in 0..rng.random_range(0..5) {
            start += rng.random_range(0..span);
            let end = start + rng.random_range(1..span + 1);
            track.pedals.push(Pedal { start, end });
            start = end;
        }
        score.tracks.push(track);
    }
    score
}

fn random_chord(rng: &mut ChaCha8Rng, seconds: f64) -> ChordAt {
    let quality = *Quality::ALL.choose(rng).expect("there are qualities");
    chord_at(seconds, rng.random_range(0..12), quality)
}

#[test]
fn decoding_loses_nothing_that_was_encoded() {
    let tokenizer = performance();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..300 {
        let piece = random_score(&mut rng);
        let mut chords = Vec::new();
        for _ in 0..rng.random_range(0..5) {
            let seconds = rng.random_range(0.0..20.0);
            chords.push(random_chord(&mut rng, seconds));
        }
        let ids = tokenizer.encode_with(&piece, &chords);
        assert_eq!(tokenizer.encode(&tokenizer.decode(&ids)), ids);
        let mut grammar = tokenizer.grammar();
        for &id in ids.iter().chain(&[tokenizer.eos()]) {
            assert!(grammar.accepts(id), "{} in {}", words(&[id]), words(&ids));
            grammar.push(id);
        }
    }
}

/// One of the ids that may follow: first a kind, then one of that kind, so that no kind is rare. A walk that `ends`
/// goes the shortest way to EOS.
fn step(tokenizer: &Tokenizer, grammar: &Grammar, ends: bool, rng: &mut ChaCha8Rng) -> u32 {
    let mut mask = vec![true; tokenizer.vocab_size()];
    grammar.allow(&mut mask);
    let allowed: Vec<u32> = (0..).zip(&mask).filter(|&(_, &ok)| ok).map(|(id, _)| id).collect();
    assert!(allowed.iter().all(|&id| grammar.accepts(id) && tokenizer.kind(id) != TokenKind::Chord));
    let kinds = [TokenKind::Note, TokenKind::NoteOff, TokenKind::NoteOff, TokenKind::Time, TokenKind::Special];
    let kind = if ends { TokenKind::Special } else { *kinds.choose(rng).expect("there are five") };
    let second = if ends { TokenKind::NoteOff } else { TokenKind::Time };
    let of = |kind: TokenKind| allowed.iter().copied().filter(|&id| tokenizer.kind(id) == kind).collect::<Vec<u32>>();
    let choices = [of(kind), of(second), of(TokenKind::Time), allowed.clone()];
    let choice = choices.iter().find(|ids| !ids.is_empty()).expect("the mask is never empty");
    *choice.choose(rng).expect("it is not empty")
}

#[test]
fn what_the_grammar_accepts_is_what_encoding_makes() {
    let tokenizer = performance();
    let mut longest = 0;
    for seed in 0..200 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut grammar = tokenizer.grammar();
        let mut ids = Vec::new();
        loop {
            let ends = ids.len() >= 300;
            let chord = !ends && rng.random_range(0..5) == 0;
            let id = match chord {
                true => grammar.chord_ids(random_chord(&mut rng, 0.0).chord.class())[0],
                false => step(&tokenizer, &grammar, ends, &mut rng),
            };
            let end = id == tokenizer.eos();
            if end && (ends || rng.random_range(0..20) == 0) {
                break;
            }
            if !end && grammar.accepts(id) {
                ids.push(id);
                grammar.push(id);
            }
        }
        longest = longest.max(ids.len());
        assert_eq!(words(&tokenizer.encode(&tokenizer.decode(&ids))), words(&ids));
    }
    assert!(longest > 100, "the longest walk has {longest} ids");
}

#[test]
fn a_model_is_never_cornered() {
    let tokenizer = performance();
    for seed in 0..6 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut grammar = tokenizer.grammar();
        let mut next = random_chord(&mut rng, 0.3);
        grammar.set_horizon(Some(&next));
        let mut chords = 0;
        for _ in 0..10_000 {
            let id = step(&tokenizer, &grammar, false, &mut rng);
            if id == tokenizer.eos() {
                continue;
            }
            grammar.push(id);
            // Half of the walks set no chord and leave the horizon in place, for a while.
            if grammar.reached(&next) && (seed % 2 == 0 || rng.random_range(0..100) == 0) {
                if seed % 2 == 0 {
                    assert!(grammar.seconds() <= next.seconds + 1e-9, "time ran past the chord");
                    let ids = grammar.chord_ids(next.chord.class());
                    grammar.push(ids[0]);
                }
                chords += 1;
                let wait = f64::from(rng.random_range(0..300_u32)) / 100.0;
                next = random_chord(&mut rng, grammar.seconds() + wait);
                grammar.set_horizon(Some(&next));
            }
        }
        assert!(chords > 10, "{chords} chords were reached");
    }
}

#[test]
fn a_sample_has_ten_fingers_but_a_file_may_have_more() {
    let tokenizer = performance();
    let mut grammar = tokenizer.grammar();
    grammar.push(tokenizer.id("TimeShift_1").expect("it is in the vocabulary"));
    grammar.push(tokenizer.id("Velocity_16").expect("it is in the vocabulary"));
    let mut pressed = 0;
    for pitch in 40..60 {
        let id = tokenizer.id(&format!("NoteOn_{pitch}")).expect("it is in the vocabulary");
        let mut mask = vec![true; tokenizer.vocab_size()];
        grammar.allow(&mut mask);
        assert!(mask.contains(&true));
        pressed += u32::from(mask[id as usize]);
        assert!(grammar.accepts(id));
        grammar.push(id);
    }
    assert_eq!(pressed, 10);
}

#[test]
fn at_the_horizon_time_stands_until_the_chord_is_set() {
    let tokenizer = performance();
    let id = |name: &str| tokenizer.id(name).expect("it is in the vocabulary");
    let mut grammar = tokenizer.grammar();
    let chord = chord_at(1.2, 2, Quality::MinorSeven);
    grammar.set_horizon(Some(&chord));
    grammar.push(id("TimeShift_100"));
    assert!(grammar.accepts(id("TimeShift_20")) && !grammar.accepts(id("TimeShift_21")));
    grammar.push(id("TimeShift_20"));
    assert!(grammar.reached(&chord) && grammar.seconds() == 1.2);
    grammar.push(id("Velocity_9"));
    grammar.push(id("NoteOn_60"));
    assert!(!grammar.accepts(id("TimeShift_1")));
    grammar.set_horizon(None);
    assert!(grammar.accepts(id("TimeShift_1")));
}

#[test]
fn any_ids_decode() {
    let tokenizer = performance();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for _ in 0..100 {
        let ids: Vec<u32> = (0..200).map(|_| rng.random_range(0..600)).collect();
        let piece = tokenizer.decode(&ids);
        assert!(piece.tracks[0].notes.iter().all(|note| note.end > note.start));
        let again = tokenizer.encode(&piece);
        assert_eq!(tokenizer.encode(&tokenizer.decode(&again)), again);
        assert_eq!(tokenizer.show(&ids).lines().count(), 200);
    }
}

#[test]
fn a_listing_says_when_and_what() {
    let ids = performance().encode(&score(&[(0, 150, 60, 100)]));
    insta::assert_snapshot!(performance().show(&ids), @r"
    0      0.00 s    385  Velocity_25        loudness 102
    1      0.00 s     64  NoteOn_60          C4
    2      0.00 s    359  TimeShift_100      1.00 s
    3      1.00 s    309  TimeShift_50       0.50 s
    4      1.50 s    192  NoteOff_60         C4
    ");
}

#[test]
fn a_saved_tokenizer_is_the_same() {
    for chords in [true, false] {
        let tokenizer = Tokenizer::new("performance", &Options { chords: Some(chords), ..Options::default() })
            .expect("it is known");
        let again = Tokenizer::from_json(&tokenizer.to_json()).expect("it was just written");
        assert_eq!(again.vocab_size(), tokenizer.vocab_size());
        assert_eq!(again.to_json(), tokenizer.to_json());
    }
}
