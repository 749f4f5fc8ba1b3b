//! The global allocator: mimalloc for small values, a free list by size class for values of 128 KiB and more.
//!
//! Each training step allocates tensors of the same few sizes that the step before freed. A freed block stays in the free
//! list until a value of its size class needs it, so a step causes no page faults for memory that the step before already
//! mapped. Blocks are mapped on huge pages where Linux has them. The overhead is at most one eighth of the peak of live
//! bytes. A panic inside the allocator aborts the process.
//!
//! Measured against the alternatives (`tests/bench/allocator.rs`: the tensors of a training step, each written once, without
//! the arithmetic; medians of three processes on a shared two-core machine; processor time, which the system's part
//! makes noisy):
//!
//! | model, 2048 tokens | allocator | user + system, ms a step | page faults a step | peak | after rows of other lengths |
//! |---|---|---|---|---|---|
//! | 25.7 M | this one | 121 + 0 | 16 | 610 MiB | 672 MiB |
//! | | a pool of buffers by exact size | 131 to 138 + 0 | 0 | 607 MiB | 2308 MiB |
//! | | mimalloc | 95 + 238 (79 to 264) | 2018 | 650 MiB | 650 MiB |
//! | | the system's (glibc) | 85 + 274 | 151,872 | 602 MiB | 602 MiB |
//!
//! Such a step takes 2.8 s of processor time on two cores, so that mimalloc alone costs 2 to 8 % and glibc 8 %. A pool
//! is no faster and takes 3.4 times the memory once rows have other lengths, unless it gets the classes and limits that are
//! here. In `nn/ops` it would also miss most buffers: candle frees a tensor's `Vec` where its last handle is dropped, without
//! a hook. So this allocator stays.

#[cfg(unix)]
use std::alloc::{GlobalAlloc, Layout};

#[cfg(unix)]
use mimalloc::MiMalloc;
/// The allocator for `#[global_allocator]`.
#[cfg(not(unix))]
pub use mimalloc::MiMalloc as Allocator;

/// Values of this size and larger get a block of their own, in bytes.
#[cfg(unix)]
const LARGE: usize = 128 << 10;

/// The allocator that `main.rs` installs as `#[global_allocator]`.
#[cfg(unix)]
#[derive(Debug)]
pub struct Allocator;

/// Returns freed memory to the operating system. Called before long work that allocates other sizes than those just freed,
/// for example before training, when the f32 weights of a model have been quantised to 4 bits. Does nothing where
/// [`Allocator`] is not the global allocator.
pub fn give_back_freed_memory() {
    #[cfg(unix)]
    blocks::release_all();
    // SAFETY: it may be called at any time.
    unsafe { libmimalloc_sys::mi_collect(true) };
}

#[cfg(unix)]
fn is_large(layout: Layout) -> bool {
    layout.size() >= LARGE && layout.align() <= blocks::PAGE
}

/// Runs `work`; a panic in it aborts the process, because unwinding out of a `GlobalAlloc` method is undefined behaviour.
#[cfg(unix)]
fn abort_on_panic<T>(work: impl FnOnce() -> T) -> T {
    struct Abort;
    impl Drop for Abort {
        fn drop(&mut self) {
            std::process::abort();
        }
    }
    let abort = Abort;
    let value = work();
    std::mem::forget(abort);
    value
}

// SAFETY: each value belongs to mimalloc or to the blocks, as its layout says; both keep the contract of the trait.
#[cfg(unix)]
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_large(layout) {
            return abort_on_panic(|| blocks::take(layout.size())).start;
        }
        // SAFETY: the caller's promise.
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !is_large(layout) {
            // SAFETY: the caller's promise.
            return unsafe { MiMalloc.alloc_zeroed(layout) };
        }
        let block = abort_on_panic(|| blocks::take(layout.size()));
        if block.used && !block.start.is_null() {
            // SAFETY: the block is that long.
            unsafe { block.start.write_bytes(0, layout.size()) };
        }
        block.start
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        if is_large(layout) {
            abort_on_panic(|| blocks::keep(start, layout.size()));
        } else {
            // SAFETY: the caller's promise; it was mimalloc that gave it.
            unsafe { MiMalloc.dealloc(start, layout) }
        }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the size is possible with this alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (is_large(layout), is_large(wanted)) {
            // SAFETY: the caller's promise.
            (false, false) => return unsafe { MiMalloc.realloc(start, layout, size) },
            (true, true) if blocks::class(size) == blocks::class(layout.size()) => return start,
            _ => {}
        }
        // SAFETY: two allocations of the sizes that are copied between, the first one given up after.
        unsafe {
            let new = self.alloc(wanted);
            if !new.is_null() {
                std::ptr::copy_nonoverlapping(start, new, layout.size().min(size));
                self.dealloc(start, layout);
            }
            new
        }
    }
}

