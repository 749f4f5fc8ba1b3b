//! Files that other programs read although the standard forbids them, and files that say more than notes: what comes
//! out of them is what mido and symusic read, or follows from the MIDI specification.

use std::path::Path;

use etude::audio::{self, Font, Settings, Wave};
use etude::midi::{Fault, Message, Note, Score, Track};
use etude::progress::Progress;
use etude::tokens::{Options, Tokenizer};

fn case(path: &str) -> Score {
    Score::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(path)).unwrap()
}

/// Pitch, start and end in hundredths of a second.
fn heard(score: &Score) -> Vec<(u8, i64, i64)> {
    let hundredths = |seconds: f64| (seconds * 100.0).round() as i64;
    score.sounds().iter().map(|s| (s.pitch, hundredths(s.start), hundredths(s.end))).collect()
}

/// The same through the ids of the performance encoding, in which the pedal prolongs notes.
fn performed(score: &Score) -> Vec<(u8, i64, i64)> {
    let tokenizer = Tokenizer::new("performance", &Options::default()).unwrap();
    heard(&tokenizer.decode(&tokenizer.encode(score)))
}

fn faults(score: &Score) -> Vec<Fault> {
    score.repairs.iter().map(|r| r.fault).collect()
}

/// The events of a file in the order in which a player that merges its tracks meets them: tick, channel, status, data.
fn merged(bytes: &[u8]) -> Vec<(u32, u8, u8, u8)> {
    let mut events = Vec::new();
    let mut at = 14;
    while let Some(head) = bytes.get(at..at + 8) {
        let end = at + 8 + u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
        at += 8;
        let (mut tick, mut running) = (0, 0);
        let number = |at: &mut usize| {
            let mut value = 0u32;
            loop {
                *at += 1;
                value = value << 7 | u32::from(bytes[*at - 1] & 127);
                if bytes[*at - 1] < 128 {
                    return value;
                }
            }
        };
        while at < end {
            tick += number(&mut at);
            if bytes[at] >= 0xf0 {
                at += if bytes[at] == 0xff { 2 } else { 1 };
                at += number(&mut at) as usize;
                running = 0;
                continue;
            }
            if bytes[at] >= 0x80 {
                running = bytes[at];
                at += 1;
            }
            assert!(running >= 0x80, "a status byte follows every meta event");
            let two = !matches!(running & 0xf0, 0xc0 | 0xd0);
            events.push((tick, running, bytes[at], if two { bytes[at + 1] } else { 0 }));
            at += 1 + usize::from(two);
        }
    }
    events.sort_by_key(|e| e.0);
    events
}

/// Tick, pitch and the program in force on its channel of every note, whatever the port.
fn replayed(bytes: &[u8]) -> Vec<(u32, u8, u8)> {
    let (mut programs, mut notes) = ([0; 16], Vec::new());
    for (tick, status, a, b) in merged(bytes) {
        match status & 0xf0 {
            0xc0 => programs[usize::from(status & 15)] = a,
            0x90 if b > 0 => notes.push((tick, a, programs[usize::from(status & 15)])),
            _ => {}
        }
    }
    notes.sort_unstable();
    notes
}

/// What [`replayed`] has to give.
fn programs(score: &Score) -> Vec<(u32, u8, u8)> {
    let mut notes: Vec<_> =
        score.tracks.iter().flat_map(|t| t.notes.iter().map(|n| (n.start, n.pitch, t.program))).collect();
    notes.sort_unstable();
    notes
}

#[test]
fn running_status_goes_on_after_meta_events() {
    for (name, expected) in [
        ("midi/running_status_after_text.mid", vec![Fault::RunningStatus]),
        ("midi/running_status_after_bad_tempo.mid", vec![Fault::Meta, Fault::RunningStatus]),
    ] {
        let score = case(name);
        assert_eq!(heard(&score), [(60, 0, 100), (62, 100, 150)], "{name}");
        assert_eq!(faults(&score), expected, "{name}");
    }
}

