//! Many devices: ranks that take each step together, started by whatever starts ranks.
//!
//! Every rank is the same program with the same arguments. A step of `n` ranks takes `batch_size` ×
//! `gradient_accumulation_steps` rows on each, no row twice, and is the step that one rank would take over all of them, to
//! six digits; loss, norm, clipping and learning rate are the same everywhere. Rank 0 alone writes checkpoints, the course
//! of the run and its samples, and prints. The held-out loss is measured by all, and has the bits that one rank would find.
//!
//! ```sh
//! etude train --nproc_per_node 4 --strategy ddp …          # four ranks on this machine, nothing else needed
//! torchrun --no-python --nproc-per-node 4 etude train …    # and --nnodes, --rdzv-endpoint for more machines
//! mpirun -n 4 etude train …                                # with MPI where it is built in (feature `mpi`)
//! srun etude train …                                       # inside a job of Slurm
//! ```
//!
//! # What moves
//! Gradients of what trains, and a few words a step. With adapters that is little: those of rank 12 on all linear layers
//! of the 155 M model are 2.84 M numbers (19,712 `r` a block, 12 blocks), against 155 M when all weights train. A ring of
//! `n` ranks sends `2 (n − 1) / n` times that from each rank:
//!
//! | ranks | adapters, sent by each a step | at 1 Gbit/s | at 10 Gbit/s | all weights | at 10 Gbit/s |
//! |---|---|---|---|---|---|
//! | 2 | 11.4 MB | 0.09 s | 0.01 s | 0.62 GB | 0.50 s |
//! | 4 | 17.0 MB | 0.14 s | 0.01 s | 0.93 GB | 0.74 s |
//! | 8 | 19.9 MB | 0.16 s | 0.02 s | 1.09 GB | 0.87 s |
//! | 64 | 22.3 MB | 0.18 s | 0.02 s | 1.22 GB | 0.98 s |
//!
//! These are counts, not measurements. The arithmetic of a step beside it is about `4 N` operations a token with a frozen
//! base of `N` weights (forward, and backward through it), `6 N` when all train, and a quarter to a third more with
//! `gradient_checkpointing`: 1.3 · 10¹² for one row of 2,048 tokens with adapters, some 8 s on two cores at 160 GFLOP/s. So
//! with adapters even 1 Gbit/s costs two percent there; for GPUs, or all weights, take more rows a step
//! (`gradient_accumulation_steps`), since what moves does not grow with them.
//!
//! The way back goes block by block, and a block's gradients leave while the blocks below it are computed; of several
//! micro-batches, in the last one. What is not hidden: the first blocks and the embedding, which are known last, and the
//! one word at the end of a step by which the ranks agree that it counts. With NCCL the sums are queued on the GPU's own
//! stream, between its kernels, so that they do not overlap with them.
//!
//! # When a rank is lost
//! The others notice within a moment (a process that dies closes its streams; a machine that dies is given up after 60 s
//! without a beat, `ETUDE_RANK_TIMEOUT`), end with exit code 1 and say which rank was lost; rank 0 writes a checkpoint of the
//! last step that all had taken, or rank 1 where the process of rank 0 has died. Ctrl-C and SIGTERM, at any rank, end all
//! after the step with a checkpoint and exit code 130. `--resume` goes on, also with another number of ranks that can share
//! the rows of a step. The folder of the run must be one that every rank can read.
//!
//! `mpirun` kills all ranks a second after one has died, and a large model takes longer to write. It waits as long as it is
//! told, whether all have ended or not: `mpirun --mca odls_base_sigkill_timeout 10 -n 4 …`.
//!
//! # Where output goes
//! | variable | what |
//! |---|---|
//! | `MASTER_ADDR`, `MASTER_PORT` | where rank 0 waits; under torchrun the next port, since it listens there itself |
//! | `ETUDE_MASTER_PORT` | another port for rank 0 |
//! | `ETUDE_BACKEND` | `tcp` or `mpi` |
//! | `ETUDE_JOIN_TIMEOUT` | seconds that ranks wait for each other at the start (300) |
//! | `ETUDE_RANK_TIMEOUT` | seconds of silence after which a machine is lost (60) |
//! | `RAYON_NUM_THREADS`, `OMP_NUM_THREADS` | threads of a rank; else those that share a machine share its processors |
//!
//! Ranks trust each other and the network between them: let no port of theirs be reached from outside.
//!
//! # Slurm
//! ```sh
//! #!/bin/bash
//! #SBATCH --nodes=2 --ntasks-per-node=4 --cpus-per-task=8 --gpus-per-task=1
//! #SBATCH --signal=TERM@120 --requeue
//! srun etude train --config configs/qlora_production.yaml --strategy ddp \
//!     --data_dir $SCRATCH/processed --output_dir $SCRATCH/runs/v1 --resume
//! ```
//! Rank 0 waits on the first node of the step, at a port made from the number of the job. `--signal` has the run stop, with
//! a checkpoint, two minutes before its time is over, and `--resume` begins where there is none yet, so that the same job
//! can be queued again. With the feature `mpi`, `srun --mpi=pmix` uses MPI.
//!
//! # Kubernetes
//! An indexed Job gives each pod its number; a headless Service gives rank 0 a name. A pod that ends with an error is
//! started again, and so are, when they have noticed, the others; they connect and go on from the checkpoint.
//! ```yaml
//! apiVersion: v1
//! kind: Service
//! metadata: { name: ranks }
//! spec: { clusterIP: None, selector: { job-name: etude } }
//! ---
//! apiVersion: batch/v1
//! kind: Job
//! metadata: { name: etude }
//! spec:
//!   completionMode: Indexed
//!   completions: 4
//!   parallelism: 4
//!   backoffLimit: 40
//!   template:
//!     spec:
//!       subdomain: ranks
//!       restartPolicy: OnFailure
//!       terminationGracePeriodSeconds: 120
//!       containers:
//!         - name: etude
//!           image: etude:latest
//!           command: [sh, -c]
//!           args:
//!             - RANK=$JOB_COMPLETION_INDEX exec etude train --config configs/qlora_production.yaml
//!               --data_dir /data/processed --output_dir /data/runs/v1 --resume
//!           env:
//!             - { name: WORLD_SIZE, value: "4" }
//!             - { name: MASTER_ADDR, value: etude-0.ranks }
//!             - { name: MASTER_PORT, value: "29400" }
//!           volumeMounts: [{ name: data, mountPath: /data }]
//!       volumes: [{ name: data, persistentVolumeClaim: { claimName: shared } }]
//! ```
//! Operators that set `RANK`, `WORLD_SIZE`, `MASTER_ADDR` and `MASTER_PORT` (PyTorchJob) need nothing of this.

