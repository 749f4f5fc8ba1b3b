//! The three encodings, compared with MidiTok 3.1.0 and checked for consistency.

use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use crate::harmony::{Chord, ChordAt};
use crate::midi::{Meter, Note, Score, Tempo, Track};
use crate::tokens::{Grammar, Options, TokenKind, Tokenizer};

const SCHEMES: [&str; 3] = ["remi", "tsd", "midi_like"];

fn tokenizer(scheme: &str, options: &Options) -> Tokenizer {
    Tokenizer::new(scheme, options).expect("the options are right")
}

fn plain(scheme: &str) -> Tokenizer {
    tokenizer(scheme, &Options::default())
}

/// All kinds of tokens at once.
fn full(scheme: &str) -> Tokenizer {
    let options = Options { use_programs: Some(true), use_tempos: Some(true), ..Options::default() };
    tokenizer(scheme, &options)
}

/// The configurations that properties are tested with.
fn variety() -> Vec<Tokenizer> {
    let bare = Options {
        use_velocities: Some(false),
        use_time_signatures: Some(false),
        use_pitchdrum_tokens: Some(false),
        remove_duplicated_notes: Some(true),
        ..Options::default()
    };
    let coarse = Options {
        beat_res: json!({"0_2": 4, "2_8": 2}).as_object().cloned(),
        time_signature_range: json!({"2": [2], "4": [4, 3], "16": [3, 7]}).as_object().cloned(),
        num_velocities: Some(5),
        use_tempos: Some(true),
        ..Options::default()
    };
    let mut all = Vec::new();
    for scheme in SCHEMES {
        all.extend([plain(scheme), full(scheme), tokenizer(scheme, &bare), tokenizer(scheme, &coarse)]);
    }
    all
}

fn words(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    ids.iter().map(|&id| tokenizer.token(id).expect("it is in the vocabulary")).collect::<Vec<_>>().join(" ")
}

/// 480 ticks a quarter; 4/4, at tick 3840 6/8; 120 beats a minute, at tick 1920 97; a piano and a drum.
fn golden() -> Score {
    let mut score = Score::new(480);
    score.meters =
        vec![Meter { tick: 0, numerator: 4, denominator: 4 }, Meter { tick: 3840, numerator: 6, denominator: 8 }];
    score.tempos =
        vec![Tempo { tick: 0, micros_per_quarter: 500_000 }, Tempo { tick: 1920, micros_per_quarter: 618_557 }];
    let notes = [
        (60, 0, 480, 100),
        (64, 480, 700, 90),
        (60, 960, 1440, 33),
        (64, 960, 1440, 33),
        (67, 960, 1440, 33),
        (72, 3840, 4080, 1),
        (74, 4440, 19200, 127),
    ];
    let notes = notes.iter().map(|&(pitch, start, end, velocity)| Note { start, pitch, end, velocity }).collect();
    score.tracks.push(Track { notes, ..Track::default() });
    let notes = vec![Note { start: 245, pitch: 36, end: 260, velocity: 80 }];
    score.tracks.push(Track { channel: 9, notes, ..Track::default() });
    score
}

fn only(track: usize) -> Score {
    let mut score = golden();
    score.tracks = vec![score.tracks[track].clone()];
    score
}

/// The names and ids are what MidiTok 3.1.0 and symusic 0.6.0 print for that score, made in Python with
/// `Score(480)`, `tokenizer = REMI(TokenizerConfig())` and so on: `tokenizer(score)[i].tokens`, `.ids`.
#[test]
fn each_track_is_spelled_as_miditok_spells_it() {
    let remi = plain("remi");
    let ids = [
        4, 356, 190, 44, 118, 133, 198, 48, 116, 129, 206, 44, 102, 133, 48, 102, 133, 51, 102, 133, 4, 356, 4, 350,
        190, 56, 94, 133, 210, 58, 125, 189,
    ];
    assert_eq!(remi.encode(&only(0)), ids);
    assert_eq!(remi.encode(&only(1)), [4, 356, 194, 295, 113, 126, 4, 356, 4, 350]);
    assert_eq!(
        words(&remi, &ids),
        "Bar_None TimeSig_4/4 Position_0 Pitch_60 Velocity_99 Duration_1.0.8 Position_8 Pitch_64 Velocity_91 \
         Duration_0.4.8 Position_16 Pitch_60 Velocity_35 Duration_1.0.8 Pitch_64 Velocity_35 Duration_1.0.8 Pitch_67 \
         Velocity_35 Duration_1.0.8 Bar_None TimeSig_4/4 Bar_None TimeSig_6/8 Position_0 Pitch_72 Velocity_3 \
         Duration_1.0.8 Position_20 Pitch_74 Velocity_127 Duration_12.0.4"
    );
    let tsd = plain("tsd");
    let ids = [
        323, 43, 117, 132, 196, 47, 115, 128, 196, 43, 101, 132, 47, 101, 132, 50, 101, 132, 228, 317, 55, 93, 132,
        208, 57, 124, 188,
    ];
    assert_eq!(tsd.encode(&only(0)), ids);
    assert_eq!(tsd.encode(&only(1)), [323, 192, 262, 112, 125, 234, 317]);
    let midi_like = plain("midi_like");
    let ids = [
        410, 43, 206, 221, 132, 47, 204, 217, 136, 217, 43, 190, 47, 190, 50, 190, 221, 132, 136, 139, 249, 404, 55,
        182, 221, 144, 225, 57, 213, 277, 277, 277, 277, 277, 225, 146,
    ];
    assert_eq!(midi_like.encode(&only(0)), ids);
    assert_eq!(midi_like.encode(&only(1)), [410, 217, 287, 201, 214, 349, 258, 214, 404]);
    assert_eq!(
        words(&midi_like, &midi_like.encode(&only(1))),
        "TimeSig_4/4 TimeShift_0.4.8 DrumOn_36 Velocity_79 TimeShift_0.1.8 DrumOff_36 TimeShift_7.1.4 \
         TimeShift_0.1.8 TimeSig_6/8"
    );
}

