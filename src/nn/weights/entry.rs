//! Float tensors on their way to a file.

use std::borrow::Cow;

use candle_core::Tensor;

use super::file::Entry;
use crate::nn::core::Weight;
use crate::nn::dtype::Dtype;

/// A float tensor, for the file.
pub(super) fn entry<'a>(weight: &Weight, dtype: Dtype) -> (String, Entry<'a>) {
    entry_of(weight.name(), weight.dims().to_vec(), weight.detached(), dtype)
}

/// A matrix with its axes exchanged, for the file.
pub(super) fn transposed_entry<'a>(weight: &Weight, dtype: Dtype) -> (String, Entry<'a>) {
    let shape = weight.dims().iter().rev().copied().collect();
    entry_of(weight.name(), shape, weight.detached().t().unwrap_or_else(|_| weight.detached()), dtype)
}

/// `tensor` may be a view; it is brought into the order of memory when it is written.
fn entry_of<'a>(name: &str, shape: Vec<usize>, tensor: Tensor, dtype: Dtype) -> (String, Entry<'a>) {
    let (stored, bytes) = (dtype.stored(), tensor.elem_count() * dtype.stored().bitsize() / 8);
    let data = move || Ok(Cow::Owned(dtype.encode(&tensor.flatten_all()?.to_vec1::<f32>()?)));
    (name.to_owned(), Entry { dtype: stored, shape, bytes, data: Box::new(data) })
}
