//! Files written byte by byte.

use super::*;
use crate::midi::{Note, Pedal};

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
    let inner = one_track(&[0, 0x90, 60, 80, 48, 60, 0, 0, 0xf4]);
    let mut riff = b"RIFF\0\0\0\0RMIDinfo\x03\0\0\0abc\0data".to_vec();
    riff.extend((inner.len() as u32).to_le_bytes());
    let start = riff.len();
    riff.extend(&inner);
    // Offsets count from the start of the file, wrapper and all.
    assert!(refusal(&riff).starts_with(&format!("offset {}: no MIDI event begins with 00 f4", start + 29)));
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

#[test]
fn bytes_that_are_no_events_are_named_with_their_offset() {
    assert_eq!(
        refusal(&one_track(&[0, 0x90, 60, 80, 5, 0xf4, 1])),
        "offset 26: no MIDI event begins with 05 f4 01 00 ff 2f"
    );
    assert!(refusal(&one_track(&[0, 60, 80])).starts_with("offset 22:"));
    assert!(refusal(&one_track(&[0, 0x90, 60, 0x90])).starts_with("offset 22:"));
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
    assert_eq!(markers, [(7, "é"), (8, "c")]);
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
    let cases: [(&[u8], &str); 7] = [
        (b"", "offset 0: not a MIDI file"),
        (b"ID3 music", "offset 0: not a MIDI file"),
        (b"MThd\0\0\0\x06\0\x01", "offset 10: the file ends inside its header"),
        (b"MThd\0\0\0\x05\0\x01\0\x01\0\x60", "offset 4: a header of 5 bytes"),
        (b"MThd\0\0\0\x06\0\x03\0\x01\0\x60", "offset 8: format 3"),
        (b"MThd\0\0\0\x06\0\x01\0\x01\0\0", "offset 12: no ticks in a quarter note"),
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
fn silence_without_end_is_refused() {
    let wait = [0xff, 0xff, 0xff, 0x7f, 0xff, 1, 0];
    assert!(read(&one_track(&wait.repeat(7))).is_empty());
    assert!(refusal(&one_track(&wait.repeat(9))).contains("lead past tick 2147483647"));
    let long = [&wait.repeat(7)[..], &[0, 0x90, 60, 80, 1, 60, 0], &END].concat();
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
