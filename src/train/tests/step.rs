//! Single steps: accumulation, clipping, cancellation, losses that are not finite.

use std::time::{Duration, Instant};

use candle_core::Tensor;

use super::*;
use crate::nn::ForwardCtx;
use crate::progress::Progress;
use crate::train::{AdamW, AdamWOptions, Grads, held_out_loss};

#[test]
fn forty_steps_on_one_batch_fit_it() {
    let (model, data) = (model(), dataset());
    let batch = data.train.batches(4, 0, None).next().expect("endless");
    let loss = || model.loss(&batch, &ForwardCtx::recording()).expect("a batch that fits");
    let number = |loss: Tensor| loss.to_scalar::<f32>().expect("a scalar");
    let parameters = model.parameters();
    let options = AdamWOptions { lr: 1e-3, weight_decay: 0.0, ..AdamWOptions::default() };
    let mut optimizer = AdamW::new(parameters.clone(), options).expect("in range");
    let first = number(loss());
    for _ in 0..40 {
        optimizer.step(&Grads::backward(&loss(), &parameters).expect("gradients")).expect("finite");
    }
    let last = number(loss());
    assert!(last < first - 0.5, "{first} -> {last}");
}

#[test]
fn a_trainer_does_what_the_steps_by_hand_do() {
    let (by_hand, data) = (model(), dataset());
    let options = TrainOptions { warmup_steps: 1, ..options() };
    let parameters = by_hand.parameters();
    let mut optimizer = AdamW::new(parameters.clone(), options.adamw()).expect("in range");
    let mut losses = Vec::new();
    for (step, batch) in (0..4).zip(data.train.batches(2, options.seed, None)) {
        let loss = by_hand.loss(&batch, &ForwardCtx::recording()).expect("a batch that fits");
        losses.push(f64::from(loss.to_scalar::<f32>().expect("a scalar")));
        let grads = Grads::backward(&loss, &parameters).and_then(|grads| grads.clip(1.0)).expect("gradients");
        optimizer.set_lr(options.plan().at(step)).expect("in range");
        optimizer.step(&grads).expect("finite");
    }
    let mut trainer = trainer(model(), options);
    for step in 1..=4 {
        let done = trainer.step(&Progress::silent()).expect("a step");
        assert_eq!(done.step, step);
        assert!(
            done.lr == trainer.options().plan().at(step - 1) && done.grad_norm > 0.0 && done.tokens_per_second > 0.0
        );
    }
    assert_eq!(super::losses(&trainer), losses);
    assert_eq!(values(trainer.model()), values(&by_hand));
}

#[test]
fn micro_batches_add_up_to_the_large_batch_though_their_rows_differ_in_length() {
    let run = |batch_size, gradient_accumulation_steps| {
        let options =
            TrainOptions { batch_size: BatchSize::Rows(batch_size), gradient_accumulation_steps, ..options() };
        let mut trainer = trainer(model(), options);
        (0..3).map(|_| trainer.step(&Progress::silent()).expect("a step")).collect::<Vec<_>>()
    };
    for (small, large) in run(1, 6).iter().zip(run(6, 1)) {
        assert!((small.loss - large.loss).abs() < 1e-5, "{} and {}", small.loss, large.loss);
        assert!((small.grad_norm - large.grad_norm).abs() < 1e-4 * large.grad_norm);
    }
}

#[test]
fn a_stop_in_the_middle_of_a_step_leaves_everything_as_it_was() {
    let (mut stopped, mut whole) = (trainer(adapted(), options()), trainer(adapted(), options()));
    for trainer in [&mut stopped, &mut whole] {
        trainer.step(&Progress::silent()).expect("a step");
    }
    // Enough micro-batches that the flag is set among them.
    stopped.options.gradient_accumulation_steps = 20_000;
    let before = values(stopped.model());
    let progress = Progress::silent();
    let flag = progress.interrupt().clone();
    let stopper = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(150));
        flag.trigger();
        Instant::now()
    });
    let ended = stopped.step(&progress);
    let took = stopper.join().expect("no panic").elapsed();
    assert!(ended.is_err_and(|error| error.is_interrupted()));
    assert!(took < Duration::from_secs(1), "{took:?}"); // the promise is 200 ms; a busy machine gets more
    assert_eq!(values(stopped.model()), before);
    assert_eq!((stopped.steps(), stopped.optimizer.steps(), stopped.order.position()), (1, 1, 1));

    stopped.options.gradient_accumulation_steps = 1;
    for trainer in [&mut stopped, &mut whole] {
        trainer.step(&Progress::silent()).expect("a step");
    }
    assert_eq!(losses(&stopped), losses(&whole));
    assert_eq!(values(stopped.model()), values(whole.model()));
}

