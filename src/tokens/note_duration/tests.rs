//! The encoding: results, round trips, agreement with the grammar.

use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::harmony::{Chord, ChordAt, ChordClass, Quality, chord_markers};
use crate::midi::{Clock, Meter, Note, Score, Tempo, Track};
use crate::tokens::{Options, TokenKind, Tokenizer};

fn tokenizer(relative: bool) -> Tokenizer {
    let options = Options { chord_relative: Some(relative), ..Options::default() };
    Tokenizer::new("note_duration", &options).expect("it is known")
}

/// A score of one track at 10 ms a tick.
fn score(notes: &[(u32, u32, u8, u8)]) -> Score {
    let mut score = Score::new(50);
    let notes = notes.iter().map(|&(start, end, pitch, velocity)| Note { start, pitch, end, velocity }).collect();
    score.tracks.push(Track { notes, ..Track::default() });
    score
}

fn words(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    ids.iter().map(|&id| tokenizer.token(id).expect("it is in the vocabulary")).collect::<Vec<_>>().join(" ")
}

fn chord_at(seconds: f64, root: u8, quality: Quality) -> ChordAt {
    ChordAt { tick: 0, beat: 2.0 * seconds, seconds, chord: Chord::of_class(ChordClass::Some { root, quality }) }
}

/// What a score sounds like: (onset, length, pitch, velocity) in steps of 10 ms.
fn sounds(score: &Score) -> Vec<(u32, u32, u8, u8)> {
    let step = |seconds: f64| (seconds * 100.0).round() as u32;
    score.sounds().iter().map(|s| (step(s.start), step(s.end) - step(s.start), s.pitch, s.velocity)).collect()
}

fn chords(score: &Score) -> Vec<(u32, ChordClass)> {
    chord_markers(score).iter().map(|c| ((c.seconds * 100.0).round() as u32, c.chord.class())).collect()
}

#[test]
fn the_vocabulary_is_the_one_a_base_is_trained_on() {
    let relative = tokenizer(true);
    assert_eq!(relative.vocab_size(), 4 + 132 + 128 + 100 + 32 + 2 + 1 + 23 + 14 + 8 + 65);
    for (name, kind) in [
        ("Pitch_0", TokenKind::Note),
        ("Pitch_131", TokenKind::Note),
        ("Duration_2000", TokenKind::Time),
        ("TimeShift_100", TokenKind::Time),
        ("Velocity_31", TokenKind::Velocity),
        ("Bar_None", TokenKind::Click),
        ("Chord_N.C.", TokenKind::Chord),
        ("Root_+5", TokenKind::Chord),
        ("Root_-11", TokenKind::Chord),
        ("Quality_m7b5", TokenKind::Chord),
        ("Style_rag", TokenKind::Style),
        ("Tempo_119", TokenKind::Tempo),
    ] {
        assert_eq!(relative.kind(relative.id(name).expect(name)), kind, "{name}");
    }
    assert_eq!(tokenizer(false).id("Root_F#").map(|id| tokenizer(false).kind(id)).ok(), Some(TokenKind::Chord));
    assert!(relative.style_id("rags").is_err_and(|e| e.to_string().contains("rag")));
}

#[test]
fn a_piece_is_spelled_in_order_and_pitches_count_from_the_chord() {
    let piece = score(&[(0, 50, 64, 100), (0, 50, 60, 100), (50, 300, 67, 40)]);
    let chords = [chord_at(0.0, 0, Quality::MajorSeven), chord_at(0.5, 7, Quality::Seven)];
    let relative = tokenizer(true);
    let spelled = words(&relative, &relative.encode_with(&piece, &chords));
    assert_eq!(
        spelled,
        "Root_+0 Quality_maj7 Velocity_25 Pitch_60 Duration_51 Pitch_64 Duration_51 TimeShift_50 \
         Root_-5 Quality_7 Velocity_10 Pitch_60 Duration_255"
            .replace("Duration_51", &format!("Duration_{}", super::lengths::steps(super::lengths::nearest(50, 99))))
            .replace("Duration_255", &format!("Duration_{}", super::lengths::steps(super::lengths::nearest(250, 999))))
    );
    let absolute = tokenizer(false);
    assert!(words(&absolute, &absolute.encode_with(&piece, &chords)).contains("Root_G Quality_7 Velocity_10 Pitch_67"));
}

