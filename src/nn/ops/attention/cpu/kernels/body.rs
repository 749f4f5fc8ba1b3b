//! The kernels, written once over [`Lanes`]; always inlined, so that they are compiled for the instructions of the
//! caller.
//!
//! # Safety
//! Each needs the instructions of its lanes; the ends of all slices are checked on entry.

use super::lanes::Lanes;
use super::{Adjust, Dots, GROUP, Groups, LaneProduct, Lanes64, Number, WIDE};

/// The number of rows of a block with `groups`; panics when the slice is not a whole number of rows.
#[inline(always)]
fn rows(s: &[f32], groups: Groups) -> usize {
    assert!(s.len().is_multiple_of(WIDE) && groups.end <= WIDE / GROUP, "rows of {WIDE} lanes");
    s.len() / WIDE
}

#[inline(always)]
pub(super) unsafe fn product<V: Lanes, T: Number>(p: LaneProduct<'_, T>) {
    let span = |n: usize, step: usize| n.saturating_sub(1) * step;
    let lanes = GROUP * p.groups;
    if p.rows == 0 || p.groups == 0 {
        return;
    }
    assert!(span(p.rows, p.out_row) + lanes <= p.out.len(), "output of a product");
    assert!(p.depth == 0 || span(p.rows, p.a.row) + span(p.depth, p.a.col) < p.a.data.len(), "left of a product");
    assert!(p.depth == 0 || span(p.depth, p.b_row) + lanes <= p.b.len(), "right of a product");
    let (out, p) = (p.out.as_mut_ptr(), &p);
    let mut group = 0;
    while group < p.groups {
        // SAFETY: the tiles lie inside what was checked above.
        group += unsafe {
            match (p.groups - group).min(V::TILE.1) {
                1 => columns::<V, T, 1>(p, out, group),
                2 => columns::<V, T, 2>(p, out, group),
                3 => columns::<V, T, 3>(p, out, group),
                _ => columns::<V, T, 4>(p, out, group),
            }
        };
    }
}

/// All rows of C groups from `group` on; gives C.
#[inline(always)]
unsafe fn columns<V: Lanes, T: Number, const C: usize>(p: &LaneProduct<'_, T>, out: *mut f32, group: usize) -> usize {
    // SAFETY: inside the output, as promised by the caller.
    let out = unsafe { out.add(GROUP * group) };
    let mut row = 0;
    while row < p.rows {
        // SAFETY: as promised by the caller; a tile takes as many rows as are left at least.
        row += unsafe {
            match (p.rows - row).min(V::TILE.0) {
                6.. => tile::<V, T, 6, C>(p, out, (row, group)),
                4.. => tile::<V, T, 4, C>(p, out, (row, group)),
                2.. => tile::<V, T, 2, C>(p, out, (row, group)),
                _ => tile::<V, T, 1, C>(p, out, (row, group)),
            }
        };
    }
    C
}

