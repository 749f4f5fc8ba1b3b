//! The kernels of a block of attention for each instruction set: small products and the softmax, on matrices whose rows
//! are [`WIDE`] lanes. A lane is a query (or one of the dims of a head), so that no sum runs across lanes.

mod body;
mod lanes;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use half::bf16;

use self::lanes::Lanes;
use crate::nn::cpu::Isa;

/// Lanes of a row: the queries of a block.
pub(super) const WIDE: usize = 64;
/// Lanes that are computed together.
pub(super) const GROUP: usize = 16;

/// A row of lanes, aligned for caches and registers.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(super) struct LaneRow(#[allow(dead_code)] [f32; GROUP]); // read and written as floats

impl LaneRow {
    pub(super) const ZERO: Self = Self([0.0; GROUP]);
}

/// A number for each lane.
pub(super) type Lanes64 = [f32; WIDE];

/// An operand whose element (i, k) lies at `i · row + k · col`.
#[derive(Clone, Copy)]
pub(super) struct Left<'a> {
    pub(super) data: &'a [f32],
    pub(super) row: usize,
    pub(super) col: usize,
}

/// `out[i, l] = Σₖ a[i, k] · b[k, l]`, or `out += …` when `add`: for `rows` × `depth` of `a` and `groups` of 16 lanes.
pub(super) struct LaneProduct<'a, T = f32> {
    pub(super) rows: usize,
    pub(super) depth: usize,
    pub(super) groups: usize,
    pub(super) a: Left<'a>,
    pub(super) b: &'a [T],
    pub(super) b_row: usize,
    pub(super) out: &'a mut [f32],
    pub(super) out_row: usize,
    pub(super) add: bool,
}

/// `out[j] = q · k[j]` for rows of k that lie `step` apart; q has a whole number of groups of 16.
pub(super) struct Dots<'a, T = f32> {
    pub(super) q: &'a [f32],
    pub(super) k: &'a [T],
    pub(super) step: usize,
    pub(super) out: &'a mut [f32],
}

/// Lanes of some rows of a block, the groups from `first` up to `end`.
#[derive(Clone, Copy)]
pub(super) struct Groups {
    pub(super) first: usize,
    pub(super) end: usize,
}

/// The adjustment of scores before the softmax.
#[derive(Clone, Copy)]
pub(super) struct Adjust<'a> {
    /// In row r the lanes below `hidden + r` are masked.
    pub(super) hidden: isize,
    /// Lane l of row r gets `bias[at + l − r]`.
    pub(super) bias: Option<(&'a [f32], usize)>,
}

/// The products of one instruction set with keys and values of a format.
pub(super) struct Products<T: 'static> {
    pub(super) product: fn(LaneProduct<'_, T>),
    pub(super) dots: fn(Dots<'_, T>),
}

/// A format of keys and values.
pub(super) trait Number: Copy + 'static {
    /// Those of an instruction set.
    fn products(kernels: &CpuKernels) -> &Products<Self>;

    /// All of them as f32.
    fn widened(x: &[Self]) -> Cow<'_, [f32]>;

    /// Sixteen of them as f32.
    ///
    /// # Safety
    /// As [`Lanes::load`].
    unsafe fn load<V: Lanes>(from: *const Self) -> V;
}

macro_rules! number {
    ($type:ident, $load:ident, $widened:expr) => {
        impl Number for $type {
            fn products(kernels: &CpuKernels) -> &Products<Self> {
                &kernels.$type
            }

            fn widened(x: &[Self]) -> Cow<'_, [f32]> {
                $widened(x)
            }

            #[inline(always)]
            unsafe fn load<V: Lanes>(from: *const Self) -> V {
                // SAFETY: promised by the caller.
                unsafe { V::$load(from) }
            }
        }
    };
}

number!(f32, load, Cow::Borrowed);
number!(bf16, load_bf16, |x: &[bf16]| x.iter().map(|x| x.to_f32()).collect());
number!(i8, load_i8, |x: &[i8]| x.iter().map(|&x| f32::from(x)).collect());