#[test]
fn a_voice_keeps_its_octave_when_the_chord_changes_under_it() {
    // The third of C, then the seventh of G and the root of F sharp, all near to E4.
    let piece = score(&[(0, 40, 64, 80), (50, 90, 65, 80), (100, 140, 66, 80)]);
    let chords = [chord_at(0.0, 0, Quality::Major), chord_at(0.5, 7, Quality::Seven), chord_at(1.0, 6, Quality::Seven)];
    let tokenizer = tokenizer(true);
    let ids = tokenizer.encode_with(&piece, &chords);
    let spelled = words(&tokenizer, &ids);
    let pitches: Vec<&str> = spelled.split(' ').filter(|word| word.starts_with("Pitch")).collect();
    assert_eq!(pitches, ["Pitch_64", "Pitch_70", "Pitch_60"], "octave 5 and 4, 10, 0 semitones above the root");
    assert_eq!(sounds(&tokenizer.decode(&ids)).iter().map(|sound| sound.2).collect::<Vec<_>>(), [64, 65, 66]);
}

#[test]
fn a_key_that_is_struck_again_is_let_go_before() {
    let piece = score(&[(0, 100, 60, 64), (71, 90, 60, 64)]);
    let relative = tokenizer(true);
    let back = relative.decode(&relative.encode(&piece));
    let lengths: Vec<u32> = sounds(&back).iter().map(|s| s.1).collect();
    assert!(lengths[0] <= 71 && lengths[0] > 67, "{lengths:?}");
}

#[test]
fn beats_stand_where_a_file_keeps_its_metre_and_come_back_as_quarters() {
    let mut piece = score(&[]);
    piece.tempos.push(Tempo::from_bpm(90.0));
    piece.meters.push(Meter { tick: 0, numerator: 3, denominator: 4 });
    piece.tracks[0].notes =
        (0..24).map(|i| Note { start: 25 * i, pitch: 60 + (i % 5) as u8, end: 25 * i + 20, velocity: 66 }).collect();
    let relative = tokenizer(true);
    let ids = relative.encode(&piece);
    let spelled = words(&relative, &ids);
    assert!(spelled.starts_with("Bar_None Tempo_92 Velocity_16 Pitch_60"), "{spelled}");
    assert_eq!(spelled.matches("Bar_None").count(), 4);
    assert_eq!(spelled.matches("Beat_None").count(), 8);
    let back = relative.decode(&ids);
    assert!((back.tempo() - 90.0).abs() < 1.0, "{}", back.tempo());
    assert_eq!((back.meters[0].numerator, back.bars().len()), (3, 4));
    assert_eq!(relative.encode(&back), ids);
    let free = Tokenizer::new("note_duration", &Options { beats: Some(false), ..Options::default() }).expect("known");
    let without = words(&free, &free.encode(&piece));
    assert!(!without.contains("B") && !without.contains("Tempo"), "{without}");
    assert_eq!(free.beat_id(true), None);
}

