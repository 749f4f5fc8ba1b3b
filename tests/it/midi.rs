//! Reading what was written, and whatever else a file may hold.

use etude::harmony::{chord_markers, recognize};
use etude::midi::{Key, Marker, Meter, Note, Pedal, Score, Tempo, Track};
use proptest::collection::vec;
use proptest::prelude::*;

/// Notes of one track, those of one pitch one after the other.
fn notes() -> impl Strategy<Value = Vec<Note>> {
    vec((0u8..128, 0u32..500, 1u32..2000, 1u8..128), 0..40).prop_map(|parts| {
        let mut free = [0u32; 128];
        let mut notes: Vec<Note> = parts
            .into_iter()
            .map(|(pitch, wait, length, velocity)| {
                let start = free[usize::from(pitch)] + wait;
                free[usize::from(pitch)] = start + length;
                Note { start, pitch, end: start + length, velocity }
            })
            .collect();
        notes.sort_unstable();
        notes
    })
}

fn pedals() -> impl Strategy<Value = Vec<Pedal>> {
    vec((0u32..3000, 1u32..3000), 0..8).prop_map(|parts| {
        let mut now = 0;
        let span = |(wait, length): (u32, u32)| {
            let start = now + wait;
            now = start + length;
            Pedal { start, end: now }
        };
        parts.into_iter().map(span).collect()
    })
}

/// A name or a marker: the text events of MIDI end at a NUL, so none is in it.
fn text() -> impl Strategy<Value = String> {
    "[^\0]{0,20}"
}

/// Ticks in order, each with something.
fn map<T>(values: impl Strategy<Value = T>) -> impl Strategy<Value = Vec<(u32, T)>>
where
    T: std::fmt::Debug,
{
    vec((1u32..400_000_000, values), 0..5).prop_map(|parts| {
        let mut tick = 0;
        let step = |(wait, value)| {
            tick += wait;
            (tick - 1, value)
        };
        parts.into_iter().map(step).collect()
    })
}

/// A track on the channel of its index, so that no pedal works on two.
fn tracks() -> impl Strategy<Value = Vec<Track>> {
    let track = (text(), 0u8..128, notes(), pedals());
    vec(track, 0..6).prop_map(|tracks| {
        let number = |(i, (name, program, notes, pedals)): (usize, (String, u8, Vec<Note>, Vec<Pedal>))| Track {
            name,
            channel: i as u8 * 2,
            program,
            notes,
            pedals,
            ..Track::default()
        };
        let holds_something = |t: &Track| !(t.name.is_empty() && t.notes.is_empty() && t.pedals.is_empty());
        tracks.into_iter().enumerate().map(number).filter(holds_something).collect()
    })
}

fn score() -> impl Strategy<Value = Score> {
    let maps = (map(1u32..0x100_0000), map((1u8..=255, 0u32..8)), map((-7i8..=7, any::<bool>())), map(text()));
    (1u32..0x8000, tracks(), maps).prop_map(|(ticks_per_quarter, tracks, (tempos, meters, keys, markers))| Score {
        ticks_per_quarter,
        tracks,
        tempos: tempos.into_iter().map(|(tick, micros_per_quarter)| Tempo { tick, micros_per_quarter }).collect(),
        meters: meters
            .into_iter()
            .map(|(tick, (numerator, power))| Meter { tick, numerator, denominator: 1 << power })
            .collect(),
        keys: keys.into_iter().map(|(tick, (sharps, minor))| Key { tick, sharps, minor }).collect(),
        markers: markers.into_iter().map(|(tick, text)| Marker { tick, text }).collect(),
        ..Score::new(1)
    })
}

