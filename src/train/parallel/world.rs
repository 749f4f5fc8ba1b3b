//! Which rank this process is, and of how many: read from the environment, as launchers leave it there.
//!
//! | launcher | rank | ranks | on its machine | where rank 0 waits |
//! |---|---|---|---|---|
//! | torchrun, Kubernetes | `RANK` | `WORLD_SIZE` | `LOCAL_RANK`, `LOCAL_WORLD_SIZE` | `MASTER_ADDR`, `MASTER_PORT` |
//! | Open MPI's `mpirun` | `OMPI_COMM_WORLD_RANK` | `…_SIZE` | `…_LOCAL_RANK`, `…_LOCAL_SIZE` | this machine |
//! | MPICH, Intel MPI | `PMI_RANK` | `PMI_SIZE` | `MPI_LOCALRANKID`, `MPI_LOCALNRANKS` | this machine |
//! | Slurm's `srun` | `SLURM_PROCID` | `SLURM_STEP_NUM_TASKS` | `SLURM_LOCALID`, `SLURM_NTASKS_PER_NODE` | first of `SLURM_STEP_NODELIST` |
//!
//! `MASTER_ADDR` and `MASTER_PORT` go before what is in the last column. torchrun keeps a store of its own at
//! `MASTER_PORT`, so under it rank 0 waits at the next port; `ETUDE_MASTER_PORT` names another.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::error::{Error, Result};

/// The first port of those derived from a job number.
const FIRST_PORT: u64 = 15_000;
/// The number of ports.
const PORTS: u64 = 10_000;

/// A process among others that train together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct World {
    /// From 0.
    pub rank: usize,
    /// The number of ranks.
    pub size: usize,
    /// Its rank on its machine, from 0: the number of its GPU.
    pub local_rank: usize,
    /// The number of ranks on its machine.
    pub local_size: usize,
    /// The launcher: "torchrun", "mpirun", "mpich", "srun".
    pub launcher: &'static str,
    /// The address of rank 0: host and port.
    pub meeting: Option<(String, u16)>,
    /// Distinguishes this job from others that may connect to the same port.
    pub job: u64,
}

/// A look-up of an environment variable.
type Look<'a> = &'a dyn Fn(&str) -> Option<String>;

impl World {
    /// Reads the environment; `None` for a process that was started alone.
    ///
    /// # Errors
    /// Invalid numbers, a rank beyond the ranks, an incomplete environment.
    pub fn from_env() -> Result<Option<Self>> {
        Self::read(&|name| std::env::var(name).ok().filter(|value| !value.trim().is_empty()))
    }

    fn read(look: Look<'_>) -> Result<Option<Self>> {
        let Some(names) = RankVariables::found(look)? else { return Ok(None) };
        let size = number(look, names.size)?.unwrap_or(1);
        let rank = number(look, names.rank)?.unwrap_or(0);
        if rank >= size {
            return Err(Error::mistake(format!("{} is {rank}, but {} is {size}", names.rank, names.size))
                .with_hint(format!("ranks go from 0 to {}", size.saturating_sub(1))));
        }
        if size == 1 {
            return Ok(None);
        }
        let local_size = number(look, names.local_size)?.unwrap_or(1).clamp(1, size);
        let local_rank = number(look, names.local_rank)?.unwrap_or(0);
        let job = job(look);
        let meeting = meeting(look, &names, job, local_size == size)?;
        Ok(Some(Self { rank, size, local_rank, local_size, launcher: names.launcher, meeting, job }))
    }
}

/// The environment variables of one launcher.
#[derive(Debug, Clone, Copy)]
struct RankVariables {
    launcher: &'static str,
    rank: &'static str,
    size: &'static str,
    local_rank: &'static str,
    local_size: &'static str,
}

