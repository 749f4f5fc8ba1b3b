//! Adapters against PEFT: files of every kind are read and written, with the same logits and gradients; several adapters on
//! one base.
//!
//! The files and answers are in `golden/adapters`; `golden/adapters/make.py` made them. `tests/peers/adapters.py` compares larger
//! models in both directions.

use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor, safetensors};
use etude::nn::{Cache, ForwardCtx, LoraBias, LoraConfig, LoraInit, Model};
use tempfile::tempdir;

use crate::expected::{Expected, largest_difference};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden").join(name)
}

/// The base that an adapter of PEFT was made on.
fn base(case: &str) -> Model {
    let folder = match case.split_once('_') {
        Some(("llama", "tied_saved" | "tied_table" | "tied_tokens")) => "llama/tied",
        Some(("llama", _)) => "llama/grouped",
        Some(("gpt2", _)) => "families/plain",
        Some(("t5", "tied_saved" | "tied_table" | "tied_tokens")) => "t5/plain",
        Some(("t5", _)) => "t5/gated",
        _ => panic!("{case} is of no family"),
    };
    Model::load(&golden(folder), &Device::Cpu).unwrap()
}

/// The adapters of PEFT, by the names of their folders.
fn cases() -> Vec<String> {
    let entries = fs::read_dir(golden("adapters")).unwrap().map(|entry| entry.unwrap());
    let folders = entries.filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> = folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Compares logits, loss and gradients with those of PEFT; gives the number of gradients.
fn check(case: &str, model: &Model) -> usize {
    let expected = Expected::of(&golden("adapters").join(case));
    let batch = expected.batch();
    let off = largest_difference(&model.logits(&batch, &ForwardCtx::default()).unwrap(), &expected.0["logits"]);
    assert!(off < 1e-4, "{case}: logits are off by {off}");
    let (loss, gradients) = model.loss_and_gradients(&batch, &ForwardCtx::default()).unwrap();
    let (_, again) = model.taped_loss(&batch, &ForwardCtx::default()).unwrap();
    let off = largest_difference(&loss.reshape(1).unwrap(), &expected.0["loss"]);
    assert!(off < 1e-5, "{case}: the loss is off by {off}");
    let parameters = model.parameters();
    let mut taped = std::collections::HashMap::new();
    again
        .backward(&loss, loss.ones_like().unwrap(), &mut |id, gradient| {
            taped.insert(id, gradient);
            Ok(())
        })
        .unwrap();
    let theirs: Vec<&String> = expected.0.keys().filter(|name| name.starts_with("grad.")).collect();
    for name in &theirs {
        let place = parameters.iter().position(|p| p.name == name["grad.".len()..]);
        let place = place.unwrap_or_else(|| panic!("{case}: {name} does not train here"));
        let ours = gradients[place].as_ref().unwrap_or_else(|| panic!("{case}: {name} is not reached"));
        let off = largest_difference(ours, &expected.0[*name]);
        assert!(off < 1e-5, "{case}: {name} is off by {off}");
    }
    theirs.len()
}

#[test]
fn adapters_of_peft_answer_as_they_do_there() {
    let (mut seen, mut gradients) = (0, 0);
    for case in cases() {
        let folder = golden("adapters").join(&case);
        let base = base(&case);
        let model = base.load_adapter(&folder).unwrap_or_else(|e| panic!("{case}: {e}"));
        gradients += check(&case, &model);
        check_logits(&case, &model.merge().unwrap());
        let saved = tempdir().unwrap();
        model.save_adapter(saved.path()).unwrap();
        check_logits(&case, &base.load_adapter(saved.path()).unwrap());
        seen += 1;
    }
    assert_eq!((seen, gradients > 400), (CASES, true), "{gradients} gradients");
}

/// Kinds of adapters times families.
const CASES: usize = 35;

fn check_logits(case: &str, model: &Model) {
    let expected = Expected::of(&golden("adapters").join(case));
    let logits = model.logits(&expected.batch(), &ForwardCtx::default()).unwrap();
    let off = largest_difference(&logits, &expected.0["logits"]);
    assert!(off < 1e-4, "{case}: logits are off by {off}");
}

#[test]
fn adapters_come_back_with_the_names_and_bytes_that_peft_gave_them() {
    for case in ["llama_lora", "gpt2_dora", "t5_dora"] {
        let folder = golden("adapters").join(case);
        let saved = tempdir().unwrap();
        base(case).load_adapter(&folder).unwrap().save_adapter(saved.path()).unwrap();
        let read = |dir: &Path| safetensors::load(dir.join("adapter_model.safetensors"), &Device::Cpu).unwrap();
        let (ours, theirs) = (read(saved.path()), read(&folder));
        assert_eq!(ours.len(), theirs.len(), "{case}");
        for (name, tensor) in &theirs {
            assert_eq!(largest_difference(&ours[name], tensor), 0.0, "{case}: {name}");
        }
    }
}

/// A LLaMA with adapters of different kinds and ranks whose weights are not those of fresh ones.
fn several(quantized: bool) -> Model {
    let base = Model::load(&golden("llama/grouped"), &Device::Cpu).unwrap();
    let base = if quantized { base.quantize("nf4").unwrap() } else { base };
    let rank = |r: usize| LoraConfig { r, ..LoraConfig::default() };
    let mut model = base;
    for (i, (name, config)) in [
        ("left", rank(2)),
        ("right", LoraConfig { target_modules: vec!["q_proj".into(), "down_proj".into()], ..rank(5) }),
        ("deep", LoraConfig { use_dora: true, ..rank(3) }),
    ]
    .into_iter()
    .enumerate()
    {
        model = model.add_fresh_adapter(name, &config, i as u64).unwrap();
        for (j, parameter) in model.set_adapter(name).unwrap().parameters().iter().enumerate() {
            let wave: Vec<f32> =
                (0..parameter.var.elem_count()).map(|k| 0.1 * ((k * 7 + i * 3 + j) as f32).sin()).collect();
            let wave = Tensor::from_vec(wave, parameter.var.shape(), &Device::Cpu).unwrap();
            parameter.var.set(&(parameter.var.as_tensor() + wave).unwrap()).unwrap();
        }
    }
    model
}

fn logits(model: &Model) -> Tensor {
    let tokens = Tensor::from_vec((0..20u32).map(|i| i * i % 48).collect(), (2, 10), &Device::Cpu).unwrap();
    model.forward(&tokens, &ForwardCtx::default()).unwrap()
}

#[test]
fn several_adapters_on_one_base_are_switched_mixed_and_switched_back() {
    for quantized in [false, true] {
        let model = several(quantized);
        assert_eq!(model.adapters(), ["left", "right", "deep"]);
        let none = logits(&model);
        let with = |name: &str| logits(&model.set_adapter(name).unwrap());
        let alone = ["left", "right", "deep"].map(with);
        for (i, one) in alone.iter().enumerate() {
            assert!(largest_difference(one, &none) > 1e-2, "adapter {i} changes nothing");
        }
        let mixed = model.set_adapter("deep").unwrap();
        let weights = [("left".to_string(), 0.7), ("right".to_string(), -0.2), ("deep".to_string(), 0.5)];
        let mixed = mixed.mix_adapters(&weights).unwrap();
        assert!(mixed.parameters().is_empty() && mixed.lora_config().is_none());
        // The definition: the sum of what each adds to the weights.
        let (merged, plain) = (mixed.merge().unwrap(), model.merge().unwrap());
        let parts: Vec<Model> =
            weights.iter().map(|(name, _)| model.set_adapter(name).unwrap().merge().unwrap()).collect();
        for layer in plain.layers().iter().filter(|layer| layer.kind == "linear") {
            let name = format!("{}.weight", layer.name);
            let base = plain.weights(&name).unwrap();
            let mut sum = base.clone();
            for (part, (_, weight)) in parts.iter().zip(&weights) {
                sum = (sum + ((part.weights(&name).unwrap() - &base).unwrap() * *weight).unwrap()).unwrap();
            }
            assert!(largest_difference(&merged.weights(&name).unwrap(), &sum) < 1e-5, "{name}");
        }
        assert!(largest_difference(&logits(&mixed), &logits(&merged)) < 1e-4);
        // Each answers to the bit as before, whatever was in use meanwhile.
        for (name, before) in ["left", "right", "deep"].iter().zip(&alone) {
            assert_eq!(largest_difference(&logits(&mixed.set_adapter(name).unwrap()), before), 0.0, "{name}");
        }
        assert_eq!(largest_difference(&logits(&mixed.disable_adapter()), &none), 0.0);
    }
}

#[test]
fn mixtures_decode_as_they_read() {
    for quantized in [false, true] {
        let model = several(quantized);
        let tokens = Tensor::from_vec((0..24u32).map(|i| i * 5 % 48).collect(), (2, 12), &Device::Cpu).unwrap();
        for weights in [vec![("left", 0.5), ("right", 0.5)], vec![("left", 0.3), ("deep", 0.9)]] {
            let weights: Vec<(String, f64)> = weights.into_iter().map(|(name, weight)| (name.into(), weight)).collect();
            let mixed = model.mix_adapters(&weights).unwrap();
            let whole = mixed.forward(&tokens, &ForwardCtx::default()).unwrap();
            let mut cache = Cache::new();
            for at in 0..12 {
                let step = tokens.narrow(1, at, 1).unwrap();
                let step = mixed.step(&step, &mut cache, &ForwardCtx::default()).unwrap();
                let whole = whole.narrow(1, at, 1).unwrap().squeeze(1).unwrap();
                assert!(largest_difference(&step, &whole) < 1e-4, "{weights:?}, id {at}");
            }
        }
    }
}

#[test]
fn adapters_stay_on_a_base_that_is_quantized_later() {
    let (before, after) = (several(false).quantize("nf4").unwrap(), several(true));
    for name in ["left", "right", "deep"] {
        let [a, b] = [&before, &after].map(|model| logits(&model.set_adapter(name).unwrap()));
        // The weights began at the same numbers but for the magnitudes, which are those of the base.
        let near = if name == "deep" { 0.5 } else { 1e-6 };
        assert!(largest_difference(&a, &b) <= near, "{name}");
    }
    assert!(before.memory() < several(false).memory());
}

#[test]
fn the_adapter_in_use_trains_and_the_others_do_not() {
    let model = several(true);
    let left = model.set_adapter("left").unwrap();
    assert!(left.parameters().iter().all(|p| p.name.contains(".left.")), "names say whose weights they are");
    assert!(left.parameters().iter().all(|p| !p.stored_name().contains("left")));
    let right = logits(&model.set_adapter("right").unwrap());
    for parameter in left.parameters() {
        parameter.var.set(&(parameter.var.as_tensor() + 0.1).unwrap()).unwrap();
    }
    assert_eq!(largest_difference(&logits(&model.set_adapter("right").unwrap()), &right), 0.0);
    // The weights are shared, so that a model made before sees what one of them learned.
    let (again, now) = (logits(&model.set_adapter("left").unwrap()), logits(&left));
    assert_eq!(largest_difference(&again, &now), 0.0);
}

#[test]
fn adapters_are_saved_and_deleted_by_name() {
    let model = several(true);
    let folder = tempdir().unwrap();
    let bare = Model::load(&golden("llama/grouped"), &Device::Cpu).unwrap().quantize("nf4").unwrap();
    for name in ["left", "deep"] {
        let dir = folder.path().join(name);
        model.save_adapter_named(&dir, name).unwrap();
        let expected = logits(&model.set_adapter(name).unwrap());
        assert_eq!(largest_difference(&logits(&bare.load_adapter(&dir).unwrap()), &expected), 0.0, "{name}");
        let named = bare.add_adapter("again", &dir).unwrap();
        assert_eq!(largest_difference(&logits(&named), &logits(&bare)), 0.0, "an added one is not in use");
        assert_eq!(largest_difference(&logits(&named.set_adapter("again").unwrap()), &expected), 0.0);
    }
    let less = model.set_adapter("left").unwrap().delete_adapter("left").unwrap();
    assert_eq!((less.adapters(), less.active_adapters().len()), (vec!["right", "deep"], 0));
    assert_eq!(largest_difference(&logits(&less), &logits(&bare)), 0.0);
}

#[test]
fn mistakes_with_adapters_are_named() {
    let model = several(false);
    let text = |error: etude::Error| format!("{error} {}", error.hint().unwrap_or_default());
    let unknown = text(model.set_adapter("lefd").expect_err("unknown"));
    assert!(unknown.contains("'lefd'") && unknown.contains("left"), "{unknown}");
    let taken = text(model.add_fresh_adapter("left", &LoraConfig::default(), 1).expect_err("taken"));
    assert!(taken.contains("already") && taken.contains("delete_adapter"), "{taken}");
    for name in ["", "a.b", "a/b"] {
        assert!(model.add_fresh_adapter(name, &LoraConfig::default(), 1).is_err(), "{name}");
    }
    let folder = tempdir().unwrap();
    let none = text(model.save_adapter(folder.path()).expect_err("none in use"));
    assert!(none.contains("save_adapter(dir, \"left\""), "{none}");
    let mixed = model.mix_adapters(&[("left".into(), 0.5), ("right".into(), 0.5)]).unwrap();
    assert!(text(mixed.save(folder.path()).expect_err("a mixture")).contains("merge()"));
    assert!(model.mix_adapters(&[]).is_err() && model.mix_adapters(&[("left".into(), f64::NAN)]).is_err());
    assert!(model.mix_adapters(&[("left".into(), 1.0), ("left".into(), 1.0)]).is_err());
    assert!(text(model.lora(&LoraConfig::default(), 1).expect_err("it has some")).contains("add_adapter"));
}

/// Moves everything that trains, as training would.
fn train(model: &Model) {
    for (i, parameter) in model.parameters().iter().enumerate() {
        let wave: Vec<f32> = (0..parameter.var.elem_count()).map(|k| 0.05 * ((k * 5 + i) as f32).sin()).collect();
        let wave = Tensor::from_vec(wave, parameter.var.shape(), &Device::Cpu).unwrap();
        parameter.var.set(&(parameter.var.as_tensor() + wave).unwrap()).unwrap();
    }
}

fn grouped() -> Model {
    Model::load(&golden("llama/grouped"), &Device::Cpu).unwrap()
}

#[test]
fn adapters_that_begin_with_a_part_of_the_weights_change_nothing_and_come_back() {
    for base in [grouped(), grouped().quantize("nf4").unwrap()] {
        let before = logits(&base);
        for (init, use_dora, use_rslora) in [
            (LoraInit::Pissa, false, false),
            (LoraInit::PissaNiter(2), false, true),
            (LoraInit::Olora, false, false),
            (LoraInit::Pissa, true, false),
        ] {
            let rank_pattern = [("up_proj".to_string(), 2)].into();
            let config = LoraConfig {
                r: 3,
                init_lora_weights: init,
                use_dora,
                use_rslora,
                rank_pattern,
                ..LoraConfig::default()
            };
            let model = base.lora(&config, 7).unwrap();
            let off = largest_difference(&logits(&model), &before);
            assert!(off < 1e-4, "{init:?}: fresh ones are off by {off}");
            assert!(
                values(&model.parameters()[0].var).iter().any(|x| x.abs() > 1e-3),
                "{init:?} begins with something"
            );
            train(&model);
            let after = logits(&model);
            assert!(largest_difference(&after, &before) > 1e-2, "{init:?} trains");
            assert!(largest_difference(&logits(&model.merge().unwrap()), &after) < 1e-4, "{init:?} merges");
            // On the base as it was, and what trains is what trained before.
            let folder = tempdir().unwrap();
            model.save_adapter(folder.path()).unwrap();
            let again = base.load_adapter(folder.path()).unwrap();
            assert!(largest_difference(&logits(&again), &after) < 1e-5, "{init:?} comes back");
            assert_eq!(again.lora_config(), Some(&config));
            for (a, b) in again.parameters().iter().zip(model.parameters()) {
                assert_eq!((a.name.as_str(), values(&a.var)), (b.name.as_str(), values(&b.var)));
            }
            let text = fs::read_to_string(folder.path().join("adapter_config.json")).unwrap();
            assert!(text.contains("\"r\": 6") && text.contains("\"up_proj\": 4"), "a plain adapter to PEFT: {text}");
        }
    }
}

fn values(var: &candle_core::Var) -> Vec<f32> {
    var.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn loftq_makes_a_base_of_its_own_which_is_saved_with_it() {
    let plain = grouped();
    let config = LoraConfig { r: 8, init_lora_weights: LoraInit::Loftq, ..LoraConfig::default() };
    let model = plain.lora(&config, 1).unwrap();
    let near = |model: &Model| largest_difference(&logits(model), &logits(&plain));
    let quantized = plain.quantize("nf4").unwrap();
    assert!(near(&model) < near(&quantized), "{} and {}", near(&model), near(&quantized));
    assert!(model.layers().iter().any(|layer| layer.kind == "linear nf4 + lora r=8"));
    train(&model);
    let folder = tempdir().unwrap();
    model.save(folder.path()).unwrap();
    let again = Model::load(folder.path(), &Device::Cpu).unwrap();
    assert!(largest_difference(&logits(&again), &logits(&model)) < 1e-5);
    let error = quantized.lora(&config, 1).unwrap_err();
    assert!(error.message().contains("loftq") && error.hint().is_some(), "{error}");
}

#[test]
fn what_trains_beside_adapters_is_counted_saved_and_read() {
    let folder = tempdir().unwrap();
    let gpt2 = Model::load(&golden("families/plain"), &Device::Cpu).unwrap();
    let count = |model: &Model, config: &LoraConfig| model.lora(config, 1).unwrap().parameters().len();
    let one = LoraConfig { target_modules: vec!["c_attn".into()], ..LoraConfig::default() };
    assert_eq!(count(&gpt2, &one), 2 * 2);
    assert_eq!(count(&gpt2, &LoraConfig { bias: LoraBias::LoraOnly, ..one.clone() }), 2 * 2 + 2);
    assert_eq!(count(&gpt2, &LoraConfig { bias: LoraBias::All, ..one.clone() }), 2 * 2 + 2 * 6 + 1);
    assert_eq!(count(&gpt2, &LoraConfig { trainable_token_indices: vec![3, 5], ..one.clone() }), 2 * 2 + 1);
    let saved = LoraConfig { modules_to_save: vec!["lm_head".into(), "ln_f".into(), "mlp".into()], ..one };
    // The head, a norm with its bias, and two layers with their biases in each of two blocks.
    assert_eq!(count(&gpt2, &saved), 2 * 2 + 1 + 2 + 2 * 4);
    for (i, config) in [
        LoraConfig { bias: LoraBias::All, trainable_token_indices: vec![3, 5], ..saved.clone() },
        LoraConfig { modules_to_save: vec!["wte".into()], ..saved.clone() },
    ]
    .iter()
    .enumerate()
    {
        let model = gpt2.lora(config, 1).unwrap();
        assert!(largest_difference(&logits(&model), &logits(&gpt2)) < 1e-5);
        train(&model);
        let dir = folder.path().join(i.to_string());
        model.save(&dir).unwrap();
        let again = Model::load(&dir, &Device::Cpu).unwrap();
        assert_eq!(largest_difference(&logits(&again), &logits(&model)), 0.0, "{i}");
        assert_eq!(again.parameters().len(), model.parameters().len());
        // The base of the folder is the base, not what the adapter put in its place.
        assert_eq!(largest_difference(&logits(&again.disable_adapter()), &logits(&gpt2)), 0.0);
        let merged = model.merge().unwrap();
        assert!(largest_difference(&logits(&merged), &logits(&model)) < 1e-4 && !merged.spec().tied_head);
    }
    let error =
        gpt2.lora(&LoraConfig { modules_to_save: vec!["lm_haed".into()], ..LoraConfig::default() }, 1).unwrap_err();
    assert!(format!("{error} {:?}", error.hint()).contains("lm_head"), "{error}");
    let t5 = Model::load(&golden("t5/plain"), &Device::Cpu).unwrap();
    let shared = LoraConfig { modules_to_save: vec!["shared".into()], ..LoraConfig::default() };
    let error = t5.lora(&shared, 1).unwrap_err();
    assert!(error.message().contains("'shared'") && error.hint().is_some(), "{error}");
    let small = grouped().quantize("nf4").unwrap();
    let error =
        small.lora(&LoraConfig { modules_to_save: vec!["up_proj".into()], ..LoraConfig::default() }, 1).unwrap_err();
    assert!(error.message().contains("4 bits"), "{error}");
}
