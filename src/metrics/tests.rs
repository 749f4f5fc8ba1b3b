//! Tests of the report, on models and pieces small enough to count by hand.

use candle_core::Device;

use super::Interval;
use super::report::{Report, evaluate};
use crate::data::{IGNORE, Split};
use crate::nn::{ForwardCtx, LlamaConfig, Model};
use crate::progress::Progress;
use crate::tokens::{Options, TokenKind, Tokenizer};
use crate::train::{AdamW, AdamWOptions, Grads, held_out_loss};

fn tokenizer() -> Tokenizer {
    Tokenizer::new("performance", &Options::default()).expect("a known name")
}

/// Two chords, the second without a third for a while; arpeggios and a foreign note.
fn split(tokenizer: &Tokenizer) -> Split {
    let row = |names: &str| -> Vec<u32> {
        names.split_whitespace().map(|name| tokenizer.id(name).expect("a token of the encoding")).collect()
    };
    let rows = [
        row("BOS_None Chord_C:maj Velocity_16 NoteOn_60 TimeShift_50 NoteOff_60 NoteOn_64 TimeShift_50 \
             Chord_G:7 NoteOff_64 NoteOn_65 TimeShift_25 NoteOff_65 NoteOn_66 TimeShift_25 NoteOff_66 EOS_None"),
        row("TimeShift_10 NoteOn_61 TimeShift_10 NoteOff_61 EOS_None BOS_None Velocity_20 NoteOn_62 TimeShift_5"),
    ];
    Split::from_rows(&rows, tokenizer).expect("ids of the tokenizer")
}

fn model() -> Model {
    let config = LlamaConfig {
        vocab_size: tokenizer().vocab_size(),
        hidden_size: 48,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        intermediate_size: 96,
        max_position_embeddings: 32,
        ..LlamaConfig::default()
    };
    Model::new(&config, &Device::Cpu, 7).expect("a valid shape")
}

fn measured(model: &Model) -> Report {
    let tokenizer = tokenizer();
    evaluate(model, &tokenizer, &split(&tokenizer), &Progress::silent()).expect("rows to measure")
}

/// A model overfitted to the two rows; after a hundred steps it predicts them.
fn trained(steps: usize) -> Model {
    let (model, tokenizer) = (model(), tokenizer());
    let batch = split(&tokenizer).in_order(2).next().expect("two rows");
    let parameters = model.parameters();
    let options = AdamWOptions { lr: 3e-3, ..AdamWOptions::default() };
    let mut optimizer = AdamW::new(parameters.clone(), options).expect("in range");
    for _ in 0..steps {
        let loss = model.loss(&batch, &ForwardCtx::recording()).expect("a batch that fits");
        optimizer.step(&Grads::backward(&loss, &parameters).expect("gradients")).expect("finite");
    }
    model
}

#[test]
fn the_loss_is_that_of_training() {
    let (model, tokenizer) = (model(), tokenizer());
    let report = measured(&model);
    let loss = held_out_loss(&model, &split(&tokenizer), 1, None, &Progress::silent()).expect("rows to measure");
    assert!((report.loss - loss).abs() < 1e-5, "{} and {loss}", report.loss);
    assert_eq!(report.perplexity, report.loss.exp());
    let [loss, ..] = report.intervals;
    assert!(loss.low < report.loss && report.loss < loss.high, "{loss:?}");
    // 17 and 9 ids: 24 with a predecessor, of which two are chords.
    assert_eq!(report.tokens, 22);
}

#[test]
fn the_shares_are_those_counted_one_by_one() {
    let tokenizer = tokenizer();
    let batch = split(&tokenizer).in_order(2).next().expect("two rows");
    for steps in [5, 10, 20, 40, 80] {
        let model = trained(steps);
        let logits =
            model.logits(&batch, &ForwardCtx::default()).expect("a batch that fits").to_vec3::<f32>().expect("f32");
        let (mut right, mut all) = ([0.0; 2], [0.0; 2]);
        for (place, logits) in logits.iter().flatten().enumerate() {
            let label = batch.labels[place];
            let kind = match tokenizer.kind(label) {
                _ if label == IGNORE => continue,
                TokenKind::Note => 0,
                TokenKind::Time => 1,
                _ => continue,
            };
            let best = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            all[kind] += 1.0;
            right[kind] += f64::from(u8::from(logits[label as usize] == best));
        }
        assert_eq!(all, [6.0, 6.0]);
        let report = measured(&model);
        assert_eq!((report.note_accuracy, report.rhythm_accuracy), (right[0] / 6.0, right[1] / 6.0), "{steps} steps");
    }
}

#[test]
fn a_model_that_knows_the_piece_is_right_and_as_consonant_as_the_piece() {
    let report = measured(&trained(120));
    assert!(report.loss < 0.5, "{report}");
    assert!(report.note_accuracy > 0.8 && report.rhythm_accuracy > 0.8, "{report}");
    // Under chords there are C and E (in C), F (in G7) and F sharp (not in G7); the second row has no chord.
    assert_eq!(report.harmonic_consistency, 0.75, "{report}");
}

#[test]
fn without_chords_there_is_no_harmony_to_measure() {
    let (model, tokenizer) = (trained(120), tokenizer());
    let row = split(&tokenizer).row(1).expect("two rows");
    let split = Split::from_rows(&[row], &tokenizer).expect("ids of the tokenizer");
    let report = evaluate(&model, &tokenizer, &split, &Progress::silent()).expect("a row to measure");
    assert!(report.harmonic_consistency.is_nan() && !report.note_accuracy.is_nan());
    assert!(report.to_string().lines().any(|line| line.starts_with("harmonic") && line.ends_with(" –")), "{report}");
}

#[test]
fn the_table_is_aligned() {
    let report = Report {
        loss: 1.5,
        perplexity: 1.5_f64.exp(),
        note_accuracy: 0.25,
        rhythm_accuracy: 1.0,
        harmonic_consistency: 0.666_6,
        bits_per_note: 7.891,
        tokens: 123_456,
        intervals: [
            Interval { low: 1.4, high: 1.625 },
            Interval { low: 4.0552, high: 5.078_4 },
            Interval { low: 0.2, high: 0.3 },
            Interval::UNKNOWN,
            Interval { low: 0.5, high: 0.8 },
        ],
    };
    let expected = "\
loss                    1.500  1.400 to 1.625
perplexity              4.482  4.055 to 5.078
note accuracy          25.0 %  20.0 % to 30.0 %
rhythm accuracy       100.0 %
harmonic consistency   66.7 %  50.0 % to 80.0 %
bits a note             7.891
tokens                123,456";
    assert_eq!(report.to_string(), expected);
}

#[test]
fn nothing_to_measure_and_a_stop_are_errors() {
    let (model, tokenizer) = (model(), tokenizer());
    let none = Split::from_rows(&[], &tokenizer).expect("no ids");
    let error = evaluate(&model, &tokenizer, &none, &Progress::silent()).expect_err("no rows");
    assert!(error.is_mistake() && error.hint().is_some(), "{error}");
    let stopped = Progress::silent();
    stopped.interrupt().trigger();
    let error = evaluate(&model, &tokenizer, &split(&tokenizer), &stopped).expect_err("stopped");
    assert!(error.is_interrupted());
}
