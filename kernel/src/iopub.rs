//! The one writer to IOPub: an ordered queue, text gathered into batches, a welcome for every subscriber.

use std::sync::Arc;
use std::time::Duration;

use jupyter_protocol::{IoPubWelcome, JupyterMessage};
use jupyter_zmq_client::{KernelIoPubXPubConnection, SubscriptionEvent};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};

use crate::Output;
use crate::wire::{Request, broadcast};

/// Text waits no longer than this for company.
const GATHER: Duration = Duration::from_millis(50);
/// Text beyond this is sent at once, so that one message stays small.
const GATHER_BYTES: usize = 256 * 1024;
/// A subscriber that does not read for so long is left behind.
const STALLED: Duration = Duration::from_secs(10);

/// What goes into the queue.
pub(crate) enum Publish {
    /// What follows is about this request.
    About(Arc<Request>),
    /// A cell says something.
    Said(Output),
    /// A message of the host about any request.
    Message(&'static str, Value, Arc<Request>),
    /// Answered when everything before has been sent.
    Flush(oneshot::Sender<()>),
}

/// Empties the queue for as long as anyone can write to it.
pub(crate) async fn run(mut socket: KernelIoPubXPubConnection, mut queue: UnboundedReceiver<Publish>) {
    let mut writer = Writer { about: None, text: String::new(), stream: "stdout", due: None };
    loop {
        let due = writer.due.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
        tokio::select! {
            biased;
            event = socket.recv_subscription() => {
                // An error here means that a client left.
                if let Ok(SubscriptionEvent::Subscribe(topic)) = event {
                    send(&mut socket, JupyterMessage::new(IoPubWelcome::new(topic), None)).await;
                }
            }
            item = queue.recv() => match item {
                Some(item) => writer.take(item, &mut socket).await,
                None => break,
            },
            () = sleep_until(due) => writer.flush(&mut socket).await,
        }
    }
}

/// Puts into the queue what an [`Outbox`](crate::Outbox) gets.
pub(crate) fn outbox(queue: UnboundedSender<Publish>) -> crate::Outbox {
    // The queue is gone only when the kernel is on its way out.
    crate::Outbox::new(move |output| drop(queue.send(Publish::Said(output))))
}

struct Writer {
    about: Option<Arc<Request>>,
    text: String,
    stream: &'static str,
    due: Option<Instant>,
}

impl Writer {
    async fn take(&mut self, item: Publish, socket: &mut KernelIoPubXPubConnection) {
        match item {
            Publish::Said(Output::Stdout(text)) => self.gather("stdout", &text, socket).await,
            Publish::Said(Output::Stderr(text)) => self.gather("stderr", &text, socket).await,
            other => {
                self.flush(socket).await;
                self.whole(other, socket).await;
            }
        }
    }

    async fn gather(&mut self, stream: &'static str, text: &str, socket: &mut KernelIoPubXPubConnection) {
        if stream != self.stream {
            self.flush(socket).await;
            self.stream = stream;
        }
        self.text.push_str(text);
        self.due.get_or_insert_with(|| Instant::now() + GATHER);
        if self.text.len() > GATHER_BYTES {
            self.flush(socket).await;
        }
    }

    async fn flush(&mut self, socket: &mut KernelIoPubXPubConnection) {
        self.due = None;
        if self.text.is_empty() {
            return;
        }
        let text = std::mem::take(&mut self.text);
        self.about_cell("stream", json!({ "name": self.stream, "text": text }), socket).await;
    }

    async fn whole(&mut self, item: Publish, socket: &mut KernelIoPubXPubConnection) {
        match item {
            Publish::About(request) => self.about = Some(request),
            Publish::Message(kind, content, about) => send(socket, broadcast(kind, content, &about)).await,
            // Nobody waits any more when the other end is gone.
            Publish::Flush(done) => drop(done.send(())),
            Publish::Said(Output::Display { bundle, id }) => {
                self.about_cell("display_data", display(&bundle, id.as_deref()), socket).await;
            }
            Publish::Said(Output::Update { bundle, id }) => {
                self.about_cell("update_display_data", display(&bundle, Some(&id)), socket).await;
            }
            Publish::Said(Output::Clear { wait }) => {
                self.about_cell("clear_output", json!({ "wait": wait }), socket).await;
            }
            // Text is gathered before this; pages and the wish to leave travel in the reply.
            Publish::Said(Output::Stdout(_) | Output::Stderr(_) | Output::Page(_) | Output::Leave) => {}
        }
    }

    async fn about_cell(&self, kind: &str, content: Value, socket: &mut KernelIoPubXPubConnection) {
        if let Some(about) = &self.about {
            send(socket, broadcast(kind, content, about)).await;
        }
    }
}

fn display(bundle: &crate::Bundle, id: Option<&str>) -> Value {
    let transient = id.map_or_else(|| json!({}), |id| json!({ "display_id": id }));
    json!({ "data": bundle.forms(), "metadata": {}, "transient": transient })
}

async fn send(socket: &mut KernelIoPubXPubConnection, message: JupyterMessage) {
    // A subscriber that left or stalls must not stop the others.
    let _ = timeout(STALLED, socket.send(message)).await;
}
