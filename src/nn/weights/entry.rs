//! Entries of safetensors files for float tensors.

use std::borrow::Cow;

use candle_core::Tensor;

use super::file::Entry;
use crate::nn::core::Weight;
use crate::nn::dtype::Dtype;

/// The entry of a float tensor.
pub(super) fn entry<'a>(weight: &Weight, dtype: Dtype) -> (String, Entry<'a>) {
    entry_of(weight.name(), weight.dims().to_vec(), weight.detached(), dtype)
}

/// The entry of a float tensor under another name.
pub(super) fn entry_as<'a>(name: String, weight: &Weight, dtype: Dtype) -> (String, Entry<'a>) {
    entry_of(&name, weight.dims().to_vec(), weight.detached(), dtype)
}

/// The entry of a transposed matrix.
pub(super) fn transposed_entry<'a>(weight: &Weight, dtype: Dtype) -> (String, Entry<'a>) {
    let shape = weight.dims().iter().rev().copied().collect();
    entry_of(weight.name(), shape, weight.detached().t().unwrap_or_else(|_| weight.detached()), dtype)
}

/// `tensor` may be a view; it is made contiguous when it is written.
fn entry_of<'a>(name: &str, shape: Vec<usize>, tensor: Tensor, dtype: Dtype) -> (String, Entry<'a>) {
    let (stored, bytes) = (dtype.stored(), tensor.elem_count() * dtype.stored().bitsize() / 8);
    let data = move || Ok(Cow::Owned(dtype.encode(&tensor.flatten_all()?.to_vec1::<f32>()?)));
    (name.to_owned(), Entry { dtype: stored, shape, bytes, data: Box::new(data) })
}
