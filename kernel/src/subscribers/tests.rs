//! Tests of subscribers over real sockets that read, are slow, or stop.

use std::net::{IpAddr, Ipv4Addr};

use jupyter_protocol::{ConnectionInfo, Transport, UnknownMessage};
use jupyter_zmq_client as zmq;
use serde_json::json;
use zeromq::SocketRecv;

use super::*;

/// More than the buffers between two sockets hold.
const LARGE: usize = 12 << 20;

/// A socket on a port of its own.
async fn bound(patience: Duration) -> (Subscribers, ConnectionInfo) {
    let mut socket = zeromq::XPubSocket::new();
    let endpoint = socket.bind("tcp://127.0.0.1:0").await.expect("it binds");
    let zeromq::Endpoint::Tcp(_, port) = endpoint else { panic!("{endpoint}") };
    let info = ConnectionInfo {
        ip: IpAddr::V4(Ipv4Addr::LOCALHOST).to_string(),
        transport: Transport::TCP,
        shell_port: 0,
        iopub_port: port,
        stdin_port: 0,
        control_port: 0,
        hb_port: 0,
        key: "a secret".into(),
        signature_scheme: "hmac-sha256".into(),
        kernel_name: None,
    };
    let connection = zmq::Connection::new(socket, &info.key, "kernel");
    (Subscribers::new(connection, patience), info)
}

async fn connected(info: &ConnectionInfo, topic: &str) -> zmq::ClientIoPubConnection {
    zmq::create_client_iopub_connection(info, topic, "client").await.expect("it connects")
}

fn note(number: usize, letters: usize) -> JupyterMessage {
    let content = json!({ "number": number, "text": "x".repeat(letters) });
    JupyterMessage::new(UnknownMessage { msg_type: "note".into(), content }, None)
}

/// The types of the messages that come, with their numbers, until one with `last`.
async fn heard(connection: &mut zmq::ClientIoPubConnection, last: u64) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        // A connection that is cut ends in the middle of a message.
        let Ok(frames) = timeout(Duration::from_secs(60), connection.socket.recv()).await.expect("in time") else {
            continue;
        };
        let raw = zmq::RawMessage::from_multipart(frames, &connection.mac).expect("it is signed");
        let json = |part: usize| serde_json::from_slice::<serde_json::Value>(&raw.jparts[part]).expect("JSON");
        let number = json(3)["number"].as_u64();
        all.push(number.map_or_else(|| json(0)["msg_type"].to_string(), |n| n.to_string()));
        if number == Some(last) {
            return all;
        }
    }
}

#[tokio::test]
async fn a_subscriber_of_a_topic_is_welcomed_under_it() {
    let (mut all, info) = bound(STALLED).await;
    let mut client = connected(&info, "kernel.").await;
    all.change().await;
    all.welcome().await;
    let frames = client.socket.recv().await.expect("a message");
    assert_eq!(frames.get(0).map(|first| first.to_vec()), Some(b"kernel.".to_vec()));
}

#[tokio::test]
async fn a_slow_reader_gets_everything_in_order() {
    let (mut all, info) = bound(STALLED).await;
    let mut client = connected(&info, "").await;
    all.change().await;
    all.welcome().await;
    let sending = async {
        for number in 0..8 {
            all.send(note(number, LARGE / 4)).await;
        }
    };
    let reading = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        heard(&mut client, 7).await
    };
    let ((), heard) = tokio::join!(sending, reading);
    assert_eq!(heard, ["\"iopub_welcome\"", "0", "1", "2", "3", "4", "5", "6", "7"]);
}

#[tokio::test]
async fn a_reader_that_stops_is_cut_off_and_the_others_get_everything() {
    let (mut all, info) = bound(Duration::from_secs(3)).await;
    let stalled = connected(&info, "").await;
    all.change().await;
    // It is disconnected first, because it came later, and must reconnect.
    let mut client = connected(&info, "").await;
    all.change().await;
    let sending = async {
        for number in 0..3 {
            all.send(note(number, LARGE)).await;
        }
    };
    let ((), mut heard) = tokio::join!(sending, heard(&mut client, 2));
    drop(stalled);
    heard.retain(|kind| kind != "\"iopub_welcome\"");
    // The message that stalled may come twice.
    heard.dedup();
    assert_eq!(heard, ["0", "1", "2"]);
}
