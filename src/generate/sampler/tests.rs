//! The effect of each sampling option.

use super::*;

/// The likeliest first, equal ones by id.
fn likelier(a: &Candidate, b: &Candidate) -> std::cmp::Ordering {
    b.logit.total_cmp(&a.logit).then(a.id.cmp(&b.id))
}

fn sampler(options: SamplerOptions) -> Sampler {
    Sampler::new(options).expect("options in range")
}

fn logits(n: usize) -> Vec<f32> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32
    };
    (0..n).map(|_| next() * 8.0 - 4.0).collect()
}

/// The rules written out, with a full sort: the probability of every id.
fn naive(options: &SamplerOptions, logits: &[f32], previous: &[u32], mask: Option<&[bool]>) -> Vec<f64> {
    let mut z: Vec<f64> = logits.iter().map(|&z| f64::from(z)).collect();
    for (id, z) in z.iter_mut().enumerate() {
        if previous.contains(&(id as u32)) {
            *z = if *z > 0.0 { *z / options.repetition_penalty } else { *z * options.repetition_penalty };
        }
        *z /= options.temperature;
        if mask.is_some_and(|mask| !mask[id]) {
            *z = f64::NEG_INFINITY;
        }
    }
    let softmax = |z: &[f64]| {
        let exp: Vec<f64> = z.iter().map(|z| z.exp()).collect();
        let sum: f64 = exp.iter().sum();
        exp.iter().map(|e| e / sum).collect::<Vec<_>>()
    };
    let ranked = |p: &[f64]| {
        let mut order: Vec<usize> = (0..p.len()).collect();
        order.sort_by(|&a, &b| p[b].total_cmp(&p[a]));
        order
    };
    if options.top_k > 0 {
        for &id in ranked(&z).iter().skip(options.top_k) {
            z[id] = f64::NEG_INFINITY;
        }
    }
    let p = softmax(&z);
    let mut before = 0.0;
    for id in ranked(&p) {
        if before >= options.top_p {
            z[id] = f64::NEG_INFINITY;
        }
        before += p[id];
    }
    let p = softmax(&z);
    let highest = p.iter().copied().fold(0.0, f64::max);
    for id in 0..z.len() {
        if p[id] < options.min_p * highest {
            z[id] = f64::NEG_INFINITY;
        }
    }
    let p = softmax(&z);
    if options.typical_p < 1.0 {
        let entropy: f64 = p.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum();
        let mut order: Vec<usize> = (0..p.len()).filter(|&id| p[id] > 0.0).collect();
        order.sort_by(|&a, &b| (-p[a].ln() - entropy).abs().total_cmp(&(-p[b].ln() - entropy).abs()));
        let mut before = 0.0;
        for id in order {
            if before >= options.typical_p {
                z[id] = f64::NEG_INFINITY;
            }
            before += p[id];
        }
    }
    softmax(&z)
}

#[test]
fn an_ngram_comes_once_unless_nothing_else_is_left() {
    let options = |n| SamplerOptions { no_repeat_ngram_size: n, temperature: 0.0, ..SamplerOptions::default() };
    let draw =
        |n, previous: &[u32], mask: Option<&[bool]>| sampler(options(n)).sample(&[3.0, 2.0, 1.0], previous, mask);
    assert_eq!(draw(0, &[1, 0, 1], None), 0);
    assert_eq!(draw(2, &[1, 0, 1], None), 1, "1 0 was there");
    assert_eq!(draw(2, &[1, 0, 1, 1], None), 2, "and 1 1");
    assert_eq!(draw(3, &[1, 0, 1], None), 0, "0 1 0 was not");
    assert_eq!(draw(3, &[0, 1, 0, 0, 1], None), 1);
    assert_eq!(draw(1, &[0, 1], None), 2, "no id twice");
    assert_eq!(draw(1, &[0, 1, 2], None), 0, "all were there");
    assert_eq!(draw(2, &[1, 0, 1], Some(&[true, false, false])), 0, "nothing else is allowed");
    assert_eq!(draw(4, &[1], None), 0);
}

#[test]
fn draws_follow_the_rules_written_out() {
    let logits = logits(200);
    let previous = [3, 3, 17, 150, 9_999];
    let mask: Vec<bool> = (0..200).map(|id| id % 7 != 2).collect();
    let base = SamplerOptions { seed: 5, ..SamplerOptions::default() };
    for options in [
        base.clone(),
        SamplerOptions { temperature: 0.7, ..base.clone() },
        SamplerOptions { top_k: 5, ..base.clone() },
        SamplerOptions { top_p: 0.8, ..base.clone() },
        SamplerOptions { top_p: 0.99, temperature: 1.3, ..base.clone() },
        SamplerOptions { min_p: 0.3, ..base.clone() },
        SamplerOptions { typical_p: 0.5, ..base.clone() },
        SamplerOptions { typical_p: 0.9, top_p: 0.95, min_p: 0.02, ..base.clone() },
        SamplerOptions { repetition_penalty: 3.0, temperature: 0.5, ..base.clone() },
        SamplerOptions { temperature: 0.8, top_k: 40, top_p: 0.9, min_p: 0.05, repetition_penalty: 1.2, ..base },
    ] {
        let expected = naive(&options, &logits, &previous, Some(&mask));
        let mut counts = vec![0.0; 200];
        let (mut sampler, draws) = (sampler(options.clone()), 40_000);
        for _ in 0..draws {
            counts[sampler.sample(&logits, &previous, Some(&mask)) as usize] += 1.0 / f64::from(draws);
        }
        for (id, (&count, &p)) in counts.iter().zip(&expected).enumerate() {
            // Five standard deviations of a binomial and a few chance hits; zero where the rules leave nothing.
            let slack = 5.0 * (p * (1.0 - p) / f64::from(draws)).sqrt() + 6.0 / f64::from(draws);
            assert!(
                (count - p).abs() <= slack && (p > 0.0 || count == 0.0),
                "{options:?}: id {id} came {count}, not {p}"
            );
        }
    }
}

