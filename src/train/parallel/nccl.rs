//! The NCCL engine: sums of gradients on GPUs, directly between their memories.
//!
//! Another engine connects the ranks, exchanges NCCL's id and transports everything but gradients. One thread makes all
//! calls of NCCL; others wait for it and check the control line, since NCCL waits for ever for a lost rank. A sum is
//! queued on the stream of the gradients' kernels, behind them.

use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::cuda_backend::cudarc::nccl::{Comm, Id, ReduceOp};
use candle_core::{CpuStorage, CudaStorage, Device, InplaceOp1, Layout, Tensor};

use super::Collective;
use super::control::Control;
use super::wire::TICK;
use crate::error::{Error, Result};

/// One rank's end of NCCL, and of the other engine.
pub(super) struct Nccl {
    host: Box<dyn Collective>,
    control: Arc<Control>,
    line: Mutex<(Sender<Tensor>, Receiver<Result<Tensor>>)>,
}

impl fmt::Debug for Nccl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nccl").field("host", &self.host).finish_non_exhaustive()
    }
}

impl Nccl {
    /// Creates the NCCL communicator of the ranks of `host`, each with its own GPU `device`.
    ///
    /// # Errors
    /// A library that is not there, two ranks on one GPU, or GPUs that cannot reach each other.
    pub(super) fn join(host: Box<dyn Collective>, control: Arc<Control>, device: &Device) -> Result<Self> {
        let mut bytes = [0_u8; 128];
        if host.rank() == 0 {
            let id = Id::new().map_err(|e| failed(&format!("{e:?}")))?;
            bytes = id.internal().map(|c| c as u8);
        }
        let all = host.all_gather(&bytes)?;
        let mut internal = [0; 128];
        internal.iter_mut().zip(&all[0]).for_each(|(c, &byte)| *c = byte as std::ffi::c_char);
        let (rank, size, device) = (host.rank(), host.world_size(), device.clone());
        let (ask, asked) = channel::<Tensor>();
        let (reply, answers) = channel();
        let (ready, began) = channel();
        let serve = move || {
            let comm = device.as_cuda_device().map_err(Error::from).and_then(|cuda| {
                Comm::from_rank(cuda.cuda_stream(), rank, size, Id::uninit(internal))
                    .map_err(|e| failed(&format!("{e:?}")))
            });
            let comm = match comm {
                Ok(comm) => comm,
                Err(error) => return drop(ready.send(Err(error))),
            };
            let _ = ready.send(Ok(()));
            for values in asked {
                let summed = values.inplace_op1(&NcclSum(&comm)).and_then(|()| device.synchronize());
                if reply.send(summed.map(|()| values).map_err(Error::from)).is_err() {
                    break;
                }
            }
        };
        let thread = std::thread::Builder::new().name("nccl".into()).spawn(serve);
        thread.map_err(|e| Error::io("cannot start", "a thread for NCCL", e))?;
        wait(&began, &control)??;
        Ok(Self { host, control, line: Mutex::new((ask, answers)) })
    }
}

fn failed(why: &str) -> Error {
    Error::mistake(format!("NCCL cannot begin: {why}")).with_hint(
        "every rank needs a GPU of its own, and libnccl.so; NCCL_DEBUG=INFO says more; build without the feature nccl to \
         sum by way of the CPU",
    )
}

/// Waits for the NCCL thread unless a rank is lost.
fn wait<T>(answers: &Receiver<T>, control: &Control) -> Result<T> {
    loop {
        match answers.recv_timeout(TICK) {
            Ok(answer) => return Ok(answer),
            Err(RecvTimeoutError::Disconnected) => return Err(Error::internal("the thread of NCCL has ended")),
            Err(RecvTimeoutError::Timeout) => {
                if let Some(trouble) = control.trouble() {
                    return Err(trouble.error());
                }
            }
        }
    }
}

/// The sum over all ranks, in place.
struct NcclSum<'a>(&'a Comm);

impl InplaceOp1 for NcclSum<'_> {
    fn name(&self) -> &'static str {
        "sum over ranks"
    }

    fn cpu_fwd(&self, _: &mut CpuStorage, _: &Layout) -> candle_core::Result<()> {
        candle_core::bail!("NCCL sums what lies on a GPU")
    }

    fn cuda_fwd(&self, storage: &mut CudaStorage, _: &Layout) -> candle_core::Result<()> {
        let values = storage.as_cuda_slice_mut::<f32>()?;
        let summed = self.0.all_reduce_in_place(values, &ReduceOp::Sum);
        summed.map(drop).map_err(|e| candle_core::Error::msg(format!("NCCL: {e:?}")))
    }
}

impl Collective for Nccl {
    fn rank(&self) -> usize {
        self.host.rank()
    }

    fn world_size(&self) -> usize {
        self.host.world_size()
    }

    fn all_reduce_sum(&self, values: &mut [f32]) -> Result<()> {
        self.host.all_reduce_sum(values)
    }

    fn all_gather(&self, mine: &[u8]) -> Result<Vec<Vec<u8>>> {
        self.host.all_gather(mine)
    }

    fn broadcast(&self, values: &mut [f32], root: usize) -> Result<()> {
        self.host.broadcast(values, root)
    }

    fn sum_tensor(&self, flat: Tensor) -> Result<Tensor> {
        if flat.device().is_cpu() {
            let mut values = flat.to_vec1::<f32>()?;
            self.all_reduce_sum(&mut values)?;
            return Ok(Tensor::from_vec(values, flat.shape(), flat.device())?);
        }
        // The whole storage is summed, so it must belong to the tensor alone.
        let flat = flat.copy()?;
        let line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        line.0.send(flat).map_err(|_| Error::internal("the thread of NCCL has ended"))?;
        wait(&line.1, &self.control)?
    }
}