const ALL: [RankVariables; 4] = [
    RankVariables {
        launcher: "torchrun",
        rank: "RANK",
        size: "WORLD_SIZE",
        local_rank: "LOCAL_RANK",
        local_size: "LOCAL_WORLD_SIZE",
    },
    RankVariables {
        launcher: "mpirun",
        rank: "OMPI_COMM_WORLD_RANK",
        size: "OMPI_COMM_WORLD_SIZE",
        local_rank: "OMPI_COMM_WORLD_LOCAL_RANK",
        local_size: "OMPI_COMM_WORLD_LOCAL_SIZE",
    },
    // A batch script has SLURM_PROCID, too, though it is not a rank: only a step of srun has the number of its tasks.
    RankVariables {
        launcher: "srun",
        rank: "SLURM_PROCID",
        size: "SLURM_STEP_NUM_TASKS",
        local_rank: "SLURM_LOCALID",
        local_size: "SLURM_NTASKS_PER_NODE",
    },
    RankVariables {
        launcher: "mpich",
        rank: "PMI_RANK",
        size: "PMI_SIZE",
        local_rank: "MPI_LOCALRANKID",
        local_size: "MPI_LOCALNRANKS",
    },
];

impl RankVariables {
    /// The world of the launcher that is present.
    fn found(look: Look<'_>) -> Result<Option<Self>> {
        if let (Some(_), None) = (look("WORLD_SIZE"), look("RANK"))
            && number(look, "WORLD_SIZE")? != Some(1)
            && !ALL[1..].iter().any(|names| look(names.rank).is_some())
        {
            return Err(Error::mistake("WORLD_SIZE is set, but RANK is not")
                .with_hint("start the ranks with torchrun, mpirun or srun; to train alone, unset WORLD_SIZE"));
        }
        Ok(ALL.into_iter().find(|names| look(names.rank).is_some() && look(names.size).is_some()))
    }
}

fn number(look: Look<'_>, name: &str) -> Result<Option<usize>> {
    let Some(text) = look(name) else { return Ok(None) };
    let digits: String = text.trim().chars().take_while(char::is_ascii_digit).collect(); // Slurm: "4(x2)"
    match digits.parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(Error::mistake(format!("{name} is '{text}', no number"))
            .with_hint("launchers set it; unset it to train alone")),
    }
}

/// The address of rank 0.
fn meeting(look: Look<'_>, names: &RankVariables, job: u64, one_machine: bool) -> Result<Option<(String, u16)>> {
    let wanted = |name: &str| -> Result<Option<u16>> {
        let Some(port) = number(look, name)? else { return Ok(None) };
        let port = u16::try_from(port).ok().filter(|&port| port > 0);
        port.map(Some).ok_or_else(|| Error::mistake(format!("{name} is {}, no port", look(name).unwrap_or_default())))
    };
    let derived = (FIRST_PORT + job % PORTS) as u16;
    let port = match (wanted("ETUDE_MASTER_PORT")?, wanted("MASTER_PORT")?) {
        (Some(port), _) => port,
        // torchrun listens there itself.
        (None, Some(port)) if look("TORCHELASTIC_RUN_ID").is_some() => port.checked_add(1).unwrap_or(FIRST_PORT as u16),
        (None, Some(port)) => port,
        (None, None) => derived,
    };
    if let Some(host) = look("MASTER_ADDR") {
        return Ok(Some((host, port)));
    }
    match names.launcher {
        "torchrun" => Err(Error::mistake("RANK and WORLD_SIZE are set, but MASTER_ADDR is not")
            .with_hint("set MASTER_ADDR to the host of rank 0, and MASTER_PORT; or unset RANK to train alone")),
        "srun" => {
            let list = look("SLURM_STEP_NODELIST").or_else(|| look("SLURM_JOB_NODELIST"));
            Ok(list.as_deref().and_then(first_host).map(|host| (host, port)))
        }
        _ => Ok(one_machine.then(|| ("127.0.0.1".into(), port))),
    }
}

/// The first name of a list of Slurm's: "node[03-07,12],other" is node03.
fn first_host(list: &str) -> Option<String> {
    let end = list.find([',', '[']).unwrap_or(list.len());
    let name = &list[..end];
    let Some(inside) = list[end..].strip_prefix('[') else {
        return (!name.is_empty()).then(|| name.to_string());
    };
    let first = inside.split([',', '-', ']']).next()?;
    let behind = inside.split_once(']')?.1.split([',', '[']).next().unwrap_or_default();
    Some(format!("{name}{first}{behind}"))
}

