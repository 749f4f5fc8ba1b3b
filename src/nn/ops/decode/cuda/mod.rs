//! One decoding step on a GPU: five kernels a layer, four more where it has adapters, captured once as a CUDA graph and
//! launched as a whole from then on.
//!
//! Values that change from step to step (the position, the addresses of the cache) are in device memory, and no grid
//! depends on them, so that the graph stays valid until the model or the addresses of its weights change. Sums have a
//! fixed order: a step gives the same bits each time.

mod graph;
mod launcher;
mod plan;

use std::sync::Arc;

use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, DevicePtr, sys};
use candle_core::{Result as Candle, Tensor};

use self::graph::{LaunchOrder, Recorded};
use self::launcher::{CudaInput, InputKind, Launcher, Read, rank, size};
pub(in crate::nn) use self::plan::{Cuda, CudaBlock, CudaLinear, CudaNorm, CudaPlan, Heads};
use crate::nn::cuda::{KernelSource, alloc, elements, fault, gpu, held, launch, tensor};
use crate::nn::ops::rope::{Angles, angles_on};

/// The kernels for a number of rows.
macro_rules! source_for {
    ($rows:literal) => {
        KernelSource {
            name: concat!("decode_", $rows),
            text: concat!(
                "#define ROWS ",
                $rows,
                "\n",
                include_str!("../../../cuda/common.cuh"),
                include_str!("../../../quant/nf4.cuh"),
                include_str!("product.cuh"),
                include_str!("attend.cuh"),
                include_str!("kernel.cu")
            ),
        }
    };
}

static SOURCES: [KernelSource; 4] = [source_for!(1), source_for!(2), source_for!(4), source_for!(8)];

/// The wanted number of attention blocks.
const SHARES: usize = 160;
/// The most shares of the keys: the results of all are combined.
const MOST_SHARES: usize = 16;

/// The state of a decoder on a GPU: its buffers and its graph.
pub(in crate::nn) struct CudaDecoder {
    device: CudaDevice,
    plan: CudaPlan,
    buffers: Buffers,
    /// The addresses in `buffers.memory`.
    memory: Vec<u64>,
    /// The table of angles, kept alive since kernels read it by address.
    angles: Option<Arc<CudaSlice<f32>>>,
    shares: usize,
    /// Whether kernels may start early.
    early: bool,
    multiprocessors: usize,
    way: LaunchMode,
}

/// How the kernels are launched.
enum LaunchMode {
    /// One by one, for the first time, which loads them.
    First,
    Recorded(Recorded),
    /// One by one: the driver does not capture.
    Single,
}

/// Buffers at fixed addresses.
struct Buffers {
    /// The residual stream: (rows, hidden).
    x: CudaSlice<f32>,
    /// (rows, heads, dim)
    queries: CudaSlice<f32>,
    /// Partial outputs of attention: (rows, heads, shares, dim).
    values: CudaSlice<f32>,
    /// (rows, heads, shares, 2)
    sums: CudaSlice<f32>,
    /// (rows, intermediate)
    inner: CudaSlice<f32>,
    /// `x Aᵀ` of adapters: (rows, ranks).
    low: CudaSlice<f32>,
    /// (rows, vocabulary)
    logits: CudaSlice<f32>,
    /// The position, and the capacity of the cache.
    place: CudaSlice<i32>,
    /// The address of the angles, then those of the keys and the values of each layer.
    memory: CudaSlice<u64>,
}

impl CudaDecoder {
    /// Buffers for a plan.
    ///
    /// # Errors
    /// When the memory is full.
    pub(in crate::nn) fn new(plan: CudaPlan, cuda: &Cuda) -> Candle<Self> {
        let device = cuda.device.clone();
        let Heads { heads, kv_heads, head_dim, .. } = plan.heads;
        let (rows, hidden, group) = (plan.rows, plan.embedding.w.wide as usize, heads / kv_heads);
        let shares = SHARES.div_ceil(rows * kv_heads * group.div_ceil(8)).min(MOST_SHARES);
        let inner = plan.blocks.iter().map(|block| block.gate.w.out).max().unwrap_or(0) as usize;
        let ranks = |block: &CudaBlock| {
            let together = [&[block.q, block.k, block.v][..], &[block.o], &[block.gate, block.up], &[block.down]];
            together.iter().map(|layers| layers.iter().map(rank).sum()).max().unwrap_or(0)
        };
        let low = plan.blocks.iter().map(ranks).max().unwrap_or(0).max(rank(&plan.head));
        let buffers = Buffers {
            x: alloc(&device, rows * hidden)?,
            queries: alloc(&device, rows * heads * head_dim)?,
            values: alloc(&device, rows * heads * shares * head_dim)?,
            sums: alloc(&device, rows * heads * shares * 2)?,
            inner: alloc(&device, rows * inner)?,
            low: alloc(&device, rows * low)?,
            logits: alloc(&device, rows * plan.head.w.out as usize)?,
            place: alloc(&device, 2)?,
            memory: alloc(&device, 1 + 2 * plan.blocks.len())?,
        };
        let context = cuda.stream.context();
        let early = context.compute_capability().map_err(fault)?.0 >= 9;
        let counted = context.attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
        let multiprocessors = counted.map_err(fault)? as usize;
        let (memory, way) = (Vec::new(), LaunchMode::First);
        Ok(Self { device, plan, buffers, memory, angles: None, shares, early, multiprocessors, way })
    }

    /// Whether it was made for a plan.
    pub(in crate::nn) fn is_for(&self, plan: &CudaPlan) -> bool {
        self.plan == *plan
    }

