//! Writes a track chunk: events sorted by tick, with running status.

use crate::midi::Message;

/// The longest delta time of one event.
const LONGEST_WAIT: u32 = (1 << 28) - 1;

/// The order of events at one tick.
pub(super) mod rank {
    pub(in crate::midi::write) const NOTE_OFF: u8 = 1;
    pub(in crate::midi::write) const PEDAL_UP: u8 = 2;
    pub(in crate::midi::write) const EVENT: u8 = 3;
    pub(in crate::midi::write) const PROGRAM: u8 = 4;
    pub(in crate::midi::write) const PEDAL_DOWN: u8 = 5;
    pub(in crate::midi::write) const NOTE_ON: u8 = 6;
    /// Name and port.
    pub(super) const HEAD: u8 = 0;
}

/// The bytes of one event after its delta time.
#[derive(Debug, Clone, Copy)]
enum Body<'a> {
    Channel([u8; 3]),
    /// A meta event of at most four bytes: type, bytes, length.
    Small(u8, [u8; 4], u8),
    Meta(u8, &'a [u8]),
    /// `F0` or `F7`.
    System(u8, &'a [u8]),
}

/// The events of a track.
#[derive(Debug, Default)]
pub(super) struct ChunkWriter<'a> {
    events: Vec<(u32, u8, Body<'a>)>,
    /// The tick at which the track ends, if that is after its last event.
    end: u32,
}

impl<'a> ChunkWriter<'a> {
    pub(super) fn with_room(events: usize) -> Self {
        Self { events: Vec::with_capacity(events), end: 0 }
    }

    pub(super) fn channel(&mut self, tick: u32, rank: u8, bytes: [u8; 3]) {
        self.events.push((tick, rank, Body::Channel(bytes)));
    }

    /// Adds a meta event of at most four bytes.
    pub(super) fn meta(&mut self, tick: u32, kind: u8, data: &[u8]) {
        let mut bytes = [0; 4];
        let length = data.len().min(4);
        bytes[..length].copy_from_slice(&data[..length]);
        self.events.push((tick, rank::EVENT, Body::Small(kind, bytes, length as u8)));
    }

    pub(super) fn text(&mut self, tick: u32, kind: u8, data: &'a [u8]) {
        self.events.push((tick, rank::EVENT, Body::Meta(kind, data)));
    }

    /// Adds a text at the beginning of the chunk.
    pub(super) fn head(&mut self, kind: u8, data: &'a [u8]) {
        self.events.push((0, rank::HEAD, Body::Meta(kind, data)));
    }

    /// Sets the end of the track to at least this tick.
    pub(super) fn until(&mut self, tick: u32) {
        self.end = tick;
    }

    /// Sets the port of the events that follow.
    pub(super) fn port(&mut self, port: u8) {
        self.events.push((0, rank::HEAD, Body::Small(0x21, [port, 0, 0, 0], 1)));
    }

    pub(super) fn event(&mut self, tick: u32, message: &'a Message, channel: u8) {
        let body = match message {
            Message::Meta { kind, data } => Body::Meta(*kind, data),
            Message::SysEx(data) => Body::System(0xf0, data),
            Message::Escape(data) => Body::System(0xf7, data),
            _ => match message.channel_bytes() {
                Some(([status, a, b], _)) => Body::Channel([status | channel.min(15), a, b]),
                None => return,
            },
        };
        self.events.push((tick, rank::EVENT, body));
    }

    /// Appends the chunk; a delta time too long for one event is filled with empty texts.
    pub(super) fn write(mut self, bytes: &mut Vec<u8>) {
        self.events.sort_by_key(|&(tick, rank, _)| (tick, rank));
        bytes.extend(b"MTrk\0\0\0\0");
        let begin = bytes.len();
        let (mut now, mut running) = (0, 0);
        for (tick, _, body) in self.events {
            if wait(bytes, tick - now) {
                running = 0;
            }
            now = tick;
            match body {
                Body::Channel([status, a, b]) => {
                    if status != running {
                        bytes.push(status);
                        running = status;
                    }
                    bytes.push(a);
                    if !matches!(status & 0xf0, 0xc0 | 0xd0) {
                        bytes.push(b);
                    }
                    continue;
                }
                Body::Small(kind, data, length) => {
                    bytes.extend([0xff, kind, length]);
                    bytes.extend(&data[..usize::from(length)]);
                }
                Body::Meta(kind, data) => {
                    bytes.extend([0xff, kind]);
                    sized(bytes, data);
                }
                Body::System(status, data) => {
                    bytes.push(status);
                    sized(bytes, data);
                }
            }
            // A meta event or a system exclusive message ends running status.
            running = 0;
        }
        wait(bytes, self.end.saturating_sub(now));
        bytes.extend([0xff, 0x2f, 0]);
        let length = (bytes.len() - begin) as u32;
        bytes[begin - 4..begin].copy_from_slice(&length.to_be_bytes());
    }
}

/// Writes a delta time; true where it is too long for one event, so that empty texts are put in between.
fn wait(bytes: &mut Vec<u8>, mut ticks: u32) -> bool {
    let long = ticks > LONGEST_WAIT;
    while ticks > LONGEST_WAIT {
        ticks -= LONGEST_WAIT;
        number(bytes, LONGEST_WAIT);
        bytes.extend([0xff, 0x01, 0]);
    }
    number(bytes, ticks);
    long
}

fn sized(bytes: &mut Vec<u8>, data: &[u8]) {
    let data = &data[..data.len().min(LONGEST_WAIT as usize)];
    number(bytes, data.len() as u32);
    bytes.extend(data);
}

/// A variable-length number: seven bits a byte, the last without its top bit.
fn number(bytes: &mut Vec<u8>, value: u32) {
    let groups = (32 - value.leading_zeros()).div_ceil(7).max(1);
    for group in (0..groups).rev() {
        let more = if group > 0 { 0x80 } else { 0 };
        bytes.push((value >> (7 * group) & 0x7f) as u8 | more);
    }
}
