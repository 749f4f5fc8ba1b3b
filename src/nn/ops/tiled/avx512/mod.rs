//! Sums of products, `Σ leftₜ · rightₜ`, in one pass over the output: each tile of it stays in registers over the depth
//! of all terms (Goto & van de Geijn 2008). A low-rank update of a weight costs what a slightly deeper weight would,
//! and a 4-bit weight is dequantised while it is packed, a window of a few kilobytes at a time.
//!
//! Needs AVX-512; [`available`] tells whether the machine has it. Each element is summed in the order of the depth, in
//! blocks that do not depend on the number of threads.

mod amx;
mod f16;
mod format;
mod format_kernels;
mod kernel;
mod pack;
mod peak;

use std::cell::RefCell;
use std::ops::Range;
use std::sync::LazyLock;

use rayon::prelude::*;

use self::format::PackFormat;
use self::kernel::TileTarget;
use super::operand::{DepthRun, Term, View};
use crate::nn::Precision;
use crate::nn::cpu::{Disjoint, Isa, MatMut};

/// Panels of the left operand in a task.
const TASK: usize = 4;
/// Panels of the right operand that are packed together.
const PANELS: usize = 4;
/// Depth of a window of the right operand.
const WINDOW: usize = 128;
/// Lanes of the right operand that are packed at a time, 4 MiB.
const PACKED: usize = 1 << 20;
/// Multiplications below which another thread is not worth waking.
const SERIAL: usize = 1 << 20;

/// Whether the machine has AVX-512.
pub(in crate::nn) fn available() -> bool {
    Isa::get() == Isa::Avx512
}

/// The format of 16 bits whose products are faster than those of f32 here, else f32: AMX multiplies bf16 at up to sixteen
/// times the rate of f32; AVX512-BF16 runs at twice that rate on AMD's processors and at half of it on Intel's, which have
/// AVX512-FP16 at twice the rate.
pub(in crate::nn) fn pays() -> Precision {
    if amx::available() || Isa::has_bf16() && amd() {
        Precision::Bf16
    } else if Isa::has_f16() {
        Precision::F16
    } else {
        Precision::F32
    }
}

fn amd() -> bool {
    // Computed once: in a virtual machine the instruction takes microseconds.
    static ANSWER: LazyLock<bool> = LazyLock::new(|| {
        let vendor = std::arch::x86_64::__cpuid(0);
        [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes).as_flattened() == b"AuthenticAMD"
    });
    *ANSWER
}

/// Floating-point operations a second of all threads together, in the innermost loop alone; `None` without such
/// instructions.
pub(in crate::nn) fn peak(precision: Precision) -> Option<f64> {
    can(precision).then(|| rayon::broadcast(|_| peak::one_thread(PackFormat::of(precision))).iter().sum())
}

fn can(precision: Precision) -> bool {
    match precision {
        Precision::F32 => available(),
        Precision::Bf16 => Isa::has_bf16(),
        Precision::F16 => Isa::has_f16(),
    }
}

thread_local! {
    /// The buffer of the packed right operand, reused.
    static PACK: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

/// The depth of all terms, in groups of lanes.
struct Depth<'a> {
    terms: &'a [Term<'a>],
    /// Groups of all terms.
    groups: usize,
    format: PackFormat,
}

impl<'a> Depth<'a> {
    fn new(terms: &'a [Term<'a>], format: PackFormat) -> Self {
        let groups = terms.iter().map(|term| term.left.cols.div_ceil(format.depth())).sum();
        Self { terms, groups, format }
    }

    /// Groups of a block, about equal for all blocks.
    fn block(&self) -> usize {
        self.groups.div_ceil(self.groups.div_ceil(self.format.block() / self.format.lanes()))
    }

    /// Lanes of a panel of the right operand, over all terms.
    fn panel(&self) -> usize {
        self.groups * self.format.right_lanes()
    }

    /// The parts of all terms in a range of groups.
    fn runs(&self, range: Range<usize>) -> Vec<DepthRun<'a>> {
        let (mut runs, mut at) = (Vec::new(), 0);
        for term in self.terms {
            let step = self.format.depth();
            let groups = term.left.cols.div_ceil(step);
            let (from, to) = (range.start.max(at), range.end.min(at + groups));
            if from < to {
                let depth = (from - at) * step..((to - at) * step).min(term.left.cols);
                runs.push(DepthRun { left: View::of(term.left), depth });
            }
            at += groups;
        }
        runs
    }

    /// Packs `columns` of the right operand into panels, each as deep as all terms.
    fn pack_right(&self, columns: Range<usize>, scratch: &mut Vec<f32>, out: &mut [u32]) {
        let (mut at, format, wide) = (0, self.format, self.format.columns());
        for term in self.terms {
            let depth = term.left.cols;
            for from in (0..depth).step_by(WINDOW) {
                let window = from..depth.min(from + WINDOW);
                let lanes = window.len().div_ceil(format.depth()) * format.right_lanes();
                let view = term.right.window(window.clone(), columns.clone(), scratch);
                for (p, panel) in out.chunks_exact_mut(self.panel()).enumerate() {
                    let columns = (p * wide, wide.min(columns.len() - p * wide));
                    let panel = &mut panel[at..at + lanes];
                    // SAFETY: `tiled_product` asked what the machine can.
                    unsafe { format.pack_right(view, columns, window.len(), panel) };
                }
                at += lanes;
            }
        }
    }
}

