//! The state of one track chunk while it is read.

use crate::midi::Event;

use super::pedal::Move;

/// A MIDI port and a channel on it.
pub(super) type Address = (u8, u8);

/// The state of one track chunk.
#[derive(Debug, Default)]
pub(super) struct ChunkState {
    /// The current tick.
    pub(super) tick: u32,
    /// The current port.
    pub(super) port: u8,
    /// True once the chunk has given its port by number: device names are then ignored.
    pub(super) numbered: bool,
    /// The name, where it has one.
    pub(super) name: Option<String>,
    /// The first channel and program that the chunk selects: those of a track without notes.
    pub(super) chosen: Option<(Address, u8)>,
    /// The channels it has used.
    pub(super) slots: Vec<Slot>,
    /// Index of the slot of each channel of the current port, counted from 1; 0 where there is none yet.
    by_channel: [u16; 16],
    /// Meta events and system exclusive messages.
    pub(super) metas: Vec<Event>,
}

/// One channel in a track chunk.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) address: Address,
    /// The program selected by the chunk.
    pub(super) program: Option<u8>,
    /// The track of the current program, once it has a note.
    pub(super) current: Option<usize>,
    /// The track of the last note.
    pub(super) last: Option<usize>,
    /// Program and index of its tracks.
    pub(super) tracks: Vec<(u8, usize)>,
    /// Events to be added to the track of the next note.
    pub(super) events: Vec<Event>,
    /// Pedal events to be added to it.
    pub(super) pedal: Vec<(u32, Move)>,
}

impl ChunkState {
    /// The slot of a channel of the current port.
    #[inline]
    pub(super) fn slot(&mut self, channel: u8) -> &mut Slot {
        let at = usize::from(self.by_channel[usize::from(channel & 15)]);
        if at > 0 { &mut self.slots[at - 1] } else { self.new_slot(channel) }
    }

    #[cold]
    fn new_slot(&mut self, channel: u8) -> &mut Slot {
        let address = (self.port, channel & 15);
        let index = self.slots.iter().position(|s| s.address == address).unwrap_or_else(|| {
            self.slots.push(Slot { address, ..Slot::default() });
            self.slots.len() - 1
        });
        // 256 ports of 16 channels fit 16 bits.
        self.by_channel[usize::from(channel & 15)] = index as u16 + 1;
        &mut self.slots[index]
    }

    /// Sets the port of the channel messages that follow.
    pub(super) fn change_port(&mut self, port: u8) {
        self.port = port;
        self.by_channel = [0; 16];
    }
}
