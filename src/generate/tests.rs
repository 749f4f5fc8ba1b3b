//! Generation over chords, with prompts, restarts and cancellation, on a tiny model.

use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};

use crate::generate::{GenerateOptions, Generator, Refill, Sampler, SamplerOptions, finish, generate};
use crate::harmony::{Chart, Chord};
use crate::midi::{Meter, Note, Score, Tempo, Track};
use crate::nn::{LlamaConfig, Model};
use crate::progress::Progress;
use crate::tokens::{AnnouncedClick, Options, TokenKind, Tokenizer};

fn tokenizer() -> Tokenizer {
    Tokenizer::new("performance", &Options::default()).expect("a known name")
}

/// A model with random initialisation: it samples nearly evenly from the allowed ids.
fn model(longest: usize) -> Model {
    let config = LlamaConfig {
        vocab_size: tokenizer().vocab_size(),
        hidden_size: 32,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        intermediate_size: 64,
        max_position_embeddings: longest,
        initializer_range: 0.3,
        ..LlamaConfig::default()
    };
    Model::new(&config, &Device::Cpu, 3).expect("a valid shape")
}

fn sampler(options: SamplerOptions) -> Sampler {
    Sampler::new(options).expect("options in range")
}

fn seeded(seed: u64) -> Sampler {
    sampler(SamplerOptions { seed, top_p: 0.98, ..SamplerOptions::default() })
}

fn chart(text: &str) -> Option<Chart> {
    Some(text.parse().expect("a chart"))
}

fn play(model: &Model, sampler: &Sampler, options: &GenerateOptions) -> Vec<Vec<u32>> {
    generate(model, &tokenizer(), sampler, options, &Progress::silent()).expect("nothing is out of range")
}

/// The chords of a sequence: when each is set, and its token.
fn chords(ids: &[u32]) -> Vec<(f64, String)> {
    let tokenizer = tokenizer();
    let mut grammar = tokenizer.grammar();
    let mut found = Vec::new();
    for &id in ids {
        assert!(grammar.accepts(id), "{} at {} s", tokenizer.token(id).expect("known"), grammar.seconds());
        if tokenizer.kind(id) == TokenKind::Chord {
            found.push((grammar.seconds(), tokenizer.token(id).expect("known").to_owned()));
        }
        grammar.push(id);
    }
    found
}

fn seconds(ids: &[u32]) -> f64 {
    let mut grammar = tokenizer().grammar();
    ids.iter().for_each(|&id| grammar.push(id));
    grammar.seconds()
}

/// Four quarters at 120 beats a minute, the last of them `late` ticks too long.
fn prompt(late: u32) -> Score {
    let mut score = Score::new(480);
    let note = |i: u32, pitch| Note { start: 480 * i, end: 480 * (i + 1) + late, pitch, velocity: 80 };
    let notes = vec![note(0, 60), note(1, 64), note(2, 67), note(3, 72)];
    score.tracks.push(Track { notes, ..Track::default() });
    score
}

#[test]
fn the_cache_changes_nothing_even_beyond_the_longest_sequence() {
    let model = model(48);
    for (temperature, chords) in [(0.0, None), (1.0, None), (1.0, chart("Cmaj7 Am7 | Dm7 G7"))] {
        let sampler =
            sampler(SamplerOptions { temperature, repetition_penalty: 1.2, seed: 4, ..SamplerOptions::default() });
        let options =
            GenerateOptions { chords, bars: Some(64), max_new_tokens: 150, count: 2, ..GenerateOptions::default() };
        let with = play(&model, &sampler, &options);
        let without = play(&model, &sampler, &GenerateOptions { use_cache: false, ..options });
        assert_eq!(with, without, "temperature {temperature}");
        assert!(with.iter().any(|ids| ids.len() > 100), "the takes outgrow the model");
    }
}

#[test]
fn every_take_is_accepted_by_the_grammar_and_has_notes() {
    let model = model(128);
    let mut lengths = Vec::new();
    for seed in 0..8 {
        for ids in play(&model, &seeded(seed), &GenerateOptions { max_new_tokens: 120, count: 3, ..Default::default() })
        {
            assert!(chords(&ids).is_empty(), "chords are given, never drawn");
            let score = tokenizer().decode(&ids);
            assert!(!score.is_empty());
            lengths.push(ids.len());
        }
    }
    assert_eq!(lengths.len(), 24);
    assert!(lengths.iter().all(|&length| length <= 120));
}

