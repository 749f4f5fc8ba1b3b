//! Files written byte by byte.

use super::*;
use crate::midi::{Fault, Message, Note, Pedal};

/// A file of some format and timing.
fn file(format: u8, timing: [u8; 2], tracks: &[&[u8]]) -> Vec<u8> {
    let mut bytes = b"MThd\0\0\0\x06\0".to_vec();
    bytes.extend([format, 0, tracks.len() as u8, timing[0], timing[1]]);
    for track in tracks {
        bytes.extend(b"MTrk");
        bytes.extend((track.len() as u32).to_be_bytes());
        bytes.extend(*track);
    }
    bytes
}

/// 96 ticks a quarter.
const PPQ: [u8; 2] = [0, 96];
const END: [u8; 4] = [0, 0xff, 0x2f, 0];

fn one_track(events: &[u8]) -> Vec<u8> {
    file(1, PPQ, &[&[events, &END].concat()])
}

fn read(bytes: &[u8]) -> Score {
    Score::from_bytes(bytes).unwrap_or_else(|e| panic!("{e}"))
}

fn refusal(bytes: &[u8]) -> String {
    Score::from_bytes(bytes).expect_err("it makes no sense").message().to_owned()
}

fn spans(track: &crate::midi::Track) -> Vec<(u8, u32, u32)> {
    track.notes.iter().map(|n| (n.pitch, n.start, n.end)).collect()
}

#[test]
fn running_status_and_silent_note_ons() {
    let score = read(&one_track(&[0, 0x90, 60, 80, 48, 60, 0, 0, 62, 81, 48, 62, 0]));
    assert_eq!(spans(&score.tracks[0]), [(60, 0, 48), (62, 48, 96)]);
    assert_eq!(score.tracks[0].notes[1].velocity, 81);
    assert!((score.duration() - 0.5).abs() < 1e-12);
}

#[test]
fn a_chunk_becomes_a_track_for_every_channel_and_program() {
    let score = read(&file(
        0,
        PPQ,
        &[&[
            &[0, 0xff, 3, 1, b'x', 0, 0xc1, 5, 0, 0x90, 60, 80, 0, 0x91, 61, 80, 10, 0x80, 60, 0, 0, 0x81, 61, 0][..],
            &[0, 0xc1, 6, 0, 0x91, 62, 80, 10, 62, 0],
            &END,
        ]
        .concat()],
    ));
    let tracks: Vec<_> = score.tracks.iter().map(|t| (t.name.as_str(), t.channel, t.program, t.notes.len())).collect();
    assert_eq!(tracks, [("x", 0, 0, 1), ("x", 1, 5, 1), ("x", 1, 6, 1)]);
}

#[test]
fn a_program_set_before_the_music_holds_in_later_tracks() {
    let first = [&[0, 0xc0, 24, 0, 0xff, 3, 1, b'a'][..], &END].concat();
    let second = [&[0, 0x90, 60, 80, 10, 60, 0, 0, 0xc0, 30][..], &END].concat();
    let score = read(&file(1, PPQ, &[&first, &second, &second]));
    let tracks: Vec<_> = score.tracks.iter().map(|t| (t.name.as_str(), t.program, t.notes.len())).collect();
    assert_eq!(tracks, [("a", 24, 0), ("", 24, 1), ("", 24, 1)]);
}

#[test]
fn patterns_of_format_2_follow_each_other() {
    let slow = [&[0, 0xff, 0x51, 3, 0x0f, 0x42, 0x40, 0, 0x90, 60, 80, 96, 60, 0][..], &END].concat();
    let plain = [&[0, 0x90, 62, 80, 96, 62, 0][..], &END].concat();
    let score = read(&file(2, PPQ, &[&slow, &plain]));
    assert_eq!(spans(&score.tracks[0]), [(60, 0, 96), (62, 96, 192)]);
    // A second at a quarter a second, then the default again.
    assert!((score.duration() - 1.5).abs() < 1e-12);
}

