//! The control line between ranks: cancellation, failure, loss of a rank.
//!
//! Rank 0 has a stream to each of the others. A process that dies closes its stream, which the other side notices at
//! once; a machine that dies sends nothing, and counts as lost after [`SILENCE`] seconds without a heartbeat. Rank 0
//! forwards what it receives, so that all ranks know within a moment.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::wire::{TICK, frame, patience, read_frame, write};
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;

/// Seconds without a heartbeat after which a rank is lost; `ETUDE_RANK_TIMEOUT` sets another number. Ticks are counted
/// rather than the clock, so that ranks are not lost when a machine sleeps.
pub(super) const SILENCE: u32 = 60;
const BEAT_EVERY: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Ticks that a write of a few bytes may take.
const POLITE: u32 = 50;

const BEAT: u8 = b'b';
const STOP: u8 = b's';
const FAILED: u8 = b'f';
const LOST: u8 = b'l';
const BYE: u8 = b'e';

/// The reason why the ranks cannot continue together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Its process ended without a message (`closed`), or has become silent.
    Lost { rank: usize, closed: bool },
    /// It failed, with the reason.
    Failed { rank: usize, why: String },
}

impl Trouble {
    pub(super) fn error(&self) -> Error {
        let lost = |kind: ErrorKind, words: &str| io::Error::new(kind, words.to_string());
        match self {
            Self::Lost { rank, closed: true } => {
                let why = lost(ErrorKind::ConnectionReset, "its process ended without a word");
                Error::io("lost", format!("rank {rank}"), why)
            }
            Self::Lost { rank, closed: false } => {
                let why = lost(ErrorKind::TimedOut, "its machine does not answer");
                Error::io("lost", format!("rank {rank}"), why)
            }
            Self::Failed { rank, why } => Error::mistake(format!("rank {rank} could not go on: {why}")),
        }
    }
}

/// The state shared by all threads of a rank.
#[derive(Debug)]
struct ControlState {
    rank: usize,
    stop: AtomicBool,
    broken: AtomicBool,
    /// Whether this rank has ended its connection.
    over: AtomicBool,
    trouble: Mutex<Option<Trouble>>,
    /// Ranks that have ended their connections.
    left: Mutex<BTreeSet<usize>>,
    /// Ranks that send nothing more, for whatever reason.
    gone: Mutex<BTreeSet<usize>>,
    /// The interrupt of a step's work; a cancellation or failure of any rank sets it.
    brake: Interrupt,
    /// The interrupt of this process.
    follows: Mutex<Option<Interrupt>>,
    /// The streams to write to: on rank 0 to all others, else to rank 0.
    out: Vec<Mutex<TcpStream>>,
    /// Ticks of silence after which a rank is lost.
    silence: u32,
}

