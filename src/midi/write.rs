//! Standard MIDI Files out: format 1, a conductor track and one track a part.

use std::path::Path;

use midly::num::{u4, u7, u15, u24, u28};
use midly::{Format, Header, MetaMessage, MidiMessage, Smf, Timing, TrackEvent, TrackEventKind};

use crate::atomic;
use crate::error::Result;
use crate::midi::{Score, Track};

/// The finest division a file can say.
const FINEST: u32 = 32_767;

/// The longest wait one event can say.
const LONGEST_WAIT: u32 = (1 << 28) - 1;

/// Longer texts are cut, in bytes.
const LONGEST_TEXT: usize = 1 << 16;

/// An event with its tick; events of one tick are in the order in which they work.
type Timed<'a> = (u32, TrackEventKind<'a>);

impl Score {
    /// Writes a MIDI file, atomically.
    ///
    /// # Errors
    /// Names the path when the file system refuses.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        atomic::write(path.as_ref(), &self.to_bytes())
    }

    /// The bytes of a MIDI file (format 1) that reads back as this score.
    ///
    /// A file knows only when keys go down and up: of notes of one pitch that overlap in a track, the first to begin
    /// reads back as the first to end.
    pub fn to_bytes(&self) -> Vec<u8> {
        if !(1..=FINEST).contains(&self.ticks_per_quarter) {
            return self.resample(FINEST.min(self.ticks_per_quarter.max(1))).to_bytes();
        }
        let division = u15::new(self.ticks_per_quarter as u16);
        let mut smf = Smf::new(Header::new(Format::Parallel, Timing::Metrical(division)));
        smf.tracks.push(track(self.conductor()));
        // The header counts in 16 bits.
        smf.tracks.extend(self.tracks.iter().take(0xfffe).map(|t| track(part(t))));
        let mut bytes = Vec::new();
        smf.write(&mut bytes).expect("few enough tracks, short enough texts, and memory does not refuse");
        bytes
    }

    /// Metres, keys, tempi and markers, by tick.
    fn conductor(&self) -> Vec<Timed<'_>> {
        let mut events: Vec<Timed<'_>> = Vec::new();
        let mut say = |tick, message| events.push((tick, TrackEventKind::Meta(message)));
        for meter in &self.meters {
            let power = meter.denominator.max(1).ilog2() as u8;
            say(meter.tick, MetaMessage::TimeSignature(meter.numerator.max(1), power, 24, 8));
        }
        for key in &self.keys {
            say(key.tick, MetaMessage::KeySignature(key.sharps, key.minor));
        }
        for tempo in &self.tempos {
            say(tempo.tick, MetaMessage::Tempo(u24::new(tempo.micros_per_quarter.clamp(1, 0xff_ffff))));
        }
        for marker in &self.markers {
            say(marker.tick, MetaMessage::Marker(short(&marker.text)));
        }
        events.sort_by_key(|e| e.0);
        events
    }
}

/// Name, program, notes and pedal of a track, by tick. At one tick, keys go up before the pedal moves and before keys
/// go down.
fn part(track: &Track) -> Vec<Timed<'_>> {
    let channel = u4::new(track.channel.min(15));
    let midi = |message| TrackEventKind::Midi { channel, message };
    let pedal = |value| midi(MidiMessage::Controller { controller: u7::new(64), value: u7::new(value) });
    let mut events = Vec::with_capacity(2 * track.notes.len() + 2 * track.pedals.len() + 2);
    for note in &track.notes {
        let (key, vel) = (u7::new(note.pitch.min(127)), u7::new(note.velocity.clamp(1, 127)));
        events.push((note.start, 3, midi(MidiMessage::NoteOn { key, vel })));
        // A note-on of velocity 0 ends a note and keeps the running status.
        let off = MidiMessage::NoteOn { key, vel: u7::new(0) };
        events.push((note.end.max(note.start.saturating_add(1)), 0, midi(off)));
    }
    for span in &track.pedals {
        events.push((span.start, 2, pedal(127)));
        events.push((span.end, 1, pedal(0)));
    }
    events.sort_by_key(|&(tick, order, _)| (tick, order));
    let name = (!track.name.is_empty()).then_some(TrackEventKind::Meta(MetaMessage::TrackName(short(&track.name))));
    let program = midi(MidiMessage::ProgramChange { program: u7::new(track.program.min(127)) });
    let head = name.into_iter().chain([program]).map(|kind| (0, kind));
    head.chain(events.into_iter().map(|(tick, _, kind)| (tick, kind))).collect()
}

/// Ticks become waits; a wait too long for one event is filled with empty texts.
fn track(events: Vec<Timed<'_>>) -> Vec<TrackEvent<'_>> {
    let mut track = Vec::with_capacity(events.len() + 1);
    let mut now = 0;
    for (tick, kind) in events {
        while tick - now > LONGEST_WAIT {
            now += LONGEST_WAIT;
            track
                .push(TrackEvent { delta: u28::new(LONGEST_WAIT), kind: TrackEventKind::Meta(MetaMessage::Text(b"")) });
        }
        track.push(TrackEvent { delta: u28::new(tick - now), kind });
        now = tick;
    }
    track.push(TrackEvent { delta: u28::new(0), kind: TrackEventKind::Meta(MetaMessage::EndOfTrack) });
    track
}

fn short(text: &str) -> &[u8] {
    &text.as_bytes()[..text.floor_char_boundary(LONGEST_TEXT)]
}
