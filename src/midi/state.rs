//! Channel state: the values of controllers, pitch bend and parameters at a tick.

use std::collections::BTreeMap;

use crate::midi::{Event, Message};

/// A setting of a channel, which has one value at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Item {
    /// A controller; the bank (0 and 32) sorts before the program.
    Bank(u8),
    Program,
    Controller(u8),
    /// A registered (101, 100) or non-registered (99, 98) parameter: true for a registered one, high and low byte.
    Parameter(bool, u8, u8),
    Pressure,
    Bend,
}

/// Port, channel and setting.
pub(super) type SettingKey = (u8, u8, Item);

/// The parameter that data entry applies to.
type Selected = (bool, u8, u8);

/// The current values by channel, in the order in which they have to be set again.
#[derive(Debug, Clone, Default)]
pub(super) struct ChannelState {
    values: BTreeMap<SettingKey, i16>,
    selected: BTreeMap<(u8, u8), Selected>,
}

/// Controllers that are handled specially.
const DATA: u8 = 6;
const DATA_LOW: u8 = 38;

impl ChannelState {
    /// Applies a channel message.
    pub(super) fn set(&mut self, event: &Event) {
        let (port, channel) = (event.port, event.channel);
        let (item, value) = match event.message {
            Message::Controller { number: 121, .. } => return self.reset(port, channel),
            // The sustain pedal is kept as spans.
            Message::Controller { number: 64 | 120.., .. } => return,
            Message::Controller { number: number @ 98..=101, value } => {
                let selected = self.selected.entry((port, channel)).or_insert((true, 127, 127));
                let registered = number >= 100;
                if selected.0 != registered {
                    *selected = (registered, 127, 127);
                }
                *(if number % 2 == 1 { &mut selected.1 } else { &mut selected.2 }) = value;
                return;
            }
            Message::Controller { number: number @ (DATA | DATA_LOW), value } => {
                match self.selected.get(&(port, channel)) {
                    Some(&(_, 127, 127)) | None => return,
                    Some(&(registered, high, low)) => {
                        let item = Item::Parameter(registered, high, low);
                        let old = self.values.get(&(port, channel, item)).copied().unwrap_or(0);
                        let value = i16::from(value);
                        (item, if number == DATA { value << 7 } else { old & !127 | value })
                    }
                }
            }
            // Data increment and decrement.
            Message::Controller { number: 96 | 97, .. } => return,
            Message::Controller { number: number @ (0 | 32), value } => (Item::Bank(number), value.into()),
            Message::Controller { number, value } => (Item::Controller(number), value.into()),
            Message::Program(program) => (Item::Program, program.into()),
            Message::Bend(bend) => (Item::Bend, bend),
            Message::Pressure(value) => (Item::Pressure, value.into()),
            Message::KeyPressure { .. } | Message::Meta { .. } | Message::SysEx(_) | Message::Escape(_) => return,
        };
        self.values.insert((port, channel, item), value);
    }

    /// Applies controller 121, reset all controllers (MIDI recommended practice RP-015).
    fn reset(&mut self, port: u8, channel: u8) {
        let items = [1, 2, 4, 11, 64, 65, 66, 67].map(Item::Controller).into_iter().chain([Item::Bend, Item::Pressure]);
        for item in items {
            self.values.remove(&(port, channel, item));
        }
        self.selected.remove(&(port, channel));
    }

    /// True when a value is set for this setting.
    pub(super) fn sets(&self, key: &SettingKey) -> bool {
        self.values.contains_key(key)
    }

    /// The events that set all of it at a tick.
    fn events(&self, tick: u32) -> impl Iterator<Item = Event> + '_ {
        let set = self.values.iter().flat_map(move |(&key, &value)| setting(key, value, tick));
        let select = self.selected.iter().flat_map(move |(&(port, channel), &(registered, high, low))| {
            selection(port, channel, registered, high, low, tick)
        });
        set.chain(select)
    }

    /// The events that reset, at a tick, every value that differs from a synthesizer's initial one and for which `keep`
    /// is false.
    pub(super) fn resets(&self, tick: u32, keep: impl Fn(&SettingKey) -> bool) -> Vec<Event> {
        let changed = self.values.iter().filter_map(|(key, value)| {
            let default = default(key.2)?;
            (default != *value && !keep(key)).then_some((*key, default))
        });
        changed.flat_map(|(key, value)| setting(key, value, tick)).collect()
    }
}

