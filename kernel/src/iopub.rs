//! The only writer to IOPub: an ordered queue in which text is batched.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use crate::Output;
use crate::subscribers::Subscribers;
use crate::wire::{Request, broadcast};

/// The longest time for which text is batched.
const GATHER: Duration = Duration::from_millis(50);
/// The size from which text is sent at once, so that messages stay small.
const GATHER_BYTES: usize = 256 * 1024;

/// An item of the queue.
pub(crate) enum Publish {
    /// Sets the parent of the following messages.
    About(Arc<Request>),
    /// The output of a cell.
    Said(Output),
    /// A message of the host about any request.
    Message(&'static str, Value, Arc<Request>),
    /// Answered when everything before has been sent.
    Flush(oneshot::Sender<()>),
}

/// Sends what is in the queue until all senders are gone.
pub(crate) async fn run(mut all: Subscribers, mut queue: UnboundedReceiver<Publish>) {
    let mut writer = Writer { about: None, text: String::new(), stream: "stdout", due: None };
    loop {
        let due = writer.due.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
        tokio::select! {
            biased;
            () = all.change() => all.welcome().await,
            item = queue.recv() => match item {
                Some(item) => writer.take(item, &mut all).await,
                None => break,
            },
            () = sleep_until(due) => writer.flush(&mut all).await,
        }
    }
}

/// An [`Outbox`](crate::Outbox) that writes to the queue.
pub(crate) fn outbox(queue: UnboundedSender<Publish>) -> crate::Outbox {
    // The queue is closed only at exit.
    crate::Outbox::new(move |output| drop(queue.send(Publish::Said(output))))
}

struct Writer {
    about: Option<Arc<Request>>,
    text: String,
    stream: &'static str,
    due: Option<Instant>,
}

impl Writer {
    async fn take(&mut self, item: Publish, all: &mut Subscribers) {
        match item {
            Publish::Said(Output::Stdout(text)) => self.gather("stdout", &text, all).await,
            Publish::Said(Output::Stderr(text)) => self.gather("stderr", &text, all).await,
            other => {
                self.flush(all).await;
                self.whole(other, all).await;
            }
        }
    }

    async fn gather(&mut self, stream: &'static str, text: &str, all: &mut Subscribers) {
        if stream != self.stream {
            self.flush(all).await;
            self.stream = stream;
        }
        self.text.push_str(text);
        self.due.get_or_insert_with(|| Instant::now() + GATHER);
        if self.text.len() > GATHER_BYTES {
            self.flush(all).await;
        }
    }

    async fn flush(&mut self, all: &mut Subscribers) {
        self.due = None;
        if self.text.is_empty() {
            return;
        }
        let text = std::mem::take(&mut self.text);
        self.about_cell("stream", json!({ "name": self.stream, "text": text }), all).await;
    }

    async fn whole(&mut self, item: Publish, all: &mut Subscribers) {
        match item {
            Publish::About(request) => self.about = Some(request),
            Publish::Message(kind, content, about) => all.send(broadcast(kind, content, &about)).await,
            // The receiver may be gone.
            Publish::Flush(done) => drop(done.send(())),
            Publish::Said(Output::Display { bundle, id }) => {
                self.about_cell("display_data", display(&bundle, id.as_deref()), all).await;
            }
            Publish::Said(Output::Update { bundle, id }) => {
                self.about_cell("update_display_data", display(&bundle, Some(&id)), all).await;
            }
            Publish::Said(Output::Clear { wait }) => {
                self.about_cell("clear_output", json!({ "wait": wait }), all).await;
            }
            // Text is batched before this; pages and exit requests are part of the reply.
            Publish::Said(Output::Stdout(_) | Output::Stderr(_) | Output::Page(_) | Output::Leave) => {}
        }
    }

    async fn about_cell(&self, kind: &str, content: Value, all: &mut Subscribers) {
        if let Some(about) = &self.about {
            all.send(broadcast(kind, content, about)).await;
        }
    }
}

fn display(bundle: &crate::Bundle, id: Option<&str>) -> Value {
    let transient = id.map_or_else(|| json!({}), |id| json!({ "display_id": id }));
    json!({ "data": bundle.forms(), "metadata": bundle.metadata(), "transient": transient })
}
