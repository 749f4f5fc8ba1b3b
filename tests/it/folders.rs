//! Models on disk: what is saved comes back, and what is broken is named.

use std::fs;
use std::path::Path;

use candle_core::{Device, Tensor};
use etude::data::Batch;
use etude::nn::{Dtype, ForwardCtx, LlamaConfig, LoraConfig, Model};
use tempfile::tempdir;

fn tiny(tied: bool) -> Model {
    let config = LlamaConfig {
        vocab_size: 29,
        hidden_size: 32,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: Some(2),
        intermediate_size: 48,
        max_position_embeddings: 64,
        rope_theta: 4321.5,
        tie_word_embeddings: tied,
        initializer_range: 0.1,
        ..LlamaConfig::default()
    };
    Model::new(&config, &Device::Cpu, 11).unwrap()
}

fn adapted(model: &Model) -> Model {
    let config = LoraConfig { r: 4, lora_dropout: 0.25, use_rslora: true, ..LoraConfig::default() };
    let adapted = model.lora(&config, 5).unwrap();
    for parameter in adapted.parameters() {
        let moved = (parameter.var.as_tensor() + 0.03).unwrap();
        parameter.var.set(&moved).unwrap();
    }
    adapted
}

fn logits(model: &Model) -> Vec<f32> {
    let batch = Batch {
        input_ids: (0..10).map(|i| i * 7 % 29).collect(),
        labels: vec![1; 10],
        rows: 2,
        width: 5,
        ..Batch::default()
    };
    model.logits(&batch, &ForwardCtx::default()).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn load(dir: &Path) -> Model {
    Model::load(dir, &Device::Cpu).unwrap()
}

fn refusal(dir: &Path) -> String {
    let error = Model::load(dir, &Device::Cpu).expect_err("refused");
    assert!(error.is_mistake(), "{error}");
    error.to_string()
}

fn files(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn every_kind_of_model_comes_back_as_it_was() {
    for tied in [false, true] {
        let plain = tiny(tied);
        let small = plain.quantize("nf4").unwrap();
        for model in [adapted(&plain), adapted(&small), plain, small] {
            let folder = tempdir().unwrap();
            model.save(folder.path()).unwrap();
            let back = load(folder.path());
            let config = back.config().llama().unwrap();
            assert_eq!((config.kv_heads(), config.rope_theta), (2, 4321.5));
            assert_eq!(back.layers(), model.layers());
            let config = model.lora_config().cloned();
            assert_eq!(back.lora_config().map(LoraConfig::scale), config.as_ref().map(LoraConfig::scale));
            assert_eq!(back.lora_config().map(|c| c.lora_dropout), config.map(|c| c.lora_dropout));
            assert_eq!(logits(&back), logits(&model));
            let names = |m: &Model| m.parameters().into_iter().map(|p| p.name).collect::<Vec<_>>();
            assert_eq!(names(&back), names(&model));
        }
    }
}

#[test]
fn a_folder_holds_whole_files_and_nothing_else() {
    let folder = tempdir().unwrap();
    adapted(&tiny(true)).save(folder.path()).unwrap();
    let with = ["adapter_config.json", "adapter_model.safetensors", "config.json", "model.safetensors"];
    assert_eq!(files(folder.path()), with);
    let saved = candle_core::safetensors::load(folder.path().join("model.safetensors"), &Device::Cpu).unwrap();
    assert!(!saved.contains_key("lm_head.weight"), "a tied head is not stored twice");
    // An adapter that lies there must not come back with a model that has none.
    tiny(true).save(folder.path()).unwrap();
    assert_eq!(files(folder.path()), with[2..]);
}

#[test]
fn an_adapter_travels_alone() {
    let folder = tempdir().unwrap();
    let base = tiny(false);
    let model = adapted(&base);
    model.save_adapter(folder.path()).unwrap();
    assert_eq!(files(folder.path()), ["adapter_config.json", "adapter_model.safetensors"]);
    assert_eq!(logits(&base.load_adapter(folder.path()).unwrap()), logits(&model));
    let again = base.lora(&LoraConfig::default(), 1).unwrap().load_adapter(folder.path()).unwrap();
    assert_eq!(logits(&again), logits(&model), "it takes the place of another");
    assert!(refusal(folder.path()).contains("load its base"));
    let error = base.save_adapter(folder.path()).unwrap_err();
    assert!(error.message().contains("no adapter to save"), "{error}");
}

#[test]
fn two_bytes_a_weight_halve_the_file_and_hardly_move_the_answers() {
    let model = tiny(true);
    let size = |dtype| {
        let folder = tempdir().unwrap();
        model.save_with(folder.path(), dtype).unwrap();
        let off =
            logits(&load(folder.path())).iter().zip(logits(&model)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        (fs::metadata(folder.path().join("model.safetensors")).unwrap().len(), off)
    };
    let (whole, nothing) = size(Dtype::F32);
    assert_eq!(nothing, 0.0);
    for (dtype, most) in [(Dtype::Bf16, 0.05), (Dtype::F16, 0.006)] {
        let (half, off) = size(dtype);
        assert!(half < whole * 6 / 10, "{half} of {whole}");
        assert!(off > 0.0 && off < most, "{dtype:?}: {off}");
    }
}

#[test]
fn the_base_is_in_the_binary() {
    let base = Model::base(&Device::Cpu).unwrap();
    assert!(base.layers().iter().any(|layer| layer.kind == "linear nf4"));
    assert!(base.parameters().is_empty());
    let tokens = Tensor::new(&[[1u32, 2, 3]], &Device::Cpu).unwrap();
    let logits = base.forward(&tokens, &ForwardCtx::default()).unwrap();
    assert_eq!(logits.dims(), [1, 3, base.spec().vocab_size]);
}

#[test]
fn what_is_missing_or_misshapen_is_named() {
    let folder = tempdir().unwrap();
    let dir = folder.path();
    assert!(refusal(&dir.join("nowhere")).contains("nowhere/config.json"));
    let model = tiny(false);
    model.save(dir).unwrap();
    let path = dir.join("config.json");
    let config = fs::read_to_string(&path).unwrap();
    let with = |from: &str, to: &str| {
        assert!(config.contains(from), "{from}");
        fs::write(&path, config.replace(from, to)).unwrap();
        refusal(dir)
    };
    let text = with("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3");
    assert!(text.contains("model.safetensors has no tensor 'model.layers.2.input_layernorm.weight'"), "{text}");
    let text = with("\"intermediate_size\": 48", "\"intermediate_size\": 50");
    assert!(text.contains("'model.layers.0.mlp.gate_proj.weight' has the shape [48, 32]"), "{text}");
    assert!(text.contains("[50, 32]"), "{text}");
    assert!(with("\"llama\"", "\"gpt_neox\"").contains("model_type"));
    assert!(with("\"silu\"", "\"mish\"").contains("hidden_act"));
    assert!(with("\"attention_bias\": false", "\"attention_bias\": true").contains("self_attn.q_proj.bias"));
    assert!(with("\"hidden_size\": 32", "\"hidden_size\": \"wide\"").contains("config.json"));
    assert!(with("\"hidden_size\": 32", "\"hidden_size\": 33, \"head_dim\": null").contains("hidden_size 33"));
    assert!(
        with("\"use_cache\"", "\"rope_scaling\": {\"rope_type\": \"longrope\"}, \"use_cache\"").contains("longrope")
    );
    fs::write(&path, &config).unwrap();
    load(dir);
}

#[test]
fn broken_files_never_panic() {
    let folder = tempdir().unwrap();
    let dir = folder.path();
    adapted(&tiny(true).quantize("nf4").unwrap()).save(dir).unwrap();
    for name in files(dir) {
        let path = dir.join(&name);
        let whole = fs::read(&path).unwrap();
        for cut in [0, 1, 7, 8, 9, whole.len() / 2, whole.len() - 3] {
            fs::write(&path, &whole[..cut]).unwrap();
            refusal(dir);
        }
        // Flipped bytes in the header may or may not matter; they must not end the program.
        for at in (0..whole.len().min(3000)).step_by(17) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x15;
            fs::write(&path, &bytes).unwrap();
            let _ = Model::load(dir, &Device::Cpu);
        }
        fs::write(&path, &whole).unwrap();
    }
    load(dir);
}

#[test]
fn an_adapter_for_another_model_is_refused() {
    let folder = tempdir().unwrap();
    let dir = folder.path();
    adapted(&tiny(false)).save_adapter(dir).unwrap();
    let refusal = |dir: &Path| tiny(false).load_adapter(dir).expect_err("refused").to_string();
    let path = dir.join("adapter_config.json");
    let config = fs::read_to_string(&path).unwrap();
    let with = |from: &str, to: &str| {
        assert!(config.contains(from), "{from}");
        fs::write(&path, config.replace(from, to)).unwrap();
        refusal(dir)
    };
    assert!(with("\"r\": 4", "\"r\": 8").contains("the shape [4, 32], the model needs [8, 32]"));
    assert!(with("\"use_dora\": false", "\"use_dora\": true").contains("lora_magnitude_vector"));
    assert!(with("\"LORA\"", "\"IA3\"").contains("IA3"));
    assert!(with("\"q_proj\"", "\"q_proj\", \"lm_head\"").contains("lm_head"));
    fs::write(&path, &config).unwrap();
    let small = LlamaConfig { num_hidden_layers: 1, ..tiny(false).config().llama().unwrap().clone() };
    let other = Model::new(&small, &Device::Cpu, 1).unwrap();
    let text = other.load_adapter(dir).expect_err("refused").to_string();
    assert!(text.contains("no place for 'base_model.model.model.layers.1"), "{text}");
}
