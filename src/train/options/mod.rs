//! The options of a training run; the command line, YAML and scripts have the same names.

mod batch_size;
mod precision;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::train::{AdamWOptions, Schedule, ScheduleKind};

pub use batch_size::BatchSize;
pub use precision::MixedPrecision;

/// The options of a [`Trainer`](crate::train::Trainer).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainOptions {
    /// Peak learning rate.
    pub lr: f64,
    /// Rows in a micro-batch.
    pub batch_size: BatchSize,
    /// Micro-batches in a step.
    pub gradient_accumulation_steps: usize,
    /// Rows in a step when `batch_size` is auto; micro-batches are then chosen by memory.
    pub global_batch_size: usize,
    /// Steps of the run.
    pub max_steps: u64,
    /// Passes over the training rows, instead of `max_steps`; a trainer counts its steps from it.
    pub epochs: Option<f64>,
    /// Shape of the learning rate.
    pub schedule: ScheduleKind,
    /// The length of the schedule in steps (`max_steps` when absent).
    pub schedule_steps: Option<u64>,
    /// Steps of linear warm-up.
    pub warmup_steps: u64,
    /// Their share of the schedule where `warmup_steps` is 0.
    pub warmup_ratio: f64,
    /// Learning rate at the end of the schedule.
    pub min_lr: f64,
    /// Cosines of the schedule `cosine_with_restarts`.
    pub num_cycles: u64,
    /// Exponent of the schedule `polynomial`.
    pub power: f64,
    /// Steps of the fall of the schedule `wsd` (a fifth of those after the warm-up when absent).
    pub num_decay_steps: Option<u64>,
    /// Gradients are clipped to this norm; 0 clips nothing.
    pub max_grad_norm: f64,
    /// Decay of the moments.
    pub betas: (f64, f64),
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay; norms and biases have none.
    pub weight_decay: f64,
    /// Bits of the moments: 32, or 8 in blocks.
    pub bits: u8,
    /// Factor of the learning rate of the B of adapters and of vectors (LoRA+).
    pub loraplus_lr_ratio: f64,
    /// Decay of the moving average of the weights, which is then evaluated and saved; 0 keeps none.
    pub ema: f64,
    /// Number format of products.
    pub mixed_precision: MixedPrecision,
    /// Whether to use activation checkpointing: activations are recomputed in backward, block by block.
    pub gradient_checkpointing: bool,
    /// Steps between measurements of the held-out loss; 0 never.
    pub eval_every: u64,
    /// Batches of one measurement (the whole split when absent).
    pub eval_batches: Option<usize>,
    /// Evaluations without a better held-out loss after which the run ends; 0 never.
    pub early_stopping_patience: u64,
    /// The least improvement of the held-out loss that counts.
    pub early_stopping_threshold: f64,
    /// The run stops when the mean of five losses exceeds the median of the fifty before by this factor; 0 never.
    pub spike_factor: f64,
    /// Steps between checkpoints; 0 only at the end.
    pub checkpoint_every: u64,
    /// Checkpoints kept.
    pub save_total_limit: Option<usize>,
    /// Steps between samples of the model; 0 never.
    pub sample_every: u64,
    /// Chords of the samples; none when empty.
    pub sample_chords: String,
    /// Ids of a sample.
    pub sample_tokens: usize,
    /// Folder of the run; nothing is written when absent.
    #[serde(alias = "out", with = "crate::forms::path")]
    pub output_dir: Option<PathBuf>,
    /// Sinks for the metrics of the run, in addition to the JSON lines.
    #[serde(deserialize_with = "crate::forms::words")]
    pub track: Vec<String>,
    /// Project of the run in Weights & Biases; setting it adds the sink.
    pub wandb_project: Option<String>,
    /// Seed of the order of batches and of dropout.
    pub seed: u64,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            lr: 2e-4,
            batch_size: BatchSize::Rows(4),
            gradient_accumulation_steps: 1,
            global_batch_size: 16,
            max_steps: 100,
            epochs: None,
            schedule: ScheduleKind::Cosine,
            schedule_steps: None,
            warmup_steps: 0,
            warmup_ratio: 0.0,
            min_lr: 0.0,
            num_cycles: 1,
            power: 1.0,
            num_decay_steps: None,
            max_grad_norm: 1.0,
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.0,
            bits: 32,
            loraplus_lr_ratio: 1.0,
            ema: 0.0,
            mixed_precision: MixedPrecision::No,
            gradient_checkpointing: false,
            eval_every: 0,
            eval_batches: None,
            early_stopping_patience: 0,
            early_stopping_threshold: 0.0,
            spike_factor: 2.0,
            checkpoint_every: 0,
            save_total_limit: None,
            sample_every: 0,
            sample_chords: String::new(),
            sample_tokens: 256,
            output_dir: None,
            track: Vec::new(),
            wandb_project: None,
            seed: 0,
        }
    }
}