#[test]
fn smpte_time_is_exact_and_tempi_mean_nothing_in_it() {
    let events = [&[0, 0xff, 0x51, 3, 0x0f, 0x42, 0x40, 0, 0x90, 60, 80, 0x87, 0x68, 60, 0][..], &END].concat();
    let seconds = |frames: u8, ticks| read(&file(1, [frames.wrapping_neg(), ticks], &[&events])).duration();
    // 1000 ticks.
    assert!((seconds(25, 40) - 1.0).abs() < 1e-12);
    assert!((seconds(24, 4) - 1000.0 / 96.0).abs() < 1e-9);
    assert!((seconds(29, 100) - 1000.0 * 1.001 / 3000.0).abs() < 1e-12);
}

#[test]
fn a_riff_wrapper_is_taken_off() {
    let inner = one_track(&[0, 60, 80]);
    let mut riff = b"RIFF\0\0\0\0RMIDinfo\x03\0\0\0abc\0data".to_vec();
    riff.extend((inner.len() as u32).to_le_bytes());
    let start = riff.len();
    riff.extend(&inner);
    // Offsets count from the start of the file, wrapper and all.
    assert!(refusal(&riff).starts_with(&format!("offset {}: no MIDI event begins with 00 3c", start + 22)));
    riff.truncate(start);
    riff.extend(one_track(&[0, 0x90, 60, 80]));
    assert_eq!(read(&riff).len(), 1);
    assert!(refusal(b"RIFF\0\0\0\0WAVEdata").contains("not a MIDI file"));
    assert!(refusal(b"RIFF\0\0\0\0RMIDlist\xff\xff\xff\xff").contains("without a 'data' chunk"));
}

#[test]
fn a_note_without_an_end_ends_with_its_track() {
    assert_eq!(spans(&read(&one_track(&[0, 0x90, 60, 80, 48, 0xb0, 1, 1])).tracks[0]), [(60, 0, 48)]);
    let again = read(&one_track(&[0, 0x90, 60, 80, 48, 60, 80, 48, 60, 0]));
    assert_eq!(spans(&again.tracks[0]), [(60, 0, 48), (60, 48, 96)]);
}

#[test]
fn a_last_track_may_be_cut_off_anywhere() {
    let whole =
        one_track(&[0, 0x90, 60, 80, 48, 60, 0, 0, 62, 81, 0x81, 0x00, 62, 0, 0, 0xff, 3, 4, b'n', b'a', b'm', b'e']);
    let notes = |length: usize| read(&whole[..length]).len();
    let counts: Vec<usize> = (22..whole.len()).map(notes).collect();
    assert!(counts.is_sorted() && counts[0] == 0 && counts[counts.len() - 1] == 2, "{counts:?}");
    assert!(refusal(&whole[..20]).contains("no track begins here (0 of 1 found so far)"));
}

/// The repairs, without their offsets.
fn faults(score: &Score) -> Vec<(Fault, usize)> {
    score.repairs.iter().map(|r| (r.fault, r.count)).collect()
}

#[test]
fn bytes_that_are_no_events_are_named_with_their_offset() {
    assert_eq!(refusal(&one_track(&[0, 60, 80])), "offset 22: no MIDI event begins with 00 3c 50 00 ff 2f");
    assert!(refusal(&one_track(&[0, 0xff, 1, 1, b'x', 5, 60, 80])).starts_with("offset 27:"));
}

#[test]
fn bytes_of_the_wire_and_values_above_127_do_not_cost_the_file() {
    let score = read(&one_track(&[0, 0x90, 60, 200, 5, 0xf4, 5, 0xf1, 7, 0, 60, 0]));
    assert_eq!(spans(&score.tracks[0]), [(60, 0, 10)]);
    assert_eq!(score.tracks[0].notes[0].velocity, 127);
    assert_eq!(faults(&score), [(Fault::Data, 1), (Fault::System, 2)]);
    assert_eq!(score.repairs[0].offset, 25);
}