#[test]
fn a_tempo_stands_behind_the_bar_line_from_which_it_holds() {
    let mut piece = Score::new(480);
    // Of the third bar half the beats are faster: the mean of a bar counts.
    piece.tempos =
        [(0, 100.0), (3840, 100.0), (4800, 200.0)].map(|(tick, bpm)| Tempo { tick, ..Tempo::from_bpm(bpm) }).to_vec();
    piece.meters.push(Meter { tick: 0, numerator: 4, denominator: 4 });
    let notes = (0..20).map(|i| Note { start: 480 * i, pitch: 60, end: 480 * i + 240, velocity: 66 }).collect();
    piece.tracks.push(Track { notes, ..Track::default() });
    let tokenizer = tokenizer(true);
    let mut grammar = tokenizer.grammar();
    let (mut bars, mut tempos) = (0, Vec::new());
    for id in tokenizer.encode(&piece) {
        assert!(grammar.accepts(id), "{} at {} s", tokenizer.token(id).expect("known"), grammar.seconds());
        grammar.push(id);
        bars += u32::from(tokenizer.token(id).expect("known") == "Bar_None");
        if tokenizer.kind(id) == TokenKind::Tempo {
            assert!(!grammar.accepts(id), "it holds already");
            tempos.push((bars, tokenizer.token(id).expect("known").to_string()));
            assert!(grammar.opening().expect("it has openings").contains(&id));
        }
    }
    // 2 beats of 0.6 s and 2 of 0.3 s are 133 a minute.
    assert_eq!(
        tempos,
        [(1, "Tempo_100"), (3, "Tempo_135"), (4, "Tempo_200")].map(|(bar, name)| (bar, name.to_string()))
    );
}

#[test]
fn a_tokenizer_that_was_saved_without_tempi_has_none() {
    let with = tokenizer(true);
    let json = with.to_json();
    let old = json.replace(",\n    \"tempos\": true", "");
    assert_ne!(old, json);
    let old = Tokenizer::from_json(&old).expect("it is known");
    assert_eq!(old.vocab_size() + 65, with.vocab_size());
    assert!((0..old.vocab_size() as u32).all(|id| old.token(id).ok() == with.token(id).ok()));
    assert_eq!((old.tempo_id(100.0), with.tempo_id(100.0)), (None, Some(with.id("Tempo_100").expect("known"))));
}

#[test]
fn a_beat_is_announced_before_the_time_that_leads_to_it() {
    let mut piece = score(&[]);
    piece.meters.push(Meter { tick: 0, numerator: 2, denominator: 4 });
    // A quarter is half a second; the second bar is empty but for its last eighth.
    piece.tracks[0].notes = [(0, 40), (25, 45), (175, 199), (200, 240)]
        .map(|(start, end)| Note { start, pitch: 60, end, velocity: 66 })
        .to_vec();
    let tokenizer = tokenizer(true);
    let ids = tokenizer.encode(&piece);
    let spelled = words(&tokenizer, &ids);
    let spelled: Vec<&str> = spelled.split(' ').filter(|word| !word.starts_with("Duration")).collect();
    assert_eq!(
        spelled.join(" "),
        "Bar_None Tempo_119 Velocity_16 Pitch_60 TimeShift_25 Pitch_60 Beat_None TimeShift_25 Bar_None TimeShift_50 Beat_None \
         TimeShift_50 TimeShift_25 Pitch_60 Bar_None TimeShift_25 Pitch_60"
    );
    let back = tokenizer.decode(&ids);
    assert_eq!(back.beats().len(), 5);
    assert_eq!(tokenizer.encode(&back), ids);
}

#[test]
fn a_beat_of_a_whole_second_is_told_from_the_time_after_it() {
    let mut piece = score(&[]);
    piece.tempos.push(Tempo::from_bpm(60.0));
    piece.meters.push(Meter { tick: 0, numerator: 4, denominator: 4 });
    // 50 ticks are a second: a note, an empty beat, and one off the beat.
    piece.tracks[0].notes =
        [0, 50, 125, 175, 200].map(|start| Note { start, pitch: 60, end: start + 20, velocity: 66 }).to_vec();
    let tokenizer = tokenizer(true);
    let ids = tokenizer.encode(&piece);
    assert!(
        words(&tokenizer, &ids).contains("Beat_None TimeShift_99 TimeShift_51 Pitch_60"),
        "{}",
        words(&tokenizer, &ids)
    );
    let back = tokenizer.decode(&ids);
    assert_eq!(sounds(&back).iter().map(|sound| sound.0).collect::<Vec<_>>(), [0, 100, 250, 350, 400]);
    assert_eq!(tokenizer.encode(&back), ids);
}

