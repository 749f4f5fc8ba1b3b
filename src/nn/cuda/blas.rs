//! Matrix products by cuBLAS: f32 by f32, or bfloat16 by bfloat16, summed in f32 into an f32 matrix.

use std::ffi::c_void;

use candle_core::Result as Candle;
use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::cublas::{result, sys};
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaView, DevicePtr, DevicePtrMut};
use half::bf16;

use super::gpu_error::fault;

/// An operand: a row-major matrix on the device, or its transpose.
#[derive(Clone, Copy)]
pub(in crate::nn) struct CudaMat<'a> {
    values: CudaValues<'a>,
    /// Distance between rows in memory.
    row: usize,
    transposed: bool,
}

#[derive(Clone, Copy)]
enum CudaValues<'a> {
    F32(&'a CudaView<'a, f32>),
    Bf16(&'a CudaView<'a, bf16>),
}

impl<'a> CudaMat<'a> {
    /// f32, with rows `row` values apart.
    pub(in crate::nn) fn f32(values: &'a CudaView<'a, f32>, row: usize) -> Self {
        Self { values: CudaValues::F32(values), row, transposed: false }
    }

    /// bfloat16, with rows `row` values apart.
    pub(in crate::nn) fn bf16(values: &'a CudaView<'a, bf16>, row: usize) -> Self {
        Self { values: CudaValues::Bf16(values), row, transposed: false }
    }

    /// The transpose, without moving data.
    pub(in crate::nn) fn t(self) -> Self {
        Self { transposed: !self.transposed, ..self }
    }

    fn operation(&self) -> sys::cublasOperation_t {
        if self.transposed { sys::cublasOperation_t::CUBLAS_OP_T } else { sys::cublasOperation_t::CUBLAS_OP_N }
    }

    fn dtype(&self) -> sys::cudaDataType {
        match self.values {
            CudaValues::F32(_) => sys::cudaDataType::CUDA_R_32F,
            CudaValues::Bf16(_) => sys::cudaDataType::CUDA_R_16BF,
        }
    }
}

/// The sizes of a product: (m, k) · (k, n) -> (m, n), `out = alpha · product + beta · out`.
#[derive(Clone, Copy)]
pub(in crate::nn) struct CudaProduct {
    pub(in crate::nn) m: usize,
    pub(in crate::nn) n: usize,
    pub(in crate::nn) k: usize,
    pub(in crate::nn) alpha: f32,
    pub(in crate::nn) beta: f32,
    /// Offset of the output in its memory, and the distance between its rows.
    pub(in crate::nn) at: usize,
    pub(in crate::nn) row: usize,
}

impl CudaProduct {
    /// `out = a · b` for a contiguous output.
    pub(in crate::nn) fn new(m: usize, n: usize, k: usize) -> Self {
        Self { m, n, k, alpha: 1.0, beta: 0.0, at: 0, row: n }
    }
}

/// The product of `a` (m, k) and `b` (k, n), both of one type.
///
/// # Errors
/// What cuBLAS says; factors of two types.
pub(in crate::nn) fn product(
    device: &CudaDevice,
    p: CudaProduct,
    a: CudaMat<'_>,
    b: CudaMat<'_>,
    out: &mut CudaSlice<f32>,
) -> Candle<()> {
    if p.m == 0 || p.n == 0 {
        return Ok(());
    }
    let (a_type, b_type) = (a.dtype(), b.dtype());
    if a_type != b_type {
        return Err(candle_core::Error::msg("a product needs factors of one type"));
    }
    let (blas, stream) = (device.cublas_handle(), device.cuda_stream());
    let int = |n: usize| i32::try_from(n).map_err(|_| candle_core::Error::msg(format!("{n} is too large for cuBLAS")));
    let (m, n, k) = (int(p.m)?, int(p.n)?, int(p.k)?);
    let (a_row, b_row, row) = (int(a.row.max(1))?, int(b.row.max(1))?, int(p.row.max(1))?);
    let mut out = out.slice_mut(p.at..);
    let (out, _out_guard) = out.device_ptr_mut(&stream);
    let with = |x: &CudaMat<'_>| match x.values {
        // No guards are needed: event tracking is off, the device has one stream.
        CudaValues::F32(values) => values.device_ptr(&stream).0,
        CudaValues::Bf16(values) => values.device_ptr(&stream).0,
    };
    // cuBLAS is column-major, so that our rows are its columns and everything is transposed: outᵀ = bᵀ · aᵀ. SAFETY:
    // the sizes and distances are those of the matrices, which the callers take from shapes they checked.
    let called = unsafe {
        result::gemm_ex(
            *blas.handle(),
            b.operation(),
            a.operation(),
            n,
            m,
            k,
            (&raw const p.alpha).cast::<c_void>(),
            with(&b) as *const c_void,
            b_type,
            b_row,
            with(&a) as *const c_void,
            a_type,
            a_row,
            (&raw const p.beta).cast::<c_void>(),
            out as *mut c_void,
            sys::cudaDataType::CUDA_R_32F,
            row,
            sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
            sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
        )
    };
    called.map_err(fault)
}
