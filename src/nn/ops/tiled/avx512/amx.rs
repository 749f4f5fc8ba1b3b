//! Products of bf16 in Intel's tile registers (AMX): one instruction multiplies 16 rows of 32 values by 16 columns and adds
//! the f32 products to 16 × 16 sums (Intel SDM, volume 1, chapter 18).
//!
//! Rust's intrinsics for it are not stable, so the loop is written in assembly. Linux gives a process the registers when it
//! asks for them; elsewhere, and where it is refused, AVX512-BF16 does the work.

use std::arch::asm;
use std::arch::x86_64::*;
use std::sync::LazyLock;

use super::kernel::{COLUMNS, GROUP, PackOrder, TileTarget};
use super::pack::{lanes, lines, turned};
use crate::nn::cpu::Isa;
use crate::nn::ops::tiled::operand::DepthRun;

/// Rows of a panel of the left operand: two tiles.
pub(super) const ROWS: usize = 2 * SIDE;
/// Rows and lanes of a tile.
const SIDE: usize = 16;
/// Lanes of a tile.
const TILE: usize = SIDE * SIDE;

/// Whether the machine has the registers and the system lets this process use them.
pub(super) fn available() -> bool {
    static GRANTED: LazyLock<bool> = LazyLock::new(granted);
    Isa::has_bf16() && *GRANTED
}

#[cfg(target_os = "linux")]
fn granted() -> bool {
    /// `ARCH_REQ_XCOMP_PERM` of Linux's `asm/prctl.h`, and the number of the tile data in XCR0.
    const REQUEST: nix::libc::c_long = 0x1023;
    const TILE_DATA: nix::libc::c_long = 18;
    // Leaf 7: bit 22 is AMX-BF16, bit 24 AMX-TILE.
    let features = __cpuid_count(7, 0).edx;
    // SAFETY: the call takes two numbers and changes what the process may use, nothing else.
    features >> 22 & 1 == 1
        && features >> 24 & 1 == 1
        && unsafe { nix::libc::syscall(nix::libc::SYS_arch_prctl, REQUEST, TILE_DATA) } == 0
}

#[cfg(not(target_os = "linux"))]
fn granted() -> bool {
    false
}

/// Lanes of a group of a left panel of a number of rows.
pub(super) fn group_lanes(rows: usize) -> usize {
    TILE * rows.div_ceil(SIDE)
}

/// The configuration of this thread's tile registers, given back when dropped.
pub(super) struct Configured(());

impl Configured {
    /// Eight tiles of 16 rows of 64 bytes.
    ///
    /// # Safety
    /// [`available`] returned true.
    pub(super) unsafe fn new() -> Self {
        #[repr(C, align(64))]
        struct Layout {
            palette: u8,
            start_row: u8,
            reserved: [u8; 14],
            bytes: [u16; 16],
            rows: [u8; 16],
        }
        let mut layout = Layout { palette: 1, start_row: 0, reserved: [0; 14], bytes: [0; 16], rows: [0; 16] };
        layout.bytes[..8].fill(64);
        layout.rows[..8].fill(SIDE as u8);
        // SAFETY: the layout is one that the registers have, and is read only.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const layout, options(nostack, preserves_flags, readonly)) };
        Self(())
    }
}

impl Drop for Configured {
    fn drop(&mut self) {
        // SAFETY: the registers were configured by this thread, and nothing in them is needed any more.
        unsafe { asm!("tilerelease", options(nomem, nostack, preserves_flags)) };
    }
}

/// Packs `rows` rows from `first` on of the left operand into a panel: of each group one or two tiles, a row of which has
/// 32 values of depth; what is missing is zero.
///
/// # Safety
/// The machine has AVX-512F, BW and AVX512-BF16.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn left(runs: &[DepthRun<'_>], order: PackOrder, (first, rows): (usize, usize), out: &mut [u32]) {
    let mut groups = out.chunks_exact_mut(group_lanes(rows));
    for run in runs {
        for at in (0..run.depth.len()).step_by(2 * SIDE) {
            let (x, k, n) = (run.left, run.depth.start + at, (2 * SIDE).min(run.depth.len() - at));
            let Some(group) = groups.next() else { return };
            for (t, out) in group.chunks_exact_mut(TILE).enumerate() {
                let part = (first + SIDE * t, (rows - SIDE * t).min(SIDE));
                // SAFETY: promised by the caller; a tile has 16 registers of lanes.
                unsafe {
                    let tile = match order {
                        PackOrder::Rows => lines::<true>(x, (k, n), part),
                        PackOrder::Lanes => turned(lanes::<true>(x, (k, n), part)),
                    };
                    for (i, lanes) in tile.into_iter().enumerate() {
                        _mm512_storeu_si512(out.as_mut_ptr().add(SIDE * i).cast(), lanes);
                    }
                }
            }
        }
    }
}

