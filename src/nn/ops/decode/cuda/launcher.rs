//! The kernels of a decoding step, one function each: their arguments and grids.

use std::ffi::c_void;

use candle_core::Result as Candle;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, DevicePtr, DeviceRepr};

use super::CudaDecoder;
use super::graph::{self, LaunchOrder};
use super::plan::{CudaLinear, CudaMatrix, Heads};
use crate::nn::cuda::{blocks, kernel};

/// Warps of a block.
const WARPS: usize = 8;
/// Warps that a product should have, if that leaves each of them enough work: with more rows a warp has more work, and
/// a block has more to read before it begins.
const BUSY: [usize; 4] = [2048, 2048, 1024, 1024];
/// The least columns of a warp, for 4-bit and for dense weights.
const COLUMNS: [usize; 2] = [512, 128];
/// Resident blocks of a multiprocessor: `BOUNDS` of `kernel.cu`.
const RESIDENT: [usize; 4] = [3, 3, 2, 2];

/// How a kernel reads its input: `InputKind` of `product.cuh`.
#[derive(Debug, Clone, Copy)]
pub(super) enum InputKind {
    AsItIs,
    Normed,
    Joined,
}

/// `CudaInput` of `product.cuh`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct CudaInput {
    pub(super) x: u64,
    pub(super) norm: u64,
    pub(super) sums: u64,
    pub(super) eps: f32,
    pub(super) wide: i32,
    pub(super) dim: i32,
    pub(super) splits: i32,
}

// SAFETY: plain numbers, laid out as C has them.
unsafe impl DeviceRepr for CudaInput {}

/// An input and how it is read.
#[derive(Clone, Copy)]
pub(super) struct Read {
    pub(super) kind: InputKind,
    pub(super) input: CudaInput,
}

/// `Partition` of `product.cuh`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Partition {
    low: u64,
    place: u64,
    ranks: i32,
    rows: i32,
    splits: i32,
}

// SAFETY: as above.
unsafe impl DeviceRepr for Partition {}

/// `Heads` of `attend.cuh`.
#[derive(Clone, Copy)]
#[repr(C)]
struct HeadShape {
    heads: i32,
    kv_heads: i32,
    dim: i32,
    splits: i32,
    scale: f32,
}

// SAFETY: as above.
unsafe impl DeviceRepr for HeadShape {}

/// The names of a kernel's variants for up to 1, 2, 4 and 8 rows, or heads.
macro_rules! sizes {
    ($name:literal) => {
        [concat!($name, "_1"), concat!($name, "_2"), concat!($name, "_4"), concat!($name, "_8")]
    };
}

const HEADS: [&str; 4] = sizes!("decode_heads");
const ATTEND: [&str; 4] = sizes!("decode_attend");
const GATE: [&str; 4] = sizes!("decode_gate");
/// For each [`InputKind`].
const ADD: [[&str; 4]; 3] = [sizes!("decode_add"), [""; 4], sizes!("decode_add_joined")];
const PLAIN: [[&str; 4]; 3] = [sizes!("decode_plain"), sizes!("decode_plain_normed"), sizes!("decode_plain_joined")];

/// The index of the variant for n.
pub(super) fn size(n: usize) -> usize {
    n.next_power_of_two().min(8).trailing_zeros() as usize
}

/// The rank of its adapter.
pub(super) fn rank(layer: &CudaLinear) -> usize {
    layer.a.map_or(0, |a| a.out as usize)
}

/// Launches the kernels of a step.
pub(super) struct Launcher<'a> {
    of: &'a CudaDecoder,
    order: LaunchOrder,
    /// The order of all kernels but the first.
    later: LaunchOrder,
}

/// Pointers to arguments, as the driver takes them.
macro_rules! arguments {
    ($($argument:expr),+ $(,)?) => { &mut [$(std::ptr::from_ref($argument).cast_mut().cast::<c_void>()),+] };
}

impl<'a> Launcher<'a> {
    /// A launcher for all kernels but the first, which waits for earlier work on the stream.
    pub(super) fn new(of: &'a CudaDecoder, order: LaunchOrder) -> Self {
        Self { of, order: LaunchOrder::Strict, later: order }
    }

    fn address<T>(&self, x: &CudaSlice<T>) -> u64 {
        x.device_ptr(&self.of.device.cuda_stream()).0
    }

    /// Launches a kernel with a number of blocks.
    fn put(&mut self, name: &'static str, grid: (usize, usize), arguments: &mut [*mut c_void]) -> Candle<()> {
        let kernel = kernel(&self.of.device, self.of.source(), name)?;
        let order = std::mem::replace(&mut self.order, self.later);
        // SAFETY: each caller below names the arguments of its kernel in their order; the sizes were checked by
        // `CudaPlan::fits`, and the buffers were made for them.
        unsafe { graph::launch(&kernel, blocks(grid.0, grid.1), order, arguments) }
    }

