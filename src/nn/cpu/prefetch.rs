//! Prefetching memory for the next operation while the current one is limited by arithmetic.

use std::marker::PhantomData;

/// Bytes of a cache line.
const LINE: usize = 64;

/// Equally long runs of memory at equal distances.
#[derive(Debug, Clone, Copy)]
pub(in crate::nn) struct Prefetch<'a> {
    start: *const u8,
    /// Lines of a run.
    lines: usize,
    /// Bytes from one run to the next.
    stride: usize,
    runs: usize,
    memory: PhantomData<&'a [u8]>,
}

// SAFETY: it is borrowed memory that no one reads by it: fetching is a hint.
unsafe impl Send for Prefetch<'_> {}
// SAFETY: as above.
unsafe impl Sync for Prefetch<'_> {}

impl<'a> Prefetch<'a> {
    /// An empty prefetch.
    pub(in crate::nn) const NOTHING: Self =
        Self { start: std::ptr::null(), lines: 0, stride: 0, runs: 0, memory: PhantomData };

    /// The first `used` of every `stride` values.
    pub(in crate::nn) fn new<T>(values: &'a [T], used: usize, stride: usize) -> Self {
        let size = size_of::<T>();
        let runs = values.len().checked_div(stride).unwrap_or(0);
        let lines = (used.min(stride) * size).div_ceil(LINE);
        Self { start: values.as_ptr().cast(), lines, stride: stride * size, runs, memory: PhantomData }
    }

    /// The lines that one of `parts` parts of an operation prefetches, spread over `steps` steps.
    pub(in crate::nn) fn share(&self, part: usize, parts: usize, steps: usize) -> Fetch<'a> {
        let total = self.lines * self.runs;
        let (first, end) = (total * part / parts, total * (part + 1) / parts);
        let (run, line) = (first / self.lines.max(1), first % self.lines.max(1));
        Fetch {
            at: self.start.wrapping_add(run * self.stride + line * LINE),
            run: self.lines - line,
            left: end - first,
            each: (end - first).div_ceil(steps.max(1)),
            ahead: *self,
        }
    }
}

/// An iterator over the lines to prefetch.
#[derive(Debug)]
pub(in crate::nn) struct Fetch<'a> {
    /// The next line.
    at: *const u8,
    /// Lines that are left of its run.
    run: usize,
    /// Lines that are left.
    left: usize,
    /// Lines of a step.
    each: usize,
    ahead: Prefetch<'a>,
}

impl Fetch<'_> {
    /// An empty iterator.
    pub(in crate::nn) fn nothing() -> Self {
        Prefetch::NOTHING.share(0, 1, 0)
    }

    /// Prefetches the lines of one step.
    #[inline]
    pub(in crate::nn) fn step(&mut self) {
        for _ in 0..self.each.min(self.left) {
            fetch(self.at);
            self.at = self.at.wrapping_add(LINE);
            self.run -= 1;
            self.left -= 1;
            if self.run == 0 {
                self.run = self.ahead.lines;
                self.at = self.at.wrapping_add(self.ahead.stride).wrapping_sub(self.ahead.lines * LINE);
            }
        }
    }
}

#[inline]
fn fetch(line: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: any address may be asked for; all processors of this architecture have the instruction.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(line.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = line;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_share_all_lines() {
        let values = [0.0_f32; 4 * 100];
        let ahead = Prefetch::new(&values, 40, 100);
        assert_eq!((ahead.lines, ahead.runs), (3, 4));
        for (parts, steps) in [(1, 1), (3, 2), (5, 7), (40, 1)] {
            let mut shares: Vec<_> = (0..parts).map(|part| ahead.share(part, parts, steps)).collect();
            assert_eq!(shares.iter().map(|share| share.left).sum::<usize>(), 12);
            shares.iter_mut().for_each(|share| (0..steps).for_each(|_| share.step()));
            assert!(shares.iter().all(|share| share.left == 0), "{parts} parts in {steps} steps");
            for (part, share) in shares.iter().enumerate().take(parts - 1) {
                assert_eq!(share.at, ahead.share(part + 1, parts, steps).at, "{parts} parts");
            }
        }
        Fetch::nothing().step();
    }
}