#[test]
fn lengths_of_tracks_that_make_no_sense_are_put_right() {
    let track = [&[0, 0x90, 60, 80, 48, 60, 0][..], &END].concat();
    let good = file(1, PPQ, &[&track, &track, &track]);
    let whole = read(&good);
    // The length of the first, then of the last track.
    for at in [18, 18 + 2 * (8 + track.len())] {
        for length in [0, 1, 3, 10, 12, 20, 40, 100, 0xffff, 0x7fff_ffff, 0xffff_ffff_u32] {
            let mut bytes = good.clone();
            bytes[at..at + 4].copy_from_slice(&length.to_be_bytes());
            let score = read(&bytes);
            // A short last track is followed by bytes that need not make sense.
            assert_eq!(score.len(), whole.len(), "length {length} at {at}");
            assert_eq!(score.tracks, whole.tracks, "length {length} at {at}");
            assert!(faults(&score).iter().any(|f| f.0 == Fault::Length), "{:?}", score.repairs);
        }
    }
    assert_eq!(faults(&whole), []);
}

#[test]
fn what_stands_before_between_and_after_is_passed_over() {
    let note = [&[0, 0x90, 60, 80, 48, 60, 0][..], &END].concat();
    let plain = file(1, PPQ, &[&note, &note]);
    let at = 14 + 8 + note.len();
    let gap = [&plain[..at], b"\0\0\0\0\0", &plain[at..]].concat();
    let leading = [&[7; 128][..], &plain].concat();
    let mut more = plain.clone();
    more[11] = 9;
    for (bytes, fault) in [(gap, Fault::Gap), (leading, Fault::Leading), (more, Fault::Tracks)] {
        let score = read(&bytes);
        assert_eq!((score.len(), faults(&score)), (2, vec![(fault, 1)]));
    }
}

#[test]
fn headers_are_put_right_where_a_track_follows() {
    let note = [&[0, 0x90, 60, 80, 48, 60, 0][..], &END].concat();
    let good = file(1, PPQ, &[&note]);
    for (at, value, fault) in
        [(7, 0, Fault::Header), (7, 9, Fault::Header), (9, 7, Fault::Header), (13, 0, Fault::Division)]
    {
        let mut bytes = good.clone();
        bytes[at] = value;
        let score = read(&bytes);
        assert_eq!((score.len(), faults(&score)), (1, vec![(fault, 1)]), "{at}");
    }
}

#[test]
fn all_notes_off_in_another_track_ends_what_sounds() {
    let notes =
        [&[0, 0x90, 60, 80, 96, 0xff, 1, 1, b'x', 0, 0x90, 62, 80, 96, 0x80, 60, 0, 0, 62, 0][..], &END].concat();
    let off = [&[48, 0xb0, 123, 0][..], &END].concat();
    for tracks in [[&notes[..], &off[..]], [&off, &notes]] {
        assert_eq!(spans(&read(&file(1, PPQ, &tracks)).tracks[0]), [(60, 0, 48), (62, 96, 192)]);
    }
}

#[test]
fn what_a_score_does_not_use_is_kept_where_it_was() {
    let events = [
        &[0, 0xff, 2, 1, b'c', 0, 0xb0, 7, 90, 0, 0xc0, 5, 0, 0x90, 60, 80, 5, 0xe0, 0, 80, 0, 0xd0, 9][..],
        &[5, 0xa0, 60, 7, 0, 0xf0, 2, 1, 0xf7, 0, 0x80, 60, 0, 0, 0xe0, 0, 64, 0, 0xff, 5, 2, b'l', b'a'],
        &[0, 0xff, 0x7f, 1, 9, 9, 0xc0, 30],
    ]
    .concat();
    let score = read(&one_track(&events));
    let message = |number, value| Message::Controller { number, value };
    let meta = |kind, data: &[u8]| Message::Meta { kind, data: data.into() };
    let expected = [
        (0, meta(2, b"c")),
        (0, message(7, 90)),
        (0, Message::Program(5)),
        (5, Message::Bend(2048)),
        (5, Message::Pressure(9)),
        (10, Message::SysEx([1, 0xf7].into())),
        (10, meta(5, b"la")),
        (10, meta(0x7f, &[9])),
        (10, Message::KeyPressure { pitch: 60, value: 7 }),
        (10, Message::Bend(0)),
        (19, Message::Program(30)),
    ];
    let messages: Vec<(u32, Message)> = score.tracks[0].events.iter().map(|e| (e.tick, e.message.clone())).collect();
    assert_eq!(messages, expected);
    let again = read(&score.to_bytes());
    assert_eq!((&again, &again.tracks[0].events), (&score, &score.tracks[0].events));
}

