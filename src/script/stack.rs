//! A thread with a stack for deep scripts: the evaluator recurses on the native stack.

use std::thread;

/// Address space for the stack; pages are used only as deep as a script goes.
const STACK: usize = 512 << 20;

/// Runs `f` on a thread of its own with a big stack and waits for it: a [`Session`](crate::script::Session) lives on
/// one thread, and a script that recurses to the limit of its call levels needs more than a thread usually has.
///
/// # Panics
/// A panic of `f` goes on here.
pub fn on_big_stack<T: Send>(f: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("script".into()).stack_size(STACK).spawn_scoped(scope, f);
        let thread = thread.expect("the system gives a thread");
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
