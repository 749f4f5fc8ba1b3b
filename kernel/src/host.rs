//! The host: sockets on one thread, the interpreter on another, and the channels between them.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jupyter_protocol::{ConnectionInfo, JupyterMessage};
use jupyter_zmq_client as zmq;
use serde_json::json;
use tokio::sync::mpsc;
use zeromq::{SocketRecv, SocketSend};

use crate::error::{Error, Result};
use crate::iopub;
use crate::shell::{self, Cell, Running, Shared};
use crate::stdin::{Question, Stdin};
use crate::subscribers::{STALLED, Subscribers};
use crate::wire::{Request, receive, reply, unknown};
use crate::worker;
use crate::{Fault, Interpreter, Outbox, Output};

/// The delay before exit in which the library sends its queued messages.
const LINGER: Duration = Duration::from_millis(150);
/// The delay before a failed socket is used again.
const BREATH: Duration = Duration::from_millis(5);

/// Delays after which an interrupt is repeated.
const AGAIN: [Duration; 3] = [Duration::from_millis(10), Duration::from_millis(40), Duration::from_millis(100)];

/// Why the host returned. The interpreter's thread may still run, so exit the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The front end asked for it.
    Shutdown,
    /// The front end asked for it and will start the kernel again.
    Restart,
    /// The process that started the kernel is gone.
    Orphaned,
}

/// The callback that cancels the running cell; called from the host's thread on an interrupt request and on SIGINT.
pub struct Stop(Box<dyn Fn() + Send + Sync>);

impl Stop {
    /// Wraps a function, which must return at once.
    pub fn new(stop: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Box::new(stop))
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stop")
    }
}

/// Serves `connection` until the front end asks for shutdown. `make` runs on the interpreter's own thread.
///
/// # Errors
/// A socket that cannot be opened; an interpreter that does not start.
pub fn serve<I: Interpreter>(
    connection: &ConnectionInfo,
    stop: Stop,
    make: impl FnOnce(Outbox, Stdin) -> Result<I, Fault> + Send + 'static,
) -> Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tasks = tokio::task::LocalSet::new();
    let exit = tasks.block_on(&runtime, host(connection, stop, make));
    runtime.shutdown_background();
    exit
}

async fn host<I: Interpreter>(
    connection: &ConnectionInfo,
    stop: Stop,
    make: impl FnOnce(Outbox, Stdin) -> Result<I, Fault> + Send + 'static,
) -> Result<Exit> {
    let parent = parent_id();
    let session = format!("{:x}-{:x}", std::process::id(), connection.shell_port);
    let opened = |channel| move |e: zmq::RuntimeError| Error::Socket { channel, message: e.to_string() };
    let heartbeat = zmq::create_kernel_heartbeat_connection(connection).await.map_err(opened("heartbeat"))?;
    let iopub = zmq::create_kernel_iopub_xpub_connection(connection, &session).await.map_err(opened("iopub"))?;
    let stdin = zmq::create_kernel_stdin_connection(connection, &session).await.map_err(opened("stdin"))?;
    let shell = zmq::create_kernel_shell_connection(connection, &session).await.map_err(opened("shell"))?;
    let control = zmq::create_kernel_control_connection(connection, &session).await.map_err(opened("control"))?;

    let (to_iopub, iopub_queue) = mpsc::unbounded_channel();
    tokio::task::spawn_local(beat(heartbeat));
    tokio::task::spawn_local(iopub::run(Subscribers::new(iopub, STALLED), iopub_queue));

    let cell = Cell::default();
    let (questions, question_queue) = mpsc::unbounded_channel();
    let (answers, answer_queue) = std::sync::mpsc::channel();
    tokio::task::spawn_local(ask(stdin, question_queue, answers, cell.running.clone()));

    let outbox = paying(iopub::outbox(to_iopub.clone()), cell.payload.clone());
    let asker = asking(questions, cell.running.clone());
    let stdin = Stdin::new(asker, answer_queue, cell.stop.clone());
    let worker = worker::start(move || make(outbox, stdin)).await?;

    let (replies, reply_queue) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared::new(worker, to_iopub, replies, cell));
    let (requests, request_queue) = mpsc::unbounded_channel();
    let (shell_out, shell_in) = shell.split();
    tokio::task::spawn_local(post(shell_out, reply_queue));
    tokio::task::spawn_local(listen(shell_in, requests));
    tokio::task::spawn_local(shell::receive(shared.clone(), request_queue));

    let brake = Arc::new(Brake { cell: shared.stop.clone(), shared: shared.clone(), stop });
    tokio::task::spawn_local(signals(brake.clone()));
    tokio::select! {
        exit = controlled(control, shared, brake) => Ok(exit),
        () = orphaned(parent) => Ok(Exit::Orphaned),
    }
}

/// Handles interrupts: ends a pending `input` request, and calls the language's [`Stop`].
struct Brake {
    cell: Arc<AtomicBool>,
    shared: Arc<Shared>,
    stop: Stop,
}

impl Brake {
    fn pull(self: &Arc<Self>) {
        self.cell.store(true, Ordering::SeqCst);
        (self.stop.0)();
        // A language resets its interrupt flag when a cell begins; an interrupt just before is repeated.
        if let Some(cell) = self.running() {
            let brake = self.clone();
            tokio::task::spawn_local(async move {
                for wait in AGAIN {
                    tokio::time::sleep(wait).await;
                    if !brake.running().is_some_and(|now| Arc::ptr_eq(&now, &cell)) {
                        return;
                    }
                    (brake.stop.0)();
                }
            });
        }
    }

