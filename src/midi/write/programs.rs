//! Assigns tracks to channels, and program changes to tracks.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::midi::{Event, Track};

use super::chunk::rank;
use super::program;

/// The channel of a track and its program changes.
#[derive(Debug, Default)]
pub(super) struct TrackPlan {
    pub(super) port: u8,
    pub(super) channel: u8,
    /// Program changes in addition to those among its events, by tick.
    pub(super) changes: Vec<(u32, u8)>,
}

/// The assignment for all tracks of a score.
#[derive(Debug)]
pub(super) struct Programs {
    parts: Vec<TrackPlan>,
}

impl Programs {
    pub(super) fn plan(tracks: &[Track], events: &[Event], interrupt: &Interrupt) -> Result<Self> {
        let mut parts: Vec<TrackPlan> = spread(tracks, events, interrupt)?
            .into_iter()
            .map(|(port, channel)| TrackPlan { port, channel, changes: Vec::new() })
            .collect();
        for channel in 0..16 {
            interrupt.check()?;
            let here: Vec<usize> = (0..tracks.len()).filter(|&i| parts[i].channel == channel).collect();
            if contested(tracks, events, &here, channel) {
                say_again(tracks, events, &here, &mut parts, channel);
            } else {
                for index in here {
                    let track = &tracks[index];
                    let first = track.notes.first().map_or(u32::MAX, |n| n.start);
                    let has_program = track.events.iter().take_while(|e| e.tick <= first).any(|e| program(e).is_some());
                    // The values that a track without notes reads back with when it has no events.
                    let nothing = track.notes.is_empty() && (track.port, channel, track.program) == (0, 0, 0);
                    if !has_program && !nothing {
                        parts[index].changes.push((0, track.program));
                    }
                }
            }
        }
        Ok(Self { parts })
    }

    pub(super) fn of(&self, index: usize) -> &TrackPlan {
        &self.parts[index]
    }
}

/// True when a channel is used with several programs.
fn contested(tracks: &[Track], events: &[Event], here: &[usize], channel: u8) -> bool {
    let own = here.iter().flat_map(|&i| tracks[i].events.iter().filter_map(program).chain([tracks[i].program]));
    let loose = events.iter().filter(|e| e.channel == channel).filter_map(program);
    let mut programs = own.chain(loose);
    programs.next().is_some_and(|first| programs.any(|p| p != first))
}

/// The program in force where a note begins: in its track, on its port, on its channel on any port.
#[derive(Debug, Default)]
struct InForce {
    tracks: HashMap<usize, u8>,
    ports: HashMap<u8, u8>,
    channel: Option<u8>,
}

impl InForce {
    fn set(&mut self, track: usize, port: u8, program: u8) {
        self.tracks.insert(track, program);
        self.ports.insert(port, program);
        self.channel = Some(program);
    }

    fn is(&self, track: usize, port: u8, program: u8) -> bool {
        self.tracks.get(&track) == Some(&program)
            && self.ports.get(&port) == Some(&program)
            && self.channel == Some(program)
    }
}

/// Goes through the tracks of a channel in time, and adds a program change wherever another program is in force.
fn say_again(tracks: &[Track], events: &[Event], here: &[usize], parts: &mut [TrackPlan], channel: u8) {
    // Tick, chunk (the conductor is the first), rank, port, and the program that is set or, for notes, needed.
    let mut moments: Vec<(u32, usize, u8, u8, u8)> = Vec::new();
    let program_event = |e: &Event, chunk, port| program(e).map(|p| (e.tick, chunk, rank::EVENT, port, p));
    moments.extend(events.iter().filter(|e| e.channel == channel).filter_map(|e| program_event(e, 0, e.port)));
    for &index in here {
        let (track, chunk, port) = (&tracks[index], index + 1, parts[index].port);
        moments.extend(track.events.iter().filter_map(|e| program_event(e, chunk, port)));
        moments.extend(track.notes.iter().map(|n| (n.start, chunk, rank::NOTE_ON, port, track.program)));
        if track.notes.is_empty() {
            moments.push((0, chunk, rank::NOTE_ON, port, track.program));
        }
    }
    moments.sort_by_key(|m| (m.0, m.1, m.2));
    let mut in_force = InForce::default();
    for (tick, chunk, moment, port, program) in moments {
        let explicit = moment == rank::EVENT;
        if !explicit && !in_force.is(chunk, port, program) {
            parts[chunk - 1].changes.push((tick, program));
        }
        in_force.set(chunk, port, program);
    }
}

/// Port and channel of each track: its own, unless another program holds one of its keys there meanwhile.
fn spread(tracks: &[Track], events: &[Event], interrupt: &Interrupt) -> Result<Vec<(u8, u8)>> {
    let mut addresses: Vec<(u8, u8)> = tracks.iter().map(|t| (t.port, t.channel.min(15))).collect();
    let mut shared: BTreeMap<(u8, u8), Vec<usize>> = BTreeMap::new();
    for (index, track) in tracks.iter().enumerate().filter(|(_, t)| !t.notes.is_empty() && !t.is_drums()) {
        shared.entry((track.port, track.channel.min(15))).or_default().push(index);
    }
    shared.retain(|_, here| here.iter().any(|&i| tracks[i].program != tracks[here[0]].program));
    if shared.is_empty() {
        return Ok(addresses);
    }
    let loose = events.iter().filter(|e| e.message.is_channel()).map(|e| (e.port, e.channel));
    let mut taken: BTreeSet<(u8, u8)> = addresses.iter().copied().chain(loose).collect();
    for here in shared.into_values() {
        for index in colliding(tracks, &here, interrupt)? {
            let port = tracks[index].port;
            let all = (port..=u8::MAX).flat_map(|port| (0..16).map(move |channel| (port, channel)));
            let free = all.filter(|a| a.1 != Track::DRUMS).find(|a| !taken.contains(a));
            if let Some(address) = free {
                taken.insert(address);
                addresses[index] = address;
            }
        }
    }
    Ok(addresses)
}

/// Of tracks that share a channel, those that hold a key while an earlier track of another program holds it.
fn colliding(tracks: &[Track], here: &[usize], interrupt: &Interrupt) -> Result<BTreeSet<usize>> {
    let mut notes: Vec<(u8, u32, u32, usize)> = Vec::new();
    for &index in here {
        notes.extend(tracks[index].notes.iter().map(|n| (n.pitch, n.start, n.end, index)));
    }
    interrupt.check()?;
    notes.sort_unstable();
    let mut out = BTreeSet::new();
    for key in notes.chunk_by(|a, b| a.0 == b.0) {
        // The tick until which each program holds the key, and the track that holds it.
        let mut held: BTreeMap<u8, (u32, usize)> = BTreeMap::new();
        interrupt.check()?;
        for &(_, start, end, index) in key {
            if out.contains(&index) {
                continue;
            }
            let program = tracks[index].program;
            let other = held.iter().find(|(p, (until, i))| **p != program && start < *until && !out.contains(i));
            if let Some((_, &(_, other))) = other {
                out.insert(index.max(other));
            }
            let longest = held.entry(program).or_insert((end, index));
            *longest = (*longest).max((end, index));
        }
    }
    Ok(out)
}
