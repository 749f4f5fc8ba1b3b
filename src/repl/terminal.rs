//! The output streams of the terminal. Output goes to stdout; warnings, errors and progress to stderr. While a task
//! runs on a terminal its progress is one line that is redrawn; other output appears above it.

use std::fmt::Write as _;
use std::io::{self, ErrorKind, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::bar;
use super::live::{Live, Size};
use super::picture::Protocol;
use super::style::Stream;
use crate::progress::{ProgressSink, Snapshot};
use crate::script::Bundle;

/// The shortest task that is drawn: the line would only flicker.
const FIRST_DRAWN: Duration = Duration::from_millis(300);
/// The interval between drawings.
const DRAW_EVERY: Duration = Duration::from_millis(100);
/// The duration from which a task leaves a line behind.
const WORTH_A_LINE: Duration = Duration::from_secs(2);
/// Without a terminal: the time of the first report, and between reports.
const FIRST_SAID: Duration = Duration::from_secs(1);
const SAY_EVERY: Duration = Duration::from_secs(10);

/// Columns and lines if the terminal does not report them.
const USUAL_SIZE: Size = (80, 24);

/// The exit code of a program whose output pipe was closed: the shell's for SIGPIPE.
const READER_GONE: i32 = 128 + 13;

/// Where output and progress go.
#[derive(Debug)]
pub(super) struct Terminal {
    pub(super) out: Stream,
    pub(super) err: Stream,
    tasks: Mutex<Tasks>,
    live: Mutex<Live>,
    pictures: Option<Protocol>,
}

/// The running tasks, the outermost first, and what of them is on the screen.
#[derive(Debug, Default)]
struct Tasks {
    live: Vec<String>,
    on_screen: bool,
    shown: Option<Instant>,
}

impl Terminal {
    /// The terminal, pipe or file this process writes to.
    pub(super) fn new() -> Self {
        let out = Stream::of(&io::stdout());
        let pictures = Protocol::of(|name| std::env::var(name).ok()).filter(|_| out.terminal);
        Self { out, err: Stream::of(&io::stderr()), tasks: Mutex::default(), live: Mutex::default(), pictures }
    }

    /// Columns of the terminal.
    pub(super) fn width(&self) -> usize {
        self.size().0
    }

    /// Columns and lines of the terminal.
    fn size(&self) -> Size {
        let size = terminal_size::terminal_size_of(io::stdout());
        size.map_or(USUAL_SIZE, |(width, height)| (usize::from(width.0).max(20), usize::from(height.0).max(4)))
    }

    /// Writes to stdout.
    pub(super) fn print(&self, text: &str) {
        let text = self.live().text(text, self.size());
        self.put(&text);
    }

    /// Shows a value: as a picture where the terminal can, else as text shortened to a number of lines and characters.
    pub(super) fn show(&self, bundle: &Bundle, most: Option<(usize, usize)>) {
        let text = match (self.picture(bundle), most) {
            (Some(picture), _) => picture,
            (None, Some((lines, letters))) => shortened(bundle.plain(), lines, letters) + "\n",
            (None, None) => format!("{}\n", bundle.plain()),
        };
        self.print(&text);
    }

    /// Shows a value that may be updated.
    pub(super) fn display(&self, bundle: &Bundle, id: Option<u64>) {
        match self.picture(bundle) {
            Some(picture) => self.print(&picture),
            None => {
                let text = self.live().display(id, bundle.plain(), self.size());
                self.put(&text);
            }
        }
    }

    /// Updates a displayed value: at once on a terminal, with the final state at the end elsewhere.
    pub(super) fn update(&self, bundle: &Bundle, id: u64) {
        if self.out.terminal {
            let text = self.live().update(id, bundle.plain(), self.size());
            self.put(&text);
        } else {
            self.live().keep(id, bundle.plain());
        }
    }

    /// Clears the output of the cell, if the terminal can.
    pub(super) fn clear(&self, wait: bool) {
        if self.out.terminal {
            let text = self.live().clear(wait, self.size());
            self.put(&text);
        }
    }

    /// Ends the cell: its output on the screen is final.
    pub(super) fn settle(&self) {
        let kept = self.live().settle();
        if !kept.is_empty() {
            self.put(&kept);
        }
    }

    /// The picture of a value below the first line of its text, if it has one that the terminal can show.
    fn picture(&self, bundle: &Bundle) -> Option<String> {
        let svg = bundle.forms.get("image/svg+xml")?;
        let picture = self.pictures?.draw(svg, self.width()).ok()?;
        let line = bundle.plain().lines().next().unwrap_or_default();
        // "Score: 45 notes, …" is worth showing above the picture; the first line of a chart is not.
        let named = line.split_once(": ").is_some_and(|(name, _)| name.chars().all(char::is_alphanumeric));
        Some(if named { format!("{line}\n{picture}") } else { picture })
    }

    /// Writes to stdout with the progress line removed. The caller must not hold `live`: others lock it while they hold
    /// `tasks`.
    fn put(&self, text: &str) {
        let mut tasks = self.tasks();
        self.wipe(&mut tasks);
        delivered(write(&mut io::stdout().lock(), text));
    }

    /// Writes a line to stderr.
    pub(super) fn warn(&self, text: &str) {
        let mut tasks = self.tasks();
        self.wipe(&mut tasks);
        self.aside(text);
    }

    /// Writes a line to stderr, above a moving display.
    fn aside(&self, text: &str) {
        let (before, after) = if self.out.terminal { self.live().around(self.size()) } else { Default::default() };
        let end = if text.ends_with('\n') { "" } else { "\n" };
        if !before.is_empty() {
            delivered(write(&mut io::stdout().lock(), &before));
        }
        // A closed stderr cannot be reported.
        let _ = write(&mut io::stderr().lock(), &format!("{text}{end}"));
        if !after.is_empty() {
            delivered(write(&mut io::stdout().lock(), &after));
        }
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wipe(&self, tasks: &mut Tasks) {
        if std::mem::take(&mut tasks.on_screen) {
            let _ = write(&mut io::stderr().lock(), "\r\x1b[K");
        }
    }

    /// On a terminal: redraws the innermost task.
    fn draw(&self, tasks: &mut Tasks, task: &Snapshot) {
        if task.elapsed >= FIRST_DRAWN && tasks.shown.is_none_or(|at| at.elapsed() >= DRAW_EVERY) {
            let line = bar::line(task, self.width(), self.err.color);
            let _ = write(&mut io::stderr().lock(), &format!("\r{line}\x1b[K"));
            tasks.on_screen = true;
            tasks.shown = Some(Instant::now());
        }
    }

    /// Elsewhere: reports the outermost task from time to time.
    fn say(&self, tasks: &mut Tasks, task: &Snapshot) {
        let outermost = tasks.live.first() == Some(&task.title);
        if outermost && task.elapsed >= FIRST_SAID && tasks.shown.is_none_or(|at| at.elapsed() >= SAY_EVERY) {
            self.aside(&task.plain());
            tasks.shown = Some(Instant::now());
        }
    }

    fn finish(&self, tasks: &mut Tasks, task: &Snapshot) {
        tasks.live.truncate(tasks.live.iter().rposition(|title| *title == task.title).unwrap_or(usize::MAX));
        self.wipe(tasks);
        if !tasks.live.is_empty() {
            return;
        }
        tasks.shown = None;
        let least = if self.err.terminal { WORTH_A_LINE } else { FIRST_SAID };
        if task.elapsed >= least {
            self.aside(&task.summary());
        }
    }
}

impl ProgressSink for Terminal {
    fn show(&self, task: &Snapshot) {
        let mut tasks = self.tasks();
        if task.finished {
            return self.finish(&mut tasks, task);
        }
        if !tasks.live.contains(&task.title) {
            tasks.live.push(task.title.clone());
        }
        if self.err.terminal { self.draw(&mut tasks, task) } else { self.say(&mut tasks, task) }
    }
}

fn write(stream: &mut impl Write, text: &str) -> io::Result<()> {
    stream.write_all(text.as_bytes())?;
    stream.flush()
}

/// Exits when stdout cannot be written: silently when the reader has closed the pipe (`etude … | head`), else with an
/// error, for example when the disk is full.
fn delivered(result: io::Result<()>) {
    match result {
        Ok(()) => {}
        Err(e) if e.kind() == ErrorKind::BrokenPipe => std::process::exit(READER_GONE),
        Err(e) => {
            let _ = writeln!(io::stderr(), "cannot write the output: {e}");
            std::process::exit(1);
        }
    }
}

/// A long text shortened to its first and last lines, with a note on how to see the rest.
pub(super) fn shortened(text: &str, lines: usize, letters: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    if all.len() <= lines && text.len() <= letters {
        return text.to_owned();
    }
    let mut kept = String::new();
    let (head, tail) = if all.len() > lines { (lines * 3 / 4, lines / 4) } else { (all.len(), 0) };
    let each = (letters / (head + tail).max(1)).max(80);
    let line = |text: &str| match text.char_indices().nth(each) {
        Some((end, _)) => format!("{}… ({} more characters)", &text[..end], text[end..].chars().count()),
        None => text.to_owned(),
    };
    for text in &all[..head] {
        let _ = writeln!(kept, "{}", line(text));
    }
    if all.len() > head + tail {
        let _ = writeln!(kept, "… {} more lines: print(_) shows them", all.len() - head - tail);
    }
    for text in &all[all.len() - tail..] {
        let _ = writeln!(kept, "{}", line(text));
    }
    kept.trim_end_matches('\n').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_keeps_its_ends() {
        let long: String = (0..100).map(|i| format!("line {i}\n")).collect();
        let short = shortened(&long, 8, 10_000);
        assert_eq!(
            short,
            "line 0\nline 1\nline 2\nline 3\nline 4\nline 5\n… 92 more lines: print(_) shows them\nline 98\nline 99"
        );
        assert_eq!(shortened("a\nb", 8, 10_000), "a\nb");
    }

    #[test]
    fn a_long_line_is_cut_between_letters() {
        let short = shortened(&"é".repeat(1000), 8, 100);
        assert_eq!(short, format!("{}… (900 more characters)", "é".repeat(100)));
    }

    fn snapshot(title: &str, finished: bool) -> Snapshot {
        Snapshot {
            title: title.into(),
            unit: "steps",
            done: 1,
            total: None,
            note: String::new(),
            elapsed: Duration::ZERO,
            finished,
            stopped: false,
        }
    }

    #[test]
    fn a_task_inside_another_ends_before_it() {
        let terminal = Terminal::new();
        for (title, finished) in [("fit", false), ("evaluate", false), ("evaluate", true), ("evaluate", false)] {
            ProgressSink::show(&terminal, &snapshot(title, finished));
        }
        assert_eq!(terminal.tasks().live, ["fit", "evaluate"]);
        ProgressSink::show(&terminal, &snapshot("never begun", true));
        assert_eq!(terminal.tasks().live, ["fit", "evaluate"]);
        ProgressSink::show(&terminal, &snapshot("fit", true));
        assert!(terminal.tasks().live.is_empty(), "what was inside is over, too");
    }
}
