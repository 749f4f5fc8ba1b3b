//! Messages on the wire, parsed leniently: a malformed field does not invalidate a request.

use jupyter_protocol::{Header, JupyterMessage, JupyterMessageContent, UnknownMessage};
use jupyter_zmq_client::{Connection, RawMessage};
use serde::de::DeserializeOwned;
use serde_json::Value;
use zeromq::SocketRecv;

/// A request: its envelope, for the reply, and its content as JSON.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) envelope: JupyterMessage,
    pub(crate) content: Value,
}

impl Request {
    /// "execute_request"
    pub(crate) fn kind(&self) -> &str {
        &self.envelope.header.msg_type
    }

    /// The content as a struct whose fields have defaults, also for missing or malformed fields.
    pub(crate) fn parse<T: DeserializeOwned + Default>(&self) -> T {
        serde_json::from_value(self.content.clone()).unwrap_or_default()
    }
}

/// Receives one message and checks its signature.
pub(crate) async fn receive<S: SocketRecv>(connection: &mut Connection<S>) -> Result<Request, String> {
    let frames = connection.socket.recv().await.map_err(|e| e.to_string())?;
    let raw = RawMessage::from_multipart(frames, &connection.mac).map_err(|e| e.to_string())?;
    let header: Header = serde_json::from_slice(&raw.jparts[0]).map_err(|e| e.to_string())?;
    let content: Value = serde_json::from_slice(&raw.jparts[3]).map_err(|e| e.to_string())?;
    let envelope = JupyterMessage {
        zmq_identities: raw.zmq_identities,
        parent_header: serde_json::from_slice(&raw.jparts[1]).ok(),
        metadata: serde_json::from_slice(&raw.jparts[2]).unwrap_or_default(),
        content: unknown(&header.msg_type, Value::Object(serde_json::Map::new())),
        buffers: Vec::new(),
        channel: None,
        header,
    };
    Ok(Request { envelope, content })
}

/// A message content of any type.
pub(crate) fn unknown(kind: &str, content: Value) -> JupyterMessageContent {
    UnknownMessage { msg_type: kind.to_owned(), content }.into()
}

/// A reply, for the channel of the request.
pub(crate) fn reply(kind: &str, content: Value, to: &Request) -> JupyterMessage {
    JupyterMessage::new(unknown(kind, content), Some(&to.envelope))
}

/// A message for all subscribers: on IOPub the first frame is a topic instead of a client's identity.
pub(crate) fn broadcast(kind: &str, content: Value, about: &Request) -> JupyterMessage {
    reply(kind, content, about).with_zmq_identities(vec![format!("kernel.{kind}").into_bytes().into()])
}
