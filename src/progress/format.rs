//! A task's state as text, the same in terminal and notebook.

use std::time::Duration;

use super::Snapshot;

impl Snapshot {
    /// Units done, speed, remaining time and the note of the task: `["3/9 steps", "1.2/s", …]`.
    pub fn words(&self) -> Vec<String> {
        let mut words = vec![self.count()];
        words.extend(self.speed());
        words.push(match self.remaining() {
            Some(left) => format!("{} left", clock(left)),
            None => clock(self.elapsed),
        });
        words.extend(self.note_text());
        words
    }

    /// The state of a running task as one line.
    pub fn plain(&self) -> String {
        let mut words = vec![self.count()];
        words.extend(self.speed());
        words.extend(self.remaining().map(|left| format!("{} left", clock(left))));
        words.extend(self.note_text());
        format!("{}: {}", self.title, words.join(", "))
    }

    /// What a finished task has done, as one line.
    pub fn summary(&self) -> String {
        // A task that ended early because there was no more to do was not cancelled.
        let mut words = match self.total.filter(|total| self.done < *total && self.stopped) {
            Some(_) => vec![format!("stopped at {} after {}", self.count(), clock(self.elapsed))],
            None => vec![format!("{} {} in {}", thousands(self.done), unit(self.done, self.unit), clock(self.elapsed))],
        };
        words.extend(self.speed());
        words.extend(self.note_text());
        format!("{}: {}", self.title, words.join(", "))
    }

    fn note_text(&self) -> Option<String> {
        Some(self.note.clone()).filter(|note| !note.is_empty())
    }

    fn count(&self) -> String {
        match self.total {
            Some(total) => format!("{}/{} {}", thousands(self.done), thousands(total), self.unit),
            None => format!("{} {}", thousands(self.done), unit(self.done, self.unit)),
        }
    }

    /// Units per second; seconds per unit when that is the larger number.
    fn speed(&self) -> Option<String> {
        match self.rate() {
            _ if self.done == 0 => None,
            r if r >= 10.0 => Some(format!("{}/s", thousands(r.round() as u64))),
            r if r >= 1.0 => Some(format!("{r:.1}/s")),
            r => Some(format!("{:.1} s each", 1.0 / r)),
        }
    }
}

/// The name of a unit, given in the plural, for a count: one batch, two batches.
fn unit(count: u64, plural: &str) -> &str {
    match plural.strip_suffix("ches") {
        _ if count != 1 => plural,
        Some(stem) => &plural[..stem.len() + 2],
        None => plural.strip_suffix('s').unwrap_or(plural),
    }
}

/// Minutes and seconds, with hours if there are any.
fn clock(d: Duration) -> String {
    let seconds = d.as_secs();
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if h > 0 { format!("{h}:{m:02}:{s:02}") } else { format!("{m}:{s:02}") }
}

/// A number with four significant digits: `2.345`, `0.01234`, `12,345`.
pub(crate) fn four_digits(x: f64) -> String {
    let size = x.abs();
    if !x.is_finite() || size == 0.0 {
        return x.to_string();
    }
    if !(1e-4..1e9).contains(&size) {
        return format!("{x:.3e}");
    }
    let decimals = (3 - size.log10().floor() as i32).max(0) as usize;
    if decimals == 0 {
        return format!("{}{}", if x < 0.0 { "-" } else { "" }, thousands(size.round() as u64));
    }
    format!("{x:.decimals$}")
}

/// A count with a comma between thousands.
pub(crate) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A task of training, `seconds` old.
    pub(crate) fn task(done: u64, total: Option<u64>, seconds: u64) -> Snapshot {
        Snapshot {
            title: "training".into(),
            unit: "steps",
            done,
            total,
            note: "loss 2.31".into(),
            elapsed: Duration::from_secs(seconds),
            finished: false,
            stopped: false,
        }
    }

    #[test]
    fn the_state_is_words() {
        assert_eq!(task(1200, None, 3).words(), ["1,200 steps", "400/s", "0:03", "loss 2.31"]);
        assert_eq!(task(125, Some(500), 50).plain(), "training: 125/500 steps, 2.5/s, 2:30 left, loss 2.31");
    }

    #[test]
    fn numbers_have_four_digits() {
        let cases = [
            (2.345_67, "2.346"),
            (-0.012_345_6, "-0.01235"),
            (72.123_4, "72.12"),
            (503.96, "504.0"),
            (12_345.6, "12,346"),
            (-1_234.0, "-1,234"),
            (4.9e-6, "4.900e-6"),
            (0.0, "0"),
            (f64::NAN, "NaN"),
        ];
        for (x, text) in cases {
            assert_eq!(four_digits(x), text);
        }
    }

    #[test]
    fn the_end_is_summed_up() {
        assert_eq!(task(500, Some(500), 3725).summary(), "training: 500 steps in 1:02:05, 7.5 s each, loss 2.31");
        assert_eq!(task(1, Some(1), 2).summary(), "training: 1 step in 0:02, 2.0 s each, loss 2.31");
        assert_eq!(unit(1, "batches"), "batch");
        let early = task(120, Some(500), 40);
        assert_eq!(early.summary(), "training: 120 steps in 0:40, 3.0/s, loss 2.31", "there was no more to do");
        assert_eq!(
            Snapshot { stopped: true, ..early }.summary(),
            "training: stopped at 120/500 steps after 0:40, 3.0/s, loss 2.31"
        );
    }
}
