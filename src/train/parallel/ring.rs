//! The TCP engine: ranks in a ring of streams, each receiving from the one before it and sending to the one after it.
//!
//! An all-reduce goes round in parts, one for each rank (Patarasuk & Yuan 2009): after `n − 1` rounds every rank holds
//! one complete part, after `n − 1` more all of it. A rank sends `2 (n − 1) / n` times the bytes of the values, for any
//! number of ranks. The part of rank `p` is summed in the order `p, p + 1, …`, and the result is passed round, so that
//! the sum has the same bits on every rank and in every run.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Collective;
use super::control::Control;
use super::wire::{frame, prepare, read, read_frame, write};
use crate::error::{Error, Result};

/// The time within which neighbours connect after the rendezvous.
const SOON: Duration = Duration::from_secs(60);
const NEIGHBOUR: u8 = b'n';

/// The bytes of a message header, which identifies the exchange.
const HEAD: usize = 12;

/// One rank's place in the ring.
#[derive(Debug)]
pub(super) struct Ring {
    rank: usize,
    size: usize,
    control: Arc<Control>,
    ends: Mutex<Ends>,
}

#[derive(Debug)]
struct Ends {
    /// The channel to a thread that writes to the next rank, so that reading and writing never wait for each other.
    next: Sender<Vec<u8>>,
    /// Signals that a message was handed to the system, which delivers it even when this process ends.
    written: Receiver<()>,
    previous: TcpStream,
    /// The number of messages so far; it must be the same on the neighbours.
    count: u64,
}

impl Ring {
    /// Connects the ring after the rendezvous.
    ///
    /// # Errors
    /// A neighbour that cannot be reached.
    pub(super) fn close(
        rank: usize,
        addresses: &[SocketAddr],
        listener: &TcpListener,
        control: Arc<Control>,
    ) -> Result<Self> {
        let size = addresses.len();
        let (after, before) = ((rank + 1) % size, (rank + size - 1) % size);
        let failed = |peer: usize| {
            move |e: io::Error| {
                Error::io("cannot reach", format!("rank {peer} at {}", addresses[peer]), e).with_hint(
                    "ranks connect to their neighbours on ports that the system assigns: is there a firewall in between?",
                )
            }
        };
        let mut next = TcpStream::connect_timeout(&addresses[after], SOON).map_err(failed(after))?;
        prepare(&next).map_err(failed(after))?;
        let until = Instant::now() + SOON;
        let mut pulse = |_| if Instant::now() < until { control.check() } else { Err(ErrorKind::TimedOut.into()) };
        write(&mut next, &frame(NEIGHBOUR, &(rank as u32).to_le_bytes()), &mut pulse).map_err(failed(after))?;
        let previous = accept(listener, before, &control).map_err(failed(before))?;
        let (sender, receiver) = channel();
        let (write, written) = channel();
        let for_writer = control.clone();
        std::thread::Builder::new()
            .name("ring".into())
            .spawn(move || send_messages(next, &receiver, &write, &for_writer))
            .map_err(failed(after))?;
        let ends = Mutex::new(Ends { next: sender, written, previous, count: 0 });
        Ok(Self { rank, size, control, ends })
    }

    /// Sends `bytes` to the next rank and receives `wanted` bytes from the one before.
    fn exchange(&self, ends: &mut Ends, bytes: &[u8], wanted: usize) -> Result<Vec<u8>> {
        let mut message = Vec::with_capacity(HEAD + bytes.len());
        message.extend(ends.count.to_le_bytes());
        message.extend((bytes.len() as u32).to_le_bytes());
        message.extend(bytes);
        // When the writer has ended, reading finds out why.
        let _ = ends.next.send(message);
        let before = (self.rank + self.size - 1) % self.size;
        let mut received = || -> io::Result<Vec<u8>> {
            let mut pulse = |_| self.control.check();
            let mut head = [0; HEAD];
            read(&mut ends.previous, &mut head, &mut pulse)?;
            let (count, length) = head.split_at(8);
            if count != ends.count.to_le_bytes() || length != (wanted as u32).to_le_bytes() {
                let words = "it is at another place of the run";
                return Err(io::Error::new(ErrorKind::InvalidData, words));
            }
            let mut bytes = vec![0; wanted];
            read(&mut ends.previous, &mut bytes, &mut pulse)?;
            Ok(bytes)
        };
        let received = received().map_err(|e| {
            let error = self.control.explain(before, &e);
            if e.kind() == ErrorKind::InvalidData {
                self.control.fail(error.message());
            }
            error
        })?;
        ends.count += 1;
        let _ = ends.written.recv();
        Ok(received)
    }

