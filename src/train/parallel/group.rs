//! The ranks of a run as its trainer uses them: an engine for tensors, and the control line.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use candle_core::{Device, Tensor};

use super::control::{Control, SILENCE, Trouble};
use super::rendezvous::rendezvous;
use super::ring::Ring;
use super::{Collective, Single, World};
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;

/// The time to wait for ranks in seconds; `ETUDE_JOIN_TIMEOUT` sets another.
const JOIN: u64 = 300;
/// The time that a rank waits, after trouble, for the one that saves the run.
const KEEPING: Duration = Duration::from_secs(60);

/// The ranks of a run.
pub struct Group {
    engine: Box<dyn Collective>,
    control: Option<Arc<Control>>,
    world: Option<World>,
    name: &'static str,
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut group = f.debug_struct("Group");
        group.field("rank", &self.rank()).field("size", &self.world_size()).field("engine", &self.name);
        group.finish_non_exhaustive()
    }
}

/// A rank's result of a step; the ranks exchange it before anything changes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum StepPart {
    /// Its share of the loss.
    Done(f64),
    /// It was cancelled.
    Stopped,
    /// Its loss is this value, which is not finite.
    NoNumber(f64),
}

impl Group {
    /// A process that trains alone.
    pub fn single() -> Arc<Self> {
        Arc::new(Self { engine: Box::new(Single), control: None, world: None, name: "single" })
    }

    /// Connects to the other ranks of this process's world; without a world it is alone. `device` is where gradients
    /// are, and `interrupt` that of this process.
    ///
    /// The engine is MPI where the program was built with it and started by `mpirun` or by `srun` with PMI; else a ring
    /// of TCP streams; `ETUDE_BACKEND` names another. With the feature `nccl`, gradients on GPUs are summed by NCCL.
    ///
    /// # Errors
    /// Ranks that do not come in time, a port that is taken; `interrupted`, when the user cancels.
    pub fn join(world: Option<World>, device: &Device, interrupt: &Interrupt) -> Result<Arc<Self>> {
        let Some(world) = world else { return Ok(Self::single()) };
        let (engine, control, name) = engine(&world, interrupt)?;
        control.follow(interrupt);
        #[cfg(feature = "nccl")]
        let (engine, name): (Box<dyn Collective>, _) = match device {
            Device::Cuda(_) => (Box::new(super::nccl::Nccl::join(engine, control.clone(), device)?), "nccl"),
            _ => (engine, name),
        };
        #[cfg(not(feature = "nccl"))]
        let _ = device;
        Ok(Arc::new(Self { engine, control: Some(control), world: Some(world), name }))
    }

    /// The rank of this process, from 0.
    pub fn rank(&self) -> usize {
        self.engine.rank()
    }

    /// The number of ranks.
    pub fn world_size(&self) -> usize {
        self.engine.world_size()
    }

    /// The number of ranks on this machine.
    pub fn local_size(&self) -> usize {
        self.world.as_ref().map_or(1, |world| world.local_size)
    }