#[test]
fn settings_of_channels_without_notes_are_the_scores() {
    let setup = [&[0, 0xff, 1, 2, b'h', b'i', 0, 0xff, 0x21, 1, 2, 0, 0xb3, 7, 50, 0, 0xc0, 24][..], &END].concat();
    let notes = [&[0, 0x90, 60, 80, 10, 60, 0][..], &END].concat();
    let score = read(&file(1, PPQ, &[&setup, &notes]));
    assert_eq!((score.tracks.len(), score.events.len()), (1, 3));
    // Channel 1 of port 2 is not that of port 0.
    assert_eq!(score.tracks[0].program, 0);
    let addresses: Vec<_> = score.events.iter().map(|e| (e.message.is_channel(), e.port, e.channel)).collect();
    assert_eq!(addresses, [(false, 0, 0), (true, 2, 0), (true, 2, 3)]);
    assert_eq!(read(&score.to_bytes()), score);
}

#[test]
fn programs_that_another_track_changes_hold_from_there() {
    let changes = [&[0, 0xc0, 5, 96, 0xc0, 20][..], &END].concat();
    let notes = [&[0, 0x90, 60, 80, 48, 60, 0, 48, 62, 80, 48, 62, 0][..], &END].concat();
    let score = read(&file(1, PPQ, &[&changes, &notes]));
    let tracks: Vec<_> = score.tracks.iter().map(|t| (t.program, spans(t))).collect();
    assert_eq!(tracks, [(5, vec![(60, 0, 48)]), (20, vec![(62, 96, 144)])]);
    assert_eq!(read(&score.to_bytes()), score);
}

#[test]
fn events_after_an_end_of_track_count_while_they_make_sense() {
    let note = [0, 0x90, 60, 80, 48, 60, 0];
    assert_eq!(read(&one_track(&[&END[..], &note].concat())).len(), 1);
    assert_eq!(read(&one_track(&[&note[..], &END, &[0, 0xf4, 9]].concat())).len(), 1);
}

#[test]
fn a_meta_event_of_a_wrong_length_is_stepped_over() {
    let score = read(&one_track(&[5, 0xff, 0x59, 1, 3, 5, 0xff, 0x58, 1, 3, 0, 0x90, 60, 80, 48, 60, 0]));
    assert_eq!(spans(&score.tracks[0]), [(60, 10, 58)]);
    assert_eq!((score.keys.len(), score.meters.len()), (0, 0));
}

#[test]
fn maps_markers_and_names() {
    let events = [
        &[0, 0xff, 0x58, 4, 6, 3, 24, 8, 0, 0xff, 0x59, 2, 0xfd, 1, 0, 0xff, 3, 4, b'F', 0xfc, b'r', 0][..],
        &[
            7, 0xff, 6, 2, 0xc3, 0xa9, 1, 0xff, 7, 1, b'c', 0, 0xff, 0x51, 3, 7, 0xa1, 0x20, 0, 0xff, 0x51, 3, 7, 0xa1,
            0x21,
        ],
        &[0, 0xff, 0x51, 3, 0, 0, 0, 0, 0xff, 0x58, 4, 0, 2, 24, 8, 0, 0xff, 0x58, 4, 3, 99, 24, 8],
    ]
    .concat();
    let score = read(&one_track(&events));
    let meter = score.meters[0];
    assert_eq!((score.meters.len(), meter.numerator, meter.denominator), (1, 6, 8));
    assert_eq!((score.keys[0].sharps, score.keys[0].minor), (-3, true));
    assert_eq!(score.tracks[0].name, "Für");
    let markers: Vec<(u32, &str)> = score.markers.iter().map(|m| (m.tick, m.text.as_str())).collect();
    assert_eq!(markers, [(7, "é")]);
    // A cue point is kept beside them.
    assert_eq!((score.tracks[0].events.len(), score.tracks[0].events[0].tick), (1, 8));
    // Of two tempi at one tick the later counts; none is infinitely fast.
    assert_eq!(score.tempos, [Tempo { tick: 8, micros_per_quarter: 500_001 }]);
}