#[test]
fn transposed_ids_are_the_ids_of_the_transposed_piece() {
    let piece = score(&[(0, 50, 64, 100), (0, 50, 60, 100), (50, 80, 67, 40), (90, 95, 50, 40)]);
    let chords =
        [chord_at(0.0, 0, Quality::MajorSeven), chord_at(0.5, 7, Quality::Seven), chord_at(0.9, 6, Quality::Minor)];
    for relative in [true, false] {
        let tokenizer = tokenizer(relative);
        let ids = tokenizer.encode_with(&piece, &chords);
        for by in -12..=12 {
            let moved: Vec<ChordAt> =
                chords.iter().map(|c| ChordAt { chord: c.chord.transpose(by), ..c.clone() }).collect();
            let direct = tokenizer.encode_with(&piece.transpose(by).expect("in range"), &moved);
            assert_eq!(tokenizer.transpose(&ids, by), Some(direct), "{by}");
        }
        assert_eq!(tokenizer.transpose(&ids, 60), None);
    }
}

#[test]
fn chord_tones_and_pitch_classes_share_a_frame() {
    for relative in [true, false] {
        let tokenizer = tokenizer(relative);
        let piece = score(&[(0, 50, 65, 100), (0, 50, 66, 100)]);
        let ids = tokenizer.encode_with(&piece, &[chord_at(0.0, 7, Quality::Seven)]);
        let (mut root, mut tones, mut inside) = (0, 0, Vec::new());
        for id in ids {
            tones = tokenizer.chord_tones(id, &mut root).unwrap_or(tones);
            inside.extend(tokenizer.pitch_class(id).map(|class| tones >> class & 1 == 1));
        }
        assert_eq!(inside, [true, false], "F is a tone of G7, F sharp is none");
    }
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let refused = |options| Tokenizer::new("note_duration", &options).expect_err("no sense").to_string();
    let plain = Options::default;
    assert!(refused(Options { chords: Some(false), chord_relative: Some(true), ..plain() }).contains("chord_relative"));
    let tempos = Options { beats: Some(false), tempos: Some(true), ..plain() };
    assert!(refused(tempos).contains("tempos"));
    let twice = Some(vec!["a".to_string(), "a".to_string()]);
    assert!(refused(Options { styles: twice, ..plain() }).contains("styles[1]"));
    assert!(refused(Options { use_tempos: Some(true), ..plain() }).contains("use_tempos"));
    let saved = Tokenizer::new("note_duration", &Options { beats: Some(false), ..plain() }).expect("known");
    let read = Tokenizer::from_json(&saved.to_json()).expect("it is our own");
    assert_eq!((read.vocab_size(), read.to_json()), (saved.vocab_size(), saved.to_json()));
}

#[test]
fn a_tokenizer_of_the_old_order_of_beats_is_refused() {
    let json = tokenizer(true).to_json();
    assert!(Tokenizer::from_json(&json).is_ok());
    let old = json.replace("\"token_order\": 2", "\"token_order\": 1");
    let refused = Tokenizer::from_json(&old).expect_err("the order is another").to_string();
    assert!(refused.contains("token_order 1"), "{refused}");
}

/// Random scores with every kind of trouble.
fn wild(rng: &mut ChaCha8Rng) -> (Score, Vec<ChordAt>) {
    let mut notes: Vec<(u32, u32, u8, u8)> = (0..rng.random_range(1..60))
        .map(|_| {
            let start = rng.random_range(0..3000);
            (start, start + rng.random_range(1..900), rng.random_range(0..128), rng.random_range(1..128))
        })
        .collect();
    notes.sort_unstable();
    let mut piece = score(&notes);
    if rng.random::<bool>() {
        piece.meters.push(Meter { tick: 0, numerator: rng.random_range(1..7), denominator: 4 });
        for note in &mut piece.tracks[0].notes {
            note.start -= note.start % 25;
        }
        piece.tracks[0].notes.sort_unstable();
    }
    let mut chords: Vec<ChordAt> = (0..rng.random_range(0..9))
        .map(|_| {
            let quality = *Quality::ALL.choose(rng).expect("there are some");
            chord_at(f64::from(rng.random_range(0..30u32)), rng.random_range(0..12), quality)
        })
        .collect();
    chords.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    (piece, chords)
}

