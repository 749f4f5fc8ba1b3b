//! Subscribers of IOPub: each receives a welcome and every message; one that stops reading is disconnected.
//!
//! The library's XPUB socket sends to one subscriber after another and waits for each, so that nothing is lost, but one
//! that stops reading would block all. A pause of the whole machine, or of this process, does not count.

use std::fmt;
use std::pin::pin;
use std::time::Duration;

use jupyter_protocol::{IoPubWelcome, JupyterMessage};
use jupyter_zmq_client::{KernelIoPubXPubConnection, SubscriptionEvent};
use tokio::time::{Instant, timeout, timeout_at};
use zeromq::util::PeerIdentity;
use zeromq::{Socket, SocketEvent};

/// A subscriber that reads nothing for this long, while this process runs, is disconnected.
pub(crate) const STALLED: Duration = Duration::from_secs(30);
/// The parts into which the wait is divided, so that a pause of the whole process counts as one part at most.
const PARTS: u32 = 10;
/// The number of latest connections that are tracked; older ones are usually closed.
const REMEMBERED: usize = 4;
/// The time within which wrongly disconnected sockets reconnect (libzmq tries after 100 ms).
const RETURN: Duration = Duration::from_millis(500);

/// The IOPub socket and its subscribers.
pub(crate) struct Subscribers {
    connection: KernelIoPubXPubConnection,
    /// Returns the next accepted connection, if there is a new one.
    arrival: Box<dyn FnMut() -> Option<PeerIdentity>>,
    present: Vec<PeerIdentity>,
    /// Topics of new subscribers without a welcome.
    newcomers: Vec<String>,
    patience: Duration,
}

impl fmt::Debug for Subscribers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscribers").field("present", &self.present.len()).finish_non_exhaustive()
    }
}

impl Subscribers {
    /// Over a bound socket; a subscriber that reads nothing for `patience` is disconnected.
    pub(crate) fn new(mut connection: KernelIoPubXPubConnection, patience: Duration) -> Self {
        let mut events = connection.socket.monitor();
        let arrival = move || {
            loop {
                if let SocketEvent::Accepted(_, peer) = events.try_recv().ok()? {
                    return Some(peer);
                }
            }
        };
        Self { connection, arrival: Box::new(arrival), present: Vec::new(), newcomers: Vec::new(), patience }
    }

    /// Waits for a subscription or a disconnection. Cancel-safe.
    pub(crate) async fn change(&mut self) {
        // An error means a disconnection.
        if let Ok(SubscriptionEvent::Subscribe(topic)) = self.connection.recv_subscription().await {
            self.newcomers.push(topic);
        }
        self.note_arrivals();
    }

    fn note_arrivals(&mut self) {
        self.present.extend(std::iter::from_fn(&mut self.arrival));
        self.present.drain(..self.present.len().saturating_sub(REMEMBERED));
    }

    /// Sends `iopub_welcome` to new subscribers (JEP 65).
    pub(crate) async fn welcome(&mut self) {
        while let Some(topic) = self.newcomers.pop() {
            // A subscriber of a topic receives only messages that begin with it.
            let first = if topic.is_empty() { Vec::new() } else { vec![topic.clone().into_bytes().into()] };
            let message = JupyterMessage::new(IoPubWelcome::new(topic), None).with_zmq_identities(first);
            self.deliver(message).await;
        }
    }

    /// Sends a message to all subscribers.
    pub(crate) async fn send(&mut self, message: JupyterMessage) {
        self.deliver(message).await;
        self.welcome().await;
    }

    /// Sends to all that read. ZeroMQ does not tell which subscriber stalls: they are disconnected one by one, the
    /// latest first, until the message is sent. The others reconnect, lose nothing, and may receive this message twice.
    async fn deliver(&mut self, message: JupyterMessage) {
        if self.attempt(message.clone()).await {
            return;
        }
        self.note_arrivals();
        // Without those that reconnect meanwhile.
        for peer in std::mem::take(&mut self.present).into_iter().rev() {
            tracing::warn!("a subscriber of iopub that reads nothing is disconnected");
            self.connection.socket.backend().peer_disconnected(&peer);
            let end = Instant::now() + RETURN;
            while timeout_at(end, self.change()).await.is_ok() {}
            if self.attempt(message.clone()).await {
                return;
            }
        }
        tracing::error!(kind = message.header.msg_type, "a message on iopub was dropped: nobody reads it");
    }

    /// Sends; false when a subscriber reads nothing for too long.
    async fn attempt(&mut self, message: JupyterMessage) -> bool {
        let part = self.patience / PARTS;
        let mut sending = pin!(self.connection.send(message));
        for _ in 0..PARTS {
            if timeout(part, &mut sending).await.is_ok() {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests;
