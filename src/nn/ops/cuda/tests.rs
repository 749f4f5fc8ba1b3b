//! Ops without a reference on the CPU, or equal to it to the bit: the optimizer, quantising, products in bfloat16.

use candle_core::{Device, Tensor, Var};

use crate::interrupt::Interrupt;
use crate::nn::Precision;
use crate::nn::ops::reference::{close, gpu, random, to_cpu, values};
use crate::nn::ops::{
    AdamWStep, Adapter, DeviceMoments, DeviceUpdate, Frozen, adamw_step, cross_entropy, linear, lora_linear,
    scale_in_place, square_norms,
};
use crate::nn::quant::Nf4;

#[test]
#[ignore = "needs a GPU"]
fn adamw_steps_as_on_the_cpu_on_a_gpu() {
    let device = gpu();
    for n in [1usize, 33, 5_000] {
        let here = Var::from_tensor(&random(&[n], 0)).unwrap();
        let there = Var::from_tensor(&here.to_device(&device).unwrap()).unwrap();
        let (mut m, mut v) = (Vec::new(), Vec::new());
        let mut moments = DeviceMoments::of(&there, &[], &[]).unwrap().unwrap();
        for step in 1..=3 {
            let hyper = AdamWStep { lr: 1e-2, betas: (0.9, 0.99), eps: 1e-8, weight_decay: 0.1, step };
            let g = random(&[n], step);
            adamw_step(&here, &g, &mut m, &mut v, &hyper).unwrap();
            let gradient = g.to_device(&device).unwrap();
            let update = DeviceUpdate { moments: &mut moments, parameter: &there, gradient: &gradient, hyper };
            DeviceMoments::step(&mut [update]).unwrap();
        }
        assert_eq!(values(&to_cpu(&there)), values(&here), "{n} values");
        assert_eq!(moments.to_host().unwrap(), (m.clone(), v.clone()), "{n} moments");
        let again = DeviceMoments::of(&there, &m, &v).unwrap().unwrap();
        assert!(again == moments, "moments that were saved come back");
    }
    assert!(
        DeviceMoments::of(&Var::zeros(3, candle_core::DType::F32, &Device::Cpu).unwrap(), &[], &[]).unwrap().is_none()
    );
}

#[test]
#[ignore = "needs a GPU"]
fn the_square_norm_is_that_of_the_cpu_on_a_gpu() {
    let here = [random(&[3, 20_001], 1), random(&[1], 2), random(&[64, 64], 3)];
    let there = here.each_ref().map(|x| x.to_device(&gpu()).unwrap());
    let (slow, fast) = (square_norms(&here.each_ref()).unwrap(), square_norms(&there.each_ref()).unwrap());
    assert!((slow - fast).abs() < 1e-9 * slow, "{fast} {slow}");
}

#[test]
#[ignore = "needs a GPU"]
fn tensors_are_scaled_where_they_are_on_a_gpu() {
    let here = [random(&[3, 20_001], 1), random(&[1], 2)];
    let there = here.each_ref().map(|x| x.to_device(&gpu()).unwrap());
    assert!(scale_in_place(&there, 0.5).unwrap());
    for (here, there) in here.iter().zip(&there) {
        assert_eq!(values(&to_cpu(there)), values(&(here * 0.5).unwrap()));
    }
    let twice = [there[1].clone(), there[1].clone()];
    assert!(!scale_in_place(&twice, 0.5).unwrap(), "one memory, two tensors");
    assert!(!scale_in_place(&here, 0.5).unwrap(), "on the CPU");
}

#[test]
#[ignore = "needs a GPU"]
fn quantising_gives_the_bytes_of_the_cpu_on_a_gpu() {
    for (out, wide) in [(1, 1), (3, 7), (64, 64), (37, 45), (100, 130), (1, 128)] {
        let weights = random(&[out, wide], 7);
        let slow = Nf4::quantize(&values(&weights), (out, wide));
        let fast = Nf4::of(&weights.to_device(&gpu()).unwrap()).unwrap();
        assert!(fast == slow, "{out} × {wide}");
    }
    let zeros = Tensor::zeros((3, 50), candle_core::DType::F32, &gpu()).unwrap();
    assert!(Nf4::of(&zeros).unwrap() == Nf4::quantize(&[0.0; 150], (3, 50)), "zeros");
}

/// The nearest bfloat16 of each value.
fn rounded(x: &Tensor) -> Tensor {
    let values: Vec<f32> = values(x).into_iter().map(|x| half::bf16::from_f32(x).to_f32()).collect();
    Tensor::from_vec(values, x.shape(), &Device::Cpu).unwrap()
}

#[test]
#[ignore = "needs a GPU"]
fn products_in_bf16_are_those_of_rounded_factors_on_a_gpu() {
    let (device, quiet) = (gpu(), Interrupt::new());
    let (x, w) = (random(&[20, 96], 1), random(&[40, 96], 2));
    let there = |x: &Tensor| x.to_device(&device).unwrap();
    let y = linear(&there(&x), &there(&w), None, Precision::Bf16, &quiet).unwrap();
    close("dense", &to_cpu(&y), &rounded(&x).matmul(&rounded(&w).t().unwrap()).unwrap(), 1e-5);

    let packed = Nf4::quantize(&values(&w), (40, 96));
    let dense = Tensor::from_vec(packed.dequantize(), (40, 96), &Device::Cpu).unwrap();
    let frozen = Frozen::Nf4(std::sync::Arc::new(packed));
    let (a, b) = (random(&[4, 96], 3), random(&[40, 4], 4));
    let adapter = Adapter { a: there(&a), b: there(&b), scale: 0.5, dropout: None };
    let y = lora_linear(&there(&x), &frozen, None, Some(&adapter), Precision::Bf16, &quiet).unwrap();
    let u = rounded(&x).matmul(&rounded(&a).t().unwrap()).unwrap();
    let low = rounded(&u).matmul(&rounded(&b).t().unwrap()).unwrap().affine(0.5, 0.0).unwrap();
    let slow = (rounded(&x).matmul(&rounded(&dense).t().unwrap()).unwrap() + low).unwrap();
    // A value of u that lies between two bfloat16 may be rounded to either.
    close("nf4 with an adapter", &to_cpu(&y), &slow, 2e-3);
}

#[test]
#[ignore = "needs a GPU"]
fn losses_that_are_large_or_not_finite_stay_so_on_a_gpu() {
    let loss = |logits: &[[f32; 3]], labels: &[u32]| {
        let logits = Tensor::from_slice(logits.as_flattened(), (labels.len(), 3), &gpu()).unwrap();
        cross_entropy(&logits, labels, &Interrupt::new()).unwrap().to_scalar::<f32>().unwrap()
    };
    let large = loss(&[[1e30, 0.0, -1e30], [500.0, 499.0, -500.0]], &[0, 1]);
    assert!((large - 0.5 * 1.313_261_6).abs() < 1e-6, "{large}");
    assert!(loss(&[[f32::NAN, 0.0, 0.0]], &[1]).is_nan());
    assert_eq!(loss(&[[1.0, 2.0, 3.0]], &[u32::MAX]), 0.0);
}