#[test]
fn without_the_grammar_the_result_still_decodes() {
    let sampler = sampler(SamplerOptions { grammar: false, seed: 1, ..SamplerOptions::default() });
    let options = GenerateOptions { chords: chart("C7 F7"), max_new_tokens: 200, ..GenerateOptions::default() };
    let ids = play(&model(64), &sampler, &options).remove(0);
    let tokenizer = tokenizer();
    assert!(!tokenizer.decode(&ids).is_empty());
    assert_eq!(tokenizer.kind(ids[0]), TokenKind::Chord);
    assert!(ids.iter().all(|&id| tokenizer.kind(id) != TokenKind::Special));
}

#[test]
fn a_take_does_not_depend_on_how_many_there_are() {
    let model = model(64);
    let options = |count| GenerateOptions { max_new_tokens: 40, count, ..GenerateOptions::default() };
    let four = play(&model, &seeded(9), &options(4));
    assert_eq!(play(&model, &seeded(9), &options(1))[0], four[0]);
    assert_eq!(play(&model, &seeded(9), &options(2)), four[..2]);
    assert_ne!(four[0], four[1]);
    assert_eq!(play(&model, &seeded(9), &options(4)), four);
    assert_ne!(play(&model, &seeded(10), &options(4)), four);
}

#[test]
fn chords_are_set_at_their_moments_and_the_chart_is_repeated() {
    let options = GenerateOptions {
        chords: chart("Dm7 G7 | Cmaj7"),
        tempo: Some(240.0),
        bars: Some(64),
        max_new_tokens: 250,
        count: 2,
        ..Default::default()
    };
    for ids in play(&model(256), &seeded(2), &options) {
        let chords = chords(&ids);
        // A bar lasts one second, so the chart lasts two.
        let cycle = [(0.0, "Chord_D:m7"), (0.5, "Chord_G:7"), (1.0, "Chord_C:maj7")];
        assert!(chords.len() > 3, "{chords:?}");
        for (i, (at, name)) in chords.iter().enumerate() {
            let (offset, expected) = cycle[i % 3];
            let due = (i / 3) as f64 * 2.0 + offset;
            assert!((at - due).abs() < 1e-9 && name == expected, "{name} at {at}, not {expected} at {due}");
        }
    }
}

#[test]
fn a_chord_that_is_in_force_gets_no_token() {
    let options =
        GenerateOptions { tempo: Some(240.0), bars: Some(64), max_new_tokens: 300, ..GenerateOptions::default() };
    let times = |text: &str| {
        let ids = play(&model(512), &seeded(6), &GenerateOptions { chords: chart(text), ..options.clone() }).remove(0);
        chords(&ids).into_iter().map(|(at, _)| at).collect::<Vec<_>>()
    };
    assert_eq!(times("C7 C7 C9"), [0.0]);
    let blues = times("C7 F7 C7");
    assert!(blues.len() > 3);
    assert_eq!(blues[..4], [0.0, 1.0, 2.0, 4.0]);
}

#[test]
fn a_take_lasts_as_long_as_the_chart_and_no_longer_than_the_bars() {
    let model = model(256);
    for seed in 0..6 {
        let options = GenerateOptions {
            chords: chart("Am7 D7"),
            tempo: Some(240.0),
            max_new_tokens: 2_000,
            ..GenerateOptions::default()
        };
        let free = play(&model, &seeded(seed), &GenerateOptions { max_new_tokens: 400, ..options.clone() }).remove(0);
        assert!(free.len() == 400 || seconds(&free) >= 2.0, "the end comes after the chords");
        let cut = play(&model, &seeded(seed), &GenerateOptions { bars: Some(3), ..options }).remove(0);
        assert!((2.0..=3.0).contains(&seconds(&cut)), "{}", seconds(&cut));
        assert!(cut.len() < 2_000);
    }
}