impl TrainOptions {
    /// Checks the ranges.
    ///
    /// # Errors
    /// Names the option and its value.
    pub fn validate(&self) -> Result<()> {
        self.check_counts()?;
        self.check_floats()?;
        let Schedule { peak, warmup, total, min, .. } = self.plan();
        if !(min.is_finite() && (0.0..=peak).contains(&min)) {
            return Err(Error::mistake(format!("min_lr must lie between 0 and lr ({peak}), not be {min}")));
        }
        // The warm-up of a run that is shorter than it is cut; see `cut_warmup`. How long a run of epochs is shows later.
        if self.schedule.has_end() && self.schedule_steps.is_some() && warmup >= total {
            return Err(Error::mistake(format!("warmup_steps must be less than schedule_steps: {warmup} of {total}"))
                .with_hint("warm up for a few percent of the steps"));
        }
        if self.early_stopping_patience > 0 && self.eval_every == 0 {
            return Err(Error::mistake(format!(
                "early_stopping_patience is {}, but nothing is measured on the way",
                self.early_stopping_patience
            ))
            .with_hint("set eval_every"));
        }
        if self.batch_size == BatchSize::Auto && self.gradient_accumulation_steps != 1 {
            return Err(Error::mistake(format!(
                "batch_size: auto finds the micro-batches itself; gradient_accumulation_steps is {}",
                self.gradient_accumulation_steps
            ))
            .with_hint("say how many rows a step has with global_batch_size"));
        }
        self.adamw().validate()?;
        let length = if self.epochs.is_none() && warmup < total { total } else { u64::MAX };
        Schedule { total: length, ..self.plan() }.validate()
    }

    fn check_counts(&self) -> Result<()> {
        let batch_size = match self.batch_size {
            BatchSize::Rows(rows) => Some(rows as u64),
            BatchSize::Auto => None,
        };
        let at_least_one = [
            ("batch_size", batch_size),
            ("gradient_accumulation_steps", Some(self.gradient_accumulation_steps as u64)),
            ("global_batch_size", Some(self.global_batch_size as u64)),
            ("max_steps", Some(self.max_steps)),
            ("schedule_steps", self.schedule_steps),
            ("eval_batches", self.eval_batches.map(|n| n as u64)),
            ("save_total_limit", self.save_total_limit.map(|n| n as u64)),
            ("sample_tokens", Some(self.sample_tokens as u64)),
        ];
        match at_least_one.iter().find(|(_, value)| *value == Some(0)) {
            Some((name, _)) => Err(Error::mistake(format!("{name} must be at least 1, not 0"))),
            None => Ok(()),
        }
    }

    fn check_floats(&self) -> Result<()> {
        let Self { epochs, warmup_ratio, max_grad_norm, ema, early_stopping_threshold, spike_factor, .. } = *self;
        if !(0.0..1.0).contains(&warmup_ratio) {
            return Err(Error::mistake(format!("warmup_ratio must lie in [0, 1), not be {warmup_ratio}"))
                .with_hint("0.05 warms up for a twentieth of the schedule"));
        }
        if let Some(epochs) = epochs.filter(|epochs| !(epochs.is_finite() && *epochs > 0.0)) {
            return Err(Error::mistake(format!("epochs must be above 0, not {epochs}")));
        }
        if !(max_grad_norm.is_finite() && max_grad_norm >= 0.0) {
            let message = format!("max_grad_norm must be at least 0, not {max_grad_norm}");
            return Err(Error::mistake(message).with_hint("0 clips nothing"));
        }
        if !(0.0..1.0).contains(&ema) {
            return Err(Error::mistake(format!("ema must lie in [0, 1), not be {ema}"))
                .with_hint("0 keeps no running mean; 0.999 is usual"));
        }
        if !(early_stopping_threshold.is_finite() && early_stopping_threshold >= 0.0) {
            let message = format!("early_stopping_threshold must be at least 0, not {early_stopping_threshold}");
            return Err(Error::mistake(message));
        }
        if !(spike_factor == 0.0 || (spike_factor.is_finite() && spike_factor > 1.0)) {
            return Err(Error::mistake(format!("spike_factor must be above 1, not {spike_factor}"))
                .with_hint("2 stops when the loss doubles; 0 never stops"));
        }
        Ok(())
    }

