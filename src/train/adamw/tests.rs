//! AdamW compared with a plain reference and with PyTorch's numbers.

#![allow(clippy::excessive_precision)] // golden numbers stay as they were printed

use candle_core::{Device, Tensor, Var};

use super::*;

fn parameter(name: &str, values: &[f32], shape: &[usize]) -> Parameter {
    let var = Var::from_slice(values, shape, &Device::Cpu).expect("a small tensor");
    Parameter { name: name.into(), var }
}

fn pair() -> Vec<Parameter> {
    vec![parameter("matrix", &[0.5, -1.25, 2.0, 0.0, 0.75, -0.1], &[2, 3]), parameter("vector", &[1.0, -2.0], &[2])]
}

/// Gradients with these values: those of the sum of parameter × value.
fn grads(parameters: &[Parameter], values: &[&[f32]]) -> Grads {
    let terms = parameters.iter().zip(values).map(|(parameter, values)| {
        let factor = Tensor::from_slice(values, parameter.var.shape(), &Device::Cpu).expect("a small tensor");
        (parameter.var.as_tensor() * factor).and_then(|t| t.sum_all()).expect("shapes agree")
    });
    let loss = terms.reduce(|a, b| (a + b).expect("scalars")).expect("a term");
    Grads::backward(&loss, parameters).expect("a plain graph")
}

fn values(parameters: &[Parameter]) -> Vec<f32> {
    let flat = |p: &Parameter| p.var.flatten_all().and_then(|t| t.to_vec1::<f32>()).expect("f32");
    parameters.iter().flat_map(flat).collect()
}

fn pattern(t: u32) -> [Vec<f32>; 2] {
    let factor = if t.is_multiple_of(2) { -0.5 } else { 1.0 } * t as f32;
    [[0.1, -0.2, 0.3, 0.0, 1e-4, -5.0].iter().map(|g| g * factor).collect(), vec![0.01 * t as f32, -3.0]]
}

/// The numbers of PyTorch 2.15:
/// ```python
/// p = torch.nn.Parameter(torch.tensor([[0.5, -1.25, 2.0], [0.0, 0.75, -0.1]]))
/// v = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
/// opt = torch.optim.AdamW([{"params": [p], "weight_decay": 0.1}, {"params": [v], "weight_decay": 0.0}],
///                         lr=1e-2, betas=(0.9, 0.95), eps=1e-8)
/// for t in range(1, 6):
///     if t == 4:
///         for group in opt.param_groups: group["lr"] = 5e-3
///     p.grad = torch.tensor([[0.1, -0.2, 0.3], [0.0, 1e-4, -5.0]]) * (1 if t % 2 else -0.5) * t
///     v.grad = torch.tensor([0.01 * t, -3.0])
///     opt.step()
///     print(t, p.detach().flatten().tolist(), v.detach().tolist())
/// ```
#[test]
fn the_steps_are_those_of_pytorch() {
    #[rustfmt::skip]
    let golden = [
        [0.489_500_016, -1.238_749_98, 1.988_000_04, 0.0, 0.739_251_018, -0.089_900_002, 0.990_000_01, -1.990_000_01],
        [0.489_536_822, -1.238_037_59, 1.986_538_41, 0.0, 0.739_038_05, -0.090_336_42, 0.980_420_172, -1.980_000_02],
        [0.483_542_114, -1.231_294_39, 1.979_046_7, 0.0, 0.732_794_106, -0.084_740_9, 0.970_975_101, -1.970_000_03],
        [0.482_842_088, -1.230_220_44, 1.977_598_91, 0.0, 0.731_969_475, -0.084_240_288, 0.966_270_864, -1.965_000_03],
        [0.480_277_538, -1.227_282_17, 1.974_286_91, 0.0, 0.729_280_472, -0.081_875_041, 0.961_562_574, -1.960_000_04_f32],
    ];
    let options = AdamWOptions { lr: 1e-2, betas: (0.9, 0.95), weight_decay: 0.1, ..AdamWOptions::default() };
    let parameters = pair();
    let mut optimizer = AdamW::new(parameters.clone(), options).expect("options in range");
    for (t, golden) in (1..).zip(golden) {
        if t == 4 {
            optimizer.set_lr(5e-3).expect("in range");
        }
        let [matrix, vector] = pattern(t);
        optimizer.step(&grads(&parameters, &[&matrix, &vector])).expect("finite gradients");
        for (ours, theirs) in values(&parameters).iter().zip(golden) {
            assert!((ours - theirs).abs() <= 1.2e-7 * theirs.abs().max(0.1), "step {t}: {ours}, not {theirs}");
        }
    }
    assert_eq!(optimizer.steps(), 5);
}

