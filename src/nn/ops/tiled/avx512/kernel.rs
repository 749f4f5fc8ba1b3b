//! The innermost loops: a tile of the output stays in registers while both packed operands are read sequentially.
//!
//! A lane has 32 bits: one f32, or two bf16 that are neighbours in depth, which one instruction multiplies and adds.

use std::arch::x86_64::*;

/// Lanes of depth in a group of the left operand.
pub(super) const GROUP: usize = 16;
/// Columns of a panel of the right operand: two registers.
pub(super) const COLUMNS: usize = 32;
/// Rows of a tile: 28 sums and 3 registers for the operands are 31 of 32.
pub(super) const ROWS: usize = 14;

/// The place of a tile's sums in the output.
#[derive(Clone, Copy)]
pub(super) struct TileTarget {
    /// First element.
    pub(super) start: *mut f32,
    /// Elements from row to row.
    pub(super) stride: usize,
    /// Rows and columns that exist; the tile may be larger.
    pub(super) size: (usize, usize),
    /// Whether the sums are added to the present values.
    pub(super) add: bool,
}

impl TileTarget {
    /// The columns of register `j` that exist, a bit each.
    pub(super) fn mask(&self, j: usize) -> __mmask16 {
        let left = self.size.1.saturating_sub(16 * j).min(16);
        ((1u32 << left) - 1) as __mmask16
    }

    /// Writes or adds the sums of register `j` of row `i`, as far as its columns exist.
    ///
    /// # Safety
    /// The machine has AVX-512F, and the caller may write the row.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn put(&self, (i, j): (usize, usize), sums: __m512) {
        // SAFETY: promised by the caller; columns that do not exist are masked.
        unsafe {
            let (place, mask) = (self.start.add(i * self.stride).wrapping_add(16 * j), self.mask(j));
            let sums = match self.add {
                true => _mm512_add_ps(_mm512_maskz_loadu_ps(mask, place), sums),
                false => sums,
            };
            _mm512_mask_storeu_ps(place, mask, sums);
        }
    }
}

macro_rules! kernel {
    ($(#[$doc:meta])* $name:ident, $features:literal, $step:expr) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// `left` has `groups` groups of R · 16 lanes (16 · 16 if `T`), `right` has 16 · 32 lanes a group; the rows and
        /// columns of `target` that exist may be written, and are R and 16 · C at most.
        #[target_feature(enable = $features)]
        unsafe fn $name<const R: usize, const C: usize, const T: bool>(
            groups: usize,
            mut left: *const u32,
            mut right: *const u32,
            target: &TileTarget,
        ) {
            let mut sums = [[_mm512_setzero_ps(); C]; R];
            // SAFETY: the caller promises that all these lanes and elements are there; a prefetch may point anywhere.
            unsafe {
                for i in 0..R {
                    _mm_prefetch::<_MM_HINT_T0>(target.start.wrapping_add(i * target.stride).cast());
                }
                for _ in 0..groups {
                    for k in 0..GROUP {
                        let b: [__m512i; C] =
                            std::array::from_fn(|j| _mm512_loadu_si512(right.add(k * COLUMNS + 16 * j).cast()));
                        for (i, sums) in sums.iter_mut().enumerate() {
                            let place = if T { k * GROUP + i } else { i * GROUP + k };
                            let a = _mm512_set1_epi32(*left.add(place) as i32);
                            for (sum, b) in sums.iter_mut().zip(b) {
                                *sum = $step(a, b, *sum);
                            }
                        }
                    }
                    left = left.add(if T { GROUP * GROUP } else { R * GROUP });
                    right = right.add(COLUMNS * GROUP);
                }
                for (i, sums) in sums.into_iter().enumerate().take(target.size.0) {
                    for (j, sums) in sums.into_iter().enumerate() {
                        target.put((i, j), sums);
                    }
                }
            }
        }
    };
}

kernel!(
    /// Sums of f32 products, fused.
    f32_tile,
    "avx512f",
    |a, b, sum| _mm512_fmadd_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), sum)
);
kernel!(
    /// f32 sums of products of bf16, in pairs.
    bf16_tile,
    "avx512f,avx512bf16",
    |a: __m512i, b: __m512i, sum| _mm512_dpbf16_ps(
        sum,
        std::mem::transmute::<__m512i, __m512bh>(a),
        std::mem::transmute::<__m512i, __m512bh>(b)
    )
);

/// The order of a packed left operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PackOrder {
    /// 16 lanes of each row in turn, from a row-major matrix.
    Rows,
    /// 16 rows of each lane in turn, from the transpose of one.
    Lanes,
}

/// The rows of a tile for `rows` rows, at most [`ROWS`].
pub(super) fn tile_rows(rows: usize) -> usize {
    match rows {
        0..=2 => 2,
        3..=4 => 4,
        5..=8 => 8,
        _ => ROWS,
    }
}

/// Lanes of a group of a left panel of a number of rows.
pub(super) fn group_lanes(order: PackOrder, rows: usize) -> usize {
    match order {
        PackOrder::Rows => GROUP * tile_rows(rows),
        PackOrder::Lanes => GROUP * GROUP,
    }
}

/// Fills one tile from a panel of each operand.
///
/// # Safety
/// The machine has AVX-512F (AVX512-BF16 for `bf16`), and the caller may write `target`.
pub(super) unsafe fn tile(bf16: bool, order: PackOrder, left: &[u32], right: &[u32], target: &TileTarget) {
    let rows = tile_rows(target.size.0);
    let groups = right.len() / (COLUMNS * GROUP);
    assert!(left.len() >= groups * group_lanes(order, rows) && target.size.0 <= rows && target.size.1 <= COLUMNS);
    let (left, right) = (left.as_ptr(), right.as_ptr());
    macro_rules! choose {
        ($kernel:ident, $turned:literal) => {
            match (rows, target.size.1 > 16) {
                (ROWS, true) => $kernel::<ROWS, 2, $turned>(groups, left, right, target),
                (ROWS, false) => $kernel::<ROWS, 1, $turned>(groups, left, right, target),
                (8, true) => $kernel::<8, 2, $turned>(groups, left, right, target),
                (8, false) => $kernel::<8, 1, $turned>(groups, left, right, target),
                (4, true) => $kernel::<4, 2, $turned>(groups, left, right, target),
                (4, false) => $kernel::<4, 1, $turned>(groups, left, right, target),
                (_, true) => $kernel::<2, 2, $turned>(groups, left, right, target),
                (_, false) => $kernel::<2, 1, $turned>(groups, left, right, target),
            }
        };
    }
    // SAFETY: lengths were checked above; the rest is promised by the caller.
    unsafe {
        match (bf16, order) {
            (true, PackOrder::Rows) => choose!(bf16_tile, false),
            (true, PackOrder::Lanes) => choose!(bf16_tile, true),
            (false, PackOrder::Rows) => choose!(f32_tile, false),
            (false, PackOrder::Lanes) => choose!(f32_tile, true),
        }
    }
}
