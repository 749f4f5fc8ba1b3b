//! The shell channel: cells run one after another; other requests are answered at once, also while a cell runs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jupyter_protocol::JupyterMessage;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::history::{History, Query};
use crate::iopub::Publish;
use crate::usage::Usage;
use crate::wire::{Request, reply};
use crate::worker::{Job, Outcome, Worker};
use crate::{Bundle, Completeness, Fault, Language};

/// The interval within which requests count as sent together.
const SAME_BREATH: Duration = Duration::from_millis(20);

/// State shared by the channels.
pub(crate) struct Shared {
    pub(crate) worker: Worker,
    pub(crate) iopub: mpsc::UnboundedSender<Publish>,
    pub(crate) replies: mpsc::UnboundedSender<JupyterMessage>,
    pub(crate) payload: Arc<Mutex<Vec<Value>>>,
    /// The running cell, for its `input` requests and for the status after other requests.
    pub(crate) running: Arc<Mutex<Option<Running>>>,
    pub(crate) stop: Arc<AtomicBool>,
    history: Mutex<History>,
    usage: Mutex<Usage>,
    count: AtomicUsize,
}

/// A running cell.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) request: Arc<Request>,
    pub(crate) allow_stdin: bool,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Execute {
    code: String,
    silent: bool,
    store_history: bool,
    user_expressions: BTreeMap<String, String>,
    allow_stdin: bool,
    stop_on_error: bool,
}

