//! The kernel as a front end meets it: the real process, driven over its sockets without Python.

#[allow(dead_code)] // its own test binary uses the rest
#[path = "../../kernel/tests/it/client.rs"]
mod client;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use client::{Client, Seen, free_ports, kinds};
use jupyter_protocol::ConnectionInfo;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// What an interrupt may take, and a bound for figures on a crowded machine: the best of some tries counts.
const INTERRUPT: Duration = Duration::from_millis(200);
const TRIES: usize = 5;

/// A kernel process and a front end that is connected to it.
struct Kernel {
    child: Child,
    client: Client,
    /// Holds the connection file.
    _folder: tempfile::TempDir,
}

impl Kernel {
    async fn start() -> Self {
        let info = free_ports();
        let folder = tempfile::tempdir().expect("a folder");
        let child = command(&info, folder.path()).spawn().expect("it starts");
        let mut client = Client::connect(info, None).await;
        while client.iopub().await.kind != "iopub_welcome" {}
        Self { child, client, _folder: folder }
    }

    /// Runs a cell that goes well: what it published.
    async fn run(&mut self, code: &str) -> Vec<Seen> {
        let (trace, reply) = self.client.run(code).await;
        assert_eq!(reply["status"], "ok", "{code}: {reply}");
        trace
    }

    /// The text of a cell's value.
    async fn value(&mut self, code: &str) -> String {
        let trace = self.run(code).await;
        let result = trace.iter().find(|m| m.kind == "execute_result").expect("a value");
        result.content["data"]["text/plain"].as_str().expect("a text").to_owned()
    }

    /// Sends a cell and waits until it has printed "begun".
    async fn begin(&mut self, code: &str) -> String {
        let id = self.client.cell(code).await;
        loop {
            let message = self.client.iopub().await;
            if message.parent == id && message.content["text"].as_str().is_some_and(|t| t.contains("begun")) {
                return id;
            }
        }
    }

    /// Waits for the end of a cell that was interrupted.
    async fn interrupted(&mut self, id: &str) {
        loop {
            let message = self.client.iopub().await;
            if message.parent == id && message.content["execution_state"] == "idle" {
                break;
            }
        }
        let reply = self.client.reply().await;
        assert_eq!(reply.content["ename"], "KeyboardInterrupt", "{reply:?}");
    }

    async fn stop_by(&mut self, signal: bool) {
        if signal {
            kill(Some(Signal::SIGINT), self.child.id());
        } else {
            assert_eq!(self.client.control("interrupt_request", json!({})).await.content["status"], "ok");
        }
    }

