//! A sweep as a table: a line a trial.

use serde_json::Value;

use super::state::Sweep;
use super::trial::Trial;

/// Characters of a cause in the table; the trial's log has all of it.
const CAUSE: usize = 120;

impl Sweep {
    /// A line a trial beside the headings: number, standing, how often and how well it was measured, its values, and why
    /// it failed where one did. The best has a star.
    pub fn table(&self) -> (Vec<String>, Vec<Vec<String>>) {
        let metric = self.config().metric.as_ref().map_or("value", |metric| metric.name.as_str());
        let searched: Vec<_> = self.config().space.searched().collect();
        let mut headings: Vec<String> = ["trial", "standing", metric, "measured"].map(String::from).to_vec();
        headings.extend(searched.iter().map(|parameter| parameter.name()));
        let causes = self.trials().iter().any(|trial| !trial.note.is_empty());
        if causes {
            headings.push("cause".into());
        }
        let best = self.best().map(|best| best.number);
        let row = |trial: &Trial| {
            let star = if best == Some(trial.number) { " *" } else { "" };
            let value = self.value(trial).map_or_else(|| "–".into(), short);
            let mut row = vec![
                format!("{}{star}", trial.number),
                trial.standing.name().into(),
                value,
                trial.values.len().to_string(),
            ];
            row.extend(searched.iter().map(|parameter| trial.param(&parameter.path).map_or_else(String::new, word)));
            if causes {
                row.push(trial.note.chars().take(CAUSE).collect());
            }
            row
        };
        (headings, self.trials().iter().map(row).collect())
    }
}

/// A value as one would type it, numbers with the digits that count.
pub(super) fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(n) if n.is_f64() => n.as_f64().map_or_else(String::new, short),
        other => other.to_string(),
    }
}

/// Four digits that count.
fn short(value: f64) -> String {
    let size = value.abs();
    match value {
        v if size >= 1e5 || (size > 0.0 && size < 1e-3) => format!("{v:.3e}"),
        v if v.fract() == 0.0 => format!("{v}"),
        v if size >= 1000.0 => format!("{v:.0}"),
        v => format!("{v:.4}"),
    }
}
