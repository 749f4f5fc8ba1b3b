//! Allocators under the tensors of a training step, each in a process of its own (Linux):
//! `cargo bench --bench allocator -- [tiny|small] [etude|mimalloc|system|pool]`. Prints processor time and page faults of a
//! step, and the peak memory before and after steps with rows of other lengths.
//!
//! A step allocates what a LLaMA saves in forward, then a gradient for each saved tensor, which it frees; every buffer is
//! written once. Only allocation is compared: the arithmetic is left out.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a benchmark that cannot set itself up has failed; it prints figures

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::HashMap;
use std::sync::Mutex;

use etude::allocator::Allocator;
use mimalloc::MiMalloc;

/// A pool of tensor buffers by exact size over the system's allocator, which never gives a buffer back.
#[derive(Default)]
struct BufferPool(Mutex<HashMap<usize, Vec<usize>>>);

// SAFETY: a buffer is in the pool or in use, and has the size that it is filed under.
unsafe impl GlobalAlloc for BufferPool {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match self.0.lock().unwrap().get_mut(&layout.size()).and_then(Vec::pop) {
            Some(start) => std::ptr::with_exposed_provenance_mut(start),
            // SAFETY: the caller's promise.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        self.0.lock().unwrap().entry(layout.size()).or_default().push(start.expose_provenance());
    }
}

struct Buffer<'a> {
    allocator: &'a dyn GlobalAlloc,
    start: *mut u8,
    layout: Layout,
}

impl<'a> Buffer<'a> {
    fn new(allocator: &'a dyn GlobalAlloc, floats: usize) -> Self {
        let layout = Layout::array::<f32>(floats).unwrap();
        // SAFETY: the size is not 0, and the whole buffer is written.
        unsafe {
            let start = allocator.alloc(layout);
            assert!(!start.is_null());
            start.write_bytes(1, layout.size());
            Self { allocator, start, layout }
        }
    }
}

impl Drop for Buffer<'_> {
    fn drop(&mut self) {
        // SAFETY: it came from this allocator with this layout.
        unsafe { self.allocator.dealloc(self.start, self.layout) }
    }
}

#[derive(Clone, Copy)]
struct Shape {
    hidden: usize,
    inner: usize,
    layers: usize,
    heads: usize,
}

/// The tensors of a step over `tokens` tokens.
fn step(allocator: &dyn GlobalAlloc, tokens: usize, Shape { hidden, inner, layers, heads }: Shape) {
    // Norm, projections, rotated queries and keys, attention and its log-sum-exps, output, sum, norm, gate, up, product, down.
    let layer = [&[hidden; 7][..], &[heads], &[hidden; 3], &[inner; 3], &[hidden; 2]].concat();
    let mut saved = vec![Buffer::new(allocator, tokens * hidden)];
    for width in std::iter::repeat_n(&layer, layers).flatten() {
        saved.push(Buffer::new(allocator, tokens * width));
    }
    let mut gradient = Buffer::new(allocator, tokens * hidden);
    while let Some(activation) = saved.pop() {
        let below = Buffer::new(allocator, activation.layout.size() / size_of::<f32>());
        // The gradient of the layer above is freed with the activation.
        gradient = below;
        drop(activation);
    }
    drop(gradient);
}

/// User and system time in ms (proc(5): 100 ticks a second), and minor page faults.
fn usage() -> [f64; 3] {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let field = |place: usize| fields[place].parse::<f64>().unwrap();
    [10.0 * field(11), 10.0 * field(12), field(7)]
}

fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1024.0
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let word = |place: usize, default| words.get(place).map_or(default, String::as_str);
    let pool = BufferPool::default();
    let allocator: &dyn GlobalAlloc = match word(1, "etude") {
        "mimalloc" => &MiMalloc,
        "system" => &System,
        "pool" => &pool,
        _ => &Allocator,
    };
    let shape = match word(0, "small") {
        "tiny" => Shape { hidden: 256, inner: 1024, layers: 4, heads: 4 },
        _ => Shape { hidden: 512, inner: 2048, layers: 6, heads: 8 },
    };
    const STEPS: usize = 8;
    (0..2).for_each(|_| step(allocator, 2048, shape));
    let before = usage();
    (0..STEPS).for_each(|_| step(allocator, 2048, shape));
    let each = usage().iter().zip(before).map(|(now, before)| (now - before) / STEPS as f64).collect::<Vec<_>>();
    let peak = peak_mib();
    (1..4).for_each(|shorter| step(allocator, 2048 - 64 * shorter, shape));
    println!(
        "{}: user {:.0} ms, system {:.0} ms, {:.0} page faults a step; peak {peak:.0} MiB, {:.0} MiB after other lengths",
        word(1, "etude"),
        each[0],
        each[1],
        each[2],
        peak_mib()
    );
}
