//! The MPI engine, started by `mpirun` or by `srun` with PMI.
//!
//! One thread makes all calls of MPI; others wait for it and check the control line: MPI itself waits for ever for a
//! lost rank, and then that thread is abandoned. A sum is a reduce-scatter and an all-gather, so that each part of it
//! is added up on one rank and has the same bits on all.

use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use ::mpi::Threading;
use ::mpi::collective::SystemOperation;
use ::mpi::environment::{Universe, initialize_with_threading, processor_name};
use ::mpi::request::{Request, Scope, scope};
use ::mpi::topology::SimpleCommunicator;
use ::mpi::traits::{Communicator, CommunicatorCollectives, Root};

use super::control::Control;
use super::rendezvous::rendezvous;
use super::wire::TICK;
use super::{Collective, World};
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;

/// The polling interval of the MPI thread; waiting inside MPI would occupy a processor.
const NAP: Duration = Duration::from_micros(50);
/// A host's name in the first message.
const NAME: usize = 256;

/// Whether the launcher of this process supports MPI.
pub(super) fn started_by(world: &World) -> bool {
    match world.launcher {
        "mpirun" | "mpich" => true,
        "srun" => ["PMIX_RANK", "PMI_RANK", "PMI_FD"].iter().any(|name| std::env::var_os(name).is_some()),
        _ => false,
    }
}

/// A request to the MPI thread.
enum Ask {
    Sum(Vec<f32>),
    Gather(Vec<u8>),
    Broadcast(Vec<f32>, usize),
}

/// Its reply.
enum Answer {
    Floats(Vec<f32>),
    Bytes(Vec<u8>),
}

/// One rank's end of MPI.
pub(super) struct Mpi {
    rank: usize,
    size: usize,
    control: Option<Arc<Control>>,
    line: Mutex<Option<(Sender<Ask>, Receiver<Answer>)>>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Mpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mpi").field("rank", &self.rank).field("size", &self.size).finish_non_exhaustive()
    }
}

impl Mpi {
    /// Starts MPI, and the control line, whose address is exchanged through MPI.
    ///
    /// # Errors
    /// An MPI that does not know the other ranks, or cannot be asked by a thread.
    pub(super) fn join(limit: Duration, silence: u32, interrupt: &Interrupt) -> Result<(Self, Arc<Control>)> {
        let world = World::from_env()?;
        let (ask, asked) = channel();
        let (reply, answers) = channel();
        let (ready, began) = channel();
        let thread = std::thread::Builder::new().name("mpi".into()).spawn(move || serve(&asked, &reply, &ready));
        let thread = thread.map_err(|e| Error::io("cannot start", "a thread for MPI", e))?;
        let (rank, size, host) = began.recv().map_err(|_| Error::internal("MPI could not begin"))??;
        if world.as_ref().is_some_and(|world| world.size != size) {
            let wanted = world.map_or(1, |world| world.size);
            return Err(Error::mistake(format!("MPI knows {size} ranks, the launcher says {wanted}")).with_hint(
                "start the ranks with the mpirun of the MPI this etude was built with, or by srun --mpi=pmix; \
                 ETUDE_BACKEND=tcp does without MPI",
            ));
        }
        let mut this = Self { rank, size, control: None, line: Mutex::new(Some((ask, answers))), thread: Some(thread) };
        let meeting = this.place(&host)?;
        let place = World {
            rank,
            size,
            local_rank: 0,
            local_size: 1,
            launcher: "mpirun",
            job: u64::from(meeting.1),
            meeting: Some(meeting),
        };
        let met = rendezvous(&place, limit, interrupt)?;
        let control = Control::start(rank, met.links, silence)?;
        this.control = Some(control.clone());
        Ok((this, control))
    }

    /// The address of rank 0: a free port on the machine of this name.
    fn place(&self, host: &str) -> Result<(String, u16)> {
        let port = match self.rank {
            0 => {
                let door = std::net::TcpListener::bind(("0.0.0.0", 0)).and_then(|door| door.local_addr());
                door.map_err(|e| Error::io("cannot listen on", "a free port", e))?.port()
            }
            _ => 0,
        };
        let mut words = vec![0; NAME];
        let name = &host.as_bytes()[..host.len().min(NAME)];
        words[..name.len()].copy_from_slice(name);
        words.extend(port.to_le_bytes());
        let all = self.all_gather(&words)?;
        let first = &all[0];
        let port = u16::from_le_bytes([first[NAME], first[NAME + 1]]);
        let same = |words: &Vec<u8>| words[..NAME] == first[..NAME];
        let host = match (all.iter().all(same), self.rank == 0, same(&words)) {
            (true, ..) => "127.0.0.1".to_string(),
            (false, true, _) => "0.0.0.0".to_string(),
            (false, false, true) => "127.0.0.1".to_string(),
            _ => String::from_utf8_lossy(&first[..NAME]).trim_end_matches('\0').to_string(),
        };
        Ok((host, port))
    }