#[test]
fn bytes_that_have_no_place_do_not_cost_the_file() {
    for (name, fault) in [("midi/realtime_byte_in_track.mid", Fault::System), ("midi/velocity_200.mid", Fault::Data)] {
        let score = case(name);
        assert_eq!(heard(&score), [(60, 0, 100), (62, 100, 150)], "{name}");
        assert_eq!(faults(&score), [fault], "{name}");
    }
}

#[test]
fn controllers_end_pedal_and_notes() {
    assert_eq!(performed(&case("midi/controller_121_lifts_pedal.mid")), [(60, 0, 100), (62, 100, 200)]);
    assert_eq!(performed(&case("midi/controller_123_ends_notes.mid")), [(60, 0, 50), (62, 100, 150)]);
    // Controller 120 cuts off what the pedal holds, 124 to 127 end notes as 123 does.
    let with = |number: u8, value: u8| {
        let track =
            [0, 0xb0, 64, 127, 0, 0x90, 60, 80, 48, 0x80, 60, 0, 48, 0xb0, number, value, 96, 64, 0, 0, 0xff, 0x2f, 0];
        let head = b"MThd\0\0\0\x06\0\0\0\x01\0\x60MTrk\0\0\0\x17";
        Score::from_bytes(&[&head[..], &track].concat()).unwrap()
    };
    assert_eq!(performed(&with(120, 0)), [(60, 0, 50)]);
    assert_eq!(performed(&with(121, 0)), [(60, 0, 50)]);
    assert_eq!(performed(&with(123, 0)), [(60, 0, 100)]);
    assert_eq!(performed(&with(7, 90)), [(60, 0, 100)]);
}

#[test]
fn until_the_first_tempo_it_is_120() {
    let score = case("midi/first_tempo_after_bar_1.mid");
    assert!((score.tempo() - 120.0).abs() < 1e-9);
    let (low, high) = score.tempo_range().unwrap();
    assert!((low - 60.0).abs() < 1e-9 && (high - 120.0).abs() < 1e-9);
    assert_eq!(case("midi/prompt_sax_90_bpm.mid").tempo_range(), None);
}

#[test]
fn a_channel_of_one_port_is_not_that_of_another() {
    let score = case("midi/two_ports.mid");
    assert_eq!(performed(&score)[1], (60, 0, 25), "{:?}", performed(&score));
    let ports: Vec<_> = score.tracks.iter().map(|t| (t.port, t.channel, t.program, t.pedals.len())).collect();
    assert_eq!(ports, [(0, 0, 12, 0), (1, 0, 0, 1)]);
    let bytes = score.to_bytes();
    assert_eq!(Score::from_bytes(&bytes).unwrap(), score);
    assert!(bytes.windows(4).any(|w| w == [0xff, 0x21, 1, 1]));
    // Players that know of no ports give each note its instrument all the same.
    assert_eq!(replayed(&bytes), programs(&score));
}

fn one(name: &str, program: u8, notes: &[(u32, u32, u8)]) -> Score {
    let mut score = Score::new(480);
    let notes = notes.iter().map(|&(start, end, pitch)| Note { start, pitch, end, velocity: 80 }).collect();
    score.tracks.push(Track { name: name.into(), program, notes, ..Track::default() });
    score
}