#[test]
fn a_prompt_is_part_of_the_result_and_the_chords_follow_on_the_nearest_beat() {
    let (model, tokenizer) = (model(64), tokenizer());
    for (late, chord_at) in [(0, 2.0), (40, 2.0), (300, 2.5)] {
        let alone = tokenizer.encode(&prompt(late));
        let options = GenerateOptions {
            prompt: Some(prompt(late)),
            max_new_tokens: 60,
            bars: Some(2),
            ..GenerateOptions::default()
        };
        let ids = play(&model, &seeded(5), &options).remove(0);
        assert_eq!(ids[..alone.len()], alone);
        assert!(ids.len() > alone.len() && ids.len() <= alone.len() + 60);

        let over = GenerateOptions { chords: chart("Em7 A7"), ..options };
        let ids = play(&model, &seeded(5), &over).remove(0);
        let chords = chords(&ids);
        assert_eq!(chords[0], (chord_at, "Chord_E:m7".to_owned()), "{late} ticks late");
        let notes = tokenizer.decode(&ids).sounds();
        assert_eq!(notes.iter().take(4).map(|n| n.pitch).collect::<Vec<_>>(), [60, 64, 67, 72]);
    }
}

#[test]
fn a_prompt_longer_than_the_model_is_read_from_its_end() {
    let mut long = prompt(0);
    let notes = (0..200).map(|i| Note { start: 240 * i, end: 240 * i + 200, pitch: 50 + (i % 20) as u8, velocity: 64 });
    long.tracks[0].notes = notes.collect();
    let options = GenerateOptions { prompt: Some(long.clone()), max_new_tokens: 30, ..GenerateOptions::default() };
    let model = model(32);
    let ids = play(&model, &seeded(1), &options).remove(0);
    assert!(ids.starts_with(&tokenizer().encode(&long)));
    assert_eq!(play(&model, &seeded(1), &GenerateOptions { use_cache: false, ..options }), [ids]);
}

#[test]
fn streaming_gives_the_same_ids_one_step_at_a_time() {
    let (model, tokenizer, sampler) = (model(64), tokenizer(), seeded(8));
    let options = GenerateOptions {
        chords: chart("Dm7 G7"),
        max_new_tokens: 50,
        count: 2,
        bars: Some(1),
        ..GenerateOptions::default()
    };
    let mut stream = Generator::new(&model, &tokenizer, &sampler, &options, &Progress::silent()).expect("in range");
    let mut streamed = vec![Vec::new(); 2];
    for step in stream.by_ref() {
        for (take, id) in streamed.iter_mut().zip(step.expect("no stop")) {
            take.extend(id);
        }
    }
    assert!(stream.next().is_none());
    assert_eq!(stream.ids(1), streamed[1]);
    assert!(stream.ids(2).is_empty());
    assert_eq!(streamed, play(&model, &sampler, &options));
}

#[test]
fn a_stop_ends_it_within_a_moment() {
    let progress = Progress::silent();
    let flag = progress.interrupt().clone();
    let options = GenerateOptions {
        max_new_tokens: 1_000_000,
        chords: chart("C F"),
        bars: Some(1_000_000),
        ..GenerateOptions::default()
    };
    let stopper = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        flag.trigger();
        Instant::now()
    });
    let ended = generate(&model(128), &tokenizer(), &seeded(0), &options, &progress);
    let took = stopper.join().expect("no panic").elapsed();
    assert!(ended.is_err_and(|error| error.is_interrupted()));
    assert!(took < Duration::from_secs(1), "{took:?}"); // the promise is 200 ms; a busy machine gets more
}

#[test]
fn what_cannot_be_played_is_refused_by_name() {
    let model = model(64);
    let refused = |model: &Model, tokenizer: &Tokenizer, options: GenerateOptions| {
        let error = generate(model, tokenizer, &seeded(0), &options, &Progress::silent()).expect_err("must be refused");
        assert!(error.is_mistake(), "{error}");
        error.message().to_owned()
    };
    let base = GenerateOptions::default;
    for (options, word) in [
        (GenerateOptions { max_new_tokens: 0, ..base() }, "max_new_tokens must be at least 1, not 0"),
        (GenerateOptions { count: 0, ..base() }, "count"),
        (GenerateOptions { bars: Some(0), ..base() }, "bars"),
        (GenerateOptions { tempo: Some(f64::NAN), ..base() }, "NaN"),
        (GenerateOptions { chords: Some(Chart::default()), ..base() }, "empty"),
    ] {
        let message = refused(&model, &tokenizer(), options);
        assert!(message.contains(word), "{message}");
    }
    let plain = Tokenizer::new("performance", &Options { chords: Some(false), ..Options::default() }).expect("known");
    let message = refused(&model, &plain, GenerateOptions { chords: chart("Dm7"), ..base() });
    assert!(message.contains("Dm7"), "{message}");
    let config = LlamaConfig { vocab_size: 100, ..model.config().llama().expect("a llama").clone() };
    let small = Model::new(&config, &Device::Cpu, 0).expect("a valid shape");
    assert!(refused(&small, &tokenizer(), base()).contains("knows 100 tokens"));
}