    fn ask(&self, ask: Ask) -> Result<Answer> {
        let line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = || Error::internal("the thread of MPI has ended");
        let (asks, answers) = line.as_ref().ok_or_else(ended)?;
        asks.send(ask).map_err(|_| ended())?;
        loop {
            match answers.recv_timeout(TICK) {
                Ok(answer) => return Ok(answer),
                Err(RecvTimeoutError::Disconnected) => return Err(ended()),
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(trouble) = self.control.as_ref().and_then(|control| control.trouble()) {
                        return Err(trouble.error());
                    }
                }
            }
        }
    }

    fn floats(&self, values: &mut [f32], ask: Ask) -> Result<()> {
        match self.ask(ask)? {
            Answer::Floats(answer) => {
                values.copy_from_slice(&answer[..values.len()]);
                Ok(())
            }
            Answer::Bytes(_) => Err(Error::internal("MPI answered something else")),
        }
    }
}

impl Drop for Mpi {
    fn drop(&mut self) {
        // Without the control line the thread ends MPI and itself; with a lost rank that would never return.
        *self.line.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let whole = self.control.as_ref().is_some_and(|control| control.trouble().is_none());
        if let Some(thread) = self.thread.take().filter(|_| whole) {
            let _ = thread.join();
        }
    }
}

impl Collective for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn world_size(&self) -> usize {
        self.size
    }

    fn all_reduce_sum(&self, values: &mut [f32]) -> Result<()> {
        self.floats(values, Ask::Sum(values.to_vec()))
    }

    fn all_gather(&self, mine: &[u8]) -> Result<Vec<Vec<u8>>> {
        match self.ask(Ask::Gather(mine.to_vec()))? {
            Answer::Bytes(all) => Ok(all.chunks_exact(mine.len().max(1)).map(<[u8]>::to_vec).collect()),
            Answer::Floats(_) => Err(Error::internal("MPI answered something else")),
        }
    }

    fn broadcast(&self, values: &mut [f32], root: usize) -> Result<()> {
        self.floats(values, Ask::Broadcast(values.to_vec(), root))
    }
}

type Began = Result<(usize, usize, String)>;

/// The MPI thread: starts MPI, serves requests, ends MPI.
fn serve(asked: &Receiver<Ask>, reply: &Sender<Answer>, ready: &Sender<Began>) {
    let universe = match begin() {
        Ok(universe) => universe,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    let world = universe.world();
    let host = processor_name().unwrap_or_else(|_| "localhost".into());
    let _ = ready.send(Ok((world.rank() as usize, world.size() as usize, host)));
    for ask in asked {
        let answer = match ask {
            Ask::Sum(values) => Answer::Floats(sum(&world, values)),
            Ask::Gather(mine) => {
                let mut all = vec![0_u8; mine.len() * world.size() as usize];
                scope(|scope| finish(world.immediate_all_gather_into(scope, &mine[..], &mut all[..])));
                Answer::Bytes(all)
            }
            Ask::Broadcast(mut values, root) => {
                let root = world.process_at_rank(root as i32);
                scope(|scope| finish(root.immediate_broadcast_into(scope, &mut values[..])));
                Answer::Floats(values)
            }
        };
        if reply.send(answer).is_err() {
            break;
        }
    }
}

fn begin() -> Result<Universe> {
    match initialize_with_threading(Threading::Funneled) {
        Some((universe, level)) if level >= Threading::Funneled => Ok(universe),
        Some(_) => Err(Error::mistake("this MPI knows no threads").with_hint("ETUDE_BACKEND=tcp does without MPI")),
        None => Err(Error::internal("MPI has begun already")),
    }
}

fn sum(world: &SimpleCommunicator, mut values: Vec<f32>) -> Vec<f32> {
    let part = values.len().div_ceil(world.size() as usize);
    values.resize(part * world.size() as usize, 0.0);
    let mut own = vec![0.0_f32; part];
    let add = SystemOperation::sum();
    scope(|scope| finish(world.immediate_reduce_scatter_block_into(scope, &values[..], &mut own[..], &add)));
    scope(|scope| finish(world.immediate_all_gather_into(scope, &own[..], &mut values[..])));
    values
}

/// Waits for the others without occupying a processor.
fn finish<'a, D: ?Sized, S: Scope<'a>>(mut request: Request<'a, D, S>) {
    let mut looks = 0_u32;
    while let Err(not_yet) = request.test() {
        request = not_yet;
        looks += 1;
        if looks > 100 { std::thread::sleep(NAP) } else { std::thread::yield_now() }
    }
}
