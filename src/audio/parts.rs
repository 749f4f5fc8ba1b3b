//! Distributes the notes and controllers of a score over the channels of as many synthesizers as it needs.
//!
//! A synthesizer has sixteen channels, of which the tenth is for drums, and a note-off ends all notes of that key on a
//! channel. So every track gets a channel of its own, and a second one where notes of one pitch overlap in it.

use std::collections::BTreeMap;

use super::Font;
use crate::error::Result;
use crate::midi::{Clock, Event as Kept, Message, Note, Score, Track};
use crate::progress::Progress;

/// Channel of drums (General MIDI), and all others.
pub(super) const DRUM_CHANNEL: u8 = 9;
const CHANNELS: [u8; 15] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15];
/// The most notes of one pitch that sound together in a track; one more ends the longest-sounding.
const OVERLAPS: usize = 4;
/// The most synthesizers of one SoundFont; further tracks share their channels.
const SYNTHESIZERS: usize = 16;
/// Events that are sorted, or notes that are distributed, between two checks for cancellation.
const SORTED_AT_ONCE: usize = 1 << 15;

/// MIDI commands and controllers.
pub(super) const NOTE_ON: u8 = 0x90;
const NOTE_OFF: u8 = 0x80;
const CONTROL: u8 = 0xb0;
const BEND: u8 = 0xe0;
const PEDAL: u8 = 64;

/// A MIDI event for one synthesizer, with its time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct AudioEvent {
    pub(super) seconds: f64,
    /// The order of events at the same time: ends before beginnings.
    rank: u8,
    /// The channels it applies to, one bit each.
    pub(super) channels: u16,
    /// The program with which a note is played.
    pub(super) program: u8,
    pub(super) message: [u8; 3],
}

/// The events of one synthesizer, sorted by time.
#[derive(Debug, Default)]
pub(super) struct SynthPart {
    /// Index of the instruments in the font.
    pub(super) font: usize,
    pub(super) events: Vec<AudioEvent>,
}

/// Port and channel in the score.
type PortChannel = (u8, u8);

/// Assigns channels.
#[derive(Debug, Default)]
struct ChannelAllocator {
    parts: Vec<SynthPart>,
    /// For each SoundFont file: its synthesizers, and how many of their channels are in use, pitched and drums.
    fonts: BTreeMap<usize, (Vec<usize>, usize, usize)>,
    /// The channels of each synthesizer that play a port and channel of the score.
    addresses: BTreeMap<(PortChannel, usize), u16>,
}

impl ChannelAllocator {
    /// A free channel with these instruments: the index of the synthesizer, and the bit of the channel.
    fn channel(&mut self, font: usize, drums: bool) -> (usize, u16) {
        let (synthesizers, pitched, kits) = self.fonts.entry(font).or_default();
        let (count, size) = if drums { (kits, 1) } else { (pitched, CHANNELS.len()) };
        let (place, number) = (*count / size % SYNTHESIZERS, *count % size);
        *count += 1;
        if place == synthesizers.len() {
            synthesizers.push(self.parts.len());
            self.parts.push(SynthPart { font, events: Vec::new() });
        }
        (synthesizers[place], 1 << if drums { DRUM_CHANNEL } else { CHANNELS[number] })
    }
}

