//! What running a cell looks like on the wire.

use serde_json::json;

use crate::client::{Client, kinds};

#[tokio::test]
async fn a_cell_is_a_trace_from_busy_to_idle() {
    let mut client = Client::start().await;
    let (trace, reply) = client.run("print hello\nwarn careful\nshow a picture\nprint end\nthe value").await;
    assert_eq!(kinds(&trace), ["execute_input", "stream", "stream", "display_data", "stream", "execute_result"]);
    assert_eq!(
        trace[0].content,
        json!({ "code": "print hello\nwarn careful\nshow a picture\nprint end\nthe value",
        "execution_count": 1 })
    );
    assert_eq!(trace[1].content, json!({ "name": "stdout", "text": "hello\n" }));
    assert_eq!(trace[2].content, json!({ "name": "stderr", "text": "careful\n" }));
    assert_eq!(trace[3].content["data"], json!({ "text/plain": "a picture" }));
    assert_eq!(trace[5].content["data"], json!({ "text/plain": "the value" }));
    assert_eq!(reply, json!({ "status": "ok", "execution_count": 1, "payload": [], "user_expressions": {} }));
    client.stop().await;
}

#[tokio::test]
async fn a_fault_is_published_and_stops_the_queue() {
    let mut client = Client::start().await;
    let first = client.cell("wait 50\nfail on purpose").await;
    let second = client.cell("never").await;
    assert_eq!(kinds(&client.trace(&first).await), ["execute_input", "error"]);
    let reply = client.reply().await.content;
    assert_eq!((&reply["status"], &reply["ename"]), (&json!("error"), &json!("EchoError")));
    assert!(client.trace(&second).await.is_empty(), "an aborted cell says nothing");
    assert_eq!(client.reply().await.content, json!({ "status": "aborted" }), "without a count");
    let (_, later) = client.run("later").await;
    assert_eq!((&later["status"], &later["execution_count"]), (&json!("ok"), &json!(2)));
    client.stop().await;
}

#[tokio::test]
async fn a_fault_stops_nothing_when_the_front_end_wants_so() {
    let mut client = Client::start().await;
    let content = json!({ "code": "wait 50\nfail on purpose", "stop_on_error": false });
    client.send("execute_request", content).await;
    let second = client.cell("goes on").await;
    assert_eq!(client.reply().await.content["status"], "error");
    assert_eq!(kinds(&client.trace(&second).await), ["execute_input", "execute_result"]);
    assert_eq!(client.reply().await.content["status"], "ok");
    client.stop().await;
}

#[tokio::test]
async fn a_cell_that_is_not_stored_has_no_number_of_its_own() {
    let mut client = Client::start().await;
    client.run("stored").await;
    let id = client.send("execute_request", json!({ "code": "print passing", "store_history": false })).await;
    assert_eq!(kinds(&client.trace(&id).await), ["execute_input", "stream"], "it is not a silent cell");
    assert_eq!(client.reply().await.content["execution_count"], 1);
    client.send("history_request", json!({ "hist_access_type": "tail", "n": 5 })).await;
    assert_eq!(client.reply().await.content["history"], json!([[0, 1, "stored"]]));
    assert_eq!(client.run("next").await.1["execution_count"], 2);
    client.stop().await;
}

#[tokio::test]
async fn a_silent_cell_is_not_counted_and_a_panic_costs_nothing() {
    let mut client = Client::start().await;
    let id = client.send("execute_request", json!({ "code": "quiet", "silent": true, "store_history": true })).await;
    assert!(client.trace(&id).await.is_empty());
    assert_eq!(client.reply().await.content["execution_count"], 0);
    let (_, reply) = client.run("panic at the disco").await;
    assert_eq!((&reply["status"], &reply["ename"]), (&json!("error"), &json!("Panic")));
    let (_, reply) = client.run("still here").await;
    assert_eq!((&reply["status"], &reply["execution_count"]), (&json!("ok"), &json!(2)));
    client.stop().await;
}

#[tokio::test]
async fn expressions_and_pages_travel_in_the_reply() {
    let mut client = Client::start().await;
    let content = json!({ "code": "page long text", "user_expressions": { "good": "value", "bad": "fail no" } });
    let id = client.send("execute_request", content).await;
    client.trace(&id).await;
    let reply = client.reply().await.content;
    assert_eq!(reply["payload"][0]["data"], json!({ "text/plain": "long text" }));
    assert_eq!(reply["user_expressions"]["good"]["data"], json!({ "text/plain": "value" }));
    assert_eq!(reply["user_expressions"]["bad"]["evalue"], "no");
    client.stop().await;
}

#[tokio::test]
async fn a_hundred_thousand_prints_arrive_whole_in_few_messages() {
    let mut client = Client::start().await;
    let (trace, _) = client.run("count 100000").await;
    let text: String = trace.iter().filter_map(|m| m.content["text"].as_str()).collect();
    let expected: String = (0..100_000).map(|n| format!("{n}\n")).collect();
    assert!(text == expected, "{} bytes came of {}", text.len(), expected.len());
    assert!(trace.len() < 200, "{} messages", trace.len());
    client.stop().await;
}

#[tokio::test]
async fn a_display_of_five_megabytes_arrives() {
    let mut client = Client::start().await;
    let large = "x".repeat(5 << 20);
    let (trace, _) = client.run(&format!("show {large}")).await;
    assert_eq!(trace[1].content["data"]["text/plain"].as_str().map(str::len), Some(5 << 20));
    client.stop().await;
}