#[test]
fn a_model_that_answers_with_nan_is_reported() {
    let model = model(64);
    let broken = model.parameters().remove(0).var;
    broken.set(&Tensor::full(f32::NAN, broken.shape(), &Device::Cpu).expect("a tensor")).expect("one shape");
    let error = generate(&model, &tokenizer(), &seeded(0), &GenerateOptions::default(), &Progress::silent());
    assert!(error.expect_err("NaN").message().contains("NaN"));
}

/// The encoding of the bundled base.
fn note_duration() -> Tokenizer {
    Tokenizer::new("note_duration", &Options::default()).expect("a known name")
}

fn untrained(tokenizer: &Tokenizer, longest: usize) -> Model {
    let config =
        LlamaConfig { vocab_size: tokenizer.vocab_size(), ..model(longest).config().llama().expect("a llama").clone() };
    Model::new(&config, &Device::Cpu, 5).expect("a valid shape")
}

#[test]
fn a_click_and_the_chords_are_set_on_their_beats() {
    let tokenizer = note_duration();
    let options = GenerateOptions {
        chords: chart("Dm7 G7 | Cmaj7"),
        tempo: Some(200.0),
        bars: Some(5),
        style: Some("rag".into()),
        max_new_tokens: 1200,
        count: 2,
        ..GenerateOptions::default()
    };
    for ids in
        generate(&untrained(&tokenizer, 128), &tokenizer, &seeded(2), &options, &Progress::silent()).expect("plays")
    {
        assert_eq!(tokenizer.token(ids[0]).expect("known"), "Style_rag");
        let mut grammar = tokenizer.grammar();
        let (mut clicks, mut roots, mut ahead) = (Vec::new(), Vec::new(), None);
        for &id in &ids {
            assert!(grammar.accepts(id), "{} at {} s", tokenizer.token(id).expect("known"), grammar.seconds());
            let before = grammar.chord();
            grammar.push(id);
            match tokenizer.token(id).expect("known") {
                "Bar_None" if clicks.is_empty() => clicks.push((0.0, true)),
                click @ ("Bar_None" | "Beat_None") => ahead = Some(click == "Bar_None"),
                name if name.starts_with("TimeShift") && ahead.is_some() => {
                    clicks.push((grammar.seconds(), ahead.take() == Some(true)))
                }
                _ if grammar.chord() != before => {
                    roots.push((grammar.seconds(), Chord::of_class(grammar.chord().expect("set")).to_string()))
                }
                _ => {}
            }
        }
        assert!(clicks.len() > 8, "{clicks:?}");
        // A beat has 30 steps, and the last shift before it is the one that leads there. The model finds all tokens as
        // likely, so with `r` steps left it draws one of `r − 1` shifts or one of the two clicks, which count as one: the
        // mean number of shifts is 1 + E(30), E(r) = Σ_{s<r} (1 + E(r − s)) / (r + 1), which is 3.5; fewer where all fingers
        // are down.
        let shifts = ids.iter().filter(|&&id| tokenizer.token(id).expect("known").starts_with("TimeShift")).count();
        let a_beat = shifts as f64 / (clicks.len() - 1) as f64;
        assert!((1.5..3.6).contains(&a_beat), "{a_beat} shifts a beat");
        for (beat, (at, bar)) in clicks.iter().enumerate() {
            assert!((at - 0.3 * beat as f64).abs() < 1e-9 && *bar == (beat % 4 == 0), "beat {beat} at {at}");
        }
        let expected = [(0.0, "Dm7"), (0.6, "G7"), (1.2, "Cmaj7"), (2.4, "Dm7")];
        for ((at, root), (due, name)) in roots.iter().zip(expected) {
            assert!((at - due).abs() < 1e-9 && root == name, "{root} at {at}, not {name} at {due}");
        }
        let score = finish(&tokenizer, &ids, &options);
        assert_eq!((score.tempo().round(), score.meters.len()), (200.0, 1));
        assert!(score.end() <= 5 * 4 * 480, "it ends on its bar");
        assert!(
            score.markers.iter().all(|marker| marker.tick % 480 == 0),
            "chords stand on beats: {:?}",
            score.markers
        );
    }
}