    /// The range of part `part` of `len` values.
    fn part(&self, part: usize, len: usize) -> std::ops::Range<usize> {
        let part = part % self.size;
        len * part / self.size..len * (part + 1) / self.size
    }
}

impl Collective for Ring {
    fn rank(&self) -> usize {
        self.rank
    }

    fn world_size(&self) -> usize {
        self.size
    }

    fn all_reduce_sum(&self, values: &mut [f32]) -> Result<()> {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let (n, len) = (self.size, values.len());
        for round in 0..n - 1 {
            let (out, into) = (self.part(self.rank + n - round, len), self.part(self.rank + 2 * n - round - 1, len));
            let received = self.exchange(&mut ends, &bytes_of(&values[out]), 4 * into.len())?;
            for (own, theirs) in values[into].iter_mut().zip(floats(&received)) {
                *own += theirs;
            }
        }
        for round in 0..n - 1 {
            let (out, into) = (self.part(self.rank + n + 1 - round, len), self.part(self.rank + n - round, len));
            let received = self.exchange(&mut ends, &bytes_of(&values[out]), 4 * into.len())?;
            values[into].iter_mut().zip(floats(&received)).for_each(|(own, theirs)| *own = theirs);
        }
        Ok(())
    }

    fn all_gather(&self, mine: &[u8]) -> Result<Vec<Vec<u8>>> {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = vec![Vec::new(); self.size];
        all[self.rank] = mine.to_vec();
        for round in 0..self.size - 1 {
            let (out, into) = (self.rank + self.size - round, self.rank + 2 * self.size - round - 1);
            all[into % self.size] = self.exchange(&mut ends, &all[out % self.size].clone(), mine.len())?;
        }
        Ok(all)
    }

    fn broadcast(&self, values: &mut [f32], root: usize) -> Result<()> {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        // Everyone passes on what it has, so that each message has its answer; only what came from `root` is used.
        for round in 0..self.size - 1 {
            let received = self.exchange(&mut ends, &bytes_of(values), 4 * values.len())?;
            if (root + round + 1) % self.size == self.rank {
                values.iter_mut().zip(floats(&received)).for_each(|(own, theirs)| *own = theirs);
            }
        }
        Ok(())
    }
}

fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn floats(bytes: &[u8]) -> impl Iterator<Item = f32> + '_ {
    let (values, _) = bytes.as_chunks::<4>();
    values.iter().map(|&bytes| f32::from_le_bytes(bytes))
}

/// Accepts the neighbour before; other connections are rejected.
fn accept(listener: &TcpListener, before: usize, control: &Control) -> io::Result<TcpStream> {
    listener.set_nonblocking(true)?;
    let until = Instant::now() + SOON;
    loop {
        match listener.accept() {
            Ok((mut stream, _)) => {
                prepare(&stream)?;
                let mut pulse =
                    |_| if Instant::now() < until { control.check() } else { Err(ErrorKind::TimedOut.into()) };
                let words = read_frame(&mut stream, &mut pulse);
                if words.is_ok_and(|(kind, rank)| kind == NEIGHBOUR && rank == (before as u32).to_le_bytes()) {
                    return Ok(stream);
                }
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => std::thread::sleep(Duration::from_millis(5)),
            Err(e) => return Err(e),
        }
        control.check()?;
        if Instant::now() > until {
            return Err(ErrorKind::TimedOut.into());
        }
    }
}

/// Writes messages to the next rank.
fn send_messages(mut next: TcpStream, messages: &Receiver<Vec<u8>>, written: &Sender<()>, control: &Control) {
    for message in messages {
        // When it fails, the reading side finds out why.
        if write(&mut next, &message, &mut |_| control.check()).is_err() || written.send(()).is_err() {
            return;
        }
    }
}