#[test]
fn many_steps_follow_the_formulas_written_out() {
    let n = 40_000; // more than one chunk of the fused pass
    let value = |i: usize, k: f64| (i as f64 * k).sin() as f32;
    let start: Vec<f32> = (0..n).map(|i| value(i, 0.37)).collect();
    let parameters = vec![parameter("wide", &start, &[200, 200])];
    let options = AdamWOptions { lr: 3e-3, weight_decay: 0.05, ..AdamWOptions::default() };
    let mut optimizer = AdamW::new(parameters.clone(), options).expect("options in range");
    let mut expected: Vec<f64> = start.iter().map(|&p| f64::from(p)).collect();
    let (mut m, mut v) = (vec![0.0; n], vec![0.0; n]);
    for t in 1..=7 {
        let gradient: Vec<f32> = (0..n).map(|i| value(i, 0.11 * f64::from(t))).collect();
        optimizer.step(&grads(&parameters, &[&gradient])).expect("finite gradients");
        for (i, &g) in gradient.iter().enumerate() {
            let g = f64::from(g);
            m[i] = 0.9 * m[i] + 0.1 * g;
            v[i] = 0.999 * v[i] + 0.001 * g * g;
            let (mean, square) = (m[i] / (1.0 - 0.9_f64.powi(t)), v[i] / (1.0 - 0.999_f64.powi(t)));
            expected[i] -= 3e-3 * 0.05 * expected[i] + 3e-3 * mean / (square.sqrt() + 1e-8);
        }
    }
    for (ours, naive) in values(&parameters).iter().zip(expected) {
        assert!((f64::from(*ours) - naive).abs() < 2e-6, "{ours}, not {naive}");
    }
}

#[test]
fn gradients_that_are_not_finite_or_not_ours_change_nothing() {
    let parameters = pair();
    let mut optimizer = AdamW::new(parameters.clone(), AdamWOptions::default()).expect("defaults");
    let before = values(&parameters);
    for bad in [f32::NAN, f32::INFINITY] {
        let error = optimizer.step(&grads(&parameters, &[&[1.0; 6], &[bad, 1.0]])).expect_err("not finite");
        assert!(error.is_mistake() && error.message().contains("nothing was changed"), "{error}");
    }
    let others = vec![parameter("matrix", &[1.0; 6], &[3, 2]), parameter("vector", &[1.0; 2], &[2])];
    let error = optimizer.step(&grads(&others, &[&[1.0; 6], &[1.0; 2]])).expect_err("another shape");
    assert!(error.message().contains("matrix [3, 2] where matrix [2, 3]"), "{error}");
    assert!(optimizer.step(&grads(&others[..1], &[&[1.0; 6]])).is_err());
    assert_eq!((values(&parameters), optimizer.steps()), (before, 0));
}

#[test]
fn a_saved_optimizer_goes_on_as_if_it_had_never_stopped() {
    let dir = tempfile::tempdir().expect("a folder");
    let step = |optimizer: &mut AdamW, parameters: &[Parameter], t| {
        let [matrix, vector] = pattern(t);
        optimizer.step(&grads(parameters, &[&matrix, &vector])).expect("finite gradients");
    };
    let parameters = pair();
    let mut whole = AdamW::new(parameters.clone(), AdamWOptions { lr: 0.02, ..AdamWOptions::default() }).expect("ok");
    (1..=3).for_each(|t| step(&mut whole, &parameters, t));
    whole.save(dir.path()).expect("saved");
    let copies: Vec<Parameter> = parameters
        .iter()
        .map(|p| Parameter {
            name: p.name.clone(),
            var: Var::from_tensor(&p.var.copy().expect("copied")).expect("var"),
        })
        .collect();
    let mut resumed = AdamW::new(copies.clone(), AdamWOptions::default()).expect("defaults");
    resumed.load(dir.path()).expect("loaded");
    assert_eq!((resumed.steps(), resumed.lr()), (3, 0.02));
    for t in 4..=6 {
        step(&mut whole, &parameters, t);
        step(&mut resumed, &copies, t);
    }
    assert_eq!(values(&parameters), values(&copies));

    let other = vec![parameter("matrix", &[0.0; 4], &[2, 2])];
    let mut other = AdamW::new(other, AdamWOptions::default()).expect("defaults");
    let error = other.load(dir.path()).expect_err("another shape");
    assert!(error.message().contains("matrix.exp_avg is F32 [2, 3], not F32 [2, 2]"), "{error}");
}

#[test]
fn options_out_of_range_are_refused_by_name() {
    let base = AdamWOptions::default;
    for (options, word) in [
        (AdamWOptions { lr: -1.0, ..base() }, "lr"),
        (AdamWOptions { eps: f64::NAN, ..base() }, "eps"),
        (AdamWOptions { betas: (1.0, 0.9), ..base() }, "betas"),
        (AdamWOptions { bits: 16, ..base() }, "bits must be 32 or 8, not 16"),
    ] {
        let error = AdamW::new(pair(), options).expect_err(word);
        assert!(error.message().contains(word), "{error}");
    }
    assert!(AdamW::new(Vec::new(), base()).is_err_and(|e| e.is_mistake()));
    let mut optimizer = AdamW::new(pair(), base()).expect("defaults");
    assert!(optimizer.set_lr(f64::INFINITY).is_err());
    assert_eq!(optimizer.lr(), 1e-3);
}

