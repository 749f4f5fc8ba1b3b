//! Interrupts, questions to the user, bad signatures, clients that come and go.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::{Client, kinds};

#[tokio::test]
async fn an_interrupt_ends_the_cell_within_200_ms_and_keeps_the_kernel() {
    let mut client = Client::start().await;
    let cell = client.cell("wait 20000").await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    let begun = Instant::now();
    assert_eq!(client.control("interrupt_request", json!({})).await.kind, "interrupt_reply");
    assert_eq!(kinds(&client.trace(&cell).await), ["execute_input", "error"]);
    assert!(begun.elapsed() < Duration::from_millis(200), "{:?}", begun.elapsed());
    assert_eq!(client.reply().await.content["ename"], "KeyboardInterrupt");
    assert_eq!(client.run("wait 1\nafter").await.1["status"], "ok");
    client.stop().await;
}

#[tokio::test]
async fn a_question_is_answered_or_interrupted_or_refused() {
    let mut client = Client::start().await;
    let cell = client.cell("ask your name").await;
    let question = client.question().await;
    assert_eq!(question.content, json!({ "prompt": "your name", "password": false }));
    client.answer("Thelonious").await;
    let trace = client.trace(&cell).await;
    assert_eq!(trace[1].content["data"]["text/plain"], "Thelonious");
    client.reply().await;

    let cell = client.cell("ask again").await;
    client.question().await;
    client.control("interrupt_request", json!({})).await;
    client.trace(&cell).await;
    assert_eq!(client.reply().await.content["ename"], "KeyboardInterrupt");

    let id = client.send("execute_request", json!({ "code": "ask nobody", "allow_stdin": false })).await;
    client.trace(&id).await;
    assert_eq!(client.reply().await.content["ename"], "StdinNotImplementedError");
    client.stop().await;
}

#[tokio::test]
async fn a_message_with_a_bad_signature_is_ignored() {
    let mut client = Client::start().await;
    let mut forged = client.info.clone();
    forged.key = "another secret".into();
    let mut forger = Client::connect(forged, None).await;
    forger.cell("print forged").await;
    let (trace, reply) = client.run("true").await;
    assert_eq!(reply["execution_count"], 1, "the forged cell did not run");
    assert_eq!(kinds(&trace), ["execute_input", "execute_result"]);
    client.stop().await;
}

#[tokio::test]
async fn a_client_that_dies_is_replaced_by_another() {
    let mut first = Client::start().await;
    first.cell("count 50000").await;
    let (info, kernel) = (first.info.clone(), first.kernel.take());
    drop(first);
    let mut second = Client::connect(info, kernel).await;
    while second.iopub().await.kind != "iopub_welcome" {}
    let (_, reply) = second.run("hello again").await;
    assert_eq!((&reply["status"], &reply["execution_count"]), (&json!("ok"), &json!(2)));
    second.stop().await;
}
