//! Requests for input while a cell runs.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::Fault;

/// An `input` request.
pub(crate) struct Question {
    pub(crate) prompt: String,
    pub(crate) password: bool,
}

/// A clonable handle with which an interpreter asks for input.
#[derive(Clone)]
pub struct Stdin(Arc<Inner>);

struct Inner {
    ask: Box<dyn Fn(Question) -> bool + Send + Sync>,
    answers: Mutex<Receiver<String>>,
    stop: Arc<AtomicBool>,
}

impl Stdin {
    /// A handle that refuses all requests.
    ///
    /// ```
    /// use etude_kernel::Stdin;
    ///
    /// let refused = Stdin::closed().ask("name? ", false).expect_err("there is no front end");
    /// assert_eq!(refused.name, "StdinNotImplementedError");
    /// ```
    pub fn closed() -> Self {
        Self::new(|_| false, std::sync::mpsc::channel().1, Arc::default())
    }

    pub(crate) fn new(
        ask: impl Fn(Question) -> bool + Send + Sync + 'static,
        answers: Receiver<String>,
        stop: Arc<AtomicBool>,
    ) -> Self {
        Self(Arc::new(Inner { ask: Box::new(ask), answers: Mutex::new(answers), stop }))
    }

    /// Asks for a line and waits for it. With `password` the front end hides what is typed.
    ///
    /// # Errors
    /// `StdinNotImplementedError` if the front end does not support input; an interrupt.
    pub fn ask(&self, prompt: &str, password: bool) -> Result<String, Fault> {
        let answers = self.0.answers.lock().unwrap_or_else(PoisonError::into_inner);
        // A late answer to an interrupted request is dropped.
        while answers.try_recv().is_ok() {}
        if !(self.0.ask)(Question { prompt: prompt.to_owned(), password }) {
            return Err(Fault::new("StdinNotImplementedError", "this front end takes no input"));
        }
        loop {
            match answers.recv_timeout(Duration::from_millis(20)) {
                Ok(answer) => return Ok(answer),
                Err(RecvTimeoutError::Timeout) if self.0.stop.load(Ordering::SeqCst) => {
                    return Err(Fault::interrupted());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Fault::new("EOFError", "the front end is gone"));
                }
            }
        }
    }
}

impl fmt::Debug for Stdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stdin")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_handle_says_so() {
        assert_eq!(Stdin::closed().ask("?", false).expect_err("closed").name, "StdinNotImplementedError");
    }

    #[test]
    fn a_stop_ends_the_waiting_and_a_stale_answer_is_dropped() {
        let (send, answers) = std::sync::mpsc::channel();
        let stop = Arc::new(AtomicBool::new(true));
        let stdin = Stdin::new(|_| true, answers, stop.clone());
        send.send("stale".to_owned()).expect("it listens");
        assert_eq!(stdin.ask("?", false).expect_err("stopped").name, "KeyboardInterrupt");
        stop.store(false, Ordering::SeqCst);
        let answerer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(30));
            send.send("fresh".to_owned()).expect("it listens");
        });
        assert_eq!(stdin.ask("?", false), Ok("fresh".to_owned()));
        answerer.join().expect("it answered");
    }
}
