//! Tests of rendering, on scores of a few notes.

use super::*;
use crate::audio::parts::DRUM_CHANNEL;
use crate::midi::{Note, Tempo, Track};

const RATE: u32 = 24_000;

/// A score of (start, end, pitch) in hundredths of a second, on one instrument.
fn score(program: u8, notes: &[(u32, u32, u8)]) -> Score {
    let mut score = Score::new(100);
    score.tempos.push(Tempo::from_bpm(60.0));
    let notes = notes.iter().map(|&(start, end, pitch)| Note { start, pitch, end, velocity: 90 }).collect();
    score.tracks.push(Track { program, notes, ..Track::default() });
    score
}

fn played(score: &Score, settings: &Settings) -> Wave {
    let font = Font::built_in().expect("the built-in font");
    play(score, &font, &part(score, settings), settings, &Progress::silent()).expect("played")
}

/// The period in samples with the highest autocorrelation, between 20 and 2000 Hz, interpolated.
fn period(samples: &[f32]) -> f64 {
    let like = |lag: usize| -> f64 {
        let count = samples.len() - 1300;
        samples[..count].iter().zip(&samples[lag..]).map(|(a, b)| f64::from(a * b)).sum()
    };
    let likeness: Vec<f64> = (0..1200).map(like).collect();
    // The first peak that is about as high as the highest: later ones are multiples.
    let most = likeness[12..].iter().copied().fold(0.0, f64::max);
    let peak = (12..1199)
        .find(|&i| likeness[i] > 0.85 * most && likeness[i] >= likeness[i - 1] && likeness[i] >= likeness[i + 1]);
    let i = peak.expect("a peak");
    let (a, b, c) = (likeness[i - 1], likeness[i], likeness[i + 1]);
    i as f64 + (a - c) / (2.0 * (a - 2.0 * b + c))
}

#[test]
fn notes_sound_at_their_pitch() {
    for (program, pitch) in [(0, 45), (0, 60), (0, 69), (33, 40), (65, 65), (26, 52)] {
        let wave = played(&score(program, &[(0, 100, pitch)]), &Settings::NOTEBOOK);
        let hertz = f64::from(RATE) / period(&wave.samples[4800..14_400]);
        let cents = 1200.0 * (hertz / (440.0 * ((f64::from(pitch) - 69.0) / 12.0).exp2())).log2();
        assert!(cents.abs() < 25.0, "program {program}, pitch {pitch}: {hertz} Hz is {cents} cents off");
    }
}

#[test]
fn a_wave_lasts_as_long_as_its_score_and_its_tail() {
    let wave = played(&score(0, &[(0, 200, 60)]), &Settings::NOTEBOOK);
    assert!((wave.duration() - 3.5).abs() < 0.01, "{}", wave.duration());
    assert!((0.3..=PEAK).contains(&wave.peak()), "{}", wave.peak());
    let stereo = played(&score(0, &[(0, 200, 60)]), &Settings::FILE);
    assert_eq!((stereo.channels, stereo.rate), (2, 44_100));
    assert!((stereo.duration() - 3.5).abs() < 0.01);
}

#[test]
fn nothing_is_silent_and_short() {
    let wave = played(&Score::new(480), &Settings::NOTEBOOK);
    assert!(wave.samples.is_empty());
    // Drums without a kit are left out.
    let mut drums = score(0, &[(0, 100, 38)]);
    drums.tracks[0].channel = DRUM_CHANNEL;
    assert_eq!(played(&drums, &Settings::NOTEBOOK).peak(), 0.0);
}

#[test]
fn a_long_piece_is_cut_and_silence_before_it_is_passed_over_in_notebooks_only() {
    let long = score(0, &[(2000, 2100, 60), (40_000, 40_100, 62)]);
    let cut = part(&long, &Settings::NOTEBOOK);
    assert_eq!(cut, HeardPart { span: 19.0..199.0, whole: false });
    assert!((played(&long, &Settings { most_seconds: 2.0, ..Settings::NOTEBOOK }).duration() - 2.0).abs() < 0.01);
    assert_eq!(part(&long, &Settings::FILE), HeardPart { span: 0.0..402.5, whole: true });
}

#[test]
fn pieces_that_are_too_long_for_memory_are_played_in_blocks() {
    let long = score(0, &[(0, 50, 60), (4000, 4100, 62)]);
    let settings = Settings { rate: 16_000, channels: 1, ..Settings::FILE };
    let font = Font::built_in().expect("the built-in font");
    let (mut count, mut peak, mut late) = (0, 0.0_f32, 0.0_f32);
    let mut sink = |samples: &[f32]| {
        count += samples.len();
        let loudest = samples.iter().fold(0.0_f32, |p, s| p.max(s.abs()));
        peak = peak.max(loudest);
        late = if count > 16_000 * 39 { late.max(loudest) } else { late };
        Ok(())
    };
    let part = part(&long, &settings);
    play_in_blocks(&long, &font, &part, &settings, &Progress::silent(), &mut sink).expect("played");
    assert_eq!(count, (42.5 * 16_000.0) as usize);
    assert!((0.3..0.9).contains(&peak) && late > 0.2, "{peak} {late}");
    let whole = play(&long, &font, &part, &settings, &Progress::silent()).expect("played");
    assert!((whole.peak() - peak).abs() < 1e-6 && whole.samples.len() == count);
}