/// A number that the ranks of one job share and other jobs hardly have.
fn job(look: Look<'_>) -> u64 {
    const SAID: [&str; 8] = [
        "ETUDE_JOB",
        "TORCHELASTIC_RUN_ID",
        "TORCHELASTIC_RESTART_COUNT",
        "PMIX_NAMESPACE",
        "OMPI_MCA_ess_base_jobid",
        "SLURM_JOB_ID",
        "SLURM_STEP_ID",
        "MASTER_PORT",
    ];
    let mut hasher = DefaultHasher::new();
    SAID.map(look).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(set: &[(&str, &str)]) -> Result<Option<World>> {
        World::read(&|name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string()))
    }

    #[test]
    fn every_launcher_is_understood() {
        let torch = [
            ("RANK", "3"),
            ("WORLD_SIZE", "8"),
            ("LOCAL_RANK", "1"),
            ("LOCAL_WORLD_SIZE", "2"),
            ("MASTER_ADDR", "head"),
            ("MASTER_PORT", "29500"),
        ];
        let read = world(&torch).expect("whole").expect("a rank");
        assert_eq!((read.rank, read.size, read.local_rank, read.local_size), (3, 8, 1, 2));
        assert_eq!(read.meeting, Some(("head".into(), 29500)), "as Kubernetes has it");
        let elastic = world(&[&torch[..], &[("TORCHELASTIC_RUN_ID", "none")]].concat()).expect("whole");
        assert_eq!(elastic.expect("a rank").meeting, Some(("head".into(), 29501)), "torchrun has 29500 itself");

        let mpi = [
            ("OMPI_COMM_WORLD_RANK", "1"),
            ("OMPI_COMM_WORLD_SIZE", "2"),
            ("OMPI_COMM_WORLD_LOCAL_RANK", "1"),
            ("OMPI_COMM_WORLD_LOCAL_SIZE", "2"),
            ("PMIX_NAMESPACE", "77"),
        ];
        let read = world(&mpi).expect("whole").expect("a rank");
        assert_eq!((read.launcher, read.rank, read.size, read.local_rank), ("mpirun", 1, 2, 1));
        let (host, port) = read.meeting.expect("one machine");
        assert!(host == "127.0.0.1" && (15_000..25_000).contains(&port), "{port}");

        let slurm = [
            ("SLURM_PROCID", "5"),
            ("SLURM_STEP_NUM_TASKS", "8"),
            ("SLURM_LOCALID", "1"),
            ("SLURM_NTASKS_PER_NODE", "4"),
            ("SLURM_STEP_NODELIST", "gpu[07-08]"),
            ("SLURM_JOB_ID", "123456"),
        ];
        let read = world(&slurm).expect("whole").expect("a rank");
        assert_eq!((read.launcher, read.rank, read.local_size), ("srun", 5, 4));
        assert_eq!(read.meeting.expect("a list").0, "gpu07");
    }

    #[test]
    fn a_process_alone_is_no_rank() {
        assert_eq!(world(&[]).expect("nothing is set"), None);
        assert_eq!(world(&[("RANK", "0"), ("WORLD_SIZE", "1")]).expect("whole"), None);
        // A batch script, outside of srun.
        assert_eq!(world(&[("SLURM_PROCID", "0"), ("SLURM_NTASKS", "4")]).expect("whole"), None);
    }

    #[test]
    fn half_an_environment_is_refused_with_its_remedy() {
        for (set, word) in [
            (&[("WORLD_SIZE", "2")][..], "RANK is not"),
            (&[("RANK", "2"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "a")], "RANK is 2"),
            (&[("RANK", "x"), ("WORLD_SIZE", "2")], "RANK is 'x'"),
            (&[("RANK", "0"), ("WORLD_SIZE", "2")], "MASTER_ADDR is not"),
            (&[("RANK", "0"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "a"), ("MASTER_PORT", "70000")], "no port"),
        ] {
            let error = world(set).expect_err(word);
            assert!(error.message().contains(word), "{error}");
        }
    }

    #[test]
    fn the_first_host_of_a_list_of_slurm() {
        for (list, first) in [
            ("a1", "a1"),
            ("a1,a2", "a1"),
            ("node[03-07,12],other", "node03"),
            ("n[1]-ib", "n1-ib"),
            ("rack2-[10,11]", "rack2-10"),
        ] {
            assert_eq!(first_host(list).as_deref(), Some(first), "{list}");
        }
        assert_eq!(first_host(""), None);
    }
}
