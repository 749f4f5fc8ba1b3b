//! Rendezvous of ranks: rank 0 listens at a known address, the others connect, and all learn the addresses of all.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::World;
use super::wire::{frame, patience, prepare, read_frame, write};
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;

/// The polling interval.
const PAUSE: Duration = Duration::from_millis(20);
/// Ticks within which a new connection must identify itself.
const POLITE: u32 = 50;

const HELLO: u8 = b'h';
const WELCOME: u8 = b'w';
const REFUSED: u8 = b'r';

/// The identification of a connecting rank.
#[derive(Debug, Serialize, Deserialize)]
struct Hello {
    job: u64,
    rank: usize,
    size: usize,
    /// The port where it listens itself.
    port: u16,
    version: String,
}

/// The connected ranks.
#[derive(Debug)]
pub(super) struct Peers {
    /// On rank 0 the streams to ranks 1, 2, …; on the others the one to rank 0.
    pub(super) links: Vec<TcpStream>,
    /// The address of each rank.
    pub(super) addresses: Vec<SocketAddr>,
    /// The listener of this rank.
    pub(super) listener: TcpListener,
}

/// Connects to the other ranks, within `limit` from now.
///
/// # Errors
/// Ranks that do not come, a port that is taken, a rank of another program or twice the same one; `interrupted`, when the user cancels.
pub(super) fn rendezvous(world: &World, limit: Duration, interrupt: &Interrupt) -> Result<Peers> {
    let Some((host, port)) = &world.meeting else {
        return Err(Error::mistake(format!("{} does not say where rank 0 is", world.launcher)).with_hint(
            "set MASTER_ADDR to its host and MASTER_PORT to a free port there; or build with --features mpi",
        ));
    };
    let deadline = Deadline { at: Instant::now() + limit, limit, interrupt };
    if world.rank == 0 { wait(world, host, *port, &deadline) } else { come(world, host, *port, &deadline) }
}

struct Deadline<'a> {
    at: Instant,
    limit: Duration,
    interrupt: &'a Interrupt,
}

impl Deadline<'_> {
    /// Waits a polling interval; false once the time is over.
    fn pause(&self) -> Result<bool> {
        self.interrupt.check()?;
        std::thread::sleep(PAUSE);
        Ok(Instant::now() < self.at)
    }
}

fn resolve(host: &str, port: u16) -> io::Result<SocketAddr> {
    // Where a name has both kinds of addresses, IPv4 works on both sides.
    let mut all: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    all.sort_by_key(SocketAddr::is_ipv6);
    all.into_iter().next().ok_or_else(|| ErrorKind::NotFound.into())
}