    /// Shuts it down and waits until the process is gone.
    async fn shut_down(mut self, restart: bool) -> Duration {
        let begun = Instant::now();
        self.client.control("shutdown_request", json!({ "restart": restart })).await;
        assert!(self.child.wait().expect("it ended").success());
        begun.elapsed()
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(info: &ConnectionInfo, folder: &std::path::Path) -> Command {
    let file = folder.join("connection.json");
    std::fs::write(&file, serde_json::to_string(info).expect("JSON")).expect("it is written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_etude"));
    command.args(["kernel", "run", "--connection-file"]).arg(file).stdin(Stdio::null());
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

/// Sends a signal; without one, asks whether the process exists.
fn kill(signal: Option<Signal>, process: u32) -> bool {
    i32::try_from(process).is_ok_and(|pid| nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).is_ok())
}

#[tokio::test]
async fn it_introduces_itself_and_runs_cells() {
    let mut kernel = Kernel::start().await;
    kernel.client.send("kernel_info_request", json!({})).await;
    let info = kernel.client.reply().await.content;
    assert_eq!((&info["implementation"], &info["language_info"]["name"]), (&json!("etude"), &json!("rhai")));
    assert_eq!(info["language_info"]["file_extension"], ".rhai");
    let trace = kernel.run("print(\"hello\");\n:pwd\ndebug(1);\n[1, 2.5]").await;
    assert_eq!(kinds(&trace), ["execute_input", "stream", "stream", "execute_result"]);
    assert_eq!((&trace[1].content["name"], &trace[2].content["name"]), (&json!("stdout"), &json!("stderr")));
    assert_eq!(trace[3].content["data"]["text/plain"], "[1, 2.5]");
    let (trace, reply) = kernel.client.run("let lr = 1;\nlr + nope").await;
    assert_eq!(kinds(&trace), ["execute_input", "error"]);
    let traceback = reply["traceback"].to_string();
    assert!(traceback.contains("lr + nope") && traceback.contains('^'), "{traceback}");
    assert_eq!(kernel.value("lr").await, "1", "what ran before the fault stays");
    let content = json!({ "code": "let x = 2;", "user_expressions": { "good": "x + 1", "bad": "nope" } });
    let id = kernel.client.send("execute_request", content).await;
    kernel.client.trace(&id).await;
    let expressions = kernel.client.reply().await.content["user_expressions"].clone();
    assert_eq!(
        (&expressions["good"]["data"]["text/plain"], &expressions["bad"]["status"]),
        (&json!("3"), &json!("error"))
    );
    assert!(kernel.shut_down(false).await < Duration::from_secs(5));
}

#[tokio::test]
async fn an_interrupt_ends_whatever_runs_and_keeps_the_variables() {
    let mut kernel = Kernel::start().await;
    kernel.run("let kept = 6 * 7; let data = dataset(\"examples/midi\", tokenizer(\"performance\"), #{ max_seq_len: 256, val: 0.2 }); let net = load_model(\"base\").qlora(#{ r: 4 });").await;
    let long = [
        "loop { }",
        "sleep(1000)",
        "trainer(net, data, #{ max_steps: 10000, batch_size: 4 }).fit()",
        "net.generate(sampler(#{ seed: 1 }), #{ max_new_tokens: 100000 })",
        "loop { dataset(\"examples/midi\", tokenizer(\"performance\"), #{ max_seq_len: 512, augment: #{ transpose: 12 } }) }",
    ];
    for work in long {
        for signal in [false, true] {
            let mut best = Duration::MAX;
            for _ in 0..TRIES {
                let id = kernel.begin(&format!("print(\"begun\"); {work}")).await;
                tokio::time::sleep(Duration::from_millis(200)).await;
                let begun = Instant::now();
                kernel.stop_by(signal).await;
                kernel.interrupted(&id).await;
                best = best.min(begun.elapsed());
                if best < INTERRUPT {
                    break;
                }
            }
            assert!(best < INTERRUPT, "{work}, signal {signal}: {best:?}");
        }
    }
    assert_eq!(kernel.value("[kept, net.trainable > 0, data.train.len > 0]").await, "[42, true, true]");
    kernel.shut_down(false).await;
}

#[tokio::test]
async fn an_interrupt_that_comes_with_its_cell_is_not_lost() {
    let mut kernel = Kernel::start().await;
    for _ in 0..10 {
        let id = kernel.client.cell("loop { }").await;
        while kernel.client.iopub().await.kind != "execute_input" {}
        kernel.stop_by(false).await;
        kernel.interrupted(&id).await;
    }
    kernel.shut_down(false).await;
}

#[tokio::test]
async fn input_is_asked_answered_interrupted_and_refused() {
    let mut kernel = Kernel::start().await;
    let id = kernel.client.cell("let name = input(\"your name? \"); `hello ${name}`").await;
    assert_eq!(kernel.client.question().await.content["prompt"], "your name? ");
    kernel.client.answer("Thelonious").await;
    let trace = kernel.client.trace(&id).await;
    assert_eq!(trace[1].content["data"]["text/plain"], "\"hello Thelonious\"");
    kernel.client.reply().await;
    for signal in [false, true] {
        let id = kernel.client.cell("input(\"again? \")").await;
        kernel.client.question().await;
        kernel.stop_by(signal).await;
        kernel.interrupted(&id).await;
    }
    let id = kernel.client.send("execute_request", json!({ "code": "input(\"?\")", "allow_stdin": false })).await;
    kernel.client.trace(&id).await;
    assert!(kernel.client.reply().await.content["evalue"].as_str().expect("a text").contains("no input"));
    assert_eq!(kernel.value("name").await, "\"Thelonious\"");
    kernel.shut_down(false).await;
}

#[tokio::test]
async fn a_fault_takes_the_queue_with_it() {
    let mut kernel = Kernel::start().await;
    let first = kernel.client.cell("sleep(0.1); throw \"on purpose\"").await;
    let second = kernel.client.cell("let never = 1;").await;
    kernel.client.trace(&first).await;
    assert_eq!(kernel.client.reply().await.content["status"], "error");
    kernel.client.trace(&second).await;
    assert_eq!(kernel.client.reply().await.content["status"], "aborted");
    let (_, reply) = kernel.client.run("never").await;
    assert_eq!(reply["status"], "error", "it never ran");
    kernel.shut_down(false).await;
}

#[tokio::test]
async fn help_is_given_while_a_cell_trains() {
    let mut kernel = Kernel::start().await;
    kernel
        .run("let data = dataset(\"examples/midi\", tokenizer(\"performance\"), #{ max_seq_len: 256, val: 0.2 });")
        .await;
    let cell = "print(\"begun\"); let net = load_model(\"base\").qlora(#{ r: 4 }); trainer(net, data, #{ max_steps: 10000, batch_size: 4 }).fit()";
    let id = kernel.begin(cell).await;
    let questions = [
        ("complete_request", json!({ "code": "é; data.tra", "cursor_pos": 11 })),
        ("complete_request", json!({ "code": "net.quan", "cursor_pos": 8 })),
        ("inspect_request", json!({ "code": "net.generate", "cursor_pos": 8, "detail_level": 0 })),
        ("is_complete_request", json!({ "code": "for x in y {" })),
    ];
    let mut answers: Vec<Value> = Vec::new();
    for (kind, content) in questions {
        let begun = Instant::now();
        kernel.client.send(kind, content).await;
        let reply = kernel.client.reply().await;
        assert_eq!(reply.kind, kind.replace("request", "reply"), "the cell ended: {reply:?}");
        assert!(begun.elapsed() < Duration::from_secs(2), "{kind} took {:?}", begun.elapsed());
        answers.push(reply.content);
    }
    assert_eq!(answers[0]["matches"], json!(["train"]));
    assert_eq!((&answers[0]["cursor_start"], &answers[0]["cursor_end"]), (&json!(8), &json!(11)));
    let kind = &answers[0]["metadata"]["_jupyter_types_experimental"][0];
    assert_eq!((&kind["type"], &kind["signature"]), (&json!("property"), &json!("Dataset.train -> Split")));
    assert_eq!(answers[1]["matches"], json!(["quantize"]), "a variable of the cell that runs");
    assert_eq!(answers[2]["found"], true);
    assert!(answers[2]["data"]["text/markdown"].as_str().is_some_and(|page| page.contains("Model.generate(")));
    assert_eq!(answers[3], json!({ "status": "incomplete", "indent": "    " }));
    kernel.stop_by(false).await;
    kernel.interrupted(&id).await;
    kernel.shut_down(false).await;
}

#[tokio::test]
async fn much_is_said_without_loss() {
    let mut kernel = Kernel::start().await;
    let expected: String = (0..100_000).map(|n| format!("{n}\n")).collect();
    let mut best = Duration::MAX;
    for _ in 0..TRIES {
        let begun = Instant::now();
        let trace = kernel.run("for i in 0..100000 { print(i) }").await;
        best = best.min(begun.elapsed());
        let text: String = trace.iter().filter_map(|m| m.content["text"].as_str()).collect();
        assert!(text == expected, "{} bytes came of {}", text.len(), expected.len());
        if best < Duration::from_secs(2) {
            break;
        }
    }
    assert!(best < Duration::from_secs(2), "{best:?}");
    let trace = kernel.run("let s = \"0123456789abcdef\"; for i in 0..19 { s += s; } display(s)").await;
    let shown = trace[1].content["data"]["text/plain"].as_str().map_or(0, str::len);
    assert!(shown > 0, "{trace:?}");
    // A value is cut where a notebook would grow heavy; what is printed was asked for.
    for cell in [
        "`${s}\n${s}`",
        "display(`${s}\n${s}`)",
        "let row = []; row.pad(200, 0.5); let all = []; all.pad(200, row); all",
    ] {
        let trace = kernel.run(cell).await;
        let output = trace.last().expect("an output").content["data"].to_string();
        assert!(output.len() > 10_000 && output.len() < 2_001_000, "{cell}: {} bytes", output.len());
    }
    let trace = kernel.run("print(s.sub_string(0, 5 * 1024 * 1024))").await;
    let text: usize = trace.iter().filter_map(|m| m.content["text"].as_str()).map(str::len).sum();
    assert_eq!(text, 5 * 1024 * 1024 + 1);
    kernel.shut_down(false).await;
}

#[tokio::test]
async fn a_forged_message_is_ignored_and_a_lost_client_replaced() {
    let mut kernel = Kernel::start().await;
    let mut forged = kernel.client.info.clone();
    forged.key = "another secret".into();
    Client::connect(forged, None).await.cell("let forged = 1;").await;
    kernel.client.cell("for i in 0..50000 { print(i) } let mine = 1;").await;
    let info = kernel.client.info.clone();
    kernel.client = Client::connect(info, None).await;
    while kernel.client.iopub().await.kind != "iopub_welcome" {}
    let (_, reply) = kernel.client.run("forged").await;
    assert_eq!(reply["ename"], "NameError", "{reply}");
    assert_eq!(kernel.value("mine").await, "1");
    kernel.shut_down(false).await;
}

#[tokio::test]
async fn a_restart_takes_less_than_a_second() {
    let mut best = Duration::MAX;
    for _ in 0..TRIES {
        let mut kernel = Kernel::start().await;
        kernel.client.cell("loop { }").await;
        let begun = Instant::now();
        kernel.shut_down(true).await;
        let mut again = Kernel::start().await;
        again.client.send("kernel_info_request", json!({})).await;
        again.client.reply().await;
        best = best.min(begun.elapsed());
        again.shut_down(false).await;
        if best < Duration::from_secs(1) {
            return;
        }
    }
    panic!("{best:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn no_kernel_outlives_the_process_that_started_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let info = free_ports();
    let kernel = command(&info, folder.path());
    let mut call: Vec<String> = vec![kernel.get_program().to_string_lossy().into_owned()];
    call.extend(kernel.get_args().map(|a| format!("'{}'", a.to_string_lossy())));
    // The shell is the server that dies; it becomes the sleep, or that would live on and hold the output of the tests.
    let script = format!("{} >/dev/null 2>&1 & echo $!; exec sleep 600", call.join(" "));
    let mut server = Command::new("sh").args(["-c", &script]).stdout(Stdio::piped()).spawn().expect("a shell");
    let mut line = String::new();
    let mut out = std::io::BufReader::new(server.stdout.take().expect("a pipe"));
    std::io::BufRead::read_line(&mut out, &mut line).expect("a line");
    let process: u32 = line.trim().parse().expect("a process id");
    let mut client = Client::connect(info, None).await;
    client.send("kernel_info_request", json!({})).await;
    client.reply().await;
    server.kill().and_then(|()| server.wait()).expect("it is gone");
    let begun = Instant::now();
    while kill(None, process) {
        assert!(begun.elapsed() < Duration::from_secs(20), "process {process} still runs");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
