//! Repairs made while a MIDI file was read.

use std::fmt;

/// A violation of the MIDI file standard that was repaired on reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repair {
    /// What is wrong.
    pub fault: Fault,
    /// Offset of the first occurrence, in bytes.
    pub offset: usize,
    /// Number of occurrences.
    pub count: usize,
}

/// The kinds of violations that are repaired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Bytes before the header.
    Leading,
    /// The header's length is wrong, or its format is not 0, 1 or 2.
    Header,
    /// The header declares 0 ticks per quarter note.
    Division,
    /// The header declares more tracks than there are.
    Tracks,
    /// Bytes outside of any chunk.
    Gap,
    /// A track's length is wrong.
    Length,
    /// The file ends inside a track.
    Cut,
    /// Running status is used after a meta or system exclusive event.
    RunningStatus,
    /// A real-time or system common byte inside a track.
    System,
    /// A data byte above 127.
    Data,
    /// A variable-length number of more than four bytes.
    Number,
    /// A meta event with an invalid length or value.
    Meta,
    /// A note-on without a note-off.
    Unended,
    /// Events later than the last possible tick.
    Late,
}

impl Fault {
    fn words(self) -> &'static str {
        match self {
            Self::Leading => "bytes before the header were passed over",
            Self::Header => "the header makes no sense; it was read as format 1 of the usual length",
            Self::Division => "the header gives a quarter note no ticks; it was read as 480",
            Self::Tracks => "the header declares more tracks than there are",
            Self::Gap => "bytes between tracks were passed over",
            Self::Length => "a track has another length than it says; it was read to its end",
            Self::Cut => "the file ends inside a track",
            Self::RunningStatus => "running status goes on after a meta or system exclusive event",
            Self::System => "a real-time or system byte in a track was passed over",
            Self::Data => "a data byte above 127 was read as 127",
            Self::Number => "a number of more than four bytes",
            Self::Meta => "a meta event of a wrong length or value was left out",
            Self::Unended => "a note without an end was ended",
            Self::Late => "what comes after tick 4,294,967,294 was left out",
        }
    }
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "offset {}: {}", self.offset, self.fault.words())?;
        if self.count > 1 { write!(f, " ({} times)", self.count) } else { Ok(()) }
    }
}

/// Counts a fault; `repairs` holds one entry for each kind.
pub(super) fn note(repairs: &mut Vec<Repair>, fault: Fault, offset: usize) {
    match repairs.iter_mut().find(|r| r.fault == fault) {
        Some(repair) => repair.count += 1,
        None => repairs.push(Repair { fault, offset, count: 1 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_counted_by_kind_with_the_first_place() {
        let mut repairs = Vec::new();
        note(&mut repairs, Fault::Data, 30);
        note(&mut repairs, Fault::Cut, 40);
        note(&mut repairs, Fault::Data, 50);
        let lines: Vec<String> = repairs.iter().map(Repair::to_string).collect();
        assert_eq!(
            lines,
            ["offset 30: a data byte above 127 was read as 127 (2 times)", "offset 40: the file ends inside a track"]
        );
    }
}