#[test]
fn temperature_zero_takes_the_likeliest_allowed_the_first_of_equals() {
    let mut greedy = sampler(SamplerOptions { temperature: 0.0, ..SamplerOptions::default() });
    assert_eq!(greedy.sample(&[0.0, 3.0, 3.0, 9.0], &[], Some(&[true, true, true, false])), 1);
    let mut shy = sampler(SamplerOptions { temperature: 0.0, repetition_penalty: 2.0, ..SamplerOptions::default() });
    assert_eq!(shy.sample(&[1.0, 1.9, 3.0], &[2], None), 1);
    assert_eq!(shy.sample(&[-1.0, -1.5, -4.0], &[0], None), 1);
}

#[test]
fn one_seed_is_one_stream_and_takes_have_their_own() {
    let logits = logits(50);
    let stream = |mut s: Sampler| (0..20).map(|_| s.sample(&logits, &[], None)).collect::<Vec<_>>();
    let fresh = |seed| sampler(SamplerOptions { seed, ..SamplerOptions::default() });
    assert_eq!(stream(fresh(4)), stream(fresh(4)));
    assert_ne!(stream(fresh(4)), stream(fresh(5)));
    let mut used = fresh(4);
    used.sample(&logits, &[], None);
    assert_eq!(stream(used.for_take(2)), stream(fresh(4).for_take(2)));
    assert_ne!(stream(used.for_take(2)), stream(used.for_take(3)));
}

#[test]
fn the_stream_starts_anew_only_with_another_seed() {
    let logits = logits(50);
    let fresh = |seed| sampler(SamplerOptions { seed, ..SamplerOptions::default() });
    let (mut going, mut changed) = (fresh(1), fresh(1));
    going.sample(&logits, &[], None);
    changed.sample(&logits, &[], None);
    changed.set_options(SamplerOptions { seed: 1, min_p: 0.0, ..SamplerOptions::default() }).expect("in range");
    assert_eq!(going.sample(&logits, &[], None), changed.sample(&logits, &[], None));
    changed.set_options(SamplerOptions { seed: 9, ..SamplerOptions::default() }).expect("in range");
    assert_eq!(fresh(9).sample(&logits, &[], None), changed.sample(&logits, &[], None));
    assert!(changed.set_options(SamplerOptions { top_p: 2.0, ..SamplerOptions::default() }).is_err());
    assert_eq!(changed.options().top_p, 1.0);
}

#[test]
fn logits_without_sense_still_give_an_allowed_id() {
    let nan = f32::NAN;
    for temperature in [0.0, 1.0] {
        let mut s = sampler(SamplerOptions { temperature, top_p: 0.9, min_p: 0.1, ..SamplerOptions::default() });
        for _ in 0..50 {
            assert_eq!(s.sample(&[nan, 0.0, nan], &[], None), 1);
            assert_eq!(s.sample(&[f32::INFINITY, 0.0, 9.0], &[0, 1], None), 0);
            assert!([1, 2].contains(&s.sample(&[5.0, nan, f32::NEG_INFINITY], &[], Some(&[false, true, true]))));
            assert_eq!(s.sample(&[5.0, -5e30, -5e30], &[], Some(&[false; 3])), 0);
            assert_eq!(s.sample(&[1.0, 2.0], &[], Some(&[true])), 0);
            assert_eq!(s.sample(&[], &[], None), 0);
        }
    }
}

#[test]
fn cutting_early_and_sorting_everything_keep_the_same() {
    let logits = logits(5_000);
    let field: Vec<Candidate> = logits.iter().zip(0..).map(|(&logit, id)| Candidate { id, logit }).collect();
    let weight = |c: &Candidate| f64::from(c.logit).exp();
    let total: f64 = field.iter().map(weight).sum();
    for share in [0.001, 0.3, 0.95, 0.999_999] {
        let mut sorted = field.clone();
        sorted.sort_by(likelier);
        let mut sum = 0.0;
        let ids = sorted.iter().take_while(|c| {
            let wanted = sum < share * total;
            sum += weight(c);
            wanted
        });
        let expected: Vec<u32> = ids.map(|c| c.id).collect();
        let mut cut: Vec<Rank> = field.iter().map(|c| Rank { key: key(c), weight: weight(c) }).collect();
        let kept: Vec<u32> = likeliest(&mut cut, share * total).iter().map(Rank::id).collect();
        assert_eq!(kept, expected, "{share}");
    }
}

#[test]
fn keys_stand_in_the_order_of_logits_and_ids() {
    let logits = [f32::INFINITY, 3.5, 1e-40, 0.0, -0.0, -1e-40, -2.0, -2.0, f32::MIN, f32::NEG_INFINITY];
    let field: Vec<Candidate> = logits.iter().zip(0..).map(|(&logit, id)| Candidate { id, logit }).collect();
    assert!(field.is_sorted_by(|a, b| likelier(a, b).is_lt()), "the likeliest first");
    assert!(field.is_sorted_by_key(key), "{:?}", field.iter().map(key).collect::<Vec<_>>());
}
