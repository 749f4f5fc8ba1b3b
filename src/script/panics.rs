//! Catches panics of lower floors and converts them to errors; the session continues.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A caught panic.
#[derive(Debug)]
pub(crate) struct Panic {
    /// The message of the panic.
    pub(crate) message: String,
    /// Its file and line.
    pub(crate) place: String,
}

/// Runs `f` and catches a panic without a message on the terminal.
pub(crate) fn catch<T>(f: impl FnOnce() -> T) -> Result<T, Panic> {
    install();
    let before = QUIET.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(f));
    QUIET.set(before);
    result.map_err(|panic| Panic { message: message_of(&*panic), place: PLACE.take() })
}

/// Installs, once, a panic hook that is silent on threads that catch.
fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if QUIET.get() {
                let place = info.location().map(|l| format!("{}:{}", l.file(), l.line())).unwrap_or_default();
                PLACE.replace(place);
            } else {
                before(info);
            }
        }));
    });
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_value() {
        let panic = catch(|| panic!("at {}", 3)).expect_err("it panicked");
        assert_eq!(panic.message, "at 3");
        assert!(panic.place.contains("panics.rs"), "{}", panic.place);
        assert_eq!(catch(|| 4).ok(), Some(4));
    }
}
