//! Requests that need no cell, also while one runs.

use std::time::{Duration, Instant};

use jupyter_zmq_client as zmq;
use serde_json::json;
use zeromq::{SocketRecv, SocketSend};

use crate::client::Client;

#[tokio::test]
async fn a_kernel_introduces_itself_on_both_channels() {
    let mut client = Client::start().await;
    let id = client.send("kernel_info_request", json!({})).await;
    let reply = client.reply().await;
    assert_eq!((reply.kind.as_str(), reply.parent), ("kernel_info_reply", id));
    assert_eq!(reply.content["language_info"]["name"], "echo");
    let reply = client.control("kernel_info_request", json!({})).await;
    assert_eq!(reply.content["status"], "ok");
    client.stop().await;
}

#[tokio::test]
async fn help_is_given_while_a_cell_runs() {
    let mut client = Client::start().await;
    client.run("prélude").await;
    let cell = client.cell("wait 3000").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let begun = Instant::now();
    client.send("complete_request", json!({ "code": "é pré", "cursor_pos": 5 })).await;
    let reply = client.reply().await.content;
    assert_eq!(reply["matches"], json!(["prélude"]));
    assert_eq!((&reply["cursor_start"], &reply["cursor_end"]), (&json!(2), &json!(5)));
    assert_eq!(reply["metadata"]["_jupyter_types_experimental"][0]["type"], "word");
    client.send("inspect_request", json!({ "code": "print", "cursor_pos": 2, "detail_level": 0 })).await;
    assert_eq!(client.reply().await.content["found"], true);
    client.send("is_complete_request", json!({ "code": "go on \\" })).await;
    assert_eq!(client.reply().await.content["status"], "incomplete");
    assert!(begun.elapsed() < Duration::from_millis(1500), "it waited for the cell");
    client.control("interrupt_request", json!({})).await;
    client.trace(&cell).await;
    client.stop().await;
}

#[tokio::test]
async fn history_and_comms_are_answered() {
    let mut client = Client::start().await;
    for cell in ["one", "two", "three"] {
        client.run(cell).await;
    }
    client.send("history_request", json!({ "hist_access_type": "search", "pattern": "t*" })).await;
    assert_eq!(client.reply().await.content["history"], json!([[0, 2, "two"], [0, 3, "three"]]));
    client.send("comm_info_request", json!({})).await;
    assert_eq!(client.reply().await.content["comms"], json!({}));
    let open = json!({ "comm_id": "c1", "target_name": "nobody", "data": {} });
    let id = client.send("comm_open", open).await;
    let trace = client.trace(&id).await;
    assert_eq!((trace[0].kind.as_str(), &trace[0].content["comm_id"]), ("comm_close", &json!("c1")));
    client.stop().await;
}

#[tokio::test]
async fn a_heartbeat_comes_back_as_it_went() {
    let client = Client::start().await;
    let mut heart = zmq::create_client_heartbeat_connection(&client.info).await.expect("it connects");
    for beat in [&b"one"[..], b"two"] {
        heart.socket.send(beat.to_vec().into()).await.expect("it is sent");
        let back = heart.socket.recv().await.expect("it comes back");
        assert_eq!(back.get(0).map(|frame| frame.to_vec()), Some(beat.to_vec()));
    }
    client.stop().await;
}
