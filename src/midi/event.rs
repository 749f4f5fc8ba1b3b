//! Events other than notes, kept unchanged and written again.

/// An event that is neither a note, the sustain pedal, a tempo, a metre, a key signature nor a marker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its position in ticks.
    pub tick: u32,
    /// MIDI port of a channel message, 0 where a file names none. In a [`Track`](crate::midi::Track) the port and the
    /// channel of the track count.
    pub port: u8,
    /// Channel of a channel message, 0–15.
    pub channel: u8,
    /// Its content.
    pub message: Message,
}

/// The content of an [`Event`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A controller changes, number and value 0–127; 120–127 are channel mode messages.
    Controller {
        /// The controller number.
        number: u8,
        /// The value.
        value: u8,
    },
    /// A program change, 0–127.
    Program(u8),
    /// Pitch bend, −8192 to 8191; 0 is none.
    Bend(i16),
    /// Channel aftertouch, 0–127.
    Pressure(u8),
    /// Aftertouch of one key, 0–127 both.
    KeyPressure {
        /// The key.
        pitch: u8,
        /// The pressure.
        value: u8,
    },
    /// A meta event: text (1), copyright (2), instrument (4), lyrics (5), cue point (7), sequencer-specific (127), ….
    Meta {
        /// Its type.
        kind: u8,
        /// Its bytes.
        data: Box<[u8]>,
    },
    /// A system exclusive message, without `F0`, with the closing `F7`.
    SysEx(Box<[u8]>),
    /// Bytes that are sent as they are (`F7`).
    Escape(Box<[u8]>),
}

impl Event {
    /// A channel message of its channel from the status byte (channel bits aside) and two data bytes; `None` for notes.
    pub(super) fn channel_message(status: u8, a: u8, b: u8) -> Option<Message> {
        Some(match status & 0xf0 {
            0xa0 => Message::KeyPressure { pitch: a, value: b },
            0xb0 => Message::Controller { number: a, value: b },
            0xc0 => Message::Program(a),
            0xd0 => Message::Pressure(a),
            0xe0 => Message::Bend((i16::from(b) << 7 | i16::from(a)) - 8192),
            _ => return None,
        })
    }

    /// The same event at another tick.
    #[must_use]
    pub(super) fn at(&self, tick: u32) -> Self {
        Self { tick, ..self.clone() }
    }
}

impl Message {
    /// Status byte (without channel) and data bytes of a channel message; `None` for the others.
    pub(super) fn channel_bytes(&self) -> Option<([u8; 3], usize)> {
        Some(match *self {
            Self::KeyPressure { pitch, value } => ([0xa0, pitch & 127, value & 127], 3),
            Self::Controller { number, value } => ([0xb0, number & 127, value & 127], 3),
            Self::Program(program) => ([0xc0, program & 127, 0], 2),
            Self::Pressure(value) => ([0xd0, value & 127, 0], 2),
            Self::Bend(bend) => {
                let raw = (bend.clamp(-8192, 8191) + 8192) as u16;
                ([0xe0, (raw & 127) as u8, (raw >> 7) as u8], 3)
            }
            Self::Meta { .. } | Self::SysEx(_) | Self::Escape(_) => return None,
        })
    }

    /// True for messages to one channel.
    pub fn is_channel(&self) -> bool {
        !matches!(self, Self::Meta { .. } | Self::SysEx(_) | Self::Escape(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channel_messages_come_back_from_their_bytes() {
        for message in [
            Message::KeyPressure { pitch: 60, value: 9 },
            Message::Controller { number: 7, value: 100 },
            Message::Program(65),
            Message::Pressure(50),
            Message::Bend(-8192),
            Message::Bend(0),
            Message::Bend(8191),
        ] {
            let ([status, a, b], _) = message.channel_bytes().expect("a channel message");
            assert_eq!(Event::channel_message(status, a, b), Some(message));
        }
        assert_eq!(Event::channel_message(0x90, 60, 80), None);
    }
}