/// What holds of every score that was read, wherever it came from.
fn check(score: &Score) {
    for track in &score.tracks {
        assert!(track.notes.is_sorted() && track.notes.iter().all(|n| n.start < n.end && n.velocity > 0));
        assert!(track.pedals.iter().all(|p| p.start < p.end));
        assert!(track.pedals.is_sorted_by(|a, b| a.end <= b.start));
    }
    assert!(score.tempos.is_sorted_by(|a, b| a.tick < b.tick) && score.meters.is_sorted_by(|a, b| a.tick < b.tick));
    assert!(score.markers.is_sorted_by_key(|m| m.tick));
    let again = Score::from_bytes(&score.to_bytes()).expect("what was written is read");
    let music = |s: &Score| {
        let track = |t: &Track| (t.name.clone(), t.program, t.notes.clone(), t.pedals.clone());
        let tracks: Vec<_> = s.tracks.iter().map(track).collect();
        (tracks, s.tempos.clone(), s.meters.clone(), s.keys.clone(), s.markers.clone())
    };
    assert_eq!(music(&again), music(score), "a score that was read survives writing");
    // Tracks of several programs that hold one key of a channel at a time are given channels of their own, once.
    let third = Score::from_bytes(&again.to_bytes()).expect("what was written is read");
    assert_eq!(third, again, "writing settles");
    let sounds = score.sounds();
    assert_eq!(sounds.len(), score.len());
    assert!(sounds.iter().all(|s| s.start <= s.end && s.end.is_finite() && s.track < score.tracks.len()));
    assert!(score.bars().is_sorted_by(|a, b| a < b));
    assert!(score.duration().is_finite() && score.tempo() > 0.0);
    let half = score.slice(0.0, 1.0 + score.duration() / 2.0).expect("a slice");
    assert!(half.len() <= score.len() && score.trim().len() == score.len());
    assert_eq!(score.append(score).len(), 2 * score.len());
    assert!(recognize(score).is_sorted_by(|a, b| a.tick < b.tick) && chord_markers(score).len() <= score.markers.len());
}

/// A well-formed file with running status, several tracks, a pedal, text, and a RIFF wrapper when `riff`.
fn good_file(riff: bool) -> Vec<u8> {
    let mut score = Score::new(480);
    score.tempos.push(Tempo::from_bpm(97.0));
    score.meters =
        vec![Meter { tick: 0, numerator: 3, denominator: 4 }, Meter { tick: 2880, numerator: 6, denominator: 8 }];
    score.keys.push(Key { tick: 0, sharps: -2, minor: true });
    score.markers.push(Marker { tick: 960, text: "chord:Gm7".into() });
    for channel in 0..3u8 {
        let note = |i: u32| {
            let pitch = 50 + 7 * channel + (i * 5 % 12) as u8;
            Note { start: 240 * i, pitch, end: 240 * i + 230 + 20 * (i % 3), velocity: 60 + i as u8 }
        };
        let mut notes: Vec<Note> = (0..24).map(note).collect();
        notes.sort_unstable();
        let pedals = vec![Pedal { start: 100, end: 900 }, Pedal { start: 1000, end: 1500 }];
        score.tracks.push(Track {
            name: format!("part {channel}"),
            channel,
            program: 3 * channel,
            notes,
            pedals,
            ..Track::default()
        });
    }
    let bytes = score.to_bytes();
    if !riff {
        return bytes;
    }
    let mut wrapped = b"RIFF\0\0\0\0RMIDdata".to_vec();
    wrapped.extend((bytes.len() as u32).to_le_bytes());
    wrapped.extend(bytes);
    wrapped
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_score_reads_back_as_it_was_written(score in score()) {
        prop_assert_eq!(&Score::from_bytes(&score.to_bytes()).expect("it is read"), &score);
    }

    #[test]
    fn any_bytes_are_a_score_or_an_error_with_an_offset(
        format in 0u8..3,
        timing in prop_oneof![Just([0u8, 96]), Just([0xe7, 40]), any::<[u8; 2]>()],
        chunks in vec(vec(any::<u8>(), 0..80), 0..5),
        tail in vec(any::<u8>(), 0..20),
    ) {
        let mut bytes = b"MThd\0\0\0\x06\0".to_vec();
        bytes.extend([format, 0, chunks.len() as u8, timing[0], timing[1]]);
        for chunk in &chunks {
            bytes.extend(b"MTrk");
            bytes.extend((chunk.len() as u32).to_be_bytes());
            bytes.extend(chunk);
        }
        bytes.extend(&tail);
        for bytes in [&bytes[..], &tail] {
            match Score::from_bytes(bytes) {
                Ok(score) => check(&score),
                Err(error) => prop_assert!(error.message().starts_with("offset ") && error.is_mistake(), "{}", error),
            }
        }
    }

    #[test]
    fn a_damaged_file_is_a_score_or_an_error_with_an_offset(
        riff in any::<bool>(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..5), 1..6),
    ) {
        let mut bytes = good_file(riff);
        for (place, value, kind) in damage {
            let at = place.index(bytes.len());
            match kind {
                0 => bytes[at] = value,
                1 => bytes[at] ^= 1 << (value % 8),
                2 => bytes.insert(at, value),
                3 if bytes.len() > 1 => drop(bytes.remove(at)),
                _ => bytes.truncate(at.max(1)),
            }
        }
        match Score::from_bytes(&bytes) {
            Ok(score) => check(&score),
            Err(error) => prop_assert!(error.message().starts_with("offset ") && error.is_mistake(), "{}", error),
        }
    }
}