/// Distributes a score over synthesizers.
///
/// # Errors
/// `interrupted`, when the user cancels.
pub(super) fn parts(score: &Score, font: &Font, progress: &Progress) -> Result<Vec<SynthPart>> {
    let clock = Clock::new(score);
    let mut allocator = ChannelAllocator::default();
    for track in score.tracks.iter().filter(|t| !t.notes.is_empty()) {
        progress.check()?;
        let drums = track.channel == DRUM_CHANNEL;
        let Some((font, program)) = font.instrument(track.program, drums) else { continue };
        let program = program.clamp(0, 127) as u8;
        let lanes = if drums { vec![track.notes.clone()] } else { lanes(&track.notes, progress)? };
        for notes in lanes {
            let (index, channels) = allocator.channel(font, drums);
            *allocator.addresses.entry(((track.port, track.channel), index)).or_default() |= channels;
            let event =
                |tick, rank, message| AudioEvent { seconds: clock.seconds(tick), rank, channels, program, message };
            let events = &mut allocator.parts[index].events;
            for note in notes {
                events.push(event(note.start, 4, [NOTE_ON, note.pitch, note.velocity]));
                events.push(event(note.end, 0, [NOTE_OFF, note.pitch, 0]));
            }
            for pedal in &track.pedals {
                events.push(event(pedal.end, 1, [CONTROL, PEDAL, 0]));
                events.push(event(pedal.start, 3, [CONTROL, PEDAL, 127]));
            }
        }
    }
    controllers(score, &clock, &mut allocator, progress)?;
    for part in &mut allocator.parts {
        sort(&mut part.events, progress)?;
    }
    Ok(allocator.parts)
}

/// Sorts events by time, then rank, in pieces of bounded size between checks for cancellation: merging sorted halves
/// costs no more than the sort of the whole.
fn sort(events: &mut [AudioEvent], progress: &Progress) -> Result<()> {
    let mut piece = SORTED_AT_ONCE;
    loop {
        for part in events.chunks_mut(piece) {
            progress.check()?;
            part.sort_by(|a, b| a.seconds.total_cmp(&b.seconds).then(a.rank.cmp(&b.rank)));
        }
        if piece >= events.len() {
            return Ok(());
        }
        piece *= 2;
    }
}

/// Adds controllers and pitch bends; those of one track apply to all tracks on its channel.
fn controllers(score: &Score, clock: &Clock, allocator: &mut ChannelAllocator, progress: &Progress) -> Result<()> {
    let own = |t: &Track, e: &Kept| ((t.port, t.channel), e.tick, bytes(&e.message));
    let loose = score.events.iter().map(|e| ((e.port, e.channel), e.tick, bytes(&e.message)));
    let all = loose.chain(score.tracks.iter().flat_map(|t| t.events.iter().map(move |e| own(t, e))));
    for (count, (address, tick, message)) in all.enumerate() {
        if count % 4096 == 0 {
            progress.check()?;
        }
        let Some(message) = message else { continue };
        let seconds = clock.seconds(tick);
        for (&(_, index), &channels) in allocator.addresses.range((address, 0)..=(address, usize::MAX)) {
            allocator.parts[index].events.push(AudioEvent { seconds, rank: 2, channels, program: 0, message });
        }
    }
    Ok(())
}

/// The MIDI bytes of an event for a synthesizer; `None` for events that it does not need: the program is sent with each
/// note, bank and pedal with the track, and note-offs come from the notes.
fn bytes(message: &Message) -> Option<[u8; 3]> {
    match *message {
        Message::Controller { number: 0 | 32 | PEDAL | 122.., .. } => None,
        Message::Controller { number, value } => Some([CONTROL, number, value]),
        Message::Bend(bend) => {
            let raw = (bend.clamp(-8192, 8191) + 8192) as u16;
            Some([BEND, (raw & 127) as u8, (raw >> 7) as u8])
        }
        _ => None,
    }
}

