//! Layer normalisation on a GPU, one block for each row; the gradients of weight and bias are summed over parts of a
//! fixed size.

use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaView};
use candle_core::{Result as Candle, Tensor};

use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::nn::autograd;
use crate::nn::cuda::{KernelSource, alloc, blocks, gpu, held, launch, source, tensor};
use crate::nn::ops::cuda::{Cheap, cheap2, cheap3};

static SOURCE: KernelSource = source!("layer_norm", "../../cuda");

/// Rows of a part of the gradients of weight and bias.
const STEP: usize = 64;
/// Columns of a block there.
const COLUMNS: usize = 256;

/// [`super::layer_norm`] for tensors of the right shape.
pub(super) fn layer_norm(
    x: &Tensor,
    w: &Tensor,
    b: Option<&Tensor>,
    eps: f32,
    interrupt: &Interrupt,
) -> Result<Tensor> {
    let (x, w) = (autograd::apply_contiguous(x)?, autograd::apply_contiguous(w)?);
    let op = Cheap { name: "layer_norm", interrupt };
    let Some(b) = b else {
        let make = move |device: &CudaDevice, [x, w]: [CudaView<'_, f32>; 2]| forward(device, [&x, &w], None, eps);
        return cheap2([&x, &w], &op, Box::new(make), move |[x, w], _, dy| {
            let [dx, dw, _] = backward(x, w, dy, eps)?;
            Ok([Some(dx), Some(dw)])
        });
    };
    let b = autograd::apply_contiguous(b)?;
    let make = move |device: &CudaDevice, [x, w, b]: [CudaView<'_, f32>; 3]| forward(device, [&x, &w], Some(&b), eps);
    cheap3([&x, &w, &b], &op, Box::new(make), move |[x, w, _], _, dy| Ok(backward(x, w, dy, eps)?.map(Some)))
}

type NormInputs<'a> = CudaView<'a, f32>;

fn forward(
    device: &CudaDevice,
    given: [&NormInputs<'_>; 2],
    b: Option<&NormInputs<'_>>,
    eps: f32,
) -> Candle<CudaSlice<f32>> {
    let [x, w] = given;
    let rows = x.len() / w.len();
    let (mut y, n, config) = (alloc::<f32>(device, x.len())?, w.len() as i32, blocks(rows, 1));
    match b {
        _ if rows == 0 => (),
        None => launch!(device, SOURCE, "layer_norm_forward", config, x, w, &mut y, &n, &eps),
        Some(b) => launch!(device, SOURCE, "layer_norm_forward_biased", config, x, w, b, &mut y, &n, &eps),
    }
    Ok(y)
}

/// dx, dw and db.
fn backward(x: &Tensor, w: &Tensor, dy: &Tensor, eps: f32) -> Candle<[Tensor; 3]> {
    let (device, n) = (gpu(x)?, w.elem_count());
    let (rows, parts) = (x.elem_count() / n, (x.elem_count() / n).div_ceil(STEP));
    let (x_shape, w_shape) = (x.shape(), w.shape());
    let mut dx = alloc::<f32>(device, rows * n)?;
    let (mut dw, mut db) = (alloc::<f32>(device, n)?, alloc::<f32>(device, n)?);
    // Mean and root of each row, and partial sums of both gradients.
    let (mut measures, mut partial) = (alloc::<f32>(device, 2 * rows)?, alloc::<f32>(device, parts * 2 * n)?);
    let (x, w, dy) = (held(x)?, held(w)?, held(dy)?);
    let (x, w, dy) = (x.view::<f32>()?, w.view::<f32>()?, dy.view::<f32>()?);
    let columns = n.div_ceil(COLUMNS);
    let (n, count, step, parts_count) = (n as i32, rows as i32, STEP as i32, parts as i32);
    if rows > 0 {
        launch!(device, SOURCE, "layer_norm_backward", blocks(rows, 1), &x, &w, &dy, &mut dx, &mut measures, &n, &eps);
        let config = blocks(columns, parts);
        launch!(device, SOURCE, "layer_norm_weight", config, &x, &dy, &measures, &mut partial, &count, &n, &step);
    }
    launch!(device, SOURCE, "layer_norm_add", blocks(columns, 1), &partial, &mut dw, &mut db, &parts_count, &n);
    Ok([tensor(dx, x_shape, device), tensor(dw, w_shape, device), tensor(db, w_shape, device)])
}