/// One rank's end of the control line.
pub(super) struct Control(Arc<ControlState>);

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("rank", &self.0.rank).field("trouble", &self.trouble()).finish_non_exhaustive()
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Control {
    /// Starts listening and sending heartbeats on the streams of the rendezvous.
    pub(super) fn start(rank: usize, links: Vec<TcpStream>, silence: u32) -> Result<Arc<Self>> {
        let fail = |e| Error::io("cannot keep up", "the streams between ranks", e);
        let read: Vec<TcpStream> = links.iter().map(TcpStream::try_clone).collect::<io::Result<_>>().map_err(fail)?;
        let shared = Arc::new(ControlState {
            rank,
            stop: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            over: AtomicBool::new(false),
            trouble: Mutex::default(),
            left: Mutex::default(),
            gone: Mutex::default(),
            brake: Interrupt::new(),
            follows: Mutex::default(),
            out: links.into_iter().map(Mutex::new).collect(),
            silence: silence.saturating_mul(1000 / TICK.as_millis() as u32),
        });
        for (place, stream) in read.into_iter().enumerate() {
            let peer = if rank == 0 { place + 1 } else { 0 };
            let shared = shared.clone();
            let thread = std::thread::Builder::new().name(format!("rank {peer}"));
            thread.spawn(move || shared.listen(peer, stream)).map_err(fail)?;
        }
        let weak = Arc::downgrade(&shared);
        std::thread::Builder::new().name("beat".into()).spawn(move || beat(&weak)).map_err(fail)?;
        Ok(Arc::new(Self(shared)))
    }

    /// The interrupt of a step's work.
    pub(super) fn brake(&self) -> &Interrupt {
        &self.0.brake
    }

    /// From now on cancelling this process cancels all ranks, and vice versa.
    pub(super) fn follow(&self, interrupt: &Interrupt) {
        *held(&self.0.follows) = Some(interrupt.clone());
    }

    /// The reason why the ranks cannot continue, if there is one.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        held(&self.0.trouble).clone()
    }

    /// Fails once the ranks cannot continue; checked while waiting for another rank.
    pub(super) fn check(&self) -> io::Result<()> {
        if self.0.broken.load(Ordering::SeqCst) { Err(ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }

    /// The cause of an error in an exchange with `peer`: this side may notice it before the message about it arrives.
    pub(super) fn explain(&self, peer: usize, error: &io::Error) -> Error {
        let until = Instant::now() + Duration::from_secs(2);
        loop {
            if let Some(trouble) = self.trouble() {
                return trouble.error();
            }
            if Instant::now() > until {
                break;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        if error.kind() == ErrorKind::InvalidData {
            let error = Error::mistake(format!("rank {peer} does not do the same as rank {}: {error}", self.0.rank));
            return error.with_hint("all ranks must run the same script with the same data and options");
        }
        let trouble = match held(&self.0.left).contains(&peer) {
            true => Trouble::Failed { rank: peer, why: "it has ended".into() },
            false => Trouble::Lost { rank: peer, closed: error.kind() != ErrorKind::TimedOut },
        };
        self.0.take(trouble.clone(), true);
        trouble.error()
    }

    /// Tells all others that this rank cannot continue.
    pub(super) fn fail(&self, why: &str) {
        self.0.take(Trouble::Failed { rank: self.0.rank, why: why.into() }, true);
    }

    /// Waits until rank 0, which saves the run, has ended; at most `most`.
    pub(super) fn wait_for_first(&self, most: Duration) {
        let until = Instant::now() + most;
        while self.0.rank != 0 && !held(&self.0.gone).contains(&0) && Instant::now() < until {
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::SeqCst);
        self.0.send(BYE, &(self.0.rank as u32).to_le_bytes(), None);
        for stream in &self.0.out {
            let _ = held(stream).shutdown(Shutdown::Write); // what was sent arrives all the same
        }
    }
}

impl ControlState {
    /// Writes to all, or to all but one; an unreachable rank is noticed by the thread that listens to it.
    fn send(&self, kind: u8, payload: &[u8], but: Option<usize>) {
        let bytes = frame(kind, payload);
        for (place, stream) in self.out.iter().enumerate() {
            if but.is_none() || self.rank != 0 || but != Some(place + 1) {
                let _ = write(&mut *held(stream), &bytes, &mut patience(POLITE));
            }
        }
    }

    /// Records the first trouble, and forwards it.
    fn take(&self, trouble: Trouble, tell: bool) {
        {
            let mut first = held(&self.trouble);
            if first.is_some() {
                return;
            }
            *first = Some(trouble.clone());
        }
        self.broken.store(true, Ordering::SeqCst);
        self.brake.trigger();
        if tell {
            match trouble {
                Trouble::Lost { rank, closed } => {
                    let mut payload = (rank as u32).to_le_bytes().to_vec();
                    payload.push(u8::from(closed));
                    self.send(LOST, &payload, Some(rank));
                }
                Trouble::Failed { rank, why } => {
                    let mut payload = (rank as u32).to_le_bytes().to_vec();
                    payload.extend(why.as_bytes());
                    self.send(FAILED, &payload, Some(rank));
                }
            }
        }
    }

    fn take_stop(&self, from: Option<usize>) {
        if !self.stop.swap(true, Ordering::SeqCst) {
            self.brake.trigger();
            self.send(STOP, &[], from);
        }
        if let Some(follows) = &*held(&self.follows) {
            follows.trigger();
        }
    }

    /// Reads one stream to its end.
    fn listen(&self, peer: usize, mut stream: TcpStream) {
        loop {
            let received = read_frame(&mut stream, &mut |silent| {
                if silent > self.silence { Err(ErrorKind::TimedOut.into()) } else { Ok(()) }
            });
            let (kind, payload) = match received {
                Ok(frame) => frame,
                Err(error) => {
                    let well = self.over.load(Ordering::SeqCst) || held(&self.left).contains(&peer);
                    if !well {
                        let closed = error.kind() != ErrorKind::TimedOut;
                        self.take(Trouble::Lost { rank: peer, closed }, self.rank == 0);
                    }
                    held(&self.gone).insert(peer);
                    return;
                }
            };
            let (number, rest) = payload.split_at(payload.len().min(4));
            let rank = number.iter().rev().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
            match kind {
                STOP => self.take_stop(Some(peer)),
                FAILED => {
                    let why = String::from_utf8_lossy(rest).into_owned();
                    self.take(Trouble::Failed { rank, why }, self.rank == 0);
                }
                LOST if rank != self.rank => {
                    self.take(Trouble::Lost { rank, closed: rest == [1] }, self.rank == 0);
                }
                BYE => {
                    held(&self.left).insert(peer);
                }
                _ => {}
            }
        }
    }
}

/// Sends heartbeats, and checks whether this process was cancelled.
fn beat(shared: &Weak<ControlState>) {
    let mut beaten = Instant::now();
    while let Some(shared) = shared.upgrade() {
        if shared.over.load(Ordering::SeqCst) {
            return;
        }
        let asked = held(&shared.follows).as_ref().is_some_and(Interrupt::is_set);
        if asked && !shared.stop.load(Ordering::SeqCst) {
            shared.take_stop(None);
        }
        if beaten.elapsed() >= BEAT_EVERY {
            beaten = Instant::now();
            shared.send(BEAT, &[], None);
        }
        drop(shared);
        std::thread::sleep(LOOK_EVERY);
    }
}
