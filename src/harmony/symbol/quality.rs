//! The tones of a chord symbol, collected while it is read, and the intervals that follow.

/// The state of a chord while its symbol is read. Intervals are semitones above the root.
#[derive(Debug, Default)]
pub(super) struct SymbolTones {
    pub(super) minor: bool,
    /// The third gives way to these: 2, 5.
    pub(super) suspended: Vec<u8>,
    pub(super) power: bool,
    pub(super) augmented: bool,
    pub(super) diminished: bool,
    pub(super) half_diminished: bool,
    /// A word for "major" was read: a seventh will be major.
    pub(super) major: bool,
    pub(super) altered: bool,
    pub(super) six: bool,
    pub(super) seventh: bool,
    /// An extension was read: later numbers are tensions.
    pub(super) extended: bool,
    /// Altered fifths: 6, 8.
    pub(super) fifths: Vec<u8>,
    /// An eleven or thirteen brings its nine along, unless an altered one is written.
    pub(super) nine: bool,
    /// 13 to 21.
    pub(super) tensions: Vec<u8>,
    /// A flat or sharp nine or a flat thirteen was read.
    pub(super) sharp_edge: bool,
    pub(super) added_sevenths: Vec<u8>,
    pub(super) left_out: Vec<u8>,
    /// A third beside a suspension.
    pub(super) added_third: bool,
}

impl SymbolTones {
    /// Semitones above the root, in the order root, third, fifth, seventh, tensions; each pitch class once.
    pub(super) fn intervals(&self) -> Vec<u8> {
        let mut tones = vec![0];
        let dominant = self.altered || (self.sharp_edge && !self.minor && !self.six && !self.diminished);
        if !self.suspended.is_empty() {
            tones.extend(&self.suspended);
            tones.extend(self.added_third.then_some(4));
        } else if !self.power {
            tones.push(if self.minor || self.diminished || self.half_diminished { 3 } else { 4 });
        }
        if !self.fifths.is_empty() {
            tones.extend(&self.fifths);
        } else if self.diminished || self.half_diminished {
            tones.push(6);
        } else if self.augmented {
            tones.push(8);
        } else if !self.altered {
            tones.push(7);
        }
        if self.six {
            tones.push(9);
        }
        if self.seventh || self.half_diminished || dominant {
            tones.push(match () {
                () if self.major => 11,
                () if self.diminished => 9,
                () => 10,
            });
        }
        tones.extend(&self.added_sevenths);
        let mut tensions = self.tensions.clone();
        if self.altered {
            tensions.extend([13, 15, 18, 20]);
        }
        if self.nine && !tensions.iter().any(|t| matches!(t, 13 | 15)) {
            tensions.push(14);
        }
        tensions.sort_unstable();
        tones.extend(tensions);
        tones.retain(|tone| !self.left_out.contains(if *tone == 3 { &4 } else { tone }));
        let mut seen = 0u16;
        tones.retain(|tone| {
            let class = 1 << (tone % 12);
            let new = seen & class == 0;
            seen |= class;
            new
        });
        tones
    }
}
