//! Iterates over the raw events of a track chunk.
//!
//! "Standard MIDI Files 1.0", RP-001: a delta time in ticks, then a channel message (whose status byte may be left out
//! under running status), a system exclusive message or a meta event. Violations that players tolerate are accepted and
//! counted.

use crate::midi::repair::{self, Fault, Repair};

/// An event without its delta time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Raw<'a> {
    /// A channel message: status byte and two data bytes (the second is 0 where there is only one).
    Channel(u8, u8, u8),
    /// A meta event: its type and its bytes.
    Meta(u8, &'a [u8]),
    /// A system exclusive message, without `F0`.
    SysEx(&'a [u8]),
    /// Bytes to be sent as they are, without `F7`.
    Escape(&'a [u8]),
    /// A byte that is not allowed in a file.
    System,
}

/// The reason why there is no further event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EndReason {
    /// The bytes end between two events.
    End,
    /// The bytes end inside of an event.
    Cut,
    /// A data byte without a running status.
    NoStatus,
}

/// The number of events that are tried when two readings are possible.
const TRIED: usize = 48;

/// Iterates over the events of a chunk.
#[derive(Debug)]
pub(super) struct Walker<'a> {
    bytes: &'a [u8],
    /// Where the next event begins.
    pub(super) at: usize,
    /// The running status, 0 for none.
    running: u8,
    /// True when something other than a channel message came after the status byte.
    interrupted: bool,
    /// Offset of the chunk's bytes in the file.
    offset: usize,
}

impl<'a> Walker<'a> {
    pub(super) fn new(bytes: &'a [u8], offset: usize) -> Self {
        Self { bytes, at: 0, running: 0, interrupted: false, offset }
    }

    /// The bytes that are left.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Clears the running status: the next event needs a status byte.
    pub(super) fn forget_status(&mut self) {
        self.running = 0;
    }

    /// The next event and its delta time in ticks.
    #[inline]
    pub(super) fn next(&mut self, repairs: &mut Vec<Repair>) -> Result<(u32, Raw<'a>), EndReason> {
        let mut at = self.at;
        let wait = match self.bytes.get(at) {
            None => return Err(EndReason::End),
            Some(&byte) if byte < 0x80 => {
                at += 1;
                u32::from(byte)
            }
            Some(_) => self.number(&mut at, repairs)?,
        };
        let byte = *self.bytes.get(at).ok_or(EndReason::Cut)?;
        let status = if byte >= 0x80 {
            at += 1;
            byte
        } else if self.running == 0 {
            return Err(EndReason::NoStatus);
        } else {
            if self.interrupted {
                self.interrupted = false;
                repair::note(repairs, Fault::RunningStatus, self.offset + at);
            }
            self.running
        };
        if status >= 0xf0 {
            let raw = self.system(status, &mut at, repairs)?;
            self.at = at;
            return Ok((wait, raw));
        }
        if byte >= 0x80 {
            self.running = status;
            self.interrupted = false;
        }
        let two = !matches!(status & 0xf0, 0xc0 | 0xd0);
        let raw = match self.bytes.get(at..at + 1 + usize::from(two)) {
            Some(&[a, b]) if (a | b) < 0x80 => {
                at += 2;
                Raw::Channel(status, a, b)
            }
            Some(&[a]) if a < 0x80 => {
                at += 1;
                Raw::Channel(status, a, 0)
            }
            _ => {
                let a = self.data(&mut at, 1 + usize::from(two), repairs)?;
                let b = if two { self.data(&mut at, 1, repairs)? } else { 0 };
                Raw::Channel(status, a, b)
            }
        };
        self.at = at;
        Ok((wait, raw))
    }

    /// The first of `left` data bytes; one above 127 is clipped, unless it is a real-time byte that was put between.
    #[cold]
    fn data(&self, at: &mut usize, left: usize, repairs: &mut Vec<Repair>) -> Result<u8, EndReason> {
        let byte = *self.bytes.get(*at).ok_or(EndReason::Cut)?;
        if byte < 0x80 {
            *at += 1;
            return Ok(byte);
        }
        if (0xf8..=0xfe).contains(&byte) && self.bytes.get(*at + 1).is_some_and(|&next| next < 0x80) {
            // Either the message continues behind it, or it is the value and the next event follows.
            let (between, clipped) = (self.tried(*at + 1 + left), self.tried(*at + left));
            if between > clipped {
                repair::note(repairs, Fault::System, self.offset + *at);
                *at += 2;
                return Ok(self.bytes[*at - 1]);
            }
        }
        repair::note(repairs, Fault::Data, self.offset + *at);
        *at += 1;
        Ok(127)
    }

    /// The number of valid events from `at` on, up to [`TRIED`]; the end of the track counts as that many.
    fn tried(&self, at: usize) -> usize {
        let mut walker =
            Walker { bytes: self.bytes, at, running: self.running, interrupted: false, offset: self.offset };
        let mut faults = Vec::new();
        for good in 0..TRIED {
            let next = walker.strict(&mut faults);
            match next {
                Some(Raw::Meta(0x2f, [])) => return TRIED,
                Some(_) => {}
                None => return good,
            }
        }
        TRIED
    }

