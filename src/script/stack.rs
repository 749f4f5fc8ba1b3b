//! Runs code on a thread with a large stack: the evaluator recurses on the native stack.

use std::thread;

/// The size of the stack; only used pages take memory.
const STACK: usize = 512 << 20;

/// Runs `f` on a new thread with a large stack and waits for it: a [`Session`](crate::script::Session) stays on one
/// thread, and a script that recurses to the maximum depth exceeds the default stack.
///
/// # Panics
/// A panic of `f` is resumed here.
pub fn on_big_stack<T: Send>(f: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("script".into()).stack_size(STACK).spawn_scoped(scope, f);
        let thread = thread.expect("the system gives a thread");
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