    /// The engine: "single", "tcp", "mpi", "nccl".
    pub fn engine(&self) -> &'static str {
        self.name
    }

    /// True when there is only this rank.
    pub fn is_single(&self) -> bool {
        self.world_size() == 1
    }

    /// Whether this rank writes files and output: rank 0, or rank 1 once the process of rank 0 has died.
    pub fn is_first(&self) -> bool {
        match self.rank() {
            0 => true,
            1 => {
                let trouble = self.control.as_ref().and_then(|control| control.trouble());
                trouble == Some(Trouble::Lost { rank: 0, closed: true })
            }
            _ => false,
        }
    }

    /// The interrupt of a step's work: `own` of a process alone; else one that cancelling any rank sets.
    pub(crate) fn brake<'a>(&'a self, own: &'a Interrupt) -> &'a Interrupt {
        self.control.as_ref().map_or(own, |control| control.brake())
    }

    /// The reason why the ranks cannot continue together, if there is one.
    pub(crate) fn trouble(&self) -> Option<Error> {
        self.control.as_ref()?.trouble().map(|trouble| trouble.error())
    }

    /// Tells the others that this rank cannot continue.
    pub(crate) fn fail(&self, why: &str) {
        if let Some(control) = &self.control {
            control.fail(why);
        }
    }

    /// Waits, after trouble, until the rank that saves the run has done so: the launcher may end all ranks when one
    /// ends.
    pub(crate) fn wait_for_first(&self) {
        if let Some(control) = self.control.as_ref().filter(|_| !self.is_first()) {
            control.wait_for_first(KEEPING);
        }
    }

    /// The sum over all ranks.
    pub(crate) fn sum(&self, values: Tensor) -> Result<Tensor> {
        self.engine.sum_tensor(values)
    }

    /// The values of rank 0.
    pub(crate) fn of_first(&self, values: Tensor) -> Result<Tensor> {
        let (shape, device) = (values.shape().clone(), values.device().clone());
        let mut flat = values.flatten_all()?.to_vec1::<f32>()?;
        self.engine.broadcast(&mut flat, 0)?;
        Ok(Tensor::from_vec(flat, shape, &device)?)
    }

    /// The bytes of each rank, equally many.
    pub(crate) fn gather(&self, mine: &[u8]) -> Result<Vec<Vec<u8>>> {
        self.engine.all_gather(mine)
    }

    /// Waits for all.
    pub(crate) fn barrier(&self) -> Result<()> {
        self.engine.barrier()
    }

    /// Fails on every rank unless all have the same bytes; `what` names them.
    pub(crate) fn agree(&self, what: &str, mine: &[u8; 8]) -> Result<()> {
        let all = self.gather(mine)?;
        match all.iter().position(|theirs| *theirs != all[0]) {
            Some(other) => Err(Error::mistake(format!("rank {other} has other {what} than rank 0"))
                .with_hint("all ranks must run the same script with the same data and options")),
            None => Ok(()),
        }
    }

    /// The result of a step over all ranks: the loss, or the reason why the step does not count. `before` is the norm
    /// of the last step's gradients, which must have been the same everywhere.
    pub(crate) fn verdict(&self, part: StepPart, step: u64, before: f64) -> Result<StepPart> {
        let (code, value) = match part {
            StepPart::Done(loss) => (0_u64, loss),
            StepPart::NoNumber(value) => (1, value),
            StepPart::Stopped => (2, 0.0),
        };
        let words = [code, value.to_bits(), step, before.to_bits()];
        let mine: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let all = self.gather(&mine)?;
        let reports: Vec<[u64; 4]> = all.iter().map(|bytes| numbers(bytes)).collect();
        if let Some(other) = reports.iter().position(|[_, _, at, norm]| (*at, *norm) != (reports[0][2], reports[0][3]))
        {
            return Err(Error::mistake(format!("rank {other} and rank 0 have come apart before step {step}"))
                .with_hint("do all ranks run on the same kind of machine, with the same build? go on with --resume"));
        }
        let of = |wanted: u64| {
            reports.iter().find(|[code, ..]| *code == wanted).map(|[_, value, ..]| f64::from_bits(*value))
        };
        Ok(match (of(2), of(1)) {
            (Some(_), _) => StepPart::Stopped,
            (_, Some(value)) => StepPart::NoNumber(value),
            _ => StepPart::Done(reports.iter().map(|[_, value, ..]| f64::from_bits(*value)).sum()),
        })
    }
}

fn numbers(bytes: &[u8]) -> [u64; 4] {
    let (words, _) = bytes.as_chunks::<8>();
    let mut numbers = [0; 4];
    numbers.iter_mut().zip(words).for_each(|(number, &word)| *number = u64::from_le_bytes(word));
    numbers
}

type Engine = (Box<dyn Collective>, Arc<Control>, &'static str);

fn engine(world: &World, interrupt: &Interrupt) -> Result<Engine> {
    let wish = std::env::var("ETUDE_BACKEND").unwrap_or_default();
    let limit = Duration::from_secs(seconds("ETUDE_JOIN_TIMEOUT", JOIN)?);
    match wish.as_str() {
        "" | "tcp" => {}
        "mpi" if cfg!(feature = "mpi") => {}
        "mpi" => {
            return Err(Error::mistake("this etude is built without MPI")
                .with_hint("with Open MPI installed: cargo install --path . --features mpi"));
        }
        other => return Err(Error::unknown("ETUDE_BACKEND", other, &["tcp", "mpi"])),
    }
    #[cfg(feature = "mpi")]
    if wish == "mpi" || (wish.is_empty() && super::mpi::started_by(world)) {
        let (engine, control) = super::mpi::Mpi::join(limit, silence()?, interrupt)?;
        return Ok((Box::new(engine), control, "mpi"));
    }
    let met = rendezvous(world, limit, interrupt)?;
    let control = Control::start(world.rank, met.links, silence()?)?;
    let ring = Ring::close(world.rank, &met.addresses, &met.listener, control.clone())?;
    Ok((Box::new(ring), control, "tcp"))
}

fn silence() -> Result<u32> {
    Ok(u32::try_from(seconds("ETUDE_RANK_TIMEOUT", u64::from(SILENCE))?).unwrap_or(u32::MAX))
}

fn seconds(name: &str, usual: u64) -> Result<u64> {
    match std::env::var(name) {
        Err(_) => Ok(usual),
        Ok(text) => match text.trim().parse() {
            Ok(seconds) if seconds > 0 => Ok(seconds),
            _ => Err(Error::mistake(format!("{name} is '{text}'")).with_hint(format!("it must be seconds: {usual}"))),
        },
    }
}
