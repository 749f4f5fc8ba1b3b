//! A progress bar on one line: `training ━━━━━━━━────── 120/500 steps  3.2/s  1:58 left  loss 2.31`.

use unicode_width::UnicodeWidthStr;

use super::style::{code, paint};
use crate::progress::Snapshot;

/// Columns of the bar at most, and the fewest it is drawn with.
const BAR: (usize, usize) = (30, 6);

/// The state of a running task, in less than `width` columns.
pub(super) fn line(task: &Snapshot, width: usize, color: bool) -> String {
    let words = task.words().join("  ");
    // One column stays free, since terminals wrap after the last one.
    let room = width.saturating_sub(1);
    let used = task.title.width() + words.width() + 2;
    let bar = match task.total {
        Some(total) if total > 0 && used + 1 + BAR.1 <= room => {
            bar(task.done as f64 / total as f64, (room - used - 1).min(BAR.0), color) + " "
        }
        _ => String::new(),
    };
    if used > room {
        return cut(&format!("{}  {words}", task.title), room);
    }
    format!("{}{}{bar}{words}", task.title, if bar.is_empty() { "  " } else { " " })
}

fn bar(share: f64, columns: usize, color: bool) -> String {
    let halves = (share.clamp(0.0, 1.0) * 2.0 * columns as f64).floor() as usize;
    let half = if halves % 2 == 1 { "╸" } else { "" };
    let done = "━".repeat(halves / 2) + half;
    let left = "╌".repeat(columns - halves.div_ceil(2));
    format!("{}{}", paint(color, code::BAR, &done), paint(color, code::FAINT, &left))
}

fn cut(text: &str, width: usize) -> String {
    let mut kept = String::new();
    for c in text.chars() {
        kept.push(c);
        if kept.width() > width {
            kept.pop();
            break;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::training_task as task;

    #[test]
    fn a_task_is_one_line() {
        assert_eq!(
            line(&task(125, Some(500), 50), 100, false),
            "training ━━━━━━━╸╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌ 125/500 steps  2.5/s  2:30 left  loss 2.31"
        );
        assert_eq!(line(&task(1200, None, 3), 80, false), "training  1,200 steps  400/s  0:03  loss 2.31");
        assert_eq!(line(&task(0, Some(9), 0), 100, false).matches('╌').count(), 30);
        assert_eq!(line(&task(9, Some(9), 90), 100, false).matches('━').count(), 30);
    }

    #[test]
    fn a_line_is_narrower_than_the_terminal() {
        for width in 0..120 {
            let line = line(&task(125, Some(500), 50), width, false);
            assert!(line.width() < width.max(1), "{width}: {line}");
        }
    }

    #[test]
    fn more_than_the_total_does_not_burst_the_bar() {
        assert!(line(&task(700, Some(500), 50), 100, false).contains(&"━".repeat(30)));
        assert!(!line(&task(0, Some(0), 0), 80, false).contains('╌'));
    }
}
