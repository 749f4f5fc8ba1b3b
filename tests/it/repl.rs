//! The prompt as a user meets it: on a pseudo-terminal, key by key. util-linux's `script`, which Debian always has,
//! makes the terminal.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Long enough for a busy machine; nothing here waits for it when all is well.
const PATIENCE: Duration = Duration::from_secs(30);

const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";
const UP: &str = "\x1b[A";
const ENTER: &str = "\r";

struct Prompt {
    child: Child,
    keys: ChildStdin,
    seen: Arc<Mutex<String>>,
    /// Letters of `seen` that were looked at already.
    read: usize,
}

impl Prompt {
    fn open(home: &Path) -> Self {
        let command = format!("stty cols 100 rows 40; exec '{}'", env!("CARGO_BIN_EXE_etude"));
        let mut child = Command::new("script")
            .args(["-qfec", &command, "/dev/null"])
            .current_dir(home)
            .env("HOME", home)
            .env_remove("XDG_STATE_HOME")
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("ETUDE_HISTORY")
            .env("TERM", "xterm-256color")
            .env("NO_COLOR", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script of util-linux");
        let keys = child.stdin.take().expect("a pipe");
        let mut screen = child.stdout.take().expect("a pipe");
        let seen = Arc::new(Mutex::new(String::new()));
        let into = seen.clone();
        thread::spawn(move || {
            let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
            while let Ok(n @ 1..) = screen.read(&mut buffer) {
                bytes.extend_from_slice(&buffer[..n]);
                *into.lock().expect("free") = plain(&String::from_utf8_lossy(&bytes));
            }
        });
        let mut prompt = Self { child, keys, seen, read: 0 };
        prompt.expect("♪ ");
        prompt
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).and_then(|()| self.keys.flush()).expect("the terminal takes keys");
    }

    /// Types a line and Enter.
    fn line(&mut self, text: &str) {
        self.press(text);
        self.press(ENTER);
    }