/// As above, with `TokenizerConfig(use_programs=True, use_tempos=True)`: `tokenizer(score).ids`.
#[test]
fn all_tracks_with_programs_and_tempi_are_spelled_as_miditok_spells_them() {
    let remi = [
        4, 517, 190, 360, 380, 44, 118, 133, 194, 508, 295, 113, 126, 198, 380, 48, 116, 129, 206, 380, 44, 102, 133,
        380, 48, 102, 133, 380, 51, 102, 133, 4, 517, 190, 356, 4, 511, 190, 380, 56, 94, 133, 210, 380, 58, 125, 189,
    ];
    assert_eq!(full("remi").encode(&golden()), remi);
    let tsd = [
        484, 327, 347, 43, 117, 132, 192, 475, 262, 112, 125, 192, 347, 47, 115, 128, 196, 347, 43, 101, 132, 347, 47,
        101, 132, 347, 50, 101, 132, 204, 323, 220, 478, 347, 55, 93, 132, 208, 347, 57, 124, 188,
    ];
    assert_eq!(full("tsd").encode(&golden()), tsd);
    let midi_like = [
        571, 414, 434, 43, 206, 217, 562, 287, 201, 214, 562, 349, 216, 434, 132, 434, 47, 204, 217, 434, 136, 217,
        434, 43, 190, 434, 47, 190, 434, 50, 190, 221, 434, 132, 434, 136, 434, 139, 221, 410, 245, 565, 434, 55, 182,
        221, 434, 144, 225, 434, 57, 213, 277, 277, 277, 277, 277, 225, 434, 146,
    ];
    assert_eq!(full("midi_like").encode(&golden()), midi_like);
}

#[test]
fn the_vocabularies_are_miditoks() {
    for (scheme, size, full_size) in [("remi", 357, 518), ("tsd", 324, 485), ("midi_like", 411, 572)] {
        assert_eq!((plain(scheme).vocab_size(), full(scheme).vocab_size()), (size, full_size), "{scheme}");
    }
    let id = |scheme: &str, name: &str| plain(scheme).id(name).expect(name);
    assert_eq!(["Bar_None", "Pitch_21", "Velocity_3", "Duration_0.1.8"].map(|n| id("remi", n)), [4, 5, 94, 126]);
    assert_eq!(["Position_95", "PitchDrum_27", "TimeSig_3/8"].map(|n| id("remi", n)), [285, 286, 348]);
    assert_eq!(["NoteOn_109", "NoteOff_21", "DrumOff_88"].map(|n| id("midi_like", n)), [92, 93, 401]);
    let log = Options { use_tempos: Some(true), log_tempos: Some(true), ..Options::default() };
    for name in ["Tempo_40.0", "Tempo_60.5", "Tempo_103.0", "Tempo_235.65", "Tempo_250.0"] {
        assert!(tokenizer("tsd", &log).id(name).is_ok(), "{name}");
    }
    let remi = plain("remi");
    assert_eq!((remi.kind(44), remi.pitch(44)), (TokenKind::Note, Some(60)));
    assert_eq!((remi.kind(295), remi.pitch(295)), (TokenKind::Other, None));
}