    /// Cuts a warm-up that would last as long as the run to a tenth of it, so that any recipe can be tried for a few
    /// steps; gives a note for the user.
    pub(crate) fn cut_warmup(&mut self) -> Option<String> {
        let (asked, all) = (self.warmup_steps, self.max_steps);
        if !self.schedule.has_end() || self.schedule_steps.is_some() || asked < all {
            return None;
        }
        self.warmup_steps = all / 10;
        Some(format!(
            "warmup_steps: {} instead of {asked}, a tenth of the run, which has {all} steps",
            self.warmup_steps
        ))
    }

    /// Counts `max_steps` from `epochs` for a number of rows and ranks, once the rows of a step are determined.
    pub(crate) fn count_steps(&mut self, rows: usize, ranks: usize) {
        if let Some(epochs) = self.epochs.take() {
            let a_step = self.rows() * self.gradient_accumulation_steps * ranks;
            self.max_steps = ((epochs * rows as f64 / a_step as f64).ceil() as u64).max(1);
        }
    }

    /// Rows of a micro-batch, once determined.
    pub(crate) fn rows(&self) -> usize {
        match self.batch_size {
            BatchSize::Rows(rows) => rows,
            BatchSize::Auto => 1,
        }
    }

    /// The learning-rate schedule.
    pub fn plan(&self) -> Schedule {
        let total = self.schedule_steps.unwrap_or(self.max_steps);
        let warmup = match self.warmup_steps {
            0 => (self.warmup_ratio * total as f64).ceil() as u64,
            steps => steps,
        };
        let Self { schedule: kind, lr: peak, min_lr: min, num_cycles, power, num_decay_steps, .. } = *self;
        Schedule { kind, peak, warmup, total, min, num_cycles, power, num_decay_steps }
    }

