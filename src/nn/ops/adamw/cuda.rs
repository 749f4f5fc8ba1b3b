//! AdamW, the square norm and scaling on a GPU: one launch for all tensors, since adapters are many small ones.

use std::collections::HashSet;

use candle_core::cuda_backend::cudarc::driver::{DevicePtr, DeviceRepr};
use candle_core::{Result as Candle, Tensor, Var};

use super::AdamWStep;
use super::cpu::Factors;
use super::cuda_moments::CudaMoments;
use crate::nn::cuda::{KernelSource, alloc, blocks, gpu, held, host, launch, source, upload};

pub(super) static SOURCE: KernelSource = source!("adamw", "../../cuda");

/// The most values of a piece.
const PIECE: usize = 1 << 14;

/// `UpdatePiece` of the kernels: device addresses and factors.
#[derive(Clone, Copy)]
#[repr(C)]
struct UpdatePiece {
    p: u64,
    g: u64,
    m: u64,
    v: u64,
    n: u64,
    factors: [f32; 7],
}

/// `NormPart` of the kernels.
#[derive(Clone, Copy)]
#[repr(C)]
struct NormPart {
    x: u64,
    n: u64,
}

// SAFETY: plain numbers, laid out as C has them.
unsafe impl DeviceRepr for UpdatePiece {}
// SAFETY: as above.
unsafe impl DeviceRepr for NormPart {}

/// The offsets of the pieces of n values, in bytes, and their lengths.
fn pieces(n: usize) -> impl Iterator<Item = (u64, u64)> {
    (0..n).step_by(PIECE).map(move |at| (4 * at as u64, PIECE.min(n - at) as u64))
}

/// The device address of a contiguous tensor.
fn address(x: &Tensor) -> Candle<u64> {
    let stream = gpu(x)?.cuda_stream();
    // No guard is needed: all work is queued on the one stream of the device, including the freeing of memory.
    Ok(held(x)?.view::<f32>()?.device_ptr(&stream).0)
}

/// The update of one parameter, of its shape.
pub(super) struct CudaUpdate<'a> {
    pub(super) moments: &'a CudaMoments,
    pub(super) parameter: &'a Var,
    pub(super) gradient: &'a Tensor,
    pub(super) hyper: AdamWStep,
}

/// Updates parameters in place, and their moments.
pub(super) fn update(updates: &[CudaUpdate<'_>]) -> Candle<()> {
    let Some(first) = updates.first() else { return Ok(()) };
    let device = gpu(first.parameter)?.clone();
    let (mut all, mut gradients) = (Vec::new(), Vec::with_capacity(updates.len()));
    for CudaUpdate { moments, parameter, gradient, hyper } in updates {
        let (stream, gradient) = (device.cuda_stream(), gradient.contiguous()?);
        let (p, g) = (address(parameter)?, address(&gradient)?);
        let (m, v) = (moments.m.device_ptr(&stream).0, moments.v.device_ptr(&stream).0);
        let factors = numbers(hyper);
        let piece = |(at, n)| UpdatePiece { p: p + at, g: g + at, m: m + at, v: v + at, n, factors };
        all.extend(pieces(parameter.elem_count()).map(piece));
        gradients.push(gradient);
    }
    if !all.is_empty() {
        let pieces = upload(&device, &all)?;
        launch!(&device, SOURCE, "adamw_update", blocks(all.len(), 1), &pieces);
    }
    Ok(())
}

fn numbers(hyper: &AdamWStep) -> [f32; 7] {
    let Factors { shrink, toward, beta, fresh, root, eps, step } = Factors::of(hyper);
    [shrink, toward, beta, fresh, root, eps, step]
}

fn parts(tensors: &[Tensor]) -> Candle<Vec<NormPart>> {
    let mut all = Vec::new();
    for x in tensors {
        let at = address(x)?;
        all.extend(pieces(x.elem_count()).map(|(offset, n)| NormPart { x: at + offset, n }));
    }
    Ok(all)
}

/// The sum of squares of several tensors on one device; the host synchronises once.
pub(super) fn square_norms(tensors: &[Tensor]) -> Candle<f64> {
    let Some(first) = tensors.first() else { return Ok(0.0) };
    let device = gpu(first)?;
    let tensors = tensors.iter().map(Tensor::contiguous).collect::<Candle<Vec<_>>>()?;
    let all = parts(&tensors)?;
    if all.is_empty() {
        return Ok(0.0);
    }
    let (parts, mut sums) = (upload(device, &all)?, alloc::<f64>(device, all.len())?);
    launch!(device, SOURCE, "square_sums", blocks(all.len(), 1), &parts, &mut sums);
    Ok(host(device, &sums)?.iter().sum())
}

/// Scales tensors in place; `false`, without any change, where two of them share memory or one is not contiguous.
pub(super) fn scale(tensors: &[Tensor], factor: f32) -> Candle<bool> {
    let Some(first) = tensors.first() else { return Ok(true) };
    let all = match tensors.iter().all(Tensor::is_contiguous) {
        true => parts(tensors)?,
        false => return Ok(false),
    };
    let places: HashSet<u64> = all.iter().map(|part| part.x).collect();
    if places.len() < all.len() {
        return Ok(false);
    }
    if !all.is_empty() {
        let device = gpu(first)?;
        let parts = upload(device, &all)?;
        launch!(device, SOURCE, "scale_parts", blocks(all.len(), 1), &parts, &factor);
    }
    Ok(true)
}