/// R rows of C groups, kept in registers; gives R.
#[inline(always)]
unsafe fn tile<V: Lanes, T: Number, const R: usize, const C: usize>(
    p: &LaneProduct<'_, T>,
    out: *mut f32,
    (row, group): (usize, usize),
) -> usize {
    // SAFETY: promised by the caller.
    unsafe {
        let a = p.a.data.as_ptr().add(row * p.a.row);
        let b = p.b.as_ptr().add(GROUP * group);
        let out = out.add(row * p.out_row);
        let mut sums = [[V::splat(0.0); C]; R];
        if p.add {
            for (r, sums) in sums.iter_mut().enumerate() {
                for (c, sum) in sums.iter_mut().enumerate() {
                    *sum = V::load(out.add(r * p.out_row + GROUP * c));
                }
            }
        }
        for k in 0..p.depth {
            let mut right = [V::splat(0.0); C];
            for (c, right) in right.iter_mut().enumerate() {
                *right = T::load(b.add(k * p.b_row + GROUP * c));
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                let left = V::splat(*a.add(r * p.a.row + k * p.a.col));
                for (sum, right) in sums.iter_mut().zip(right) {
                    *sum = left.mul_add(right, *sum);
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            for (c, sum) in sums.iter().enumerate() {
                sum.store(out.add(r * p.out_row + GROUP * c));
            }
        }
    }
    R
}

#[inline(always)]
pub(super) unsafe fn dots<V: Lanes, T: Number>(d: Dots<'_, T>) {
    let dim = d.q.len();
    let rows = d.out.len();
    assert!(dim.is_multiple_of(GROUP), "whole groups");
    assert!(rows == 0 || (rows - 1) * d.step + dim <= d.k.len(), "rows of a product");
    for (i, out) in d.out.chunks_mut(GROUP).enumerate() {
        // SAFETY: rows beyond the last are the last again, and the ends were checked.
        unsafe {
            let row = |j: usize| d.k.as_ptr().add((i * GROUP + j.min(out.len() - 1)) * d.step);
            let mut sums = [V::splat(0.0); GROUP];
            for (j, sum) in sums.iter_mut().enumerate() {
                for at in (0..dim).step_by(GROUP) {
                    *sum = V::load(d.q.as_ptr().add(at)).mul_add(T::load(row(j).add(at)), *sum);
                }
            }
            let mut all = [0.0; GROUP];
            V::sums(sums).store(all.as_mut_ptr());
            out.copy_from_slice(&all[..out.len()]);
        }
    }
}

#[inline(always)]
pub(super) unsafe fn adjust<V: Lanes>(s: &mut [f32], groups: Groups, how: Adjust<'_>) {
    let rows = rows(s, groups);
    if let Some((bias, at)) = how.bias {
        assert!(at + 1 >= rows && at + GROUP * groups.end <= bias.len(), "a bias of {}", bias.len());
    }
    for (r, s) in s.chunks_exact_mut(WIDE).enumerate() {
        let hidden = (how.hidden + r as isize).clamp(0, WIDE as isize) as usize;
        for g in groups.first..groups.end {
            // SAFETY: a row has WIDE lanes, and the ends of the bias were checked.
            unsafe {
                let lanes = s.as_mut_ptr().add(GROUP * g);
                let mut x = V::load(lanes);
                if let Some((bias, at)) = how.bias {
                    x = x.add(V::load(bias.as_ptr().add(at + GROUP * g - r)));
                }
                x.hide(hidden.saturating_sub(GROUP * g)).store(lanes);
            }
        }
    }
}

#[inline(always)]
pub(super) unsafe fn highest<V: Lanes>(s: &[f32], groups: Groups, m: &mut Lanes64) {
    let rows = rows(s, groups);
    for g in groups.first..groups.end {
        // SAFETY: as in `adjust`.
        unsafe {
            let mut most = V::load(m.as_ptr().add(GROUP * g));
            for r in 0..rows {
                most = V::load(s.as_ptr().add(r * WIDE + GROUP * g)).max(most);
            }
            most.store(m.as_mut_ptr().add(GROUP * g));
        }
    }
}

#[inline(always)]
pub(super) unsafe fn rescale<V: Lanes>(
    old: &Lanes64,
    new: &Lanes64,
    sums: &mut Lanes64,
    out: &mut [f32],
    groups: Groups,
) {
    let rows = rows(out, groups);
    for g in groups.first..groups.end {
        // SAFETY: as in `adjust`.
        unsafe {
            let at = GROUP * g;
            let factor = V::load(old.as_ptr().add(at)).sub(V::load(new.as_ptr().add(at))).exp2();
            V::load(sums.as_ptr().add(at)).mul(factor).store(sums.as_mut_ptr().add(at));
            for r in 0..rows {
                let lanes = out.as_mut_ptr().add(r * WIDE + at);
                V::load(lanes).mul(factor).store(lanes);
            }
        }
    }
}

#[inline(always)]
pub(super) unsafe fn soften<V: Lanes>(s: &mut [f32], groups: Groups, m: &Lanes64, sums: &mut Lanes64) {
    let rows = rows(s, groups);
    for g in groups.first..groups.end {
        // SAFETY: as in `adjust`.
        unsafe {
            let at = GROUP * g;
            let most = V::load(m.as_ptr().add(at));
            let mut sum = V::load(sums.as_ptr().add(at));
            for r in 0..rows {
                let lanes = s.as_mut_ptr().add(r * WIDE + at);
                let p = V::load(lanes).sub(most).exp2();
                p.store(lanes);
                sum = sum.add(p);
            }
            sum.store(sums.as_mut_ptr().add(at));
        }
    }
}

#[inline(always)]
pub(super) unsafe fn harden<V: Lanes>(p: &mut [f32], ds: &mut [f32], groups: Groups, sums: &Lanes64, deltas: &Lanes64) {
    let rows = rows(p, groups);
    assert_eq!(p.len(), ds.len());
    for g in groups.first..groups.end {
        // SAFETY: as in `adjust`; `p` and `ds` are of one length.
        unsafe {
            let at = GROUP * g;
            let (sum, delta) = (V::load(sums.as_ptr().add(at)), V::load(deltas.as_ptr().add(at)));
            for r in 0..rows {
                let (p, ds) = (p.as_mut_ptr().add(r * WIDE + at), ds.as_mut_ptr().add(r * WIDE + at));
                let share = V::load(p).sub(sum).exp2();
                share.store(p);
                V::load(ds).sub(delta).mul(share).store(ds);
            }
        }
    }
}

#[inline(always)]
pub(super) unsafe fn diagonals<V: Lanes>(ds: &[f32], groups: Groups, bias: &mut [f32], at: usize) {
    let rows = rows(ds, groups);
    assert!(at + 1 >= rows && at + GROUP * groups.end <= bias.len(), "a bias of {}", bias.len());
    for (r, ds) in ds.chunks_exact(WIDE).enumerate() {
        for g in groups.first..groups.end {
            // SAFETY: as in `adjust`.
            unsafe {
                let sum = bias.as_mut_ptr().add(at + GROUP * g - r);
                V::load(sum).add(V::load(ds.as_ptr().add(GROUP * g))).store(sum);
            }
        }
    }
}
