//! Charts that are played are recognised.

use super::*;
use crate::harmony::{Chart, Chord, ChordClass, Quality};
use crate::midi::{Note, Track};

fn chart(text: &str) -> Chart {
    text.parse().unwrap_or_else(|e| panic!("{e}"))
}

/// What is heard in a chart played without its markers.
fn heard(text: &str) -> Vec<String> {
    let mut score = chart(text).score(120.0);
    score.markers.clear();
    recognize(&score).iter().map(|c| c.chord.name()).collect()
}

fn confidences(score: &Score) -> Vec<RecognizedChord> {
    recognize_with_confidence(score, &Interrupt::new()).expect("nobody cancels")
}

#[test]
fn what_is_voiced_is_heard() {
    assert_eq!(heard("Dm7 G7 Cmaj7 A7"), ["Dm7", "G7", "Cmaj7", "A7"]);
    assert_eq!(heard("C Am | F G7 | C"), ["C", "Am", "F", "G7", "C"]);
    assert_eq!(heard("C C C F"), ["C", "F"]);
}

#[test]
fn inversions_are_heard_with_their_bass() {
    assert_eq!(heard("C/E F C/G G7/B C"), ["C/E", "F", "C/G", "G7/B", "C"]);
    assert_eq!(heard("C | C/E"), ["C", "C/E"]);
}

#[test]
fn every_family_is_heard_on_every_root() {
    for quality in Quality::ALL {
        for root in 0..12 {
            let class = ChordClass::Some { root, quality };
            // An altered chord in full has seven tones, any of which may be another's; its usual form is the 7#5.
            let name = if quality == Quality::Altered {
                format!("{}7#5", Chord::of_class(class).root().expect("a root"))
            } else {
                Chord::of_class(class).name()
            };
            let found = recognize(&chart(&name).score(100.0));
            // What is common may come first: a minor chord before its major seventh.
            let classes: Vec<ChordClass> = found.iter().map(|c| c.chord.class()).collect();
            assert_eq!(classes.last(), Some(&class), "{name}: {found:?}");
            let roots = found.iter().filter_map(|c| c.chord.root());
            assert!(roots.map(|r| r.pitch_class()).all(|r| r == root), "{name}: {found:?}");
        }
    }
}

#[test]
fn silence_has_no_chord() {
    assert_eq!(recognize(&Score::new(480)), []);
    assert_eq!(heard("N.C. N.C. G7 N.C. C"), ["G7", "C"]);
}

/// A walking bass and a voicing without the root, as in jazz.
#[test]
fn the_bass_and_the_succession_name_voicings_without_roots() {
    let walks: [(&[u8], &[u8]); 4] = [
        (&[38, 41, 45, 44], &[53, 57, 60, 64]),
        (&[43, 47, 50, 49], &[53, 57, 59, 64]),
        (&[36, 40, 43, 40], &[52, 55, 59, 62]),
        (&[36, 38, 40, 43], &[52, 55, 59, 62]),
    ];
    let mut score = Score::new(480);
    let (mut bass, mut piano) = (Track::default(), Track::default());
    for (bar, (walk, voicing)) in walks.iter().enumerate() {
        let begin = 1920 * bar as u32;
        let note = |start, pitch, length| Note { start, pitch, end: start + length, velocity: 70 };
        bass.notes.extend(walk.iter().enumerate().map(|(beat, &pitch)| note(begin + 480 * beat as u32, pitch, 440)));
        piano.notes.extend(voicing.iter().map(|&pitch| note(begin, pitch, 1500)));
    }
    score.tracks = vec![bass, piano];
    let roots: Vec<String> =
        recognize(&score).iter().filter_map(|c| c.chord.root()).map(|root| root.to_string()).collect();
    assert_eq!(roots, ["D", "G", "C"]);
}

/// Notes without a beat, on which chords still change.
#[test]
fn without_a_beat_chords_are_heard_by_the_half_second() {
    let mut score = chart("C F G7 C").score(120.0);
    for (i, note) in score.tracks[0].notes.iter_mut().enumerate() {
        note.start += (i as u32 * 37 + i as u32 * i as u32 * 11) % 90;
    }
    score.tracks[0].notes.sort_unstable();
    let roots: Vec<String> =
        recognize(&score).iter().filter_map(|c| c.chord.root()).map(|root| root.to_string()).collect();
    assert_eq!(roots, ["C", "F", "G", "C"]);
}

#[test]
fn confidence_is_high_for_chords_and_low_for_noise() {
    let sure = confidences(&chart("Dm7 G7 Cmaj7 A7").score(120.0));
    assert!(sure.iter().all(|c| c.confidence > 0.9), "{sure:?}");
    let mut score = Score::new(480);
    let note = |i: u32| Note { start: 240 * i, pitch: 60 + (i * i * 7 % 23) as u8, end: 240 * i + 200, velocity: 80 };
    score.tracks.push(Track { notes: (0..64).map(note).collect(), ..Track::default() });
    let unsure = confidences(&score);
    assert!(unsure.iter().all(|c| c.confidence < 0.9), "{unsure:?}");
    let labels = recognize_where_sure(&score, 0.9, &Interrupt::new()).expect("nobody cancels");
    assert!(labels.iter().all(|c| c.chord == Chord::none()), "{labels:?}");
}

#[test]
fn gaps_are_no_chord_and_neighbours_come_together() {
    let chord = |name: &str, tick| ChordAt { tick, beat: 0.0, seconds: 0.0, chord: name.parse().expect("a chord") };
    let found = |name: &str, tick, confidence| RecognizedChord { at: chord(name, tick), confidence };
    let all = [found("C", 0, 0.9), found("F", 1, 0.3), found("G", 2, 0.2), found("C", 3, 0.9), found("F", 4, 0.9)];
    let names: Vec<(u32, String)> = sure(&all, 0.5).iter().map(|c| (c.tick, c.chord.name())).collect();
    let expected = [(0, "C"), (1, "N.C."), (3, "C"), (4, "F")].map(|(tick, name)| (tick, name.to_owned()));
    assert_eq!(names, expected);
}

#[test]
fn a_user_who_cancels_does_not_wait() {
    let chorus = chart("Dm7 G7 | Cmaj7 A7 | Fm7 Bb7 | Ebmaj7").score(120.0);
    let mut score = chorus.clone();
    while score.duration() < 4000.0 {
        score = score.append(&score);
    }
    let begun = std::time::Instant::now();
    recognize(&score);
    let whole = begun.elapsed();
    let interrupt = Interrupt::new();
    std::thread::scope(|scope| {
        let recognized = scope.spawn(|| recognize_until(&score, &interrupt));
        std::thread::sleep(whole / 4);
        interrupt.trigger();
        let asked = std::time::Instant::now();
        let outcome = recognized.join().expect("no panic");
        assert!(asked.elapsed().as_millis() < 1000, "{:?}", asked.elapsed());
        assert!(outcome.is_err_and(|e| e.is_interrupted()), "it had not ended by itself");
    });
    // Without cancellation the result is that of `recognize`.
    assert_eq!(recognize_until(&chorus, &Interrupt::new()).expect("nobody cancels"), recognize(&chorus));
}