#[test]
fn a_loss_that_is_not_a_number_stops_the_run_with_the_good_weights_kept() {
    let mut trainer = trainer(model(), options());
    trainer.step(&Progress::silent()).expect("a step");
    let poisoned = trainer.model().parameters().pop().expect("a parameter").var;
    let good = poisoned.copy().expect("copied");
    poisoned.set(&Tensor::full(f32::NAN, good.shape(), good.device()).expect("a tensor")).expect("one shape");
    let before = values(trainer.model());
    let error = trainer.fit(&Progress::silent()).expect_err("NaN");
    assert!(error.is_mistake() && error.message() == "the loss of step 2 is NaN", "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("step 1")), "{error}");
    let same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits();
    assert!(values(trainer.model()).iter().zip(&before).all(same));
    assert_eq!((trainer.steps(), trainer.order.position()), (1, 1));
    poisoned.set(&good).expect("one shape");
    trainer.fit(&Progress::silent()).expect("it goes on");
    assert_eq!(trainer.steps(), 6);
}

#[test]
fn the_held_out_loss_counts_every_token_once() {
    let (model, data) = (model(), dataset());
    let loss = |rows, batches| held_out_loss(&model, &data.val, rows, batches, &Progress::silent()).expect("rows");
    let (one, all) = (loss(1, None), loss(6, None));
    assert!((one - all).abs() < 1e-5, "{one} and {all}");
    assert!((loss(4, None) - all).abs() < 1e-5);
    let first = Split::from_rows(&[data.val.row(0).expect("a row")], &data.tokenizer).expect("ids");
    let of_first = held_out_loss(&model, &first, 3, None, &Progress::silent()).expect("rows");
    assert!((loss(1, Some(1)) - of_first).abs() < 1e-6);
    let none = Split::from_rows(&[], &data.tokenizer).expect("no ids");
    assert!(held_out_loss(&model, &none, 1, None, &Progress::silent()).is_err_and(|error| error.is_mistake()));
    let stopped = Progress::silent();
    stopped.interrupt().trigger();
    assert!(held_out_loss(&model, &data.val, 1, None, &stopped).is_err_and(|error| error.is_interrupted()));
}

#[test]
fn what_does_not_fit_is_refused_before_it_begins() {
    let refused = |model: Model, data: Dataset, options: TrainOptions| {
        let error = Trainer::new(model, data, options).expect_err("must be refused");
        assert!(error.is_mistake() && error.hint().is_some(), "{error}");
        error.message().to_owned()
    };
    let with = |change: fn(&mut LlamaConfig)| {
        let mut config = model().config().llama().expect("a llama").clone();
        change(&mut config);
        Model::new(&config, &Device::Cpu, 0).expect("a valid shape")
    };
    let none = || Split::from_rows(&[], &dataset().tokenizer).expect("no ids");
    assert!(refused(with(|c| c.vocab_size = 50), dataset(), options()).contains("knows 50 tokens"));
    let (short, wide) = (with(|c| c.max_position_embeddings = 10), dataset().train.width());
    assert_eq!(wide, 18);
    let run = Trainer::new(short, dataset(), options()).expect("18 is twice 9");
    assert_eq!((run.data().train.width(), run.data().train.len()), (9, 36));
    assert!(run.notes()[0].contains("rows of 18 tokens are taken as 2 of 9"), "{:?}", run.notes());
    let seventeen = Split::from_rows(&[dataset().train.row(0).expect("a row")[..17].to_vec()], &dataset().tokenizer);
    let odd = Dataset { train: seventeen.expect("ids"), ..dataset() };
    assert!(refused(with(|c| c.max_position_embeddings = 8), odd, options()).contains("max_position_embeddings 8"));
    assert!(refused(model(), Dataset { train: none(), ..dataset() }, options()).contains("no rows"));
    let measured = TrainOptions { eval_every: 2, ..options() };
    assert!(refused(model(), Dataset { val: none(), ..dataset() }, measured).contains("eval_every is 2"));
}
