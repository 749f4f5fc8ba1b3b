//! A cancellation flag: set by Ctrl-C or a notebook's Stop, checked by every loop that can take long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};

/// A clonable cancellation flag; all clones share one state.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// A flag that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Requests cancellation of the running work. Safe in a signal handler.
    pub fn trigger(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Clears the request, before new work begins.
    pub fn clear(&self) {
        self.0.store(false, Ordering::SeqCst);
    }

    /// True once [`Interrupt::trigger`] was called.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Fails with [`Error::interrupted`] when the user has cancelled: `interrupt.check()?`.
    ///
    /// ```
    /// use etude::interrupt::Interrupt;
    ///
    /// let interrupt = Interrupt::new();
    /// assert!(interrupt.check().is_ok());
    /// interrupt.trigger();
    /// assert!(interrupt.check().is_err_and(|error| error.is_interrupted()));
    /// ```
    pub fn check(&self) -> Result<()> {
        if self.is_set() { Err(Error::interrupted()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_the_flag() {
        let flag = Interrupt::new();
        let other = flag.clone();
        other.trigger();
        assert!(flag.check().is_err_and(|e| e.is_interrupted()));
        flag.clear();
        assert!(other.check().is_ok());
    }
}
