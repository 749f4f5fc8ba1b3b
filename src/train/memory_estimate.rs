//! Estimates of the memory of a step, and of the rows that fit.
//!
//! With `n` tokens in a micro-batch, `h` the hidden size, `k` the width of the keys, `i` that of the feed-forward, `m`
//! the number of its layers (3 with a gate, 2 without) and `V` the vocabulary, a block saves the inputs of its ops for
//! backward: `9 h + 4 k + m i` floats a token, and `5 h + 4 k` more with cross attention. A source is counted as long as
//! the rows, an upper bound. In addition there are the logits with their gradient, `2 V`, and the temporaries of backward,
//! about `6 h + m i`. With checkpointing a block saves its input `h` only, and one block at a time all of it. The weights,
//! their gradients (twice while they are summed), the moments and the running mean do not depend on the rows.

use std::path::Path;

use candle_core::Device;

use crate::error::{Error, Result};
use crate::nn::{self, Model, StackSpec};
use crate::train::TrainOptions;

/// The share of free memory that is used: allocators and other processes need memory, too.
const SHARE: f64 = 0.7;

/// Bytes that a step with `rows` rows of `width` tokens needs in addition to the weights; `moments` are the bytes of
/// the optimizer.
pub(super) fn step_bytes(model: &Model, options: &TrainOptions, moments: usize, rows: usize, width: usize) -> u64 {
    let (stack, v) = (&model.spec().decoder, model.spec().vocab_size);
    let (h, mlp) = (stack.hidden_size, (stack.mlp_inputs() + 1) * stack.intermediate_size);
    let kept = |stack: &StackSpec| {
        let (h, k) = (stack.hidden_size, stack.key_width());
        let mlp = (stack.mlp_inputs() + 1) * stack.intermediate_size;
        let cross = if stack.cross_attention { 5 * h + 4 * k } else { 0 };
        let block = 9 * h + 4 * k + mlp + cross;
        if options.gradient_checkpointing { stack.layers * h + block } else { stack.layers * block }
    };
    let kept = kept(stack) + model.spec().encoder.as_ref().map_or(0, kept);
    let a_token = kept + 2 * v + 6 * h + mlp;
    let copies = 1 + usize::from(options.global_batch_size > rows) + usize::from(options.ema > 0.0);
    (4 * (rows * width * a_token + copies * model.trainable()) + moments) as u64
}

/// The largest part of `global_batch_size` whose step fits into `free` bytes.
///
/// # Errors
/// When not even one row fits.
pub(super) fn rows_that_fit(
    model: &Model,
    options: &TrainOptions,
    moments: usize,
    width: usize,
    free: u64,
) -> Result<usize> {
    let whole = options.global_batch_size;
    let room = (free as f64 * SHARE) as u64;
    let fits = |rows: &usize| step_bytes(model, options, moments, *rows, width) <= room;
    (1..=whole).rev().filter(|rows| whole.is_multiple_of(*rows)).find(fits).ok_or_else(|| {
        let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
        let need = gib(step_bytes(model, options, moments, 1, width));
        Error::mistake(format!("a step with one row of {width} tokens needs {need:.1} GiB, {:.1} are free", gib(free)))
            .with_hint("take gradient_checkpointing: true, bits: 8, a smaller max_seq_len, or a smaller model")
    })
}

/// Bytes that this process may still allocate; `None` where the system does not report it.
pub fn free_memory() -> Option<u64> {
    let text = |path: &str| std::fs::read_to_string(Path::new(path)).ok();
    let of_machine = available(&text("/proc/meminfo")?)?;
    let number = |path: &str| text(path)?.trim().parse::<u64>().ok(); // "max" where there is no limit
    let limit = number("/sys/fs/cgroup/memory.max").zip(number("/sys/fs/cgroup/memory.current"));
    Some(limit.map_or(of_machine, |(most, used)| of_machine.min(most.saturating_sub(used))))
}

/// The peak memory in bytes since the program began or since [`reset_peak_memory`]: that of the process, or on a GPU
/// that of its tensors; `None` where the system does not report it.
pub fn peak_memory(device: &Device) -> Option<u64> {
    if !device.is_cpu() {
        return nn::peak_memory(device);
    }
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

/// Resets [`peak_memory`], where the system can.
pub fn reset_peak_memory(device: &Device) {
    nn::reset_peak_memory(device);
    // Linux, proc(5): 5 sets the peak to the current value.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// `MemAvailable` of `/proc/meminfo`, in bytes.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::LlamaConfig;

    fn model() -> Model {
        let config = LlamaConfig {
            vocab_size: 500,
            hidden_size: 64,
            num_hidden_layers: 2,
            num_attention_heads: 2,
            ..LlamaConfig::default()
        };
        Model::new(&config, &Device::Cpu, 0).expect("a valid shape")
    }

    #[test]
    fn the_largest_part_that_fits_is_taken() {
        let (model, options) = (model(), TrainOptions { global_batch_size: 12, ..TrainOptions::default() });
        let free = |rows| (step_bytes(&model, &options, 0, rows, 128) as f64 / SHARE) as u64 + 2;
        for (room, rows) in [(12, 12), (11, 6), (6, 6), (5, 4), (1, 1)] {
            assert_eq!(rows_that_fit(&model, &options, 0, 128, free(room)).ok(), Some(rows), "room for {room}");
        }
        let error = rows_that_fit(&model, &options, 0, 128, 1 << 10).expect_err("no room");
        assert!(error.message().contains("one row of 128 tokens") && error.hint().is_some(), "{error}");
    }

    #[test]
    fn recomputing_and_short_rows_take_less() {
        let (model, options) = (model(), TrainOptions::default());
        let again = TrainOptions { gradient_checkpointing: true, ..options.clone() };
        let bytes = |options: &TrainOptions, width| step_bytes(&model, options, 0, 4, width);
        assert!(bytes(&again, 256) < bytes(&options, 256) && bytes(&options, 128) < bytes(&options, 256));
    }

    #[test]
    fn the_free_memory_is_read_in_bytes() {
        let text = "MemTotal:       100 kB\nMemFree:  7 kB\nMemAvailable:   24 kB\n";
        assert_eq!(available(text), Some(24 << 10));
        assert_eq!(available("MemTotal: 1 kB\n"), None);
    }
}