#[test]
fn tracks_are_voices_of_one_stream() {
    let mut score = only(0);
    score.tracks.insert(0, Track { program: 40, notes: vec![score.tracks[0].notes[6]], ..Track::default() });
    score.tracks[0].notes[0].pitch = 72;
    let tsd = plain("tsd");
    let text = words(&tsd, &tsd.encode(&score));
    assert!(text.ends_with("Pitch_72 Velocity_127 Duration_12.0.4 Pitch_74 Velocity_127 Duration_12.0.4"), "{text}");
    let programs = full("tsd").decode(&full("tsd").encode(&score));
    assert_eq!(programs.tracks.iter().map(|t| t.program).collect::<Vec<_>>(), [0, 40]);
}

/// Any notes in any metres, drums among them.
fn random_score(rng: &mut ChaCha8Rng) -> Score {
    let mut score = Score::new(rng.random_range(1..1000));
    let span = score.ticks_per_quarter * rng.random_range(1..30);
    for _ in 0..rng.random_range(0..5) {
        let (numerator, denominator) =
            *[(4, 4), (3, 4), (6, 8), (3, 8), (12, 8), (2, 2), (7, 16), (5, 8)].choose(rng).expect("some");
        score.meters.push(Meter { tick: rng.random_range(0..span), numerator, denominator });
        let micros_per_quarter = rng.random_range(100_000..2_000_000);
        score.tempos.push(Tempo { tick: rng.random_range(0..span), micros_per_quarter });
    }
    score.meters.sort_by_key(|meter| meter.tick);
    score.tempos.sort_by_key(|tempo| tempo.tick);
    for channel in [0, 9, 1] {
        let program = rng.random_range(0..128);
        let mut track = Track { channel, program, ..Track::default() };
        for _ in 0..rng.random_range(0..40) {
            let start = rng.random_range(0..span);
            let end = start + rng.random_range(1..span + 1);
            // Few pitches, so that many overlap.
            track.notes.push(Note { start, pitch: rng.random_range(20..40), end, velocity: rng.random_range(1..128) });
        }
        track.notes.sort();
        score.tracks.push(track);
    }
    score
}

#[test]
fn decoding_loses_nothing_that_was_encoded() {
    for tokenizer in variety() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..100 {
            let ids = tokenizer.encode(&random_score(&mut rng));
            let again = tokenizer.encode(&tokenizer.decode(&ids));
            assert_eq!(words(&tokenizer, &again), words(&tokenizer, &ids), "{}", tokenizer.to_json());
            let mut grammar = tokenizer.grammar();
            for (i, &id) in ids.iter().chain(&[tokenizer.eos()]).enumerate() {
                let previous = words(&tokenizer, &ids[..i]);
                assert!(
                    grammar.accepts(id),
                    "{} after {previous} in {}",
                    words(&tokenizer, &[id]),
                    tokenizer.to_json()
                );
                grammar.push(id);
            }
        }
    }
}

/// One of the ids that may follow: first a kind, then one of that kind, so that no kind is rare. A walk that `ends`
/// goes the shortest way to EOS.
fn step(tokenizer: &Tokenizer, grammar: &Grammar, ends: bool, rng: &mut ChaCha8Rng) -> u32 {
    let mut mask = vec![true; tokenizer.vocab_size()];
    grammar.allow(&mut mask);
    let allowed: Vec<u32> = (0..).zip(&mask).filter(|&(_, &ok)| ok).map(|(id, _)| id).collect();
    assert!(allowed.iter().all(|&id| grammar.accepts(id)));
    let kinds = [
        TokenKind::Note,
        TokenKind::NoteOff,
        TokenKind::NoteOff,
        TokenKind::Time,
        TokenKind::Other,
        TokenKind::Special,
    ];
    let kind = if ends { TokenKind::Special } else { *kinds.choose(rng).expect("there are six") };
    let only = |fits: &dyn Fn(u32) -> bool| allowed.iter().copied().filter(|&id| fits(id)).collect::<Vec<u32>>();
    let of = |kind: TokenKind| only(&|id| tokenizer.kind(id) == kind);
    let is_off = |id: u32| tokenizer.token(id).is_ok_and(|name| name.contains("Off_"));
    let leads_off = |id: u32| {
        let mut then = grammar.clone();
        then.push(id);
        tokenizer.token(id).is_ok_and(|name| name.contains("Program_"))
            && (0..tokenizer.vocab_size() as u32).any(|id| is_off(id) && then.accepts(id))
    };
    let off = only(&|id| ends && (is_off(id) || leads_off(id)));
    let choices = [of(kind), off, of(TokenKind::Time), allowed.clone()];
    let choice = choices.iter().find(|ids| !ids.is_empty()).expect("the mask is never empty");
    *choice.choose(rng).expect("it is not empty")
}