#[test]
fn every_truncation_and_every_single_bit_is_survived() {
    let good = good_file(false);
    check(&Score::from_bytes(&good).expect("it is good"));
    let mut scores = 0;
    let mut survive = |bytes: &[u8]| match Score::from_bytes(bytes) {
        Ok(score) => {
            assert!(score.tracks.iter().all(|t| t.notes.iter().all(|n| n.start < n.end)));
            scores += 1;
        }
        Err(error) => assert!(error.message().starts_with("offset "), "{error}"),
    };
    for length in 0..good.len() {
        survive(&good[..length]);
    }
    for bit in 0..8 * good.len() {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        survive(&bytes);
    }
    assert!(scores > good.len(), "only {scores} of {} damaged files were read", 9 * good.len());
}

#[test]
fn a_hostile_file_takes_little_time_and_memory() {
    let begun = std::time::Instant::now();
    // A megabyte of tiny chunks, of program changes, of unended notes, of pedal touches, of one long name.
    let chunk = |events: &[u8]| [b"MTrk", &(events.len() as u32).to_be_bytes()[..], events].concat();
    let programs: Vec<u8> = (0..150_000u32)
        .flat_map(|i| [0, 0xc0 | (i % 16) as u8, (i % 128) as u8, 0, 0x90 | (i % 16) as u8, 60, 1])
        .collect();
    let held: Vec<u8> = [0, 0x90, 60, 1].into_iter().chain([0, 60, 1].repeat(330_000)).collect();
    let pedal: Vec<u8> = (0..125_000u32).flat_map(|i| [1, 0xb0, 64, (i % 2 * 127) as u8, 0, 0x90, 60, 1]).collect();
    let mut named = vec![0, 0xff, 3, 0xbf, 0xff, 0x7f];
    named.extend(vec![b'n'; 0xf_ffff]);
    named.extend(&programs);
    let bodies = [chunk(&[]).repeat(130_000), chunk(&programs), chunk(&held), chunk(&pedal), chunk(&named)];
    for format in 0..3 {
        for body in &bodies {
            let mut bytes = b"MThd\0\0\0\x06\0".to_vec();
            bytes.extend([format, 0xff, 0xff, 0, 1]);
            bytes.extend(body);
            let score = Score::from_bytes(&bytes).unwrap_or_else(|e| panic!("{e}"));
            assert!(score.len() <= bytes.len() && score.bars().len() < 2_000_000);
            assert!(format != 1 || recognize(&score).len() < bytes.len());
        }
    }
    assert!(begun.elapsed().as_secs() < 120, "{:?}", begun.elapsed());
}
