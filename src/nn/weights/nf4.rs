//! 4-bit weights in the format of bitsandbytes' `Linear4bit`.
//!
//! For a weight `P` of n values: `P` U8 [⌈n/2⌉, 1] the codes, `P.absmax` U8 [blocks], `P.nested_absmax` F32,
//! `P.nested_quant_map` F32 [256], `P.quant_map` F32 [16], and `P.quant_state.bitsandbytes__nf4`, JSON in bytes.
//! Without double quantisation `P.absmax` is F32 and nothing is nested.

use std::borrow::Cow;

use candle_core::{Device, Tensor};
use safetensors::Dtype as Stored;
use serde::Deserialize;

use super::file::Entry;
use super::read::Checkpoint;
use crate::error::{Error, Result};
use crate::nn::dtype::decode;
use crate::nn::quant::{Mirror, NESTED_MAP, NF4_MAP, Nf4};

/// The content of `quant_state`.
#[derive(Deserialize)]
struct QuantState {
    blocksize: usize,
    shape: (usize, usize),
    nested_blocksize: Option<usize>,
    nested_offset: Option<f64>,
}

/// A weight that was read.
pub(super) enum Packed {
    /// With double quantisation.
    Nf4(Nf4),
    /// Without: the exact values, since quantising the scales would change them.
    Dense(Tensor),
}

fn state_of(weight: &str) -> String {
    format!("{weight}.quant_state.bitsandbytes__nf4")
}

/// Whether `weight` is kept in 4 bits.
pub(super) fn is_packed(file: &Checkpoint<'_>, weight: &str) -> bool {
    file.has(&state_of(weight))
}

/// Whether any weight of the file is kept in 4 bits.
pub(super) fn any_packed(file: &Checkpoint<'_>) -> bool {
    file.names().iter().any(|name| name.ends_with(&state_of("")))
}

/// Reads a weight of `shape` (out, in).
pub(super) fn read(file: &mut Checkpoint<'_>, weight: &str, shape: (usize, usize), device: &Device) -> Result<Packed> {
    let label = file.label().to_owned();
    let broken = |what: String| Error::broken(format!("{label}: tensor '{weight}' {what}"));
    let state: QuantState = serde_json::from_slice(&file.bytes(&state_of(weight))?)
        .map_err(|e| broken(format!("has a quant_state that cannot be read: {e}")))?;
    if state.shape != shape {
        return Err(broken(format!(
            "has the shape [{}, {}], the model needs [{}, {}]",
            state.shape.0, state.shape.1, shape.0, shape.1
        )));
    }
    if state.blocksize != Nf4::BLOCK {
        return Err(broken(format!("has blocks of {}, only blocks of {} are read", state.blocksize, Nf4::BLOCK)));
    }
    let count = shape.0 * shape.1;
    let blocks = count.div_ceil(Nf4::BLOCK);
    let codes = file.exactly(weight, Stored::U8, count.div_ceil(2))?;
    let (Some(nested_blocksize), Some(offset)) = (state.nested_blocksize, state.nested_offset) else {
        let scales = floats(file, &format!("{weight}.absmax"), blocks)?;
        return Ok(Packed::Dense(Tensor::from_vec(unpack(&codes, &scales, count), shape, device)?));
    };
    if nested_blocksize != Nf4::NESTED_BLOCK {
        return Err(broken(format!("has nested blocks of {nested_blocksize}, only {} are read", Nf4::NESTED_BLOCK)));
    }
    let map = floats(file, &format!("{weight}.nested_quant_map"), NESTED_MAP.len())?;
    if map.iter().zip(NESTED_MAP.iter()).any(|(theirs, ours)| (theirs - ours).abs() > 1e-6) {
        return Err(broken(String::from("has a nested_quant_map other than bitsandbytes' dynamic map")));
    }
    Ok(Packed::Nf4(Nf4 {
        shape,
        codes,
        absmax: file.exactly(&format!("{weight}.absmax"), Stored::U8, blocks)?,
        nested_absmax: floats(file, &format!("{weight}.nested_absmax"), blocks.div_ceil(Nf4::NESTED_BLOCK))?,
        nested_offset: offset as f32,
        mirror: Mirror::default(),
    }))
}

fn floats(file: &mut Checkpoint<'_>, name: &str, count: usize) -> Result<Vec<f32>> {
    let bytes = file.exactly(name, Stored::F32, count)?;
    Ok(decode(Stored::F32, &bytes).unwrap_or_default())
}

/// The values of codes with plain scales.
fn unpack(codes: &[u8], scales: &[f32], count: usize) -> Vec<f32> {
    let code = |i: usize| if i.is_multiple_of(2) { codes[i / 2] >> 4 } else { codes[i / 2] & 15 };
    (0..count).map(|i| NF4_MAP[usize::from(code(i))] * scales[i / Nf4::BLOCK]).collect()
}

/// The entries of a weight.
pub(super) fn entries<'a>(weight: &str, packed: &'a Nf4) -> Vec<(String, Entry<'a>)> {
    // The spaces are those of Python's json.dumps, so that the file equals bitsandbytes' to the byte.
    let state = format!(
        "{{\"quant_type\": \"nf4\", \"blocksize\": {}, \"dtype\": \"float32\", \"shape\": [{}, {}], \
         \"nested_blocksize\": {}, \"nested_dtype\": \"float32\", \"nested_offset\": {:?}}}",
        Nf4::BLOCK,
        packed.shape.0,
        packed.shape.1,
        Nf4::NESTED_BLOCK,
        f64::from(packed.nested_offset),
    );
    let bytes = |part: &str, values: Cow<'a, [u8]>, column: bool| {
        let shape = if column { vec![values.len(), 1] } else { vec![values.len()] };
        let entry = Entry { dtype: Stored::U8, shape, bytes: values.len(), data: Box::new(move || Ok(values.clone())) };
        (format!("{weight}{part}"), entry)
    };
    let floats = |part: &str, values: &'a [f32]| {
        let data = move || Ok(values.iter().flat_map(|x| x.to_le_bytes()).collect());
        let entry =
            Entry { dtype: Stored::F32, shape: vec![values.len()], bytes: 4 * values.len(), data: Box::new(data) };
        (format!("{weight}{part}"), entry)
    };
    vec![
        bytes("", Cow::Borrowed(&packed.codes), true),
        bytes(".absmax", Cow::Borrowed(&packed.absmax), false),
        floats(".nested_absmax", &packed.nested_absmax),
        floats(".nested_quant_map", NESTED_MAP.as_slice()),
        floats(".quant_map", &NF4_MAP),
        bytes(".quant_state.bitsandbytes__nf4", Cow::Owned(state.into_bytes()), false),
    ]
}