#[test]
fn what_the_grammar_accepts_is_what_encoding_makes() {
    for tokenizer in variety() {
        let mut longest = 0;
        for seed in 0..12 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut grammar = tokenizer.grammar();
            let mut ids = Vec::new();
            loop {
                let ends = ids.len() >= 300;
                let id = match rng.random_range(0..3) {
                    0 if !ends => rng.random_range(0..tokenizer.vocab_size() as u32), // what sampling leaves out
                    _ => step(&tokenizer, &grammar, ends, &mut rng),
                };
                let end = id == tokenizer.eos() && grammar.accepts(id);
                if end && (ends || rng.random_range(0..20) == 0) {
                    break;
                }
                if !end && grammar.accepts(id) {
                    ids.push(id);
                    grammar.push(id);
                }
            }
            longest = longest.max(ids.len());
            let again = tokenizer.encode(&tokenizer.decode(&ids));
            assert_eq!(words(&tokenizer, &again), words(&tokenizer, &ids), "{}", tokenizer.to_json());
        }
        assert!(longest > 50, "the longest walk has {longest} ids");
    }
}

#[test]
fn a_model_is_never_cornered() {
    let at = |beat: f64| ChordAt { tick: 0, beat, seconds: beat / 2.0, chord: Chord::none() };
    for tokenizer in variety() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut grammar = tokenizer.grammar();
        let mut next = at(3.0);
        grammar.set_horizon(Some(&next));
        let mut reached = 0;
        // After bars of seven sixteenths the positions of longer beats pass the horizon by.
        let uneven = tokenizer.id("TimeSig_7/16").is_ok();
        for _ in 0..2000 {
            let id = step(&tokenizer, &grammar, false, &mut rng);
            if id == tokenizer.eos() {
                continue;
            }
            grammar.push(id);
            if grammar.reached(&next) && (reached % 2 == 0 || rng.random_range(0..50) == 0) {
                let on_time = grammar.seconds() <= next.seconds + 1e-9;
                assert!(reached % 2 == 1 || on_time || uneven, "time ran past the horizon");
                next = at((2.0 * grammar.seconds()).ceil() + f64::from(rng.random_range(0..9_u32)));
                grammar.set_horizon(Some(&next));
                reached += 1;
            }
        }
        assert!(reached > 5, "{reached} horizons were reached: {}", tokenizer.to_json());
    }
}

#[test]
fn any_ids_decode() {
    for tokenizer in variety() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for _ in 0..30 {
            let ids: Vec<u32> = (0..300).map(|_| rng.random_range(0..tokenizer.vocab_size() as u32 + 9)).collect();
            let score = tokenizer.decode(&ids);
            assert!(score.tracks.iter().flat_map(|track| &track.notes).all(|note| note.end > note.start));
            let again = tokenizer.encode(&score);
            assert_eq!(tokenizer.encode(&tokenizer.decode(&again)), again);
            assert_eq!(tokenizer.show(&ids).lines().count(), 300);
        }
    }
}

#[test]
fn transposed_ids_are_the_ids_of_the_transposed_piece() {
    let mut up = golden();
    up.tracks[0].notes.iter_mut().for_each(|note| note.pitch += 5);
    for scheme in SCHEMES {
        let tokenizer = plain(scheme);
        let ids = tokenizer.encode(&golden());
        assert_eq!(tokenizer.transpose(&ids, 5), Some(tokenizer.encode(&up)), "{scheme}");
        assert_eq!(tokenizer.transpose(&ids, 35), None);
    }
}

#[test]
fn a_saved_tokenizer_is_the_same() {
    for tokenizer in variety() {
        let again = Tokenizer::from_json(&tokenizer.to_json()).expect("it was just written");
        assert_eq!(again.to_json(), tokenizer.to_json());
        assert_eq!(again.scheme(), tokenizer.scheme());
        assert_eq!(again.encode(&golden()), tokenizer.encode(&golden()));
    }
}

#[test]
fn mistakes_are_named() {
    let refused = |options: Options| Tokenizer::new("remi", &options).expect_err("it is wrong").to_string();
    let range = refused(Options { pitch_range: Some((60, 40)), ..Options::default() });
    assert!(range.contains("'pitch_range' cannot be [60, 40]"), "{range}");
    let res = refused(Options { beat_res: json!({"0_4": 8, "4_12": 3}).as_object().cloned(), ..Options::default() });
    assert!(res.contains("divisor of the finest"), "{res}");
    let chords = refused(Options { chords: Some(true), ..Options::default() });
    assert!(chords.contains("'remi' has no option 'chords'"), "{chords}");
    let broken = |json: &str| Tokenizer::from_json(json).expect_err("it is wrong").to_string();
    assert!(broken("{}").contains("no key 'tokenization'"));
    assert!(broken(r#"{"tokenization": "REMI", "config": {"use_rests": true}}"#).contains("'use_rests'"));
    assert!(broken(r#"{"tokenization": "Octuple"}"#).contains("Octuple"));
}