#[test]
fn every_encoding_is_accepted_and_encodes_to_itself_again() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for round in 0..300 {
        let tokenizer = tokenizer(round % 2 == 0);
        let (piece, given) = wild(&mut rng);
        let ids = tokenizer.encode_with(&piece, &given);
        let mut grammar = tokenizer.grammar();
        for (place, &id) in ids.iter().enumerate() {
            assert!(grammar.accepts(id), "{round}: {place} {}", words(&tokenizer, &ids[..=place]));
            grammar.push(id);
        }
        assert!(grammar.accepts(tokenizer.eos()));
        let back = tokenizer.decode(&ids);
        assert_eq!(tokenizer.encode(&back), ids, "{round}");
        for (before, after) in sounds(&tokenizer.decode(&ids)).iter().zip(sounds(&back)) {
            assert_eq!(*before, after);
        }
    }
}

#[test]
fn what_is_sampled_is_accepted_and_decodes_to_what_was_said() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    for round in 0..60 {
        let tokenizer = tokenizer(round % 2 == 0);
        let mut grammar = tokenizer.grammar();
        let mut ids = Vec::new();
        let mut next = 0.0;
        let mut mask = vec![false; tokenizer.vocab_size()];
        for _ in 0..400 {
            let due = chord_at(next, rng.random_range(0..12), Quality::Seven);
            if grammar.reached(&due) {
                next += 0.5;
                let bar = tokenizer.beat_id((next as u32).is_multiple_of(2)).expect("it has beats");
                let class = due.chord.class();
                let chord = if grammar.chord() == Some(class) { Vec::new() } else { grammar.chord_ids(class) };
                let first = ids.is_empty().then_some(bar);
                for id in first.into_iter().chain(chord) {
                    assert!(grammar.accepts(id), "{}", words(&tokenizer, &ids));
                    grammar.push(id);
                    ids.push(id);
                }
                grammar.set_horizon(Some(&chord_at(next, 0, Quality::Seven)));
                // Now and then nothing more comes before the next beat.
                if grammar.accepts(bar) && rng.random::<f64>() < 0.3 {
                    let at = chord_at(next, 0, Quality::Seven);
                    for id in std::iter::once(bar).chain(grammar.approach(&at)) {
                        assert!(grammar.accepts(id), "{}", words(&tokenizer, &ids));
                        grammar.push(id);
                        ids.push(id);
                    }
                    continue;
                }
            }
            grammar.allow(&mut mask);
            let open: Vec<u32> = (0..).zip(&mask).filter(|(_, open)| **open).map(|(id, _)| id).collect();
            // Mostly notes, so that all fingers come down.
            let notes: Vec<u32> = open.iter().copied().filter(|&id| tokenizer.kind(id) == TokenKind::Note).collect();
            let pool = if !notes.is_empty() && rng.random::<f64>() < 0.7 { &notes } else { &open };
            let id = *pool.choose(&mut rng).unwrap_or_else(|| panic!("stuck after {}", words(&tokenizer, &ids)));
            if id == tokenizer.eos() {
                continue;
            }
            assert!(grammar.accepts(id));
            grammar.push(id);
            ids.push(id);
        }
        let score = tokenizer.decode(&ids);
        assert!((chords(&score).len() as f64) <= next * 2.0 + 1.0);
        let clock = Clock::new(&score);
        let notes = &score.tracks[0].notes;
        assert!(
            notes.iter().all(|n| clock.seconds(n.end) - clock.seconds(n.start) < 8.1 && (21..=108).contains(&n.pitch))
        );
        // A second round trip changes nothing.
        let again = tokenizer.decode(&tokenizer.encode(&score));
        assert_eq!(sounds(&again).len(), sounds(&score).len());
    }
}