#[test]
fn the_pedal_of_one_track_holds_the_notes_of_another() {
    let pedal = [&[0, 0xb0, 64, 127, 0, 0x90, 60, 80, 10, 60, 0, 90, 0xb0, 64, 0][..], &END].concat();
    let notes = [&[5, 0x90, 62, 80, 10, 62, 0][..], &END].concat();
    let score = read(&file(1, PPQ, &[&pedal, &notes]));
    assert_eq!(score.tracks[1].pedals, [Pedal { start: 0, end: 100 }]);
    assert_eq!(score.tracks[0].pedals, score.tracks[1].pedals);
}

#[test]
fn a_pedal_before_the_program_makes_no_track_of_its_own() {
    let score = read(&one_track(&[0, 0xb0, 64, 127, 0, 0xc0, 5, 0, 0x90, 60, 80, 10, 60, 0, 90, 0xb0, 64, 0]));
    let tracks: Vec<_> = score.tracks.iter().map(|t| (t.program, t.notes.len(), t.pedals.len())).collect();
    assert_eq!(tracks, [(5, 1, 1)]);
}

#[test]
fn headers_that_make_no_sense_are_refused() {
    let cases: [(&[u8], &str); 6] = [
        (b"", "offset 0: not a MIDI file"),
        (b"ID3 music", "offset 0: not a MIDI file"),
        (b"MThd\0\0\0\x06\0\x01", "offset 10: the file ends inside its header"),
        (b"MThd\0\0\0\x05\0\x01\0\x01\0\x60", "offset 4: a header of 5 bytes"),
        (b"MThd\0\0\0\x06\0\x03\0\x01\0\x60", "offset 8: format 3"),
        (b"MThd\0\0\0\x06\0\x01\0\x01\xff\x04", "offset 12: 1 frames"),
    ];
    for (bytes, message) in cases {
        assert!(refusal(bytes).starts_with(message), "{}", refusal(bytes));
    }
    assert!(read(&file(1, PPQ, &[])).is_empty());
}

#[test]
fn a_longer_header_foreign_chunks_and_junk_at_the_end_are_stepped_over() {
    let mut bytes = b"MThd\0\0\0\x08\0\x01\0\x01\0\x60zzXFIH\0\0\0\x02..".to_vec();
    bytes.extend(&one_track(&[0, 0x90, 60, 80, 10, 60, 0])[14..]);
    bytes.extend(b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(read(&bytes).len(), 1);
}

#[test]
fn ticks_reach_beyond_31_bits_and_what_comes_after_32_is_left_out() {
    // 2^28 − 1 ticks of silence.
    let wait = [0xff, 0xff, 0xff, 0x7f, 0xff, 1, 0];
    let late = |waits| one_track(&[&wait.repeat(waits)[..], &[0, 0x90, 60, 80, 1, 60, 0]].concat());
    let score = read(&late(12));
    assert_eq!(spans(&score.tracks[0]), [(60, 0xbfff_fff4, 0xbfff_fff5)]);
    assert_eq!(faults(&score), []);
    assert_eq!(read(&score.to_bytes()), score);
    let score = read(&late(17));
    assert_eq!((score.len(), faults(&score)), (0, vec![(Fault::Late, 1)]));
    let long = [&wait.repeat(15)[..], &[0, 0x90, 60, 80, 1, 60, 0], &END].concat();
    assert!(refusal(&file(2, PPQ, &[&long, &long])).contains("this pattern ends past tick"));
}

#[test]
fn a_file_is_named_where_it_cannot_be_read() {
    let error = Score::read("no/such/file.mid").expect_err("it is missing");
    assert!(error.message().contains("no/such/file.mid") && error.hint().is_some(), "{error}");
    let folder = tempfile::tempdir().expect("a folder");
    assert!(Score::read(folder.path()).expect_err("a folder").hint().is_some_and(|h| h.contains("folder")));
    let path = folder.path().join("junk.mid");
    std::fs::write(&path, b"MThd").expect("written");
    let error = Score::read(&path).expect_err("it is cut off");
    assert!(error.message().contains("junk.mid: offset 4"), "{error}");
}

#[test]
fn what_was_written_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.mid");
    let score = read(&one_track(&[0, 0x90, 60, 80, 10, 60, 0]));
    score.write(&path).expect("written");
    assert_eq!(Score::read(&path).expect("read"), score);
    assert_eq!(score.tracks[0].notes, [Note { start: 0, pitch: 60, end: 10, velocity: 80 }]);
}

