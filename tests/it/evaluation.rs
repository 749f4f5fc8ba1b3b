//! Evaluating keeps nothing: no graph, and a process that does not grow.

use std::process::Command;

use candle_core::{Device, Tensor};
use etude::data::Batch;
use etude::nn::{Cache, ForwardCtx, Gpt2Config, LlamaConfig, LoraConfig, Model};

fn models() -> [Model; 2] {
    let llama = LlamaConfig {
        vocab_size: 50,
        hidden_size: 16,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        intermediate_size: 32,
        max_position_embeddings: 16,
        ..LlamaConfig::default()
    };
    let gpt2 = Gpt2Config {
        vocab_size: 50,
        hidden_size: 16,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        max_position_embeddings: 16,
        ..Gpt2Config::default()
    };
    let llama = Model::new(&llama, &Device::Cpu, 1).unwrap();
    let gpt2 = Model::new(&gpt2, &Device::Cpu, 1).unwrap();
    [llama.quantize("nf4").unwrap().lora(&LoraConfig::default(), 1).unwrap(), gpt2]
}

fn batch() -> Batch {
    let tokens: Vec<u32> = (0..32).map(|i| i * 7 % 50).collect();
    Batch { labels: tokens.clone(), input_ids: tokens, rows: 2, width: 16, ..Batch::default() }
}

#[test]
fn no_graph_is_kept_unless_it_is_asked_for() {
    let (batch, quiet) = (batch(), ForwardCtx::default());
    let tokens = Tensor::from_vec(batch.input_ids.clone(), (2, 16), &Device::Cpu).unwrap();
    for model in models() {
        assert!(!model.logits(&batch, &quiet).unwrap().track_op());
        assert!(!model.loss(&batch, &quiet).unwrap().track_op());
        assert!(!model.forward(&tokens, &quiet).unwrap().track_op());
        assert!(!model.hidden(&tokens, &ForwardCtx::recording()).unwrap().track_op());
        assert!(!model.attention(&batch, 0).unwrap().track_op());
        let step = model.step(&tokens.narrow(1, 0, 8).unwrap(), &mut Cache::new(), &ForwardCtx::recording());
        assert!(!step.unwrap().track_op());
        assert!(model.loss(&batch, &ForwardCtx::recording()).unwrap().track_op(), "asked for");
        let (loss, _tape) = model.taped_loss(&batch, &quiet).unwrap();
        assert!(!loss.track_op(), "a tape needs no graph beside it");
    }
}

/// Bytes of memory this process holds; `None` where the system does not say.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

#[test]
#[ignore = "the test below runs it in a process of its own"]
fn evaluate_five_hundred_times() {
    let batch = batch();
    let evaluate = |times: usize| {
        for model in models() {
            // What is evaluated is held: activations behind it would be, too.
            let held: Vec<Tensor> = (0..times).map(|_| model.loss(&batch, &ForwardCtx::default()).unwrap()).collect();
            assert_eq!(held.len(), times);
        }
    };
    evaluate(20);
    let before = resident();
    // Each would keep about 50 kB of activations and a graph.
    evaluate(500);
    if let (Some(before), Some(after)) = (before, resident()) {
        let grown = after.saturating_sub(before) >> 20;
        assert!(grown < 8, "500 evaluations took {grown} MiB");
    }
}

#[test]
fn five_hundred_evaluations_do_not_grow_the_process() {
    let test = "evaluation::evaluate_five_hundred_times";
    let child = Command::new(std::env::current_exe().unwrap()).args([test, "--exact", "--ignored"]).output().unwrap();
    let text = String::from_utf8_lossy(&child.stdout).into_owned();
    assert!(child.status.success() && text.contains("1 passed"), "{text}");
}