mod buckets;
mod control;
mod group;
#[cfg(feature = "mpi")]
mod mpi;
#[cfg(feature = "nccl")]
mod nccl;
mod rendezvous;
mod ring;
mod single;
#[cfg(test)]
mod tests;
mod wire;
mod world;

use std::fmt::Debug;

use candle_core::Tensor;

use crate::error::Result;

pub(crate) use buckets::{Outbox, summed};
pub use group::Group;
pub(crate) use group::StepPart;
pub use single::Single;
pub use world::World;

/// Collective operations between the ranks of a run. All ranks make the same calls in the same order, and each call
/// waits for all of them; when one is lost, it fails on the others.
pub trait Collective: Send + Sync + Debug {
    /// The rank of this process, from 0.
    fn rank(&self) -> usize;

    /// The number of ranks.
    fn world_size(&self) -> usize;

    /// Replaces the values by their sum over all ranks: the same bits on every rank.
    ///
    /// # Errors
    /// A rank that is lost or has ended.
    fn all_reduce_sum(&self, values: &mut [f32]) -> Result<()>;

    /// The bytes of each rank, in order; equally many from all.
    ///
    /// # Errors
    /// See [`Collective::all_reduce_sum`].
    fn all_gather(&self, mine: &[u8]) -> Result<Vec<Vec<u8>>>;

    /// Replaces the values by those of rank `root`.
    ///
    /// # Errors
    /// See [`Collective::all_reduce_sum`].
    fn broadcast(&self, values: &mut [f32], root: usize) -> Result<()>;

    /// Waits until all ranks have called it.
    ///
    /// # Errors
    /// See [`Collective::all_reduce_sum`].
    fn barrier(&self) -> Result<()> {
        self.all_gather(&[0]).map(drop)
    }

    /// The sum of flat f32 tensors over all ranks; through the CPU unless the engine can do better.
    ///
    /// # Errors
    /// See [`Collective::all_reduce_sum`].
    fn sum_tensor(&self, flat: Tensor) -> Result<Tensor> {
        let mut values = flat.to_vec1::<f32>()?;
        self.all_reduce_sum(&mut values)?;
        Ok(Tensor::from_vec(values, flat.shape(), flat.device())?)
    }
}