    /// The partition of outputs of rows of `wide` values, and its number of blocks; with `ranks` low-rank values a row.
    fn frame(&self, outputs: usize, w: &CudaMatrix, ranks: i32) -> (Partition, usize) {
        let least = COLUMNS[usize::from(!w.is_packed())];
        let mut splits = 1;
        while splits < WARPS && outputs * splits < BUSY[self.size()] && w.wide as usize / (2 * splits) >= least {
            splits *= 2;
        }
        let (low, place) = (self.address(&self.of.buffers.low), self.address(&self.of.buffers.place));
        let frame = Partition { low, place, ranks, rows: self.of.plan.rows as i32, splits: splits as i32 };
        (frame, outputs.div_ceil(WARPS / splits))
    }

    fn size(&self) -> usize {
        size(self.of.plan.rows)
    }

    /// `s · x Aᵀ` of all adapters of these layers, if they have any; the layers with their offsets in it, and its
    /// width.
    fn low<const N: usize>(&mut self, read: Read, layers: [CudaLinear; N]) -> Candle<([CudaMatrix; N], i32)> {
        let mut ranks = 0;
        let w = layers.map(|layer| {
            let mut w = layer.w;
            w.low = ranks;
            ranks += rank(&layer) as i32;
            w
        });
        if ranks > 0 {
            let y = self.address(&self.of.buffers.low);
            let mut all = [CudaMatrix::default(); 3];
            for (place, a) in all.iter_mut().zip(layers.iter().filter_map(|layer| layer.a)) {
                *place = a;
            }
            self.plain(read, all, 0, y)?;
        }
        Ok((w, ranks))
    }

    /// The outputs of neighbouring matrices, with `ranks` low-rank values a row.
    fn plain(&mut self, read: Read, w: [CudaMatrix; 3], ranks: i32, y: u64) -> Candle<()> {
        let outputs = w.iter().map(|w| w.out as usize).sum();
        let (frame, count) = self.frame(outputs, &w[0], ranks);
        self.put(PLAIN[read.kind as usize][self.size()], (count, 1), arguments![&read.input, &w, &frame, &y])
    }

    pub(super) fn queries_keys_values(&mut self, read: Read, layers: [CudaLinear; 3], layer: usize) -> Candle<()> {
        let (w, ranks) = self.low(read, layers)?;
        let (frame, count) = self.frame(w.iter().map(|w| w.out as usize / 2).sum(), &w[0], ranks);
        let (shape, angles) = (self.shape(), self.address(&self.of.buffers.memory));
        let (memory, queries) = (self.memory(layer), self.address(&self.of.buffers.queries));
        let arguments = arguments![&read.input, &w, &frame, &shape, &angles, &memory, &queries];
        self.put(HEADS[self.size()], (count, 1), arguments)
    }

    pub(super) fn attend(&mut self, layer: usize) -> Candle<()> {
        let (shape, b) = (self.shape(), &self.of.buffers);
        let Heads { heads, kv_heads, .. } = self.of.plan.heads;
        let group = heads / kv_heads;
        let (queries, memory, place) = (self.address(&b.queries), self.memory(layer), self.address(&b.place));
        let (values, sums) = (self.address(&b.values), self.address(&b.sums));
        let grid = (self.of.shares, self.of.plan.rows * kv_heads * group.div_ceil(8));
        self.put(ATTEND[size(group)], grid, arguments![&queries, &memory, &place, &values, &sums, &shape])
    }

    pub(super) fn add(&mut self, read: Read, layer: CudaLinear, x: u64) -> Candle<()> {
        let ([w], ranks) = self.low(read, [layer])?;
        let (frame, count) = self.frame(w.out as usize, &w, ranks);
        self.put(ADD[read.kind as usize][self.size()], (count, 1), arguments![&read.input, &w, &frame, &x])
    }

    pub(super) fn gate_up(&mut self, read: Read, layers: [CudaLinear; 2], y: u64) -> Candle<()> {
        let ([gate, up], ranks) = self.low(read, layers)?;
        let (frame, count) = self.frame(gate.out as usize, &gate, ranks);
        // As many blocks as are resident at once, with about equal work.
        let resident = self.of.multiprocessors * RESIDENT[self.size()];
        let count = count.div_ceil(count.div_ceil(resident.max(1)).max(1));
        self.put(GATE[self.size()], (count, 1), arguments![&read.input, &gate, &up, &frame, &y])
    }

    pub(super) fn head(&mut self, read: Read, head: CudaLinear, y: u64) -> Candle<()> {
        let ([w], ranks) = self.low(read, [head])?;
        self.plain(read, [w, CudaMatrix::default(), CudaMatrix::default()], ranks, y)
    }

    fn shape(&self) -> HeadShape {
        let Heads { heads, kv_heads, head_dim, .. } = self.of.plan.heads;
        let (dim, scale) = (head_dim as i32, 1.0 / (head_dim as f32).sqrt());
        HeadShape { heads: heads as i32, kv_heads: kv_heads as i32, dim, splits: self.of.shares as i32, scale }
    }

    /// The address of the cached keys and values of a layer.
    fn memory(&self, layer: usize) -> u64 {
        self.address(&self.of.buffers.memory) + 8 * (1 + 2 * layer as u64)
    }
}