    /// The request whose cell runs.
    fn running(&self) -> Option<Arc<Request>> {
        self.shared.running.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|cell| cell.request.clone())
    }
}

/// Echoes heartbeat messages.
async fn beat(mut heartbeat: zmq::KernelHeartbeatConnection) {
    loop {
        match heartbeat.socket.recv().await {
            // A peer that left before its answer is ignored.
            Ok(ping) => drop(heartbeat.socket.send(ping).await),
            Err(_) => tokio::time::sleep(BREATH).await,
        }
    }
}

/// Receives requests; messages that are unreadable or not signed are ignored.
async fn listen<S: SocketRecv>(mut connection: zmq::Connection<S>, requests: mpsc::UnboundedSender<Request>) {
    loop {
        match receive(&mut connection).await {
            Ok(request) => {
                if requests.send(request).is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "a request was dropped: it cannot be read, or its signature is wrong");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

/// Sends replies in order; those to disconnected clients are dropped.
async fn post<S: SocketSend>(mut connection: zmq::Connection<S>, mut replies: mpsc::UnboundedReceiver<JupyterMessage>) {
    while let Some(message) = replies.recv().await {
        let kind = message.header.msg_type.clone();
        if let Err(error) = connection.send(message).await {
            tracing::warn!(%error, kind, "a reply was dropped: its client is gone");
        }
    }
}

/// The control channel: interrupt and shutdown, answered while a cell runs.
async fn controlled(mut control: zmq::KernelControlConnection, shared: Arc<Shared>, brake: Arc<Brake>) -> Exit {
    loop {
        let request = match receive(&mut control).await {
            Ok(request) => Arc::new(request),
            Err(error) => {
                tracing::warn!(%error, "a control request was dropped: it cannot be read, or its signature is wrong");
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        shared.status("busy", &request);
        let kind = request.kind().replace("_request", "_reply");
        let restart = request.content.get("restart").and_then(serde_json::Value::as_bool).unwrap_or(false);
        let content = match request.kind() {
            "interrupt_request" => {
                brake.pull();
                Some(json!({ "status": "ok" }))
            }
            "shutdown_request" => {
                brake.pull();
                Some(json!({ "status": "ok", "restart": restart }))
            }
            _ => shared.answer(&request),
        };
        if let Some(content) = content
            && let Err(error) = control.send(reply(&kind, content, &request)).await
        {
            tracing::warn!(%error, kind, "a reply on the control channel was dropped");
        }
        if request.kind() == "shutdown_request" {
            shared.publish("shutdown_reply", json!({ "status": "ok", "restart": restart }), &request);
            shared.status("idle", &request);
            tokio::time::sleep(LINGER).await;
            return if restart { Exit::Restart } else { Exit::Shutdown };
        }
        shared.status("idle", &request);
    }
}

/// SIGINT, which some front ends send in place of a message.
async fn signals(brake: Arc<Brake>) {
    while tokio::signal::ctrl_c().await.is_ok() {
        brake.pull();
    }
}

/// Returns when the parent process has exited, so that no kernel outlives its server.
async fn orphaned(parent: Option<u32>) {
    let Some(parent) = parent.filter(|&id| id > 1) else { return std::future::pending().await };
    while parent_id() == Some(parent) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[cfg(unix)]
fn parent_id() -> Option<u32> {
    Some(std::os::unix::process::parent_id())
}

#[cfg(not(unix))]
fn parent_id() -> Option<u32> {
    None
}

/// An outbox that collects the payload of the reply and passes other output on.
fn paying(outbox: Outbox, payload: Arc<Mutex<Vec<serde_json::Value>>>) -> Outbox {
    let keep = move |item| payload.lock().unwrap_or_else(PoisonError::into_inner).push(item);
    Outbox::new(move |output| match output {
        Output::Page(page) => keep(json!({ "source": "page", "data": page.forms(), "start": 0 })),
        Output::Leave => keep(json!({ "source": "ask_exit", "keepkernel": false })),
        other => outbox.send(other),
    })
}

/// Accepts an `input` request if the front end of the running cell allows them.
fn asking(
    questions: mpsc::UnboundedSender<Question>,
    running: Arc<Mutex<Option<Running>>>,
) -> impl Fn(Question) -> bool + Send + Sync {
    move |question| {
        let allowed =
            running.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(|cell| cell.allow_stdin);
        allowed && questions.send(question).is_ok()
    }
}

/// The stdin channel: sends `input` requests to the front end of the running cell, and its answers back.
async fn ask(
    mut stdin: zmq::KernelStdinConnection,
    mut questions: mpsc::UnboundedReceiver<Question>,
    answers: std::sync::mpsc::Sender<String>,
    running: Arc<Mutex<Option<Running>>>,
) {
    loop {
        tokio::select! {
            question = questions.recv() => {
                let Some(question) = question else { return };
                let cell = running.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if let Some(Running { request, .. }) = cell {
                    let content = json!({ "prompt": question.prompt, "password": question.password });
                    // The identity of the cell's client routes the question to it.
                    let message = JupyterMessage::new(unknown("input_request", content), Some(&request.envelope));
                    if let Err(error) = stdin.send(message).await {
                        tracing::warn!(%error, "a question to the user was dropped");
                    }
                }
            }
            answer = receive(&mut stdin) => match answer {
                Ok(answer) if answer.kind() == "input_reply" => {
                    let value = answer.content.get("value").and_then(serde_json::Value::as_str).unwrap_or("");
                    let _ = answers.send(value.to_owned());
                }
                Ok(other) => tracing::warn!(kind = other.kind(), "a message on the stdin channel was dropped"),
                Err(error) => {
                    tracing::warn!(%error, "a message on the stdin channel was dropped");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }
}