    /// Runs ids (rows, new), column `column` of them, at `position`. `memory` holds the addresses of keys and values of
    /// each layer, (rows, capacity, kv_heads, dim).
    ///
    /// # Errors
    /// What the driver says.
    pub(in crate::nn) fn step(
        &mut self,
        ids: &Tensor,
        column: usize,
        position: usize,
        capacity: usize,
        memory: &[[u64; 2]],
    ) -> Candle<()> {
        self.settle(position, memory)?;
        self.begin(ids, [column, position, capacity])?;
        match std::mem::replace(&mut self.way, LaunchMode::Single) {
            LaunchMode::First => {
                self.layers(LaunchOrder::Strict)?;
                self.way = self.record();
            }
            LaunchMode::Recorded(mut recorded) => {
                recorded.launch().map_err(fault)?;
                self.way = LaunchMode::Recorded(recorded);
            }
            LaunchMode::Single => self.layers(LaunchOrder::Strict)?,
        }
        Ok(())
    }

    /// The logits of the last step: (rows, vocabulary).
    ///
    /// # Errors
    /// When the memory is full.
    pub(in crate::nn) fn logits(&self) -> Candle<Tensor> {
        let shape = (self.plan.rows, self.plan.head.w.out as usize);
        let mut copy = alloc::<f32>(&self.device, shape.0 * shape.1)?;
        self.device.cuda_stream().memcpy_dtod(&self.buffers.logits, &mut copy).map_err(fault)?;
        Ok(tensor(copy, shape, &self.device))
    }

    fn record(&self) -> LaunchMode {
        let stream = self.device.cuda_stream();
        let orders = if self.early { &[LaunchOrder::Early, LaunchOrder::Strict][..] } else { &[LaunchOrder::Strict] };
        let recorded = orders.iter().find_map(|&order| Recorded::of(&stream, || self.layers(order)));
        recorded.map_or(LaunchMode::Single, LaunchMode::Recorded)
    }

    /// Copies the addresses to the device when they have changed.
    fn settle(&mut self, position: usize, memory: &[[u64; 2]]) -> Candle<()> {
        let Heads { head_dim, rotary, .. } = self.plan.heads;
        let angles = angles_on(&Angles::get(&rotary, head_dim, position..position + 1), &self.device)?;
        let stream = self.device.cuda_stream();
        let all = [angles.device_ptr(&stream).0].into_iter().chain(memory.iter().flatten().copied());
        if !all.clone().eq(self.memory.iter().copied()) {
            self.memory = all.collect();
            self.device.memcpy_htod(&self.memory, &mut self.buffers.memory)?;
        }
        self.angles = Some(angles);
        Ok(())
    }

    fn begin(&mut self, ids: &Tensor, numbers: [usize; 3]) -> Candle<()> {
        let (rows, fresh) = ids.dims2()?;
        let device = gpu(ids)?;
        let (table, hidden, words) =
            (self.plan.embedding.w.dense, self.plan.embedding.w.wide, self.plan.embedding.w.out);
        let [column, position, capacity] = numbers.map(|n| n as i32);
        let (count, fresh, config) = (rows as i32, fresh as i32, elements(rows * hidden as usize));
        let ids = held(ids)?;
        let (ids, x, place) = (ids.view::<u32>()?, &mut self.buffers.x, &mut self.buffers.place);
        launch!(
            device,
            SOURCES[size(rows)],
            "decode_begin",
            config,
            &ids,
            &table,
            x,
            place,
            &count,
            &hidden,
            &words,
            &fresh,
            &column,
            &position,
            &capacity
        );
        Ok(())
    }

    /// Launches all kernels after the first, in order.
    fn layers(&self, order: LaunchOrder) -> Candle<()> {
        let stream = self.device.cuda_stream();
        let at = |x: &CudaSlice<f32>| x.device_ptr(&stream).0;
        let b = &self.buffers;
        let mut launcher = Launcher::new(self, order);
        let (x, inner) = (at(&b.x), at(&b.inner));
        let Heads { heads, head_dim, .. } = self.plan.heads;
        let as_it_is = |x: u64, wide: i32| Read {
            kind: InputKind::AsItIs,
            input: CudaInput { x, norm: 0, sums: 0, eps: 0.0, wide, dim: 1, splits: 1 },
        };
        let normed = |norm: CudaNorm, wide: i32| Read {
            kind: InputKind::Normed,
            input: CudaInput { norm: norm.weight, eps: norm.eps, ..as_it_is(x, wide).input },
        };
        let (dim, splits, asked) = (head_dim as i32, self.shares as i32, (heads * head_dim) as i32);
        let joined = Read {
            kind: InputKind::Joined,
            input: CudaInput { sums: at(&b.sums), dim, splits, ..as_it_is(at(&b.values), asked).input },
        };
        let hidden = self.plan.embedding.w.wide;
        for (i, block) in self.plan.blocks.iter().enumerate() {
            launcher.queries_keys_values(normed(block.attention_norm, hidden), [block.q, block.k, block.v], i)?;
            launcher.attend(i)?;
            launcher.add(joined, block.o, x)?;
            launcher.gate_up(normed(block.feed_forward_norm, hidden), [block.gate, block.up], inner)?;
            launcher.add(as_it_is(inner, block.gate.w.out), block.down, x)?;
        }
        launcher.head(normed(self.plan.norm, hidden), self.plan.head, at(&b.logits))
    }

    fn source(&self) -> &'static KernelSource {
        &SOURCES[size(self.plan.rows)]
    }
}