/// The free list: blocks mapped from the system, kept by size class.
#[cfg(unix)]
mod blocks {
    use std::ffi::c_void;
    use std::num::NonZeroUsize;
    use std::ptr::{self, NonNull};
    use std::sync::{Mutex, MutexGuard, PoisonError};
    use std::time::{Duration, Instant};

    use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};

    /// The alignment of every block, in bytes.
    pub(super) const PAGE: usize = 4096;
    /// The size of a huge page on Linux, in bytes.
    const HUGE: usize = 2 << 20;
    /// Smaller blocks are cut from slabs of this size, bytes.
    const SLAB: usize = 32 << 20;
    /// Blocks unused for this long are unmapped when another one is mapped.
    const STALE: Duration = Duration::from_secs(10);
    /// The capacity of the free list; when it is full, the oldest block is unmapped.
    const WAITING: usize = 2048;

    /// Memory for one value.
    pub(super) struct MappedBlock {
        /// Null when the system is out of memory.
        pub(super) start: *mut u8,
        /// Whether the block held a value before; if not, its bytes are zero.
        pub(super) used: bool,
    }

    #[derive(Clone, Copy)]
    struct Waiting {
        start: usize,
        size: usize,
        since: Instant,
    }

    /// Free blocks, the oldest first. An array, because a growing list would call this allocator.
    struct Shelf {
        blocks: [Option<Waiting>; WAITING],
        len: usize,
        /// The unused rest of the last slab: address and length in bytes.
        slab: (usize, usize),
        /// Bytes of blocks that hold values, and the peak of that number.
        live: usize,
        most: usize,
    }

    static SHELF: Mutex<Shelf> = Mutex::new(Shelf { blocks: [None; WAITING], len: 0, slab: (0, 0), live: 0, most: 0 });

    fn shelf() -> MutexGuard<'static, Shelf> {
        SHELF.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The size class of a value: one of eight steps between powers of two, so that tensors of slightly different lengths
    /// share blocks.
    pub(super) fn class(size: usize) -> usize {
        let step = (1 << size.ilog2()) >> 3;
        size.next_multiple_of(step)
    }

    pub(super) fn take(size: usize) -> MappedBlock {
        let size = class(size);
        let mut shelf = shelf();
        if let Some(at) = shelf.last(size) {
            shelf.count(size);
            return MappedBlock { start: ptr::with_exposed_provenance_mut(shelf.remove(at).start), used: true };
        }
        shelf.make_room(size);
        let start = if size < HUGE { shelf.cut(size) } else { map(size) };
        if !start.is_null() {
            shelf.count(size);
        }
        MappedBlock { start, used: false }
    }

    pub(super) fn keep(start: *mut u8, size: usize) {
        let mut shelf = shelf();
        if shelf.len == WAITING {
            unmap(shelf.remove(0));
        }
        let (len, size) = (shelf.len, class(size));
        shelf.blocks[len] = Some(Waiting { start: start.expose_provenance(), size, since: Instant::now() });
        shelf.len += 1;
        shelf.live -= size;
    }

    pub(super) fn release_all() {
        let mut shelf = shelf();
        while shelf.len > 0 {
            unmap(shelf.remove(0));
        }
        shelf.most = shelf.live;
    }

    impl Shelf {
        /// The index of the most recently freed block of a size class: its memory may still be in the cache.
        fn last(&self, size: usize) -> Option<usize> {
            self.blocks[..self.len].iter().rposition(|block| block.is_some_and(|block| block.size == size))
        }

        /// Adds a value to the live bytes.
        fn count(&mut self, size: usize) {
            self.live += size;
            self.most = self.most.max(self.live);
        }

        /// Called before a block is mapped: unmaps stale blocks, and the oldest ones while live and free bytes together exceed
        /// the peak by more than an eighth.
        fn make_room(&mut self, size: usize) {
            let live = self.live + size;
            let most = self.most.max(live);
            let mut all = live + self.blocks[..self.len].iter().flatten().map(|block| block.size).sum::<usize>();
            while let Some(Some(oldest)) = self.blocks[..self.len].first()
                && (all > most + most / 8 || oldest.since.elapsed() > STALE)
            {
                all -= oldest.size;
                unmap(self.remove(0));
            }
        }

        /// A new block smaller than a huge page, cut from a slab; null when the system is out of memory.
        fn cut(&mut self, size: usize) -> *mut u8 {
            if self.slab.1 < size {
                // The rest of the slab was never touched, so it takes no memory.
                self.slab = match map(SLAB) {
                    start if start.is_null() => return start,
                    start => (start.expose_provenance(), SLAB),
                };
            }
            let start = ptr::with_exposed_provenance_mut(self.slab.0);
            self.slab = (self.slab.0 + size, self.slab.1 - size);
            start
        }

        fn remove(&mut self, at: usize) -> Waiting {
            self.blocks[at..self.len].rotate_left(1);
            self.len -= 1;
            self.blocks[self.len].take().unwrap_or_else(|| unreachable!("places before len are taken"))
        }
    }

    /// Maps new memory on huge pages; null when the system is out of memory.
    fn map(size: usize) -> *mut u8 {
        let Some(length) = NonZeroUsize::new(size + HUGE) else { return ptr::null_mut() };
        let (protection, flags) = (ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_PRIVATE);
        // SAFETY: a new mapping, wherever the system likes.
        let Ok(start) = (unsafe { mmap_anonymous(None, length, protection, flags) }) else { return ptr::null_mut() };
        let start = start.as_ptr().cast::<u8>();
        let before = start.addr().next_multiple_of(HUGE) - start.addr();
        let block = start.wrapping_add(before);
        free(start, before);
        free(block.wrapping_add(size), HUGE - before);
        ask_for_huge_pages(block, size);
        block
    }

    #[cfg(target_os = "linux")]
    fn ask_for_huge_pages(start: *mut u8, size: usize) {
        use nix::sys::mman::{MmapAdvise, madvise};
        if let Some(start) = NonNull::new(start.cast::<c_void>()) {
            // SAFETY: advice changes no value. A system that does not take it gives small pages.
            let _ = unsafe { madvise(start, size, MmapAdvise::MADV_HUGEPAGE) };
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn ask_for_huge_pages(_: *mut u8, _: usize) {}

    fn unmap(block: Waiting) {
        free(ptr::with_exposed_provenance_mut(block.start), block.size);
    }

    fn free(start: *mut u8, size: usize) {
        let (Some(start), true) = (NonNull::new(start.cast::<c_void>()), size > 0) else { return };
        // SAFETY: a whole number of pages that were mapped here and that nobody uses.
        let _ = unsafe { munmap(start, size) };
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;

    /// A value of the allocator, filled with a byte.
    fn filled(size: usize, byte: u8) -> (*mut u8, Layout) {
        let layout = Layout::from_size_align(size, 8).unwrap();
        // SAFETY: the size is not 0, and all of it is written.
        unsafe {
            let start = Allocator.alloc(layout);
            assert!(!start.is_null());
            start.write_bytes(byte, size);
            (start, layout)
        }
    }

    /// # Safety
    /// `start` points to `size` bytes.
    unsafe fn is_all(start: *const u8, size: usize, byte: u8) -> bool {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts(start, size) }.iter().all(|&b| b == byte)
    }

    #[test]
    fn zeros_are_asked_of_a_used_block_too() {
        for size in [LARGE - 1, LARGE, 3 * LARGE + 5, 22 << 20] {
            for _ in 0..3 {
                let (start, layout) = filled(size, 7);
                // SAFETY: as the trait requires; `start` is not used after.
                unsafe {
                    Allocator.dealloc(start, layout);
                    let zeros = Allocator.alloc_zeroed(layout);
                    assert!(is_all(zeros, size, 0), "{size} bytes");
                    Allocator.dealloc(zeros, layout);
                }
            }
        }
        give_back_freed_memory();
    }

    #[test]
    fn a_value_that_grows_and_shrinks_keeps_what_it_holds() {
        let sizes = [LARGE - 8, LARGE, LARGE + 8, 2 * LARGE, 5 * LARGE, LARGE + 8, 16];
        let (mut start, mut layout) = filled(sizes[0], 3);
        let mut kept = sizes[0];
        for size in sizes {
            // SAFETY: as the trait requires.
            unsafe {
                start = Allocator.realloc(start, layout, size);
                layout = Layout::from_size_align(size, 8).unwrap();
                kept = kept.min(size);
                assert!(is_all(start, kept, 3), "{size} bytes");
            }
        }
        // SAFETY: as the trait requires.
        unsafe { Allocator.dealloc(start, layout) };
    }

    #[test]
    fn threads_do_not_get_each_others_blocks() {
        std::thread::scope(|scope| {
            for thread in 0..4_u8 {
                scope.spawn(move || {
                    for round in 0..50 {
                        let size = LARGE + (round % 5) * (LARGE / 3);
                        let held: Vec<_> = (0..3).map(|_| filled(size, thread)).collect();
                        for (start, layout) in held {
                            // SAFETY: as the trait requires.
                            unsafe {
                                assert!(is_all(start, size, thread));
                                Allocator.dealloc(start, layout);
                            }
                        }
                    }
                });
            }
        });
    }

    #[test]
    fn blocks_are_an_eighth_too_large_at_most() {
        for size in (LARGE..64 * LARGE).step_by(98_765) {
            let class = blocks::class(size);
            assert!(class >= size && class - size <= size / 8 && class.is_multiple_of(blocks::PAGE), "{size}: {class}");
            assert_eq!(blocks::class(class), class);
        }
    }
}