#[test]
fn a_rest_at_the_end_is_kept() {
    let score = read(&file(1, PPQ, &[&[0, 0x90, 60, 80, 96, 60, 0, 0x82, 0x20, 0xff, 0x2f, 0]]));
    assert_eq!((score.end(), score.length, score.close()), (96, 384, 384));
    assert_eq!(read(&score.to_bytes()), score);
    let twice = score.append(&score);
    assert_eq!((twice.tracks[0].notes[1].start, twice.length), (384, 768));
    assert_eq!((score.slice_ticks(48, 200).length, score.resample(48).length), (152, 192));
    assert_eq!(read(&one_track(&[0, 0x90, 60, 80, 96, 60, 0])).length, 0);
}

#[test]
fn half_pedals_are_kept() {
    let pedal = [0, 0xb0, 64, 80, 10, 64, 30, 10, 64, 127, 10, 64, 0, 10, 0x90, 60, 0];
    let score = read(&one_track(&[&[0, 0x90, 60, 80][..], &pedal].concat()));
    let track = &score.tracks[0];
    assert_eq!(track.pedals, [Pedal { start: 0, end: 10 }, Pedal { start: 20, end: 30 }]);
    let values: Vec<(u32, Message)> = track.events.iter().map(|e| (e.tick, e.message.clone())).collect();
    let value = |value| Message::Controller { number: 64, value };
    assert_eq!(values, [(0, value(80)), (10, value(30))]);
    let bytes = score.to_bytes();
    assert_eq!(read(&bytes), score);
    let count_of = |value: u8| bytes.windows(2).filter(|pair| *pair == [64, value]).count();
    assert_eq!([80, 30, 127, 0].map(count_of), [1, 1, 1, 1], "each is sent once");
    // A pedal that was touched does not hold what comes later.
    assert_eq!(score.slice_ticks(12, 40).tracks[0].pedals, [Pedal { start: 8, end: 18 }]);
    assert!(score.slice_ticks(12, 40).tracks[0].events.is_empty());
}

#[test]
fn a_device_name_is_a_port() {
    let track = |name: u8, port: &[u8], key: u8| {
        [&[0, 0xff, 9, 1, name][..], port, &[0, 0x90, key, 80, 96, key, 0], &END].concat()
    };
    let tracks = [track(b'A', &[], 60), track(b'B', &[], 62), track(b'A', &[], 64)];
    let score = read(&file(1, PPQ, &tracks.each_ref().map(Vec::as_slice)));
    let ports = |score: &Score| score.tracks.iter().map(|t| t.port).collect::<Vec<_>>();
    assert_eq!(ports(&score), [0, 1, 0]);
    assert_eq!(read(&score.to_bytes()), score);
    // What says its number is believed.
    let tracks = [track(b'A', &[0, 0xff, 0x21, 1, 0], 60), track(b'B', &[0, 0xff, 0x21, 1, 0], 62)];
    let score = read(&file(1, PPQ, &tracks.each_ref().map(Vec::as_slice)));
    assert_eq!(ports(&score), [0, 0]);
    assert_eq!(ports(&read(&score.to_bytes())), [0, 0]);
}
