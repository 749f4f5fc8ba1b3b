//! NF4 against bitsandbytes, byte for byte; `golden/nf4/make.py` made the file and says how.

use std::collections::HashMap;
use std::path::Path;

use etude::nn::quant::{NESTED_MAP, NF4_MAP, Nf4};
use safetensors::SafeTensors;

/// n numbers in [0, 1) of 24 bits, as in make.py.
fn uniform(n: usize, seed: u32) -> Vec<f32> {
    let number = |i: u32| {
        let mut x = i.wrapping_mul(2_654_435_761).wrapping_add(seed.wrapping_mul(40_503));
        for (shift, factor) in [(16, 0x7feb_352d), (15, 0x846c_a68b)] {
            x = (x ^ (x >> shift)).wrapping_mul(factor);
        }
        ((x ^ (x >> 16)) >> 8) as f32 * 2f32.powi(-24)
    };
    (0..n as u32).map(number).collect()
}

/// One number a block of 64.
fn steps(n: usize, seed: u32) -> Vec<f32> {
    uniform(n / 64 + 1, seed).into_iter().flat_map(|x| [x; 64]).take(n).collect()
}

fn weights(kind: &str, n: usize, seed: u32) -> Vec<f32> {
    let u = uniform(n, seed);
    match kind {
        "zeros" => vec![0.0; n],
        "constant" => vec![0.25; n],
        "flat" => steps(n, seed),
        "spread" => {
            let (v, w) = (uniform(n, seed + 1), steps(n, seed + 2));
            (0..n).map(|i| (u[i] - 0.5) * v[i] * w[i] * w[i]).collect()
        }
        "holes" => {
            let v = steps(n, seed + 1);
            (0..n).map(|i| if v[i] < 0.3 { 0.0 } else { u[i] - 0.5 }).collect()
        }
        "ties" => {
            let halves = NF4_MAP.windows(2).map(|w| (w[1] + w[0]) / 2.0);
            let points: Vec<f32> = NF4_MAP.into_iter().chain(halves).collect();
            let point = |i: usize| if i.is_multiple_of(64) { 1.0 } else { points[(u[i] * 31.0) as usize] };
            (0..n).map(point).collect()
        }
        "tiny" => u.iter().map(|x| (x - 0.5) * 1e-38).collect(),
        "plain" => u.iter().map(|x| x - 0.5).collect(),
        _ => panic!("no weights are called {kind}"),
    }
}

fn checksum(bits: impl Iterator<Item = u64>) -> u64 {
    bits.enumerate().fold(0, |sum, (i, bits)| sum.wrapping_add(bits.wrapping_mul(2 * i as u64 + 1)))
}

fn float_checksum(x: &[f32]) -> u64 {
    checksum(x.iter().map(|x| u64::from(x.to_bits())))
}

struct Golden {
    bytes: Vec<u8>,
    info: HashMap<String, String>,
}

impl Golden {
    fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden/nf4/nf4.safetensors");
        let bytes = std::fs::read(path).expect("the golden file");
        let info = SafeTensors::read_metadata(&bytes).expect("a header").1.metadata().clone().expect("metadata");
        Self { bytes, info }
    }

    fn tensor(&self, name: &str) -> Option<Vec<u8>> {
        let file = SafeTensors::deserialize(&self.bytes).expect("a safetensors file");
        file.tensor(name).ok().map(|t| t.data().to_vec())
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        let bytes = self.tensor(name).unwrap_or_else(|| panic!("{name}"));
        bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
    }
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn the_tables_are_those_of_bitsandbytes() {
    let golden = Golden::read();
    assert_eq!(bits(&NF4_MAP), bits(&golden.floats("quant_map")));
    assert_eq!(bits(&*NESTED_MAP), bits(&golden.floats("nested_quant_map")));
    assert!(golden.info["nested_quant_map_sha256"].starts_with("e732639a65f497b4"));
}

#[test]
fn every_byte_is_that_of_bitsandbytes() {
    let golden = Golden::read();
    let mut cases = 0;
    for name in golden.info["cases"].split(' ') {
        let fields: Vec<&str> = golden.info[name].split(' ').collect();
        let number = |i: usize| -> u64 { fields[i].parse().expect("a number") };
        let shape = (number(1) as usize, number(2) as usize);
        let x = weights(fields[0], shape.0 * shape.1, number(3) as u32);
        assert_eq!(float_checksum(&x), number(4), "{name}: the test makes other weights than make.py");
        let q = Nf4::quantize(&x, shape);
        if let Some(codes) = golden.tensor(&format!("{name}.codes")) {
            assert_eq!(q.codes, codes, "{name}: codes");
        }
        assert_eq!(checksum(q.codes.iter().map(|&b| u64::from(b))), number(5), "{name}: checksum of the codes");
        let offset = golden.floats(&format!("{name}.nested_offset"));
        assert_eq!(q.nested_offset.to_bits(), offset[0].to_bits(), "{name}: {} {}", q.nested_offset, offset[0]);
        let nested = golden.floats(&format!("{name}.nested_absmax"));
        assert_eq!(bits(&q.nested_absmax), bits(&nested), "{name}: nested absmax");
        let absmax = golden.tensor(&format!("{name}.absmax")).expect("absmax");
        assert_eq!(q.absmax, absmax, "{name}: absmax");
        assert_eq!(float_checksum(&q.dequantize()), number(6), "{name}: dequantised values");
        cases += 1;
    }
    assert_eq!(cases, 19);
}