#[test]
fn every_note_keeps_the_instrument_it_had() {
    let score = case("midi/program_changes_in_a_channel.mid");
    let instruments = |score: &Score| replayed(&score.to_bytes()).iter().map(|n| n.2).collect::<Vec<_>>();
    assert_eq!(instruments(&score), [65, 65, 26, 26]);
    assert_eq!(instruments(&score.transpose(3).unwrap()), [65, 65, 26, 26]);
    assert_eq!(instruments(&score.slice(0.75, 2.0).unwrap()), [65, 26, 26]);
    assert_eq!(instruments(&score.append(&score)), [65, 65, 26, 26, 65, 65, 26, 26]);
    // Two tracks on one channel, in turn and at once, and one piece after another.
    let sax = one("sax", 65, &[(0, 480, 60), (960, 1440, 60), (1440, 1500, 62)]);
    let bass = one("bass", 32, &[(480, 960, 40), (960, 1440, 40), (1440, 1500, 40)]);
    let mut both = sax.clone();
    both.tracks.extend(bass.tracks.clone());
    for score in [both, sax.append(&bass), bass.append(&sax).append(&bass), case("midi/bends_controllers_lyrics.mid")] {
        assert_eq!(replayed(&score.to_bytes()), programs(&score));
        assert_eq!(Score::from_bytes(&score.to_bytes()).unwrap(), score);
    }
}

#[test]
fn more_parts_than_channels_keep_their_instruments_and_their_notes() {
    let mut score = Score::new(480);
    for i in 0..70u32 {
        // All hold the same key at the same time, on channels that repeat.
        let part = one(&format!("part {i}"), i as u8, &[(0, 480 + i, 60), (960, 1440, 50 + i as u8)]);
        score.tracks.push(Track { channel: [0, 1, 2][i as usize % 3], ..part.tracks[0].clone() });
    }
    let bytes = score.to_bytes();
    assert_eq!(replayed(&bytes), programs(&score));
    let again = Score::from_bytes(&bytes).unwrap();
    for (before, after) in score.tracks.iter().zip(&again.tracks) {
        assert_eq!((&after.name, after.program, &after.notes), (&before.name, before.program, &before.notes));
        assert_ne!(after.channel, 9, "no part becomes drums");
    }
    let mut places: Vec<(u8, u8)> = again.tracks.iter().map(|t| (t.port, t.channel)).collect();
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), 70, "each part that shares keys with another has a channel of its own");
}

#[test]
fn a_part_that_is_given_a_channel_takes_its_settings_along() {
    // Volume, then two programs that hold one key at a time.
    let track = [
        0, 0xb0, 7, 60, 0, 0xc0, 65, 0, 0x90, 60, 80, 48, 0xc0, 26, 0, 0x90, 60, 80, 48, 60, 0, 48, 60, 0, 0, 0xff,
        0x2f, 0,
    ];
    let head = b"MThd\0\0\0\x06\0\0\0\x01\0\x60MTrk\0\0\0\x1c";
    let score = Score::from_bytes(&[&head[..], &track].concat()).unwrap();
    let again = Score::from_bytes(&score.to_bytes()).unwrap();
    assert_eq!(replayed(&score.to_bytes()), [(0, 60, 65), (48, 60, 26)]);
    assert_ne!(again.tracks[0].channel, again.tracks[1].channel);
    for track in &again.tracks {
        assert!(track.events.iter().any(|e| e.message == Message::Controller { number: 7, value: 60 }), "{track:?}");
    }
}

/// How often each kind of event that no note needs is in a file.
fn kept(score: &Score) -> Vec<(String, usize)> {
    let name = |message: &Message| match message {
        Message::Controller { number, value } => format!("controller {number} {value}"),
        Message::Program(program) => format!("program {program}"),
        Message::Bend(bend) => format!("bend {bend}"),
        Message::Pressure(value) => format!("pressure {value}"),
        Message::KeyPressure { pitch, value } => format!("key pressure {pitch} {value}"),
        Message::Meta { kind, data } => format!("meta {kind} {}", String::from_utf8_lossy(data)),
        Message::SysEx(_) | Message::Escape(_) => "system".into(),
    };
    let mut counts = std::collections::BTreeMap::new();
    let all = score.events.iter().chain(score.tracks.iter().flat_map(|t| &t.events));
    all.for_each(|e| *counts.entry(name(&e.message)).or_insert(0) += 1);
    counts.into_iter().collect()
}