/// Distributes notes, sorted by start, over as few lanes as keep notes of one pitch from overlapping in a lane.
fn lanes(notes: &[Note], progress: &Progress) -> Result<Vec<Vec<Note>>> {
    let mut lanes: Vec<Vec<Note>> = vec![Vec::with_capacity(notes.len())];
    // The tick until which each pitch sounds in each lane.
    let mut busy: Vec<[u32; 128]> = vec![[0; 128]];
    for (count, note) in notes.iter().enumerate() {
        if count % SORTED_AT_ONCE == 0 {
            progress.check()?;
        }
        let pitch = usize::from(note.pitch & 127);
        let free = busy.iter().position(|lane| lane[pitch] <= note.start);
        let lane = match free {
            Some(lane) => lane,
            None if busy.len() < OVERLAPS => {
                lanes.push(Vec::new());
                busy.push([0; 128]);
                busy.len() - 1
            }
            None => (0..busy.len()).min_by_key(|&lane| busy[lane][pitch]).unwrap_or(0),
        };
        busy[lane][pitch] = note.end;
        lanes[lane].push(*note);
    }
    Ok(lanes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::midi::Pedal;

    fn note(start: u32, end: u32, pitch: u8) -> Note {
        Note { start, pitch, end, velocity: 80 }
    }

    fn played(score: &Score) -> Vec<SynthPart> {
        parts(score, &Font::built_in().expect("the built-in font"), &Progress::silent()).expect("nobody stops it")
    }

    #[test]
    fn notes_of_one_pitch_that_overlap_get_a_channel_each() {
        let spans = |lane: &Vec<Note>| lane.iter().map(|n| (n.start, n.end)).collect::<Vec<_>>();
        let notes = [note(0, 10, 60), note(0, 20, 64), note(5, 30, 60), note(10, 12, 60), note(11, 40, 60)];
        let split: Vec<_> = lanes(&notes, &Progress::silent()).expect("nobody stops it").iter().map(spans).collect();
        assert_eq!(split, [vec![(0, 10), (0, 20), (10, 12)], vec![(5, 30)], vec![(11, 40)]]);
        let many: Vec<Note> = (0..50).map(|i| note(i, 1000, 60)).collect();
        assert_eq!(lanes(&many, &Progress::silent()).expect("nobody stops it").len(), OVERLAPS);
    }

    #[test]
    fn more_tracks_than_channels_take_more_synthesizers() {
        let mut score = Score::new(480);
        for i in 0..40 {
            let track = Track { program: if i % 2 == 0 { 0 } else { 65 }, channel: i % 9, ..Track::default() };
            score.tracks.push(Track { notes: vec![note(0, 480, 60)], ..track });
        }
        let parts = played(&score);
        // Twenty tracks on the piano, twenty on the band: two synthesizers each.
        assert_eq!(parts.len(), 4);
        for part in &parts {
            let mut taken = 0u16;
            for event in part.events.iter().filter(|e| e.message[0] == NOTE_ON) {
                assert_eq!(taken & event.channels, 0, "two tracks on one channel");
                taken |= event.channels;
            }
        }
    }

    #[test]
    fn controllers_of_a_channel_reach_all_its_tracks_and_no_other() {
        let mut score = Score::new(480);
        let volume =
            |tick, value| Kept { tick, port: 0, channel: 3, message: Message::Controller { number: 7, value } };
        for (port, channel) in [(0, 3), (0, 3), (1, 3), (0, 4)] {
            let pedals = vec![Pedal { start: 10, end: 20 }];
            score.tracks.push(Track { port, channel, notes: vec![note(0, 480, 60)], pedals, ..Track::default() });
        }
        score.tracks[0].events = vec![volume(5, 20)];
        score.events = vec![volume(0, 90)];
        let parts = played(&score);
        let events = &parts[0].events;
        let volumes: Vec<(u16, u8)> =
            events.iter().filter(|e| e.message[1] == 7).map(|e| (e.channels, e.message[2])).collect();
        assert_eq!(volumes, [(0b11, 90), (0b11, 20)]);
        assert_eq!(events.iter().filter(|e| e.message == [CONTROL, PEDAL, 127]).count(), 4);
    }

    #[test]
    fn many_events_are_sorted_in_pieces_as_at_once() {
        let event = |i: usize| AudioEvent {
            seconds: (i * 7919 % 10_007) as f64,
            rank: (i % 5) as u8,
            channels: 0,
            program: 0,
            message: [(i % 251) as u8, 0, 0],
        };
        let mut events: Vec<AudioEvent> = (0..3 * SORTED_AT_ONCE + 5).map(event).collect();
        let mut expected = events.clone();
        expected.sort_by(|a, b| a.seconds.total_cmp(&b.seconds).then(a.rank.cmp(&b.rank)));
        sort(&mut events, &Progress::silent()).expect("nobody stops it");
        assert!(events == expected);
        let stopped = Progress::silent();
        stopped.interrupt().trigger();
        assert!(sort(&mut events, &stopped).is_err_and(|error| error.is_interrupted()));
    }
}
