//! Hints for option names of other trainers: transformers' `TrainingArguments`, TRL's `SFTConfig`, PEFT's and Unsloth's
//! arguments. None of them is accepted; the error for each names ours.

use crate::error::nearest;

/// A foreign name, ours (a key, where one means the same), and a remark.
type ForeignKeyHint = (&'static str, &'static str, &'static str);

/// The hint for keys that name a schedule.
const SCHEDULES: &str = "cosine, cosine_with_restarts, linear, polynomial, wsd, inverse_sqrt or constant";

/// The foreign names, sorted by subject.
const ANSWERS: &[ForeignKeyHint] = &[
    // --- how long, how fast
    ("learning_rate", "lr", ""),
    ("num_train_epochs", "epochs", ""),
    ("num_epochs", "epochs", ""),
    ("steps", "max_steps", ""),
    ("num_steps", "max_steps", ""),
    ("total_steps", "max_steps", ""),
    ("warmup", "warmup_steps", "or warmup_ratio, their share of the schedule"),
    ("lr_scheduler_type", "schedule", SCHEDULES),
    ("lr_scheduler_kwargs", "schedule", "num_cycles, power, num_decay_steps, min_lr and schedule_steps shape it"),
    ("scheduler", "schedule", SCHEDULES),
    ("min_learning_rate", "min_lr", ""),
    // --- the optimizer
    ("optim", "bits", "the optimizer is AdamW; bits: 8 is adamw_8bit"),
    ("optimizer", "bits", "the optimizer is AdamW; bits: 8 is adamw_8bit"),
    ("adam_beta1", "betas", "betas: [0.9, 0.999]"),
    ("adam_beta2", "betas", "betas: [0.9, 0.999]"),
    ("adam_epsilon", "eps", ""),
    ("gradient_clipping", "max_grad_norm", ""),
    ("clip_grad_norm", "max_grad_norm", ""),
    // --- batches
    ("per_device_train_batch_size", "batch_size", "rows at a time"),
    ("per_gpu_train_batch_size", "batch_size", "rows at a time"),
    ("train_batch_size", "batch_size", "rows at a time"),
    ("micro_batch_size", "batch_size", "rows at a time"),
    ("auto_find_batch_size", "batch_size", "batch_size: auto, with global_batch_size"),
    ("per_device_eval_batch_size", "batch_size", "measuring takes as many rows at a time as training"),
    ("eval_batch_size", "batch_size", "measuring takes as many rows at a time as training"),
    ("gradient_accumulation", "gradient_accumulation_steps", ""),
    ("grad_accum", "gradient_accumulation_steps", ""),
    ("max_eval_samples", "eval_batches", ""),
    // --- number formats and memory
    ("bf16", "mixed_precision", "mixed_precision: bf16"),
    ("fp16", "mixed_precision", "mixed_precision: f16"),
    ("tf32", "mixed_precision", "mixed_precision: bf16 or no"),
    ("half_precision_backend", "mixed_precision", ""),
    ("gradient_checkpointing_kwargs", "gradient_checkpointing", "true or false"),
    ("load_in_4bit", "method", "method: qlora"),
    ("load_in_8bit", "method", "the base is in 4 bits (method: qlora) or in full (method: lora)"),
    ("bnb_4bit_quant_type", "method", "method: qlora is NF4 with double quantisation"),
    ("bnb_4bit_compute_dtype", "mixed_precision", ""),
    ("bnb_4bit_use_double_quant", "method", "method: qlora is NF4 with double quantisation"),
    ("use_peft", "method", "qlora, lora or full"),
    ("use_cpu", "device", "device: cpu"),
    ("no_cuda", "device", "device: cpu"),
    // --- measuring, saving, logging
    ("eval_steps", "eval_every", ""),
    ("eval_strategy", "eval_every", "steps between measurements; 0 never"),
    ("evaluation_strategy", "eval_every", "steps between measurements; 0 never"),
    ("save_steps", "checkpoint_every", ""),
    ("save_strategy", "checkpoint_every", "steps between checkpoints; 0 at the end only"),
    ("logging_steps", "track", "every step is logged, in metrics.jsonl and wherever track says"),
    ("logging_strategy", "track", "every step is logged, in metrics.jsonl and wherever track says"),
    ("logging_dir", "track", "TensorBoard's files lie in output_dir: track: [tensorboard]"),
    ("report_to", "track", "track: [tensorboard, wandb, mlflow]"),
    ("run_name", "output_dir", "a run is called as its folder is"),
    (
        "load_best_model_at_end",
        "eval_every",
        "the best model is kept in output_dir/best_model whenever eval_every is set",
    ),
    ("metric_for_best_model", "eval_every", "the best model is the one with the lowest held-out loss"),
    ("early_stopping", "early_stopping_patience", ""),
    (
        "resume_from_checkpoint",
        "",
        "--resume goes on from the last checkpoint of --output_dir, or from the one it names",
    ),
    ("overwrite", "", "--overwrite begins anew where another run is"),
    ("push_to_hub", "", "nothing is sent anywhere; output_dir is a folder that the hub takes"),
    ("greater_is_better", "eval_every", "the best model is the one with the lowest held-out loss"),
    ("logging_first_step", "track", "every step is logged, in metrics.jsonl and wherever track says"),
    ("eval_delay", "eval_every", "the first measurement comes after eval_every steps"),
    ("eval_on_start", "eval_every", "the first measurement comes after eval_every steps"),
    ("save_safetensors", "", "all weights are saved as safetensors"),
    ("save_only_model", "", "a checkpoint holds all that --resume needs"),
    ("hub_model_id", "", "nothing is sent anywhere; output_dir is a folder that the hub takes"),
    ("hub_token", "", "nothing is sent anywhere; output_dir is a folder that the hub takes"),
    ("do_train", "", "etude train trains, etude evaluate measures"),
    ("do_eval", "", "etude train trains, etude evaluate measures"),
    ("do_predict", "", "etude generate plays"),
    ("disable_tqdm", "", "progress is shown on terminals and in notebooks only"),
    ("log_level", "", "RUST_LOG says what is logged: RUST_LOG=etude=debug"),
    ("ignore_data_skip", "", "--resume goes on at the row where the run stopped"),
    ("remove_unused_columns", "", "a row holds ids and nothing else"),
    ("dataset_text_field", "", "a dataset holds ids: data_dir is a folder of MIDI, or of a saved dataset"),
    ("include_inputs_for_metrics", "", "etude evaluate gives all figures"),
    ("prediction_loss_only", "", "etude evaluate gives all figures"),
    ("eval_accumulation_steps", "eval_batches", ""),
    ("label_smoothing_factor", "", "there is no label smoothing; weight_decay and lora_dropout keep weights small"),
    ("neftune_noise_alpha", "", "there is no noise on embeddings; augment gives each piece in other keys and tempi"),
    ("torch_compile", "", "everything is compiled already"),
    ("torch_compile_backend", "", "everything is compiled already"),
    ("jit_mode_eval", "", "everything is compiled already"),
    ("use_liger_kernel", "", "the fused kernels are used always"),
    ("attn_implementation", "", "attention is computed in blocks always"),
    ("flash_attention", "", "attention is computed in blocks always"),
    ("torch_empty_cache_steps", "", "memory is given back by itself; gradient_checkpointing takes less of it"),
    ("ddp_find_unused_parameters", "", "ranks are started by --nproc_per_node N, torchrun, mpirun or srun"),
    ("ddp_timeout", "", "ranks are started by --nproc_per_node N, torchrun, mpirun or srun"),
    ("local_rank", "", "ranks are started by --nproc_per_node N, torchrun, mpirun or srun, which number them"),
    ("bf16_full_eval", "mixed_precision", "mixed_precision: bf16"),
    ("fp16_full_eval", "mixed_precision", "mixed_precision: f16"),
    ("fp16_opt_level", "mixed_precision", "mixed_precision: f16"),
    ("num_workers", "", "pieces are read on all cores, once; --threads N takes fewer"),
    ("patience", "early_stopping_patience", ""),
    ("sequence_length", "max_seq_len", ""),
    ("seq_len", "max_seq_len", ""),
    ("n_epochs", "epochs", ""),
    ("max_epochs", "epochs", ""),
    ("max_iters", "max_steps", ""),
    ("clip", "max_grad_norm", ""),
    ("wandb_run_name", "output_dir", "a run is called as its folder is"),
    ("wandb", "track", "track: [wandb]"),
    // --- adapters
    ("lora_bias", "bias", "none, all or lora_only"),
    ("task_type", "", "the model's config.json says what it is"),
    ("lora_r", "r", ""),
    ("lora_rank", "r", ""),
    ("rank", "r", ""),
    ("alpha", "lora_alpha", ""),
    ("dropout", "lora_dropout", ""),
    ("lora_target_modules", "target_modules", ""),
    ("modules", "target_modules", ""),
    // --- model and data
    ("model", "base_model", ""),
    ("model_name_or_path", "base_model", ""),
    ("pretrained_model_name_or_path", "base_model", ""),
    ("tokenizer_name", "tokenizer", ""),
    ("tokenizer_name_or_path", "tokenizer", ""),
    ("dataset", "data_dir", ""),
    ("dataset_name", "data_dir", ""),
    ("train_file", "data_dir", ""),
    ("midi_dir", "data_dir", ""),
    ("max_length", "max_seq_len", ""),
    ("max_seq_length", "max_seq_len", ""),
    ("max_sequence_length", "max_seq_len", ""),
    ("block_size", "max_seq_len", ""),
    ("validation_split", "val", ""),
    ("val_split", "val", ""),
    ("test_size", "val", ""),
    ("data_seed", "seed", ""),
    ("dataloader_num_workers", "", "pieces are read on all cores, once; --threads N takes fewer"),
    ("group_by_length", "", "rows are packed to one length"),
    ("ddp_backend", "", "ranks are started by --nproc_per_node N, torchrun, mpirun or srun"),
    ("deepspeed", "", "ranks are started by --nproc_per_node N, torchrun, mpirun or srun; each holds the whole model"),
    ("fsdp", "", "ranks are started by --nproc_per_node N, torchrun, mpirun or srun; each holds the whole model"),
];

/// The hint for a foreign name, if it is one; `flag` is true for command lines.
pub(super) fn answer(name: &str, flag: bool) -> Option<String> {
    let names: Vec<&str> = ANSWERS.iter().map(|(theirs, ..)| *theirs).collect();
    let lower = name.to_lowercase();
    let known = names.iter().copied().find(|theirs| *theirs == lower);
    // A misspelt long foreign name is recognised, too.
    let known = known.or_else(|| nearest(&lower, &names).filter(|near| near.len() > 12 && close(&lower, near)))?;
    let (_, ours, more) = ANSWERS.iter().find(|(theirs, ..)| *theirs == known)?;
    let ours = if flag && !ours.is_empty() { format!("--{ours}") } else { (*ours).to_string() };
    Some(match (ours.is_empty(), more.is_empty()) {
        (true, _) => (*more).to_string(),
        (false, true) => format!("it is called '{ours}' here"),
        (false, false) => format!("see '{ours}': {more}"),
    })
}

/// True when the names differ by at most one letter.
fn close(name: &str, other: &str) -> bool {
    strsim::damerau_levenshtein(name, other) <= 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Recipe;

    #[test]
    fn every_answer_is_a_key_of_ours_and_no_name_of_theirs_is_one() {
        let keys = Recipe::keys();
        for (theirs, ours, more) in ANSWERS {
            assert!(ours.is_empty() || keys.iter().any(|key| key == ours), "{theirs}: {ours}");
            assert!(!ours.is_empty() || !more.is_empty(), "{theirs}");
            assert!(!keys.iter().any(|key| key == theirs), "{theirs} is a key");
        }
        let mut names: Vec<&str> = ANSWERS.iter().map(|(theirs, ..)| *theirs).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all, "each is there once");
    }

    #[test]
    fn a_name_of_another_trainer_is_answered_with_ours() {
        assert_eq!(answer("learning_rate", false).as_deref(), Some("it is called 'lr' here"));
        assert_eq!(answer("learning_rate", true).as_deref(), Some("it is called '--lr' here"));
        assert!(answer("per_device_train_batchsize", true).is_some_and(|hint| hint.contains("'--batch_size'")));
        assert!(answer("num_train_epochs", false).is_some_and(|hint| hint.contains("'epochs'")));
        assert!(answer("report_to", false).is_some_and(|hint| hint.contains("tensorboard")));
        assert_eq!(answer("lora_alhpa", false), None, "a slip in one of ours");
    }
}