#[test]
fn what_a_score_does_not_use_is_written_again() {
    let score = case("midi/bends_controllers_lyrics.mid");
    let names: Vec<String> = kept(&score).into_iter().map(|k| k.0).collect();
    assert_eq!(
        names,
        [
            "bend 0",
            "bend 2048",
            "controller 10 20",
            "controller 11 90",
            "controller 7 100",
            "meta 2 (c) me",
            "meta 5 la",
            "pressure 50",
            "program 25",
            "program 26",
            "program 65"
        ]
    );
    let again = |score: &Score| kept(&Score::from_bytes(&score.to_bytes()).unwrap());
    let edits = [
        score.clone(),
        score.transpose(5).unwrap(),
        score.stretch(2.0).unwrap(),
        score.slice(0.0, 100.0).unwrap(),
        score.trim(),
        score.resample(960),
        score.append(&one("other", 0, &[(0, 10, 60)])),
        one("other", 0, &[(0, 10, 60)]).append(&score),
    ];
    for (i, edit) in edits.iter().enumerate() {
        let now = again(edit);
        for kind in kept(&score) {
            assert!(now.iter().any(|k| k.0 == kind.0 && k.1 >= kind.1), "edit {i} lost {kind:?}: {now:?}");
        }
        assert_eq!(edit.keys[0].minor, score.keys[0].minor);
    }
    let twice = again(&score.append(&score));
    assert!(kept(&score).iter().all(|(name, n)| twice.iter().any(|t| t.0 == *name && t.1 >= 2 * n)), "{twice:?}");
    let markers: Vec<&str> = score.markers.iter().map(|m| m.text.as_str()).collect();
    assert_eq!(markers, ["Verse", "chord:Dm7"]);
}

fn wave(score: &Score) -> Wave {
    let (font, settings) = (Font::built_in().unwrap(), Settings { rate: 24_000, channels: 1, ..Settings::FILE });
    audio::play(score, &font, &audio::part(score, &settings), &settings, &Progress::silent()).unwrap()
}

/// How loud it is between two moments, in seconds.
fn loudness(wave: &Wave, from: f64, to: f64) -> f32 {
    let samples = &wave.samples[(from * 24_000.0) as usize..(to * 24_000.0) as usize];
    (samples.iter().map(|s| s * s).sum::<f32>() / samples.len() as f32).sqrt()
}

#[test]
fn a_note_sounds_to_its_own_end() {
    let wave = wave(&case("audio/overlap_same_pitch.mid"));
    assert!(loudness(&wave, 2.5, 2.9) > 0.05 && loudness(&wave, 3.5, 4.0) < 0.01, "{}", loudness(&wave, 2.5, 2.9));
}

#[test]
fn a_rest_at_the_beginning_is_a_rest() {
    let wave = wave(&case("audio/rest_of_10_s.mid"));
    let first = wave.samples.iter().position(|s| s.abs() > 0.02).unwrap();
    assert!((9.99..10.05).contains(&(first as f64 / 24_000.0)), "{first}");
}

#[test]
fn more_tracks_than_channels_sound_as_what_they_are() {
    let score = case("audio/sixteen_tracks.mid");
    assert_eq!(score.tracks.iter().filter(|t| !t.notes.is_empty()).count(), 16);
    // The bass alone, and with fifteen tracks that are silenced: the same sound.
    let bass = Score { tracks: vec![score.tracks[0].clone()], ..score.clone() };
    let mut others = score.clone();
    for track in &mut others.tracks[1..] {
        track.notes.iter_mut().for_each(|n| n.velocity = 1);
    }
    let (alone, together) = (wave(&bass), wave(&others));
    let count = alone.samples.len().min(together.samples.len());
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
    let (a, b) = (&alone.samples[..count], &together.samples[..count]);
    let likeness = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
    assert!(likeness > 0.9, "{likeness}");
}