impl Default for Execute {
    fn default() -> Self {
        Self {
            code: String::new(),
            silent: false,
            store_history: true,
            user_expressions: BTreeMap::new(),
            allow_stdin: false,
            stop_on_error: true,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Typed {
    code: String,
    cursor_pos: usize,
}

impl Shared {
    pub(crate) fn new(
        worker: Worker,
        iopub: mpsc::UnboundedSender<Publish>,
        replies: mpsc::UnboundedSender<JupyterMessage>,
        cell: Cell,
    ) -> Self {
        let Cell { payload, running, stop } = cell;
        let history = Mutex::new(worker.history.as_deref().map_or_else(History::default, History::open));
        let (usage, count) = (Mutex::new(Usage::new()), AtomicUsize::new(0));
        Self { worker, iopub, replies, payload, running, stop, history, usage, count }
    }

    /// Publishes the status `busy` or `idle` for a request.
    pub(crate) fn status(&self, state: &str, request: &Arc<Request>) {
        self.publish("status", json!({ "execution_state": state }), request);
    }

    pub(crate) fn publish(&self, kind: &'static str, content: Value, request: &Arc<Request>) {
        // Closed only at exit.
        let _ = self.iopub.send(Publish::Message(kind, content, request.clone()));
    }

    /// The reply to a request that needs no interpreter; `None` for other requests.
    pub(crate) fn answer(&self, request: &Request) -> Option<Value> {
        let content = match request.kind() {
            "kernel_info_request" => kernel_info(&self.worker.language),
            "is_complete_request" => {
                let typed: Typed = request.parse();
                self.assisted(|assistant| is_complete(&assistant.completeness(&typed.code)))
            }
            "complete_request" => {
                let typed: Typed = request.parse();
                self.assisted(|assistant| complete(assistant, &typed))
            }
            "inspect_request" => {
                let typed: Typed = request.parse();
                let cursor = byte_of(&typed.code, typed.cursor_pos);
                let found = self.assisted(|assistant| assistant.inspect(&typed.code, cursor));
                let data = found.as_ref().map_or_else(|| json!({}), |bundle| json!(bundle.forms()));
                json!({ "status": "ok", "found": found.is_some(), "data": data, "metadata": {} })
            }
            "history_request" => {
                let query: Query = request.parse();
                self.history.lock().unwrap_or_else(PoisonError::into_inner).answer(&query)
            }
            "usage_request" => self.usage.lock().unwrap_or_else(PoisonError::into_inner).answer(),
            "comm_info_request" => json!({ "status": "ok", "comms": {} }),
            other => {
                tracing::debug!(kind = other, "a request of an unknown kind is not answered");
                return None;
            }
        };
        Some(content)
    }

    fn assisted<T>(&self, ask: impl FnOnce(&dyn crate::Assistant) -> T) -> T {
        ask(&**self.worker.assistant.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Answers a request other than a cell, between `busy` and `idle`. If a cell runs, its `busy` is sent again after,
    /// since some front ends show the last status received.
    fn at_once(&self, request: &Arc<Request>) {
        self.status("busy", request);
        if let Some(content) = self.answer(request) {
            let kind = request.kind().replace("_request", "_reply");
            let _ = self.replies.send(reply(&kind, content, request));
        } else if request.kind() == "comm_open" {
            // There are no comm targets here; the protocol requires unknown comms to be closed.
            let id = request.content.get("comm_id").cloned().unwrap_or_default();
            self.publish("comm_close", json!({ "comm_id": id, "data": {} }), request);
        }
        self.status("idle", request);
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(Running { request, .. }) = running {
            self.status("busy", &request);
        }
    }
}

/// The current cell, for the interpreter's handles and the shell.
#[derive(Clone, Default)]
pub(crate) struct Cell {
    pub(crate) payload: Arc<Mutex<Vec<Value>>>,
    pub(crate) running: Arc<Mutex<Option<Running>>>,
    pub(crate) stop: Arc<AtomicBool>,
}

/// Queues cells and answers other requests at once.
pub(crate) async fn receive(shared: Arc<Shared>, mut requests: mpsc::UnboundedReceiver<Request>) {
    let (cells, queue) = mpsc::unbounded_channel();
    tokio::task::spawn_local(run_cells(shared.clone(), queue));
    while let Some(request) = requests.recv().await {
        let request = Arc::new(request);
        if request.kind() == "execute_request" {
            let _ = cells.send(request);
        } else {
            shared.at_once(&request);
        }
    }
}

async fn run_cells(shared: Arc<Shared>, mut queue: mpsc::UnboundedReceiver<Arc<Request>>) {
    while let Some(request) = queue.recv().await {
        let begun = Instant::now();
        shared.status("busy", &request);
        let execute: Execute = request.parse();
        let (well, content) = shared.run_cell(&request, &execute).await;
        let mut behind = Vec::new();
        if !well && execute.stop_on_error {
            // Cells sent together with a failed one are aborted; cells sent after its reply are not. After a longer
            // cell, for instance an interrupted one, no wait is needed.
            tokio::time::sleep(SAME_BREATH.saturating_sub(begun.elapsed())).await;
            behind.extend(std::iter::from_fn(|| queue.try_recv().ok()));
        }
        let _ = shared.replies.send(reply("execute_reply", content, &request));
        shared.status("idle", &request);
        behind.iter().for_each(|queued| shared.abort(queued));
    }
}

impl Shared {
    /// Runs a cell; returns whether it succeeded, and the content of its reply.
    async fn run_cell(&self, request: &Arc<Request>, execute: &Execute) -> (bool, Value) {
        let stored = execute.store_history && !execute.silent;
        let number = self.count.load(Ordering::Relaxed) + usize::from(stored);
        self.count.store(number, Ordering::Relaxed);
        if stored {
            self.history.lock().unwrap_or_else(PoisonError::into_inner).push(number, &execute.code);
        }
        let _ = self.iopub.send(Publish::About(request.clone()));
        if !execute.silent {
            self.publish("execute_input", json!({ "code": execute.code, "execution_count": number }), request);
        }
        let outcome = self.work(request, execute).await;
        let content = self.conclude(request, execute, number, &outcome);
        self.flushed().await;
        (outcome.value.is_ok(), content)
    }

    async fn work(&self, request: &Arc<Request>, execute: &Execute) -> Outcome {
        self.stop.store(false, Ordering::SeqCst);
        self.payload.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let running = Running { request: request.clone(), allow_stdin: execute.allow_stdin };
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(running);
        let (done, outcome) = oneshot::channel();
        let job = Job { cell: execute.code.clone(), expressions: execute.user_expressions.clone(), done };
        let sent = self.worker.jobs.send(job).is_ok();
        let outcome = if sent { outcome.await.ok() } else { None };
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = None;
        outcome.unwrap_or_else(|| Outcome {
            value: Err(Fault::new("Panic", "the interpreter is gone; restart the kernel")),
            expressions: BTreeMap::new(),
        })
    }

    /// Publishes the value or the error, and returns the content of the reply.
    fn conclude(&self, request: &Arc<Request>, execute: &Execute, number: usize, outcome: &Outcome) -> Value {
        let payload = std::mem::take(&mut *self.payload.lock().unwrap_or_else(PoisonError::into_inner));
        match &outcome.value {
            Ok(value) => {
                if let (Some(bundle), false) = (value, execute.silent) {
                    let result = json!({ "execution_count": number, "data": bundle.forms(),
                        "metadata": bundle.metadata() });
                    self.publish("execute_result", result, request);
                }
                let expressions: Map<String, Value> =
                    outcome.expressions.iter().map(|(name, value)| (name.clone(), expression(value))).collect();
                json!({ "status": "ok", "execution_count": number, "payload": payload, "user_expressions": expressions })
            }
            Err(fault) => {
                let mut content = error(fault);
                if !execute.silent {
                    self.publish("error", content.clone(), request);
                }
                content["status"] = "error".into();
                content["execution_count"] = number.into();
                content["payload"] = payload.into();
                content["user_expressions"] = json!({});
                content
            }
        }
    }

    /// Waits until all output queued so far has been sent.
    async fn flushed(&self) {
        let (done, sent) = oneshot::channel();
        if self.iopub.send(Publish::Flush(done)).is_ok() {
            let _ = sent.await;
        }
    }

    /// Replies to a cell that is aborted by an earlier error.
    fn abort(&self, request: &Arc<Request>) {
        self.status("busy", request);
        // Without a count, which front ends would show as if the cell had run.
        let _ = self.replies.send(reply("execute_reply", json!({ "status": "aborted" }), request));
        self.status("idle", request);
    }
}

fn error(fault: &Fault) -> Value {
    json!({ "ename": fault.name, "evalue": fault.message, "traceback": fault.traceback })
}

fn expression(value: &Result<Bundle, Fault>) -> Value {
    match value {
        Ok(bundle) => json!({ "status": "ok", "data": bundle.forms(), "metadata": bundle.metadata() }),
        Err(fault) => {
            let mut content = error(fault);
            content["status"] = "error".into();
            content
        }
    }
}

fn kernel_info(language: &Language) -> Value {
    let links: Vec<Value> = language.help_links.iter().map(|(text, url)| json!({ "text": text, "url": url })).collect();
    json!({
        "status": "ok",
        "protocol_version": "5.4",
        "implementation": language.implementation,
        "implementation_version": language.implementation_version,
        "language_info": {
            "name": language.name,
            "version": language.version,
            "mimetype": language.mimetype,
            "file_extension": language.file_extension,
            "pygments_lexer": language.pygments_lexer,
            "codemirror_mode": language.codemirror_mode,
            "nbconvert_exporter": "script",
        },
        "banner": language.banner,
        "help_links": links,
        "debugger": false,
        "supported_features": [],
    })
}

fn is_complete(completeness: &Completeness) -> Value {
    match completeness {
        Completeness::Complete => json!({ "status": "complete" }),
        Completeness::Incomplete { indent } => json!({ "status": "incomplete", "indent": indent }),
        Completeness::Invalid => json!({ "status": "invalid" }),
        Completeness::Unknown => json!({ "status": "unknown" }),
    }
}

fn complete(assistant: &dyn crate::Assistant, typed: &Typed) -> Value {
    let found = assistant.complete(&typed.code, byte_of(&typed.code, typed.cursor_pos));
    let (start, end) = (chars_to(&typed.code, found.start), chars_to(&typed.code, found.end));
    let matches: Vec<&str> = found.items.iter().map(|item| item.text.as_str()).collect();
    let types: Vec<Value> = found
        .items
        .iter()
        .map(|item| {
            json!({ "start": start, "end": end, "text": item.text, "type": item.kind, "signature": item.signature })
        })
        .collect();
    json!({ "status": "ok", "matches": matches, "cursor_start": start, "cursor_end": end,
        "metadata": { "_jupyter_types_experimental": types } })
}

/// The byte offset of a cursor in code points, clamped to the end.
fn byte_of(code: &str, cursor: usize) -> usize {
    code.char_indices().nth(cursor).map_or(code.len(), |(at, _)| at)
}

/// The cursor in code points of a byte offset.
fn chars_to(code: &str, byte: usize) -> usize {
    code.char_indices().take_while(|(at, _)| *at < byte).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_code_points_outside_and_bytes_inside() {
        let code = "é𝄞x";
        let bytes: Vec<usize> = (0..5).map(|cursor| byte_of(code, cursor)).collect();
        assert_eq!(bytes, [0, 2, 6, 7, 7]);
        let back: Vec<usize> = bytes.iter().map(|&byte| chars_to(code, byte)).collect();
        assert_eq!(back, [0, 1, 2, 3, 3]);
    }
}