/// A listener on the interfaces through which `towards` is reached: the loopback only for the loopback.
fn listen(towards: IpAddr, port: u16) -> io::Result<TcpListener> {
    let ip = match towards {
        ip if ip.is_loopback() => ip,
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    TcpListener::bind((ip, port))
}

/// Rank 0: listens and waits for all.
fn wait(world: &World, host: &str, port: u16, deadline: &Deadline<'_>) -> Result<Peers> {
    let place = format!("{host}:{port}");
    let taken = |e: io::Error| {
        Error::io("rank 0 cannot wait at", &place, e).with_hint(
            "another run may have the port: set MASTER_PORT (under torchrun ETUDE_MASTER_PORT) to a free one",
        )
    };
    let own = resolve(host, port).map_err(taken)?;
    let door = listen(own.ip(), port).map_err(taken)?;
    let listener = listen(own.ip(), 0).map_err(taken)?;
    door.set_nonblocking(true).map_err(taken)?;
    let mut came: Vec<Option<(TcpStream, IpAddr, u16)>> = (1..world.size).map(|_| None).collect();
    while came.iter().any(Option::is_none) {
        match door.accept() {
            Ok((stream, from)) => receive(world, stream, from.ip().to_canonical(), &mut came)?,
            Err(_) if deadline.pause()? => {}
            Err(_) => {
                let missing: Vec<String> =
                    (1..world.size).filter(|r| came[r - 1].is_none()).map(|r| r.to_string()).collect();
                return Err(Error::mistake(format!(
                    "rank 0 waited {} s at {place}, but rank {} did not come",
                    deadline.limit.as_secs(),
                    missing.join(", ")
                ))
                .with_hint(
                    "are all ranks started, with the same MASTER_ADDR and MASTER_PORT? to train alone, unset RANK",
                ));
            }
        }
    }
    let mut table: Vec<(Option<IpAddr>, u16)> = vec![(None, listener.local_addr().map_err(taken)?.port())];
    let mut links = Vec::new();
    for (stream, ip, port) in came.into_iter().flatten() {
        // A loopback address is meaningless on other machines: it means the address of rank 0.
        table.push((Some(ip).filter(|ip| !ip.is_loopback()), port));
        links.push(stream);
    }
    let words = serde_json::to_vec(&table).map_err(Error::internal)?;
    for (rank, stream) in links.iter_mut().enumerate() {
        let sent = write(stream, &frame(WELCOME, &words), &mut patience(POLITE));
        sent.map_err(|e| Error::io("cannot answer", format!("rank {}", rank + 1), e))?;
    }
    Ok(Peers { links, addresses: places(&table, own.ip()), listener })
}

/// Handles a connection: accepts a rank, rejects other programs, and ends the wait on a mistake.
fn receive(
    world: &World,
    mut stream: TcpStream,
    ip: IpAddr,
    came: &mut [Option<(TcpStream, IpAddr, u16)>],
) -> Result<()> {
    let received = prepare(&stream).and_then(|()| read_frame(&mut stream, &mut patience(POLITE)));
    let hello = received.ok().filter(|(kind, _)| *kind == HELLO);
    let Some(hello) = hello.and_then(|(_, words)| serde_json::from_slice::<Hello>(&words).ok()) else {
        return Ok(());
    };
    let mut refuse = |why: &str| {
        // It may be gone already.
        let _ = write(&mut stream, &frame(REFUSED, why.as_bytes()), &mut patience(POLITE));
    };
    let version = env!("CARGO_PKG_VERSION");
    if hello.job != world.job {
        refuse("rank 0 there belongs to another run");
        return Ok(());
    }
    let wrong = match hello {
        Hello { version: ref theirs, .. } if theirs != version => {
            Some(format!("rank {} runs etude {theirs}, rank 0 runs {version}", hello.rank))
        }
        Hello { rank, size, .. } if size != world.size || rank == 0 || rank >= size => {
            Some(format!("rank {rank} of {size} came to a run of {} ranks", world.size))
        }
        Hello { rank, .. } if came[rank - 1].is_some() => Some(format!("rank {rank} came twice")),
        _ => None,
    };
    if let Some(wrong) = wrong {
        refuse(&wrong);
        return Err(Error::mistake(wrong).with_hint("every rank needs the same program and a RANK of its own"));
    }
    came[hello.rank - 1] = Some((stream, ip, hello.port));
    Ok(())
}

/// The other ranks: try to connect until rank 0 listens.
fn come(world: &World, host: &str, port: u16, deadline: &Deadline<'_>) -> Result<Peers> {
    let place = format!("{host}:{port}");
    let failed = |e: io::Error| {
        Error::io(&format!("rank {} cannot reach rank 0 at", world.rank), &place, e)
            .with_hint("is rank 0 started, is MASTER_ADDR its host, and does no firewall stand between?")
    };
    loop {
        let knocked = resolve(host, port)
            .and_then(|address| TcpStream::connect_timeout(&address, Duration::from_secs(3)))
            .and_then(|stream| prepare(&stream).map(|()| stream));
        match knocked {
            Ok(stream) => match enter(world, stream, deadline)? {
                Some(met) => return Ok(met),
                // Another program's port, or one that was just closed: rank 0 of this run will come.
                None if deadline.pause()? => {}
                None => return Err(failed(ErrorKind::ConnectionRefused.into())),
            },
            Err(_) if deadline.pause()? => {}
            Err(e) => return Err(failed(e)),
        }
    }
}

/// Identifies this rank and waits until all are connected; `None` when the port belongs to another program.
fn enter(world: &World, mut stream: TcpStream, deadline: &Deadline<'_>) -> Result<Option<Peers>> {
    let Ok(theirs) = stream.peer_addr() else { return Ok(None) };
    let there = theirs.ip().to_canonical();
    let listener = listen(there, 0).map_err(|e| Error::io("cannot listen on", "a free port", e))?;
    let port = listener.local_addr().map_err(|e| Error::io("cannot listen on", "a free port", e))?.port();
    let version = env!("CARGO_PKG_VERSION").to_string();
    let hello = Hello { job: world.job, rank: world.rank, size: world.size, port, version };
    let words = frame(HELLO, &serde_json::to_vec(&hello).map_err(Error::internal)?);
    let mut pulse = |_| match deadline.pause() {
        Ok(true) => Ok(()),
        _ => Err(ErrorKind::TimedOut.into()),
    };
    let answer = write(&mut stream, &words, &mut patience(POLITE)).and_then(|()| read_frame(&mut stream, &mut pulse));
    deadline.interrupt.check()?;
    match answer {
        Ok((WELCOME, words)) => {
            let table: Vec<(Option<IpAddr>, u16)> = serde_json::from_slice(&words).map_err(Error::internal)?;
            Ok(Some(Peers { links: vec![stream], addresses: places(&table, there), listener }))
        }
        Ok((REFUSED, why)) if why.starts_with(b"rank 0 there") => Ok(None),
        Ok((REFUSED, why)) => Err(Error::mistake(String::from_utf8_lossy(&why).into_owned())
            .with_hint("every rank needs the same program and a RANK of its own")),
        _ => Ok(None),
    }
}

/// The address of each rank as seen from here; `first` is that of rank 0.
fn places(table: &[(Option<IpAddr>, u16)], first: IpAddr) -> Vec<SocketAddr> {
    table.iter().map(|(ip, port)| SocketAddr::new(ip.unwrap_or(first), *port)).collect()
}