#[test]
fn bars_without_chords_have_all_their_beats() {
    let tokenizer = note_duration();
    let options = GenerateOptions { bars: Some(2), tempo: Some(120.0), count: 8, ..GenerateOptions::default() };
    let takes = generate(&untrained(&tokenizer, 128), &tokenizer, &seeded(3), &options, &Progress::silent());
    let mut most = 0;
    for ids in takes.expect("plays") {
        let (mut grammar, mut click, mut beats) = (tokenizer.grammar(), AnnouncedClick::none(), Vec::new());
        for &id in &ids {
            let shift = tokenizer.time_shift(id);
            beats.extend(click.reached_before(shift).map(|_| grammar.seconds()));
            grammar.push(id);
            beats.extend(click.reached_after(shift).map(|_| grammar.seconds()));
            if tokenizer.kind(id) == TokenKind::Click {
                click.announce(());
            }
        }
        // A model may end a take without chords early.
        let due: Vec<f64> = (0..beats.len()).map(|beat| 0.5 * beat as f64).collect();
        assert_eq!(beats, due);
        most = most.max(beats.len());
    }
    assert!(most >= 4, "{most} beats at most");
}

#[test]
fn a_prompt_keeps_its_tempo_its_metre_and_its_instrument() {
    let mut prompt = prompt(0);
    prompt.tempos = vec![Tempo::from_bpm(90.0)];
    prompt.meters = vec![Meter { tick: 0, numerator: 3, denominator: 4 }];
    prompt.tracks[0].program = 65;
    for tokenizer in [tokenizer(), note_duration()] {
        let options =
            GenerateOptions { prompt: Some(prompt.clone()), max_new_tokens: 80, ..GenerateOptions::default() };
        assert_eq!(options.tempo().round(), 90.0);
        let model = untrained(&tokenizer, 128);
        let ids = generate(&model, &tokenizer, &seeded(3), &options, &Progress::silent()).expect("plays").remove(0);
        let score = finish(&tokenizer, &ids, &options);
        assert_eq!((&score.tempos, &score.meters), (&prompt.tempos, &prompt.meters));
        assert_eq!((score.tracks.len(), score.tracks[0].program), (1, 65));
        assert!(score.len() > prompt.len());
        assert!(prompt.tracks[0].notes.iter().all(|note| score.tracks[0].notes.contains(note)));
    }
    let other = GenerateOptions { prompt: Some(prompt.clone()), tempo: Some(120.0), ..GenerateOptions::default() };
    let error = other.validate().expect_err("it has its own");
    assert!(error.message().contains("90") && error.hint().is_some_and(|hint| hint.contains("stretch")), "{error}");
    let same = GenerateOptions { prompt: Some(prompt), tempo: Some(90.0), ..GenerateOptions::default() };
    assert!(same.validate().is_ok());
}

#[test]
fn a_part_is_played_anew_and_all_else_stays() {
    let mut score = Score::new(480);
    let note = |i: u32| Note { start: 240 * i, end: 240 * i + 200, pitch: 50 + (i % 12) as u8, velocity: 80 };
    score.tracks.push(Track { notes: (0..40).map(note).collect(), program: 4, ..Track::default() });
    for tokenizer in [tokenizer(), note_duration()] {
        for (from, to) in [(2.0, 5.0), (0.0, 3.0), (8.0, 10.0)] {
            let refill = Some(Refill { score: score.clone(), from, to });
            let options = GenerateOptions { refill, max_new_tokens: 400, ..GenerateOptions::default() };
            let model = untrained(&tokenizer, 128);
            let ids = generate(&model, &tokenizer, &seeded(6), &options, &Progress::silent()).expect("plays").remove(0);
            let new = finish(&tokenizer, &ids, &options);
            let inside = |n: &&Note| f64::from(n.start) / 960.0 >= from && f64::from(n.start) / 960.0 < to;
            let outside = |s: &Score| s.tracks[0].notes.iter().filter(|n| !inside(n)).copied().collect::<Vec<_>>();
            assert_eq!(outside(&new), outside(&score));
            let fresh: Vec<Note> = new.tracks[0].notes.iter().filter(inside).copied().collect();
            assert!(!fresh.is_empty() && fresh.iter().all(|n| f64::from(n.end) / 960.0 <= to + 0.01), "{fresh:?}");
            assert_eq!(new.tracks[0].program, 4);
        }
    }
    let refill = Some(Refill { score: score.clone(), from: 5.0, to: 4.0 });
    assert!(GenerateOptions { refill, ..GenerateOptions::default() }.validate().is_err());
}
