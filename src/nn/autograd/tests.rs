//! A tape gives the gradients of candle's graph, and saves fewer values for them.

use candle_core::{Device, Var};

use super::*;
use crate::interrupt::Interrupt;
use crate::nn::Precision;
use crate::nn::ops::reference::{on_both_devices, to_cpu};
use crate::nn::ops::{self, linear, rms_norm, swiglu};

/// A few ops with a tensor that is used twice, a sum, a view and a leaf that nothing uses.
fn loss(x: &Tensor, w: &Tensor, n: &Tensor) -> Result<Tensor> {
    let quiet = Interrupt::new();
    let h = rms_norm(x, n, 1e-5, &quiet)?;
    let a = linear(&h, w, None, Precision::F32, &quiet)?;
    let b = linear(&a, w, None, Precision::F32, &quiet)?;
    let y = apply_add(&swiglu(&a, &b, &quiet)?, &h)?;
    let rows = apply_reshape(&y, (12, 8))?;
    crate::nn::ops::cross_entropy(&rows, &[1, 2, 3, 0, 7, 6, 5, 4, 1, 1, 2, 2], &quiet)
}

fn leaves(device: &Device) -> [Var; 3] {
    let values = |n: usize| (0..n).map(|i| ((i * 37 % 23) as f32 - 11.0) / 11.0).collect::<Vec<f32>>();
    let var = |shape: &[usize]| {
        Var::from_tensor(&Tensor::from_vec(values(shape.iter().product()), shape, device).unwrap()).unwrap()
    };
    [var(&[3, 4, 8]), var(&[8, 8]), var(&[8])]
}

on_both_devices! {
    fn its_gradients_are_those_of_candle(device) {
        let [x, w, n] = leaves(device);
        let plain = loss(&x, &w, &n).unwrap();
        let store = plain.backward().unwrap();
        let idle = Var::zeros(3, candle_core::DType::F32, device).unwrap();
        let (y, tape) = Tape::record(&[&x, &w, &n, &idle], || loss(&x, &w, &n)).unwrap();
        assert_eq!(y.to_scalar::<f32>().unwrap(), plain.to_scalar::<f32>().unwrap());
        assert!(!y.track_op(), "candle saved a graph beside the tape");
        let one = || Tensor::new(1f32, device).unwrap();
        let mut found = HashMap::new();
        for again in [true, false] {
            found.clear();
            let mut take = |id, gradient| {
                assert!(found.insert(id, gradient).is_none(), "a gradient came twice");
                Ok(())
            };
            if again {
                tape.backward(&y, one(), &mut take).unwrap();
            }
        }
        tape.backward_consuming(&y, one(), &mut |id, gradient| {
            found.insert(id, gradient);
            Ok(())
        })
        .unwrap();
        assert_eq!(found.len(), 3);
        for var in [&x, &w, &n] {
            let (a, b) = (to_cpu(&found[&var.id()]), to_cpu(store.get(var).unwrap()));
            assert_eq!(a.dims(), b.dims());
            let difference = (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            assert!(difference < 1e-6, "{difference}");
        }
    }
}

#[test]
fn what_is_not_wanted_is_not_written() {
    let [x, w, n] = leaves(&Device::Cpu);
    let (y, tape) = Tape::record(&[], || loss(&x, &w, &n)).unwrap();
    assert!(tape.nodes.is_empty() && !y.track_op());
    assert!(loss(&x, &w, &n).unwrap().track_op(), "candle's graph is back");
}

#[test]
fn a_tape_that_is_read_inside_of_another_changes_nothing_for_it() {
    let [x, w, n] = leaves(&Device::Cpu);
    let outer = BackwardScope::of(&HashSet::from([x.id()]));
    drop(BackwardScope::of(&HashSet::from([w.id(), n.id()])));
    assert!(needs_grad(&x) && !needs_grad(&w) && !needs_grad(&n));
    drop(outer);
    assert!(needs_grad(&w), "candle's own answer is back");
}

#[test]
fn work_that_fails_leaves_no_tape() {
    let [x, ..] = leaves(&Device::Cpu);
    let failed: Result<((), Tape)> = Tape::record(&[&x], || Err(crate::error::Error::interrupted()));
    assert!(failed.is_err() && !recording());
}

on_both_devices! {
    fn what_is_cheap_is_made_again_and_what_no_one_asks_for_is_gone(device) {
        let [x, w, n] = leaves(device);
        let (y, tape) = Tape::record(&[&x, &w, &n], || loss(&x, &w, &n)).unwrap();
        // The norm, two products, the gate, the sum, the view, the loss.
        assert_eq!(tape.nodes.len(), 7);
        let output = |i: usize| tape.nodes[i].output.id;
        let saved: Vec<bool> = (0..7).map(|i| tape.saved.get(output(i)).is_some()).collect();
        // The second product and the gate read the first one, the gate reads both, and the loss reads the view of the sum.
        assert_eq!(saved, [false, true, true, false, false, true, false]);
        assert_eq!(tape.saved.node(output(0)), Some(0));
        drop(y);
    }
}

#[test]
fn a_value_is_spent_by_its_last_reader_and_by_no_one_before() {
    let [x, w, _] = leaves(&Device::Cpu);
    let quiet = Interrupt::new();
    let product = |x: &Tensor| ops::linear(x, &w, None, Precision::F32, &quiet);
    let gate = |a: &Tensor, b: &Tensor| ops::swiglu(a, b, &quiet);
    let held = |x: &Tensor| match &*x.storage_and_layout().0 {
        candle_core::Storage::Cpu(candle_core::CpuStorage::F32(values)) => values.len(),
        _ => unreachable!("f32 on the CPU"),
    };
    let work = || {
        let (a, b, c) = (product(&x)?, product(&x)?, product(&x)?);
        let view = ops::reshape(&c, (3, 2, 16))?;
        let both = gate(&a, &b)?; // the first to ask for a and b
        let twice = gate(&a, &a)?; // one value, twice
        let seen = gate(&view, &view)?; // and of a view
        let y = apply_add(&apply_add(&both, &twice)?, &ops::reshape(&seen, (3, 4, 8))?)?;
        Ok((a, b, c, y))
    };
    let ((a, b, c, y), tape) = Tape::record(&[&x, &w], work).unwrap();
    let mut saved = HashMap::new();
    tape.backward(&y, y.ones_like().unwrap(), &mut |id, gradient| Ok(_ = saved.insert(id, gradient))).unwrap();
    assert_eq!([&a, &b, &c].map(held), [96; 3], "a tape that is read again spends nothing");
    let mut donated = HashMap::new();
    tape.backward_consuming(&y, y.ones_like().unwrap(), &mut |id, gradient| Ok(_ = donated.insert(id, gradient)))
        .unwrap();
    assert_eq!([&a, &b, &c].map(held), [0, 0, 96], "a and b are donated, a view is not");
    assert_eq!([&x, &w].map(|leaf| held(leaf)), [96, 64], "leaves are not");
    for leaf in [&x, &w] {
        let values = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values(&saved[&leaf.id()]), values(&donated[&leaf.id()]));
    }
}