/// The initial value in General MIDI; `None` where it depends on the instrument.
fn default(item: Item) -> Option<i16> {
    Some(match item {
        Item::Controller(7) => 100,
        Item::Controller(8 | 10 | 70..=79) => 64,
        Item::Controller(11) => 127,
        Item::Controller(91) => 40,
        Item::Controller(1 | 2 | 4 | 5 | 64..=69 | 92..=95) | Item::Bank(_) | Item::Bend | Item::Pressure => 0,
        // Bend range: two semitones. Fine and coarse tuning: the middle.
        Item::Parameter(true, 0, 0) => 2 << 7,
        Item::Parameter(true, 0, 1 | 2) => 64 << 7,
        _ => return None,
    })
}

fn setting((port, channel, item): SettingKey, value: i16, tick: u32) -> Vec<Event> {
    let event = |message| Event { tick, port, channel, message };
    let low = (value & 127) as u8;
    let controller = |number, value| event(Message::Controller { number, value });
    match item {
        Item::Bank(number) | Item::Controller(number) => vec![controller(number, low)],
        Item::Program => vec![event(Message::Program(low))],
        Item::Pressure => vec![event(Message::Pressure(low))],
        Item::Bend => vec![event(Message::Bend(value))],
        Item::Parameter(registered, high, least) => {
            let mut events = selection(port, channel, registered, high, least, tick);
            events.push(controller(DATA, (value >> 7) as u8));
            events.push(controller(DATA_LOW, low));
            events
        }
    }
}

fn selection(port: u8, channel: u8, registered: bool, high: u8, low: u8, tick: u32) -> Vec<Event> {
    let controller = |number, value| Event { tick, port, channel, message: Message::Controller { number, value } };
    if registered {
        vec![controller(101, high), controller(100, low)]
    } else {
        vec![controller(99, high), controller(98, low)]
    }
}

/// The events from tick `from` up to `to`, moved to the start; before them those that set the state at `from`, and
/// those that apply to the whole piece (copyright, names of instruments and devices, system exclusive and
/// sequencer-specific settings).
pub(super) fn between(events: &[Event], from: u32, to: u32) -> Vec<Event> {
    let (before, rest) = events.split_at(events.partition_point(|e| e.tick < from));
    let mut state = ChannelState::default();
    let mut moved = Vec::new();
    for event in before {
        match &event.message {
            Message::Meta { kind: 0 | 2 | 3 | 4 | 8 | 9 | 0x54 | 0x7f, .. }
            | Message::SysEx(_)
            | Message::Escape(_) => {
                moved.push(event.at(0));
            }
            _ => state.set(event),
        }
    }
    moved.extend(state.events(0));
    moved.extend(rest.iter().take_while(|e| e.tick < to).map(|e| e.at(e.tick - from)));
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(tick: u32, message: Message) -> Event {
        Event { tick, port: 0, channel: 3, message }
    }

    fn controller(tick: u32, number: u8, value: u8) -> Event {
        event(tick, Message::Controller { number, value })
    }

    #[test]
    fn the_state_at_the_edge_comes_along() {
        let text = |tick, kind| event(tick, Message::Meta { kind, data: (*b"x").into() });
        let events = [
            text(0, 2),
            text(0, 5),
            controller(0, 7, 90),
            controller(0, 0, 8),
            event(0, Message::Program(5)),
            controller(1, 101, 0),
            controller(1, 100, 0),
            controller(1, 6, 12),
            controller(2, 11, 20),
            controller(3, 7, 80),
            event(4, Message::Bend(100)),
            text(10, 5),
            controller(20, 7, 1),
        ];
        let part = between(&events, 10, 20);
        let expected = [
            text(0, 2),
            controller(0, 0, 8),
            event(0, Message::Program(5)),
            controller(0, 7, 80),
            controller(0, 11, 20),
            controller(0, 101, 0),
            controller(0, 100, 0),
            controller(0, 6, 12),
            controller(0, 38, 0),
            event(0, Message::Bend(100)),
            controller(0, 101, 0),
            controller(0, 100, 0),
            text(0, 5),
        ];
        assert_eq!(part, expected);
        assert_eq!(between(&events, 0, u32::MAX), events);
    }

    #[test]
    fn controller_121_sets_back_what_rp_015_lists() {
        let events = [
            controller(0, 7, 90),
            controller(0, 11, 20),
            controller(0, 1, 20),
            event(0, Message::Bend(100)),
            controller(5, 121, 0),
        ];
        assert_eq!(between(&events, 9, 20), [controller(0, 7, 90)]);
    }

    #[test]
    fn only_what_was_changed_is_set_back() {
        let mut state = ChannelState::default();
        let events = [
            controller(0, 7, 90),
            controller(0, 10, 64),
            controller(0, 80, 1),
            controller(0, 11, 1),
            event(0, Message::Bend(1)),
        ];
        events.iter().for_each(|e| state.set(e));
        let resets = state.resets(50, |key| key.2 == Item::Controller(11));
        assert_eq!(resets, [controller(50, 7, 100), event(50, Message::Bend(0))]);
    }
}