#[test]
fn a_score_sounds_the_same_each_time_and_a_stop_ends_it() {
    let chord = score(0, &[(0, 100, 60), (0, 100, 64), (50, 150, 67)]);
    assert_eq!(played(&chord, &Settings::NOTEBOOK), played(&chord, &Settings::NOTEBOOK));
    let progress = Progress::silent();
    progress.interrupt().trigger();
    let settings = Settings::NOTEBOOK;
    let font = Font::built_in().expect("the built-in font");
    let stopped = play(&chord, &font, &part(&chord, &settings), &settings, &progress);
    assert!(stopped.is_err_and(|e| e.is_interrupted()));
}

#[test]
fn the_pedal_keeps_a_note_sounding() {
    // The sustain pedal holds the first note beyond its end.
    let mut held = score(0, &[(0, 20, 60)]);
    let dry = played(&held, &Settings::NOTEBOOK);
    held.tracks[0].pedals.push(crate::midi::Pedal { start: 0, end: 100 });
    let wet = played(&held, &Settings::NOTEBOOK);
    let loud = |wave: &Wave| wave.samples[16_000..20_000].iter().map(|s| s.abs()).sum::<f32>() / wave.peak();
    assert!(loud(&wet) > 3.0 * loud(&dry), "{} {}", loud(&wet), loud(&dry));
}

/// The root mean square between two times, in seconds.
fn loudness(wave: &Wave, from: f64, to: f64) -> f32 {
    let at = |seconds: f64| (seconds * f64::from(wave.rate)) as usize * usize::from(wave.channels);
    let samples = &wave.samples[at(from)..at(to)];
    (samples.iter().map(|s| s * s).sum::<f32>() / samples.len() as f32).sqrt()
}

#[test]
fn the_second_of_two_notes_of_one_pitch_sounds_to_its_end() {
    let both = played(&score(65, &[(0, 100, 64), (50, 300, 64)]), &Settings::NOTEBOOK);
    let one = played(&score(65, &[(50, 300, 64)]), &Settings::NOTEBOOK);
    for (from, to) in [(1.5, 2.0), (2.5, 2.9)] {
        let (a, b) = (loudness(&both, from, to) / both.peak(), loudness(&one, from, to) / one.peak());
        assert!(a > 0.4 * b && b > 0.02, "{from}: {a} {b}");
    }
}

#[test]
fn volume_pan_and_bends_are_heard() {
    use crate::midi::{Event, Message};
    let at = |tick, message| Event { tick, port: 0, channel: 0, message };
    let mut piece = score(65, &[(0, 100, 64), (100, 200, 64)]);
    let plain = played(&piece, &Settings::FILE);
    for number in [7, 11] {
        piece.tracks[0].events = vec![at(100, Message::Controller { number, value: 30 })];
        let quiet = played(&piece, &Settings::FILE);
        let ratio = |w: &Wave| loudness(w, 1.2, 1.8) / loudness(w, 0.2, 0.8);
        assert!(ratio(&quiet) < 0.2 * ratio(&plain), "{number}: {} {}", ratio(&quiet), ratio(&plain));
    }
    piece.tracks[0].events = vec![at(0, Message::Controller { number: 10, value: 0 })];
    let left = played(&piece, &Settings::FILE);
    let side = |i| left.samples.iter().skip(i).step_by(2).take(40_000).map(|s| s.abs()).sum::<f32>();
    assert!(side(0) > 3.0 * side(1), "{} {}", side(0), side(1));
    // A bend of two semitones up.
    piece.tracks[0].events = vec![at(0, Message::Bend(8191))];
    let bent = played(&piece, &Settings::NOTEBOOK);
    let plain = played(&score(65, &[(0, 200, 64)]), &Settings::NOTEBOOK);
    let ratio = period(&plain.samples[4800..14_400]) / period(&bent.samples[4800..14_400]);
    assert!((12.0 * ratio.log2() - 2.0).abs() < 0.3, "{} semitones", 12.0 * ratio.log2());
}

#[test]
fn a_stop_is_noticed_before_a_block_is_rendered() {
    let chord = score(0, &[(0, 100, 60), (0, 100, 64)]);
    let (progress, font) = (Progress::silent(), Font::built_in().expect("the built-in font"));
    let mut player =
        Player::new(&chord, &font, &part(&chord, &Settings::FILE), &Settings::FILE, &progress).expect("a player");
    progress.interrupt().trigger();
    assert!(player.next(&progress).is_err_and(|e| e.is_interrupted()));
    assert_eq!(player.queues[0].next, 0, "nothing was played");
}

#[test]
fn a_stop_is_noticed_within_a_block() {
    let long = score(0, &[(0, 50_000, 60)]);
    let (progress, font) = (Progress::silent(), Font::built_in().expect("the built-in font"));
    let part = part(&long, &Settings::FILE);
    let interrupt = progress.interrupt().clone();
    let stopper = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(50));
        interrupt.trigger();
        std::time::Instant::now()
    });
    let stopped = play(&long, &font, &part, &Settings::FILE, &progress);
    let ended = std::time::Instant::now();
    assert!(stopped.is_err_and(|e| e.is_interrupted()));
    let waited = ended - stopper.join().expect("no panic");
    assert!(waited.as_millis() < 1000, "{waited:?}");
}