    /// Waits until `text` appears after what was looked at before: how long that took.
    fn expect(&mut self, text: &str) -> Duration {
        let begun = Instant::now();
        loop {
            let seen = self.seen.lock().expect("free").clone();
            if let Some(at) = seen[self.read..].find(text) {
                self.read += at + text.len();
                return begun.elapsed();
            }
            assert!(begun.elapsed() < PATIENCE, "{text:?} never came after:\n{}", &seen[self.read..]);
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the prompt of a new line.
    fn next_prompt(&mut self) {
        self.expect("\n");
        self.expect("♪ ");
    }

    /// Waits for the end.
    fn end(mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a status") {
                return status;
            }
            let seen = self.seen.lock().expect("free").clone();
            assert!(begun.elapsed() < PATIENCE, "it did not leave:\n{seen}");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Prompt {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The text without escape sequences.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\x1b' {
            plain.push(c);
        } else if rest.next() == Some('[') {
            // Parameters, then one letter.
            let _ = rest.find(|c| c.is_ascii_alphabetic() || *c == '~');
        }
    }
    plain
}

fn home() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

#[test]
fn a_value_is_shown_and_kept() {
    let home = home();
    let mut prompt = Prompt::open(home.path());
    prompt.line("40 + 2");
    prompt.expect("\n42");
    prompt.line("_ / 2");
    prompt.expect("\n21");
    prompt.line("let hidden = 1234;");
    prompt.line(":vars");
    prompt.expect("hidden");
    prompt.line(":quit");
    assert_eq!(prompt.end().code(), Some(0));
}

#[test]
fn the_newcomer_is_told_what_to_type() {
    let home = home();
    let prompt = Prompt::open(home.path());
    let seen = prompt.seen.lock().expect("free").clone();
    assert!(seen.contains(":help") && seen.contains(":load quickstart"), "{seen}");
}

#[test]
fn ctrl_c_stops_a_loop_and_keeps_the_variables() {
    let home = home();
    let mut prompt = Prompt::open(home.path());
    prompt.line("let kept = 6 * 7;");
    prompt.expect("♪ ");
    prompt.line("print(\"begun\"); loop { }");
    prompt.expect("\nbegun");
    prompt.press(CTRL_C);
    prompt.expect("interrupted");
    prompt.line("kept");
    prompt.expect("\n42");
}

#[test]
fn ctrl_c_stops_native_work_and_keeps_the_variables() {
    let home = home();
    let mut prompt = Prompt::open(home.path());
    let midi = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/midi");
    prompt.line(&format!("let midi = \"{midi}\"; let kept = 6 * 7;"));
    prompt.next_prompt();
    prompt.line("let data = dataset(midi, tokenizer(\"performance\"), #{ max_seq_len: 512, val: 0.2 });");
    prompt.next_prompt();
    prompt.line("let net = load_model(\"base\").qlora(#{ r: 4 });");
    prompt.next_prompt();
    let long = [
        "trainer(net, data, #{ max_steps: 10000, batch_size: 8 }).fit()",
        "net.generate(sampler(#{ seed: 1 }), #{ max_new_tokens: 100000 })",
        "loop { evaluate(net, data.val) }",
        "loop { dataset(midi, tokenizer(\"performance\"), #{ max_seq_len: 512, augment: #{ transpose: 12 } }) }",
        "loop { tokenizer(\"remi\").encode(midi(`${midi}/joplin_maple_leaf_rag.mid`)); sleep(0.01) }",
        "sleep(1000)",
    ];
    for work in long {
        prompt.line(&format!("print(\"begun\"); {work}"));
        prompt.expect("\nbegun");
        thread::sleep(Duration::from_millis(700));
        prompt.press(CTRL_C);
        let waited = prompt.expect("interrupted");
        // 200 ms on a free machine; the bound leaves room for a crowded one.
        assert!(waited < Duration::from_secs(2), "{work}: {waited:?}");
        prompt.next_prompt();
    }
    prompt.line("[kept, net.trainable > 0, data.train.len > 0]");
    prompt.expect("\n[42, true, true]");
}

#[test]
fn ctrl_c_at_the_prompt_clears_the_line_and_stays() {
    let home = home();
    let mut prompt = Prompt::open(home.path());
    for _ in 0..4 {
        prompt.press("not this");
        prompt.press(CTRL_C);
        prompt.expect("♪ ");
    }
    prompt.line("1 + 1");
    prompt.expect("\n2");
    prompt.press(CTRL_D);
    assert_eq!(prompt.end().code(), Some(0));
}

#[test]
fn exit_leaves_with_its_code() {
    let home = home();
    let mut prompt = Prompt::open(home.path());
    prompt.line("exit(3)");
    assert_eq!(prompt.end().code(), Some(3));
}

#[test]
fn open_brackets_go_on_with_an_indented_line() {
    let home = home();
    let mut prompt = Prompt::open(home.path());
    prompt.line("fn twice(x) {");
    prompt.line("let y = x * 2;");
    prompt.line("y");
    prompt.line("}");
    prompt.line("twice(8)");
    prompt.expect("\n16");
    prompt.line(":history");
    prompt.expect("1  fn twice(x) {\r\n       let y = x * 2;\r\n       y\r\n   }");
}

#[test]
fn a_blank_line_ends_what_was_never_closed() {
    let home = home();
    let mut prompt = Prompt::open(home.path());
    prompt.line("let broken = (1 +");
    prompt.press(ENTER);
    prompt.expect("SyntaxError");
    prompt.line("2 + 3");
    prompt.expect("\n5");
}

#[test]
fn what_python_has_is_answered_at_once() {
    let home = home();
    let mut prompt = Prompt::open(home.path());
    prompt.line("print(\"hi");
    prompt.expect("a string has no end");
    prompt.expect("write print(\"hi\")");
    prompt.line("x = 5");
    prompt.expect("write let x = 5");
    prompt.line("%timeit 1 + 1");
    prompt.expect("took");
    prompt.line("let xs = [3, 1, 2]; xs.filter(|x| x > xs[1])[..1]");
    prompt.expect("\n[3]");
    prompt.line("let out = shell(\"echo from; echo below\"); out");
    prompt.expect("from\r\nbelow");
}

#[test]
fn a_pasted_function_of_fifty_lines_is_one_entry() {
    let home = home();
    let mut prompt = Prompt::open(home.path());
    let body: String = (0..48).map(|i| format!("    sum += {i};\n\n")).collect();
    let function = format!("fn sum_up() {{\n    let sum = 0;\n{body}    sum\n}}");
    prompt.press(&format!("\x1b[200~{}\x1b[201~", function.replace('\n', "\r")));
    prompt.press(ENTER);
    prompt.line("sum_up()");
    prompt.expect("\n1128");
}

#[test]
fn lines_are_remembered_from_one_time_to_the_next() {
    let home = home();
    let mut first = Prompt::open(home.path());
    first.line("let first = 1;");
    first.line("never(");
    first.expect("never(");
    first.press(CTRL_C);
    first.next_prompt();
    first.line("100 + 11");
    first.expect("\n111");
    first.press(CTRL_D);
    assert!(first.end().success());

    let mut second = Prompt::open(home.path());
    second.press(UP);
    second.expect("100 + 11");
    second.press(ENTER);
    second.expect("\n111");
    second.press("let");
    second.press(UP);
    second.expect("let first = 1;");
    second.press(ENTER);
    second.line("first + 5");
    second.expect("\n6");
}

#[test]
fn the_startup_script_runs_and_a_broken_one_does_no_harm() {
    let home = home();
    let folder = home.path().join(".config/etude");
    std::fs::create_dir_all(&folder).expect("made");
    std::fs::write(folder.join("init.rhai"), "let mine = 99;\nlet twice = mine *").expect("written");
    let mut broken = Prompt::open(home.path());
    broken.read = 0;
    broken.expect("SyntaxError");
    broken.line("1 + 1");
    broken.expect("\n2");
    std::fs::write(folder.join("init.rhai"), "let mine = 99;").expect("written");
    let mut whole = Prompt::open(home.path());
    whole.line("mine + 1");
    whole.expect("\n100");
}

#[test]
fn members_are_completed() {
    let home = home();
    let mut prompt = Prompt::open(home.path());
    prompt.line("let song = chords(\"Dm7 G7 Cmaj7\").score();");
    prompt.expect("♪ ");
    prompt.press("song.transp\t");
    prompt.expect("song.transpose");
    prompt.press(CTRL_C);
    prompt.next_prompt();
    prompt.press(":hist\t");
    prompt.expect(":history");
}