/// A matrix wide enough for 8 bits, and a vector that keeps 32.
fn wide() -> Vec<Parameter> {
    let value = |i: usize| (i as f64 * 0.37).sin() as f32;
    let start: Vec<f32> = (0..6000).map(value).collect();
    vec![parameter("wide", &start, &[60, 100]), parameter("vector", &[1.0, -2.0], &[2])]
}

fn noise(t: u32) -> [Vec<f32>; 2] {
    let value = |i: usize| ((i as f64 + 1.0) * 0.11 * f64::from(t)).sin() as f32 * 0.1;
    [(0..6000).map(value).collect(), vec![0.1, -0.3]]
}

#[test]
fn moments_in_8_bits_take_a_quarter_of_the_memory_and_step_nearly_alike() {
    let options = AdamWOptions { lr: 1e-2, weight_decay: 0.1, ..AdamWOptions::default() };
    let (full, eight) = (wide(), wide());
    let mut in_full = AdamW::new(full.clone(), options.clone()).expect("in range");
    let mut in_8 = AdamW::new(eight.clone(), AdamWOptions { bits: 8, ..options }).expect("in range");
    assert_eq!((in_full.memory(), in_8.memory()), (8 * 6002, 2 * (6000 + 4 * 24) + 16));
    let before = values(&full);
    for t in 1..=20 {
        let [matrix, vector] = noise(t);
        in_full.step(&grads(&full, &[&matrix, &vector])).expect("finite");
        in_8.step(&grads(&eight, &[&matrix, &vector])).expect("finite");
    }
    let (full, eight) = (values(&full), values(&eight));
    assert_eq!(full[6000..], eight[6000..], "few values keep 32 bits");
    let distance = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt();
    let (apart, moved) = (distance(&full, &eight), distance(&full, &before));
    assert!(apart < 0.1 * moved && apart > 0.0, "{apart} of {moved}");
}

#[test]
fn an_optimizer_in_8_bits_goes_on_as_if_it_had_never_stopped() {
    let dir = tempfile::tempdir().expect("a folder");
    let options = AdamWOptions { bits: 8, ..AdamWOptions::default() };
    let step = |optimizer: &mut AdamW, parameters: &[Parameter], t| {
        let [matrix, vector] = noise(t);
        optimizer.step(&grads(parameters, &[&matrix, &vector])).expect("finite gradients");
    };
    let parameters = wide();
    let mut whole = AdamW::new(parameters.clone(), options.clone()).expect("in range");
    (1..=3).for_each(|t| step(&mut whole, &parameters, t));
    whole.save(dir.path()).expect("saved");
    let copy = |p: &Parameter| parameter(&p.name, &values(std::slice::from_ref(p)), p.var.dims());
    let copies: Vec<Parameter> = parameters.iter().map(copy).collect();
    let mut resumed = AdamW::new(copies.clone(), AdamWOptions::default()).expect("defaults");
    resumed.load(dir.path()).expect("loaded");
    assert_eq!(resumed.moments, whole.moments);
    for t in 4..=6 {
        step(&mut whole, &parameters, t);
        step(&mut resumed, &copies, t);
    }
    assert_eq!(values(&parameters), values(&copies));
}

/// LoRA+: a first step of AdamW is as long as the learning rate, whatever the gradient.
#[test]
fn the_b_of_adapters_and_vectors_learn_faster_by_the_ratio() {
    let names = ["x.lora_A.weight", "x.lora_B.weight", "x.lora_B.left.weight"];
    let mut parameters: Vec<Parameter> = names.iter().map(|name| parameter(name, &[1.0, 1.0], &[1, 2])).collect();
    parameters.push(parameter("x.lora_magnitude_vector", &[1.0, 1.0], &[2]));
    let slopes: [&[f32]; 4] = [&[0.5, -2.0]; 4];
    let options = AdamWOptions { lr: 1e-3, weight_decay: 0.0, loraplus_lr_ratio: 16.0, ..AdamWOptions::default() };
    let mut optimizer = AdamW::new(parameters.clone(), options).expect("sound options");
    optimizer.step(&grads(&parameters, &slopes)).expect("finite gradients");
    for (values, ratio) in values(&parameters).chunks(2).zip([1.0, 16.0, 16.0, 16.0]) {
        assert!((values[0] - (1.0 - 1e-3 * ratio)).abs() < 1e-5 && (values[1] - (1.0 + 1e-3 * ratio)).abs() < 1e-5);
    }
    let wrong = AdamWOptions { loraplus_lr_ratio: -1.0, ..AdamWOptions::default() };
    assert!(wrong.validate().is_err_and(|e| e.message().contains("loraplus_lr_ratio")));
}