/// The kernels of one instruction set. Rows are [`WIDE`] apart.
pub(super) struct CpuKernels {
    pub(super) f32: Products<f32>,
    pub(super) bf16: Products<bf16>,
    pub(super) i8: Products<i8>,
    /// Adds the bias and applies the mask.
    pub(super) adjust: fn(&mut [f32], Groups, Adjust<'_>),
    /// The highest score so far of each lane.
    pub(super) highest: fn(&[f32], Groups, &mut Lanes64),
    /// Turns the sums and outputs of the highest scores `old` into those of `new`.
    pub(super) rescale: fn(old: &Lanes64, new: &Lanes64, sums: &mut Lanes64, out: &mut [f32], Groups),
    /// Scores become `2^(score − highest)`, which the sums get.
    pub(super) soften: fn(&mut [f32], Groups, &Lanes64, &mut Lanes64),
    /// Scores become probabilities `2^(score − sum)`, and the gradients of probabilities become those of scores.
    pub(super) harden: fn(p: &mut [f32], ds: &mut [f32], Groups, sums: &Lanes64, deltas: &Lanes64),
    /// Adds each lane of each row to the gradient of its bias: `bias[at + l − r] += ds[r, l]`.
    pub(super) diagonals: fn(ds: &[f32], Groups, bias: &mut [f32], at: usize),
}

/// The kernels for this machine.
pub(super) fn kernels() -> &'static CpuKernels {
    match Isa::get() {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => &AVX512,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => &AVX2,
        _ => &PORTABLE,
    }
}

/// One table of functions; each wraps a body that is compiled for its instruction set.
macro_rules! table {
    ($name:ident, $module:ident, $lanes:ty $(, $features:literal)?) => {
        static $name: CpuKernels = CpuKernels {
            f32: Products { product: $module::product, dots: $module::dots },
            bf16: Products { product: $module::product, dots: $module::dots },
            i8: Products { product: $module::product, dots: $module::dots },
            adjust: $module::adjust,
            highest: $module::highest,
            rescale: $module::rescale,
            soften: $module::soften,
            harden: $module::harden,
            diagonals: $module::diagonals,
        };

        mod $module {
            use super::{Adjust, Dots, Groups, Number, LaneProduct, Lanes64, body, lanes};

            table!(@fn $lanes, [$($features)?], product<T>(p: LaneProduct<'_, T>));
            table!(@fn $lanes, [$($features)?], dots<T>(d: Dots<'_, T>));
            table!(@fn $lanes, [$($features)?], adjust(s: &mut [f32], groups: Groups, how: Adjust<'_>));
            table!(@fn $lanes, [$($features)?], highest(s: &[f32], groups: Groups, m: &mut Lanes64));
            table!(@fn $lanes, [$($features)?], rescale(
                old: &Lanes64, new: &Lanes64, sums: &mut Lanes64, out: &mut [f32], groups: Groups
            ));
            table!(@fn $lanes, [$($features)?], soften(
                s: &mut [f32], groups: Groups, m: &Lanes64, sums: &mut Lanes64
            ));
            table!(@fn $lanes, [$($features)?], harden(
                p: &mut [f32], ds: &mut [f32], groups: Groups, sums: &Lanes64, deltas: &Lanes64
            ));
            table!(@fn $lanes, [$($features)?], diagonals(ds: &[f32], groups: Groups, bias: &mut [f32], at: usize));
        }
    };
    (@fn $lanes:ty, [$($features:literal)?], $f:ident$(<$number:ident>)?($($arg:ident: $ty:ty),*)) => {
        pub(super) fn $f$(<$number: Number>)?($($arg: $ty),*) {
            $(#[target_feature(enable = $features)])?
            fn compiled$(<$number: Number>)?($($arg: $ty),*) {
                // SAFETY: the instructions are those this function is compiled for.
                unsafe { body::$f::<$lanes $(, $number)?>($($arg),*) }
            }
            #[allow(unused_unsafe)] // the portable one needs none
            // SAFETY: `kernels` hands this table out on machines with these instructions only.
            unsafe {
                compiled($($arg),*);
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
table!(AVX512, avx512, lanes::Register, "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma");
#[cfg(target_arch = "x86_64")]
table!(AVX2, avx2, lanes::Pair, "avx2,fma");
table!(PORTABLE, portable, lanes::Array);