    /// The options of the run's optimizer.
    pub fn adamw(&self) -> AdamWOptions {
        let Self { lr, betas, eps, weight_decay, bits, loraplus_lr_ratio, .. } = *self;
        AdamWOptions { lr, betas, eps, weight_decay, bits, loraplus_lr_ratio }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_and_ratios_become_steps() {
        let (batch_size, gradient_accumulation_steps) = (BatchSize::Rows(3), 2);
        let base = TrainOptions { batch_size, gradient_accumulation_steps, ..TrainOptions::default() };
        for (epochs, steps) in [(1.0, 3), (2.5, 6), (0.01, 1)] {
            let mut options = TrainOptions { epochs: Some(epochs), warmup_ratio: 0.3, ..base.clone() };
            options.validate().expect("sane");
            options.count_steps(27, 2); // 12 rows a step
            assert_eq!((options.max_steps, options.epochs), (steps, None));
            assert_eq!(options.plan().warmup, (0.3 * steps as f64).ceil() as u64);
        }
        let both = TrainOptions { warmup_steps: 4, warmup_ratio: 0.5, ..base };
        assert_eq!(both.plan().warmup, 4);
    }

    #[test]
    fn the_defaults_are_valid() {
        TrainOptions::default().validate().expect("defaults");
    }

    #[test]
    fn an_option_out_of_range_is_named_with_its_value() {
        let base = TrainOptions::default;
        for (options, word) in [
            (TrainOptions { lr: -1.0, ..base() }, "-1"),
            (TrainOptions { batch_size: BatchSize::Rows(0), ..base() }, "batch_size"),
            (TrainOptions { ema: 1.0, ..base() }, "ema"),
            (TrainOptions { spike_factor: 0.5, ..base() }, "spike_factor"),
            (TrainOptions { warmup_ratio: 1.0, ..base() }, "warmup_ratio"),
            (TrainOptions { epochs: Some(0.0), ..base() }, "epochs"),
            (TrainOptions { num_cycles: 0, ..base() }, "num_cycles"),
            (TrainOptions { schedule: ScheduleKind::Wsd, num_decay_steps: Some(101), ..base() }, "num_decay_steps"),
            (TrainOptions { early_stopping_patience: 3, ..base() }, "early_stopping_patience"),
            (TrainOptions { bits: 16, ..base() }, "bits"),
            (
                TrainOptions { batch_size: BatchSize::Auto, gradient_accumulation_steps: 2, ..base() },
                "gradient_accumulation_steps",
            ),
            (TrainOptions { gradient_accumulation_steps: 0, ..base() }, "gradient_accumulation_steps"),
            (TrainOptions { max_steps: 0, ..base() }, "max_steps"),
            (TrainOptions { warmup_steps: 100, schedule_steps: Some(100), ..base() }, "100 of 100"),
            (TrainOptions { min_lr: 1.0, ..base() }, "min_lr"),
            (TrainOptions { max_grad_norm: f64::NAN, ..base() }, "max_grad_norm"),
            (TrainOptions { betas: (0.9, 1.0), ..base() }, "betas"),
            (TrainOptions { weight_decay: -0.1, ..base() }, "weight_decay"),
            (TrainOptions { save_total_limit: Some(0), ..base() }, "save_total_limit"),
        ] {
            let error = options.validate().expect_err(word);
            assert!(error.message().contains(word), "{error}");
        }
    }

    #[test]
    fn a_warm_up_longer_than_the_run_is_cut_with_a_word() {
        let mut short = TrainOptions { max_steps: 10, warmup_steps: 100, ..TrainOptions::default() };
        short.validate().expect("it will be cut");
        let warning = short.cut_warmup().expect("it is too long");
        assert!(warning.contains("1 instead of 100"), "{warning}");
        assert_eq!((short.warmup_steps, short.cut_warmup()), (1, None));
        let mut one = TrainOptions { max_steps: 1, warmup_steps: 1, ..TrainOptions::default() };
        assert!(one.cut_warmup().is_some() && one.warmup_steps == 0);
        one.validate().expect("a step without warm-up");
        let mut laid = TrainOptions { max_steps: 10, schedule_steps: Some(500), warmup_steps: 100, ..one };
        assert_eq!(laid.cut_warmup(), None, "the schedule is that of a longer run");
    }

    #[test]
    fn what_pyyaml_writes_for_no_is_no() {
        let read = |value: &str| serde_json::from_str::<MixedPrecision>(value);
        for no in ["false", "\"no\"", "\"false\"", "null"] {
            assert_eq!(read(no).expect("no"), MixedPrecision::No, "{no}");
        }
        assert_eq!(read("\"bfloat16\"").expect("PyTorch's name"), MixedPrecision::Bf16);
        for wrong in ["true", "16", "\"f61\""] {
            let error = read(wrong).expect_err(wrong).to_string();
            assert!(error.contains("bf16"), "{error}");
        }
    }

    #[test]
    fn what_is_written_is_read_and_out_is_a_short_name() {
        let options = TrainOptions { batch_size: BatchSize::Auto, output_dir: Some("a".into()), ..Default::default() };
        let written = serde_json::to_value(&options).expect("plain data");
        assert_eq!(serde_json::from_value::<TrainOptions>(written).expect("its own"), options);
        let read = |text: &str| serde_json::from_str::<TrainOptions>(text);
        assert_eq!(read(r#"{"out": "b", "batch_size": 3}"#).expect("short").output_dir, Some("b".into()));
        assert_eq!(
            read(r#"{"mixed_precision": "fp16"}"#).expect("its other name").mixed_precision,
            MixedPrecision::F16
        );
        for wrong in ["-1", "0.5", "\"many\"", "[1]"] {
            let error = read(&format!("{{\"batch_size\": {wrong}}}")).expect_err(wrong).to_string();
            assert!(error.contains("a whole number or \"auto\""), "{error}");
        }
    }
}