    /// The next event if it is valid.
    fn strict(&mut self, faults: &mut Vec<Repair>) -> Option<Raw<'a>> {
        let mut at = self.at;
        let _ = self.number(&mut at, faults).ok()?;
        let status = match *self.bytes.get(at)? {
            status @ 0x80.. => {
                at += 1;
                status
            }
            _ => self.running,
        };
        let raw = match status {
            0x80..=0xef => {
                let two = !matches!(status & 0xf0, 0xc0 | 0xd0);
                let data = self.bytes.get(at..at + 1 + usize::from(two))?;
                if data.iter().any(|&b| b >= 0x80) {
                    return None;
                }
                at += data.len();
                self.running = status;
                Raw::Channel(status, 0, 0)
            }
            0xf0 | 0xf7 | 0xff => self.system(status, &mut at, faults).ok()?,
            _ => return None,
        };
        self.at = at;
        faults.is_empty().then_some(raw)
    }

    /// Reads an event with a status byte from `F0` on.
    fn system(&mut self, status: u8, at: &mut usize, repairs: &mut Vec<Repair>) -> Result<Raw<'a>, EndReason> {
        if !matches!(status, 0xf0 | 0xf7 | 0xff) {
            repair::note(repairs, Fault::System, self.offset + *at - 1);
            let most = match status {
                0xf1 | 0xf3 => 1,
                0xf2 => 2,
                _ => 0,
            };
            *at += self.bytes[*at..].iter().take(most).take_while(|&&b| b < 0x80).count();
            return Ok(Raw::System);
        }
        let kind = if status == 0xff {
            *at += 1;
            *self.bytes.get(*at - 1).ok_or(EndReason::Cut)?
        } else {
            0
        };
        let length = self.number(at, repairs)? as usize;
        let data = self.bytes.get(*at..at.saturating_add(length)).ok_or(EndReason::Cut)?;
        *at += length;
        self.interrupted = true;
        Ok(match status {
            0xf0 => Raw::SysEx(data),
            0xf7 => Raw::Escape(data),
            _ => Raw::Meta(kind, data),
        })
    }

    /// A variable-length number: seven bits a byte, the last without its top bit, four bytes by the standard.
    fn number(&self, at: &mut usize, repairs: &mut Vec<Repair>) -> Result<u32, EndReason> {
        let begun = *at;
        let mut value: u64 = 0;
        loop {
            let byte = *self.bytes.get(*at).ok_or(EndReason::Cut)?;
            *at += 1;
            value = (value << 7 | u64::from(byte & 0x7f)).min(u64::from(u32::MAX));
            if byte < 0x80 {
                break;
            }
        }
        if *at - begun > 4 {
            repair::note(repairs, Fault::Number, self.offset + begun);
        }
        Ok(value as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walked(bytes: &[u8]) -> (Vec<(u32, Raw<'_>)>, EndReason, Vec<Fault>) {
        let (mut walker, mut repairs, mut events) = (Walker::new(bytes, 0), Vec::new(), Vec::new());
        loop {
            match walker.next(&mut repairs) {
                Ok(event) => events.push(event),
                Err(stop) => return (events, stop, repairs.iter().map(|r| r.fault).collect()),
            }
        }
    }

    #[test]
    fn running_status_holds_through_everything_else() {
        let bytes = [0, 0x90, 60, 80, 1, 0xff, 1, 1, b'x', 1, 60, 0, 1, 0xf0, 1, 0xf7, 1, 62, 80, 0, 0xf8, 1, 62, 0];
        let (events, stop, faults) = walked(&bytes);
        assert_eq!(stop, EndReason::End);
        assert_eq!(faults, [Fault::RunningStatus, Fault::System]);
        let notes: Vec<u8> =
            events.iter().filter_map(|e| if let Raw::Channel(_, a, _) = e.1 { Some(a) } else { None }).collect();
        assert_eq!(notes, [60, 60, 62, 62]);
    }

    #[test]
    fn bytes_of_the_wire_are_passed_over_with_their_data() {
        for wrong in [&[0xf1, 5][..], &[0xf2, 5, 6], &[0xf3, 5], &[0xf4], &[0xf5], &[0xf6], &[0xf9], &[0xfd], &[0xfe]] {
            let bytes = [&[0][..], wrong, &[7, 0x90, 60, 80]].concat();
            let (events, stop, faults) = walked(&bytes);
            assert_eq!((events, stop), (vec![(0, Raw::System), (7, Raw::Channel(0x90, 60, 80))], EndReason::End));
            assert_eq!(faults, [Fault::System]);
        }
    }

    #[test]
    fn a_byte_above_127_is_a_value_or_was_put_between() {
        let end = [0, 0xff, 0x2f, 0];
        for value in [0x80, 0xc8, 0xf0, 0xf8, 0xff] {
            let bytes = [&[0, 0x90, 60, value, 96, 0x80, 60, 0][..], &end].concat();
            let (events, _, faults) = walked(&bytes);
            assert_eq!((events[0].1, events.len(), &faults[..]), (Raw::Channel(0x90, 60, 127), 3, &[Fault::Data][..]));
        }
        for between in [&[0xf8, 60, 80][..], &[60, 0xf8, 80], &[60, 0xfe, 80]] {
            for rest in [&[96, 0x80, 60, 0][..], &[96, 60, 0]] {
                let bytes = [&[0, 0x90][..], between, rest, &end].concat();
                let (events, _, faults) = walked(&bytes);
                assert_eq!(
                    (events[0].1, events.len(), &faults[..]),
                    (Raw::Channel(0x90, 60, 80), 3, &[Fault::System][..])
                );
            }
        }
    }

    #[test]
    fn what_is_cut_and_what_has_no_status_is_told_apart() {
        assert_eq!(walked(&[0, 0x90, 60]).1, EndReason::Cut);
        assert_eq!(walked(&[0x81]).1, EndReason::Cut);
        assert_eq!(walked(&[0, 0xff, 1, 9, b'x']).1, EndReason::Cut);
        assert_eq!(walked(&[0, 60, 80]).1, EndReason::NoStatus);
        assert_eq!(walked(&[0x80, 0x80, 0x80, 0x80, 16, 0xc0, 5]).0, [(16, Raw::Channel(0xc0, 5, 0))]);
    }
}
