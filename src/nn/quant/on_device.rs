//! The copy of a 4-bit weight on a GPU, dequantised a panel at a time or inside a product of few rows.

use candle_core::Result as Candle;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaStream, CudaView, DevicePtr, DeviceRepr};
use candle_core::cuda_backend::{CudaDevice, DeviceId};
use half::bf16;

use super::tables::{NESTED_MAP, NF4_MAP};
use crate::nn::cuda::{KernelSource, alloc, blocks, elements, launch, source, upload};

pub(super) static SOURCE: KernelSource = source!("nf4", "../cuda", "nf4.cuh");

/// A 4-bit weight in the memory of a GPU.
pub(in crate::nn) struct OnDevice {
    device: DeviceId,
    codes: CudaSlice<u8>,
    absmax: CudaSlice<u8>,
    nested_absmax: CudaSlice<f32>,
    /// The values of the scales' codes, followed by those of NF4.
    map: CudaSlice<f32>,
    offset: f32,
}

/// The most rows of [`OnDevice::gemv`].
pub(in crate::nn) const FEW: usize = 8;
/// Outputs of a block there.
const OUTPUTS: usize = 8;

impl OnDevice {
    /// Copies codes, the scales' codes, their scales and their offset.
    pub(super) fn new(
        device: &CudaDevice,
        codes: &[u8],
        absmax: &[u8],
        nested_absmax: &[f32],
        offset: f32,
    ) -> Candle<Self> {
        let bytes = |values: &[u8]| if values.is_empty() { upload(device, &[0]) } else { upload(device, values) };
        let nested = if nested_absmax.is_empty() { &[0.0][..] } else { nested_absmax };
        let map: Vec<f32> = NESTED_MAP.iter().chain(&NF4_MAP).copied().collect();
        Ok(Self {
            device: device.id(),
            codes: bytes(codes)?,
            absmax: bytes(absmax)?,
            nested_absmax: upload(device, nested)?,
            map: upload(device, &map)?,
            offset,
        })
    }

    /// Whether it is on this device.
    pub(super) fn is_on(&self, device: &CudaDevice) -> bool {
        self.device == device.id()
    }

    /// The addresses of codes, scales, their scales and the map of values, and the offset: arguments of other kernels.
    pub(in crate::nn) fn addresses(&self, stream: &CudaStream) -> ([u64; 4], f32) {
        // No guards are needed: the device has one stream.
        let bytes = |x: &CudaSlice<u8>| x.device_ptr(stream).0;
        let floats = |x: &CudaSlice<f32>| x.device_ptr(stream).0;
        let all = [bytes(&self.codes), bytes(&self.absmax), floats(&self.nested_absmax), floats(&self.map)];
        (all, self.offset)
    }

    /// The n values from index `at` on, to the front of `out`.
    ///
    /// # Errors
    /// What the driver says.
    pub(in crate::nn) fn dequantize(
        &self,
        device: &CudaDevice,
        at: usize,
        n: usize,
        out: &mut CudaSlice<f32>,
    ) -> Candle<()> {
        self.dequantize_by("nf4_dequantize_f32", device, (at, n), out)
    }

    /// [`OnDevice::dequantize`] rounded to bfloat16.
    ///
    /// # Errors
    /// What the driver says.
    pub(in crate::nn) fn dequantize_bf16(
        &self,
        device: &CudaDevice,
        at: usize,
        n: usize,
        out: &mut CudaSlice<bf16>,
    ) -> Candle<()> {
        self.dequantize_by("nf4_dequantize_bf16", device, (at, n), out)
    }

    fn dequantize_by<T: DeviceRepr>(
        &self,
        name: &'static str,
        device: &CudaDevice,
        (at, n): (usize, usize),
        out: &mut CudaSlice<T>,
    ) -> Candle<()> {
        let Self { codes, absmax, nested_absmax, map, offset, .. } = self;
        let (first, count, config) = (at as u64, n as u64, elements(n.div_ceil(8)));
        if n > 0 {
            launch!(device, SOURCE, name, config, codes, absmax, nested_absmax, map, offset, &first, &count, out);
        }
        Ok(())
    }

    /// `x Wᵀ` for at most [`FEW`] rows: x (rows, in) -> (rows, out), where `shape` is (out, in).
    ///
    /// # Errors
    /// What the driver says.
    pub(in crate::nn) fn gemv(
        &self,
        device: &CudaDevice,
        x: &CudaView<'_, f32>,
        rows: usize,
        (out, wide): (usize, usize),
    ) -> Candle<CudaSlice<f32>> {
        let mut y = alloc::<f32>(device, rows * out)?;
        let Self { codes, absmax, nested_absmax, map, offset, .. } = self;
        let name = match rows {
            1 => "nf4_gemv_1",
            2 => "nf4_gemv_2",
            3..=4 => "nf4_gemv_4",
            _ => "nf4_gemv_8",
        };
        let (config, rows_count, out_count, wide) =
            (blocks(out.div_ceil(OUTPUTS), 1), rows as i32, out as i32, wide as i32);
        if rows * out > 0 {
            launch!(
                device,
                SOURCE,
                name,
                config,
                codes,
                absmax,
                nested_absmax,
                map,
                offset,
                x,
                &mut y,
                &rows_count,
                &out_count,
                &wide
            );
        }
        Ok(y)
    }
}