/// Sums of up to 32 × 32 elements, where they do not go straight to the output.
#[repr(C, align(64))]
struct TileSums([f32; ROWS * COLUMNS]);

/// Fills one tile of the output from a panel of each operand.
///
/// # Safety
/// [`available`] returned true, the registers are [`Configured`], and the caller may write `target`.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn tile(left: &[u32], right: &[u32], target: &TileTarget) {
    let (rows, groups) = (target.size.0, right.len() / (COLUMNS * GROUP));
    assert!(left.len() >= groups * group_lanes(rows) && rows <= ROWS && target.size.1 <= COLUMNS);
    let (left, right) = (left.as_ptr(), right.as_ptr());
    if target.size == (ROWS, COLUMNS) {
        // SAFETY: lengths were checked above; the rest is promised by the caller.
        return unsafe { four(groups, left, right, target.start, target.stride, target.add) };
    }
    let mut sums = TileSums([0.0; ROWS * COLUMNS]);
    // SAFETY: as above, and `sums` has room for all tiles.
    unsafe {
        match rows > SIDE {
            true => four(groups, left, right, sums.0.as_mut_ptr(), COLUMNS, false),
            false => two(groups, left, right, sums.0.as_mut_ptr(), COLUMNS),
        }
        for (i, sums) in sums.0.chunks_exact(COLUMNS).enumerate().take(rows) {
            for (j, sums) in sums.chunks_exact(16).enumerate() {
                target.put((i, j), _mm512_loadu_ps(sums.as_ptr()));
            }
        }
    }
}

/// Two tiles of rows by two of columns; `start` has 32 × 32 elements.
///
/// # Safety
/// As [`tile`]; the operands have `groups` groups.
unsafe fn four(groups: usize, left: *const u32, right: *const u32, start: *mut f32, stride: usize, add: bool) {
    // SAFETY: the caller promises what is read and written here; only the tile registers change beside it.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "test {add:e}, {add:e}",
            "jz 2f",
            "tileloadd tmm0, [{start} + {stride}*1]",
            "tileloadd tmm1, [{start} + {stride}*1 + 64]",
            "tileloadd tmm2, [{below} + {stride}*1]",
            "tileloadd tmm3, [{below} + {stride}*1 + 64]",
            "2:",
            "tileloadd tmm4, [{left} + {left_row}*1]",
            "tileloadd tmm6, [{right} + {right_row}*1]",
            "tileloadd tmm7, [{right} + {right_row}*1 + 64]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm5, [{left} + {left_row}*1 + 1024]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "add {left}, 2048",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "add {right}, 2048",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "dec {groups}",
            "jnz 2b",
            "tilestored [{start} + {stride}*1], tmm0",
            "tilestored [{start} + {stride}*1 + 64], tmm1",
            "tilestored [{below} + {stride}*1], tmm2",
            "tilestored [{below} + {stride}*1 + 64], tmm3",
            groups = inout(reg) groups => _,
            left = inout(reg) left => _,
            right = inout(reg) right => _,
            start = in(reg) start,
            below = in(reg) start.wrapping_add(SIDE * stride),
            stride = in(reg) 4 * stride,
            left_row = in(reg) 64usize,
            right_row = in(reg) 128usize,
            add = in(reg) u32::from(add),
            options(nostack),
        );
    }
}

/// One tile of rows by two of columns, into rows of `stride` elements.
///
/// # Safety
/// As [`four`], of half the rows.
unsafe fn two(groups: usize, left: *const u32, right: *const u32, start: *mut f32, stride: usize) {
    // SAFETY: as in `four`.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "2:",
            "tileloadd tmm4, [{left} + {left_row}*1]",
            "tileloadd tmm6, [{right} + {right_row}*1]",
            "tileloadd tmm7, [{right} + {right_row}*1 + 64]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "add {left}, 1024",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "add {right}, 2048",
            "dec {groups}",
            "jnz 2b",
            "tilestored [{start} + {stride}*1], tmm0",
            "tilestored [{start} + {stride}*1 + 64], tmm1",
            groups = inout(reg) groups => _,
            left = inout(reg) left => _,
            right = inout(reg) right => _,
            start = in(reg) start,
            stride = in(reg) 4 * stride,
            left_row = in(reg) 64usize,
            right_row = in(reg) 128usize,
            options(nostack),
        );
    }
}
