//! A pool of spinning threads for short parallel loops: handing over a loop costs a fraction of a microsecond, where
//! waking a thread costs tens. For loops of microseconds in close succession, as in decoding.
//!
//! Helpers are jobs on rayon's pool that spin for a moment after the last loop and then return. The leader never waits
//! for a helper to arrive: it runs every part that no helper has taken, so a busy pool makes a loop slower and never
//! blocks it.

use std::any::Any;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

/// Helpers spin for this long after the last loop: longer than sampling a token takes.
const STAY: Duration = Duration::from_micros(300);
/// The most threads: more than memory bandwidth can feed do not help.
const MOST: usize = 16;
/// After this many polls a waiting thread yields.
const PATIENCE: u32 = 1 << 14;

/// State shared by leader and helpers; there is one, and one leader at a time.
struct Board {
    leader: Mutex<()>,
    /// The number of the loop in the upper half, the number of its untaken parts in the lower.
    ticket: AtomicU64,
    /// Parts of this loop that are finished.
    done: AtomicUsize,
    /// The work of a part, valid while parts of the loop are unfinished.
    work: UnsafeCell<*const (dyn Fn(usize) + Sync)>,
    /// A part panicked.
    broken: AtomicBool,
    helpers: AtomicUsize,
}

// SAFETY: `work` is written by the leader while no part is open, and read by threads that have taken a part, which the ticket
// orders after the writing; the leader stays until all parts are done.
unsafe impl Sync for Board {}

static BOARD: Board = Board {
    leader: Mutex::new(()),
    ticket: AtomicU64::new(0),
    done: AtomicUsize::new(0),
    work: UnsafeCell::new(&|_| {}),
    broken: AtomicBool::new(false),
    helpers: AtomicUsize::new(0),
};

/// The threads of parallel loops. While another thread is the leader, loops run on the calling thread alone.
pub(in crate::nn) struct SpinPool {
    /// The number of threads, this one included.
    size: usize,
    _leader: Option<MutexGuard<'static, ()>>,
}

impl SpinPool {
    /// Starts the helpers.
    pub(in crate::nn) fn gather() -> Self {
        let size = rayon::current_num_threads().min(MOST);
        let leader = match BOARD.leader.try_lock() {
            Ok(leader) => Some(leader),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        if size == 1 || leader.is_none() {
            return Self { size: 1, _leader: None };
        }
        while BOARD.helpers.load(Ordering::Relaxed) < size - 1 {
            BOARD.helpers.fetch_add(1, Ordering::Relaxed);
            rayon::spawn(help);
        }
        Self { size, _leader: leader }
    }

    /// The number of threads.
    pub(in crate::nn) fn size(&self) -> usize {
        self.size
    }

    /// Calls `work` with each number below `parts`, on all threads, in any order.
    ///
    /// # Panics
    /// When a part does.
    pub(in crate::nn) fn each(&self, parts: usize, work: impl Fn(usize) + Sync) {
        if self.size == 1 || parts <= 1 {
            return (0..parts).for_each(work);
        }
        let short: &(dyn Fn(usize) + Sync) = &work;
        // SAFETY: only the length of the borrow changes; below, the leader waits until no one uses it.
        let long: *const (dyn Fn(usize) + Sync + 'static) = unsafe { std::mem::transmute(short) };
        let parts = u32::try_from(parts).expect("fewer parts than 2³²");
        let number = (BOARD.ticket.load(Ordering::Relaxed) >> 32).wrapping_add(1);
        // SAFETY: this thread leads, and all parts of the loop before are done, so no one reads it now.
        unsafe { *BOARD.work.get() = long };
        BOARD.done.store(0, Ordering::Relaxed);
        BOARD.ticket.store(number << 32 | u64::from(parts), Ordering::Release);
        let mut panic = None;
        while let Some(caught) = take_part() {
            panic = caught.err().or(panic);
        }
        let mut looks = 0;
        while BOARD.done.load(Ordering::Acquire) < parts as usize {
            wait(&mut looks);
        }
        if BOARD.broken.swap(false, Ordering::Relaxed) {
            resume_unwind(panic.unwrap_or_else(|| Box::new("a part of a loop panicked")));
        }
    }
}

/// Runs one part of the current loop, if one is left.
fn take_part() -> Option<Result<(), Box<dyn Any + Send>>> {
    let mut ticket = BOARD.ticket.load(Ordering::Acquire);
    loop {
        if ticket as u32 == 0 {
            return None;
        }
        match BOARD.ticket.compare_exchange_weak(ticket, ticket - 1, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => break,
            Err(now) => ticket = now,
        }
    }
    // SAFETY: a part of the loop is ours and not done, so the leader has written this and waits for us.
    let work = unsafe { &**BOARD.work.get() };
    let caught = catch_unwind(AssertUnwindSafe(|| work(ticket as u32 as usize - 1)));
    if caught.is_err() {
        BOARD.broken.store(true, Ordering::Relaxed);
    }
    BOARD.done.fetch_add(1, Ordering::Release);
    Some(caught)
}

/// Runs parts until none have come for a while.
fn help() {
    let (mut looks, mut last) = (0_u32, Instant::now());
    loop {
        if take_part().is_some() {
            (looks, last) = (0, Instant::now());
            continue;
        }
        wait(&mut looks);
        if looks.is_multiple_of(64) && last.elapsed() > STAY {
            BOARD.helpers.fetch_sub(1, Ordering::Relaxed);
            return;
        }
    }
}

fn wait(looks: &mut u32) {
    *looks = looks.wrapping_add(1);
    if looks.is_multiple_of(PATIENCE) { std::thread::yield_now() } else { std::hint::spin_loop() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_three_threads<R: Send>(work: impl FnOnce() -> R + Send) -> R {
        rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap().install(work)
    }

    #[test]
    fn every_part_is_done_once_loop_after_loop() {
        on_three_threads(|| {
            let pool = SpinPool::gather();
            for parts in (0..50).chain([1000]).cycle().take(2000) {
                let counts: Vec<AtomicUsize> = (0..parts).map(|_| AtomicUsize::new(0)).collect();
                pool.each(parts, |i| {
                    counts[i].fetch_add(1, Ordering::Relaxed);
                });
                assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1), "{parts} parts");
            }
        });
    }

    #[test]
    fn several_leaders_and_a_busy_pool_come_to_their_ends() {
        use rayon::prelude::*;
        on_three_threads(|| {
            let sums: Vec<usize> = (0..64_usize)
                .into_par_iter()
                .map(|_| {
                    let sum = AtomicUsize::new(0);
                    let pool = SpinPool::gather();
                    for _ in 0..20 {
                        pool.each(9, |i| {
                            sum.fetch_add(i, Ordering::Relaxed);
                        });
                    }
                    sum.into_inner()
                })
                .collect();
            assert!(sums.iter().all(|&sum| sum == 20 * 36));
        });
    }

    #[test]
    fn a_panic_reaches_the_leader_and_the_next_loop_runs() {
        on_three_threads(|| {
            let pool = SpinPool::gather();
            for bad in 0..20 {
                let caught = catch_unwind(AssertUnwindSafe(|| pool.each(20, |i| assert_ne!(i, bad))));
                assert!(caught.is_err());
                pool.each(20, |_| {});
            }
        });
    }
}