/// The output, which several tasks write.
struct TileOutput<'a> {
    all: Disjoint<'a>,
    stride: usize,
}

impl TileOutput<'_> {
    /// Computes some rows of some columns from the packed right operand.
    ///
    /// # Safety
    /// Nothing else may use these elements at the time.
    unsafe fn fill(
        &self,
        depth: &Depth<'_>,
        (rows, columns): (Range<usize>, Range<usize>),
        right: &[u32],
        add: bool,
        scratch: &mut Vec<u32>,
    ) {
        let (block, format) = (depth.block(), depth.format);
        let high = format.rows();
        // SAFETY: `tiled_product` asked what the machine can.
        let _configured = unsafe { format.configure() };
        for at in (0..depth.groups).step_by(block) {
            let groups = at..depth.groups.min(at + block);
            let runs = depth.runs(groups.clone());
            let order = pack::order(&runs);
            let panel = format.left_lanes(order, high) * groups.len();
            let depths = format.depths(&runs);
            scratch.resize(scratch.len().max(rows.len().div_ceil(high) * panel), 0);
            for (first, out) in rows.clone().step_by(high).zip(scratch.chunks_exact_mut(panel)) {
                let count = high.min(rows.end - first);
                // SAFETY: `tiled_product` asked what the machine can.
                unsafe { format.pack_left(&runs, order, (first, count), out) };
            }
            for (p, right) in right.chunks_exact(depth.panel()).enumerate() {
                let right = &right[at * format.right_lanes()..groups.end * format.right_lanes()];
                let column = columns.start + p * format.columns();
                for (first, left) in rows.clone().step_by(high).zip(scratch.chunks_exact(panel)) {
                    let size = (high.min(rows.end - first), format.columns().min(columns.end - column));
                    let span = (size.0 - 1) * self.stride + size.1;
                    let start = self.all.at(first * self.stride + column, span);
                    let target = TileTarget { start, stride: self.stride, size, add: add || at > 0 };
                    // SAFETY: as above, and no one else touches these elements.
                    unsafe { format.tile(order, &depths, (left, right), &target) };
                }
            }
        }
    }
}

/// `out = Σ left · right`, or `out += …` when `add`; the factors are rounded to `precision`. Sums are f32; with f16,
/// sums of up to 64 products are f16 (see [`f16`]).
///
/// # Panics
/// When the machine lacks the instructions, there is no depth, or the sizes do not fit each other.
pub(in crate::nn) fn tiled_product(out: MatMut<'_>, terms: &[Term<'_>], add: bool, precision: Precision) {
    assert!(can(precision), "AVX-512 is missing");
    let (rows, columns) = (out.rows, out.cols);
    for Term { left, right } in terms {
        assert!(left.rows == rows && right.shape() == (left.cols, columns), "sizes of a product");
    }
    let format = PackFormat::of(precision);
    let depth = Depth::new(terms, format);
    assert!(depth.groups > 0, "a product without depth");
    let out = TileOutput { stride: out.row, all: out.shared() };
    let high = TASK * format.rows();
    let all = rows * columns * depth.groups * format.lanes() > SERIAL;
    let step = (PACKED / depth.panel()).max(1).next_multiple_of(PANELS) * format.columns();
    let mut packed = PACK.take();
    for first in (0..columns).step_by(step) {
        let part = first..columns.min(first + step);
        let size = part.len().div_ceil(format.columns()) * depth.panel();
        if packed.len() < size {
            // Exactly, since a vector that grows by itself reserves half as much again.
            packed.reserve_exact(size - packed.len());
            packed.resize(size, 0);
        }
        pack_all(&depth, part.clone(), &mut packed[..size], all);
        let right = &packed[..size];
        let fill = |scratch: &mut Vec<u32>, task: usize| {
            let rows = task * high..rows.min((task + 1) * high);
            // SAFETY: each task writes its own rows of an output that the caller gave away.
            unsafe { out.fill(&depth, (rows, part.clone()), right, add, scratch) };
        };
        let tasks = 0..rows.div_ceil(high);
        if all {
            tasks.into_par_iter().for_each_init(Vec::new, fill);
        } else {
            let mut scratch = Vec::new();
            tasks.for_each(|task| fill(&mut scratch, task));
        }
    }
    PACK.set(packed);
}

/// Packs `columns` of the right operand.
fn pack_all(depth: &Depth<'_>, columns: Range<usize>, out: &mut [u32], all: bool) {
    let (chunk, wide) = (PANELS * depth.panel(), PANELS * depth.format.columns());
    let pack = |scratch: &mut Vec<f32>, (i, out): (usize, &mut [u32])| {
        let from = columns.start + i * wide;
        depth.pack_right(from..columns.end.min(from + wide), scratch, out);
    };
    if all {
        out.par_chunks_mut(chunk).enumerate().for_each_init(Vec::new, pack);
    } else {
        let mut scratch = Vec::new();
        out.chunks_mut(chunk).enumerate().for_each(|part| pack(&mut scratch, part));
    }
}

#[cfg(test)]
mod tests;
