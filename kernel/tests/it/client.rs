//! A fake front end over an echo kernel in this process.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use etude_kernel::echo::Echo;
use etude_kernel::{Exit, Stop, serve};
use jupyter_protocol::{ConnectionInfo, JupyterMessage, Transport, UnknownMessage};
use jupyter_zmq_client as zmq;
use serde_json::{Value, json};
use zeromq::SocketRecv;

/// Longest wait for anything, in seconds in which this process ran: while it is suspended, so is its kernel.
const PATIENCE: usize = 30;

/// Waits, but not for ever.
pub(crate) async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    for _ in 0..PATIENCE {
        if let Ok(done) = tokio::time::timeout(Duration::from_secs(1), &mut future).await {
            return done;
        }
    }
    panic!("{what} takes too long")
}

/// A message as the tests look at it: type, content, id of its parent.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) kind: String,
    pub(crate) content: Value,
    pub(crate) parent: String,
}

pub(crate) struct Client {
    pub(crate) info: ConnectionInfo,
    shell: zmq::ClientShellConnection,
    control: zmq::ClientControlConnection,
    stdin: zmq::ClientStdinConnection,
    iopub: zmq::ClientIoPubConnection,
    pub(crate) kernel: Option<std::thread::JoinHandle<Exit>>,
}

impl Client {
    /// Starts a kernel and connects to it.
    pub(crate) async fn start() -> Self {
        let info = free_ports();
        let connection = info.clone();
        let kernel = std::thread::spawn(move || {
            let flag = Arc::new(AtomicBool::new(false));
            let brake = flag.clone();
            let stop = Stop::new(move || brake.store(true, Ordering::SeqCst));
            serve(&connection, stop, move |outbox, stdin| Ok(Echo::with(outbox, stdin, flag))).expect("it serves")
        });
        let mut client = Self::connect(info, Some(kernel)).await;
        assert_eq!(client.iopub().await.kind, "iopub_welcome");
        client
    }

    /// Connects to a kernel that runs.
    pub(crate) async fn connect(info: ConnectionInfo, kernel: Option<std::thread::JoinHandle<Exit>>) -> Self {
        // The last port to be bound listens first, and then all do: a socket that is connected once is never tried again.
        in_time("the kernel's start", async {
            while std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, info.control_port)).is_err() {
                assert!(!kernel.as_ref().is_some_and(std::thread::JoinHandle::is_finished), "the kernel ended");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        let session = format!("session-{:?}", std::time::Instant::now());
        let identity = || zmq::peer_identity_for_session(&session).expect("a sound name");
        let connected = async {
            let shell = zmq::create_client_shell_connection_with_identity(&info, &session, identity()).await?;
            let control = zmq::create_client_control_connection(&info, &session).await?;
            let stdin = zmq::create_client_stdin_connection_with_identity(&info, &session, identity()).await?;
            let iopub = zmq::create_client_iopub_connection(&info, "", &session).await?;
            Ok::<_, zmq::RuntimeError>((shell, control, stdin, iopub))
        };
        let (shell, control, stdin, iopub) = in_time("connecting", connected).await.expect("it connects");
        Self { info, shell, control, stdin, iopub, kernel }
    }

    /// Sends a request on shell and returns its id.
    pub(crate) async fn send(&mut self, kind: &str, content: Value) -> String {
        let message = JupyterMessage::new(UnknownMessage { msg_type: kind.into(), content }, None);
        let id = message.header.msg_id.clone();
        self.shell.send(message).await.expect("it is sent");
        id
    }

    /// Sends a cell.
    pub(crate) async fn cell(&mut self, code: &str) -> String {
        let content = json!({ "code": code, "silent": false, "store_history": true, "user_expressions": {},
            "allow_stdin": true, "stop_on_error": true });
        self.send("execute_request", content).await
    }

    /// Sends a request on control and returns its reply.
    pub(crate) async fn control(&mut self, kind: &str, content: Value) -> Seen {
        let message = JupyterMessage::new(UnknownMessage { msg_type: kind.into(), content }, None);
        self.control.send(message).await.expect("it is sent");
        receive(&mut self.control).await
    }

    /// The next reply on shell.
    pub(crate) async fn reply(&mut self) -> Seen {
        receive(&mut self.shell).await
    }

    /// The next question on stdin.
    pub(crate) async fn question(&mut self) -> Seen {
        receive(&mut self.stdin).await
    }

    /// Answers a question.
    pub(crate) async fn answer(&mut self, value: &str) {
        let content = json!({ "value": value });
        let message = JupyterMessage::new(UnknownMessage { msg_type: "input_reply".into(), content }, None);
        self.stdin.send(message).await.expect("it is sent");
    }

    /// The next message on IOPub.
    pub(crate) async fn iopub(&mut self) -> Seen {
        receive(&mut self.iopub).await
    }

    /// All messages on IOPub about a request, from its busy to its idle, both left out.
    pub(crate) async fn trace(&mut self, id: &str) -> Vec<Seen> {
        let mut seen = Vec::new();
        let mut begun = false;
        loop {
            let message = self.iopub().await;
            if message.parent != id {
                continue;
            }
            let state = (message.kind == "status").then(|| message.content["execution_state"].clone());
            match state.as_ref().and_then(Value::as_str) {
                Some("busy") => begun = true,
                Some("idle") => return seen,
                _ => {
                    assert!(begun, "{message:?} came before busy");
                    seen.push(message);
                }
            }
        }
    }

    /// Runs a cell to its end: what it published, and its reply.
    pub(crate) async fn run(&mut self, code: &str) -> (Vec<Seen>, Value) {
        let id = self.cell(code).await;
        let trace = self.trace(&id).await;
        let reply = self.reply().await;
        assert_eq!((reply.kind.as_str(), &reply.parent), ("execute_reply", &id));
        (trace, reply.content)
    }

    /// Shuts the kernel down and waits until it is gone.
    pub(crate) async fn stop(mut self) {
        let reply = self.control("shutdown_request", json!({ "restart": false })).await;
        assert_eq!(reply.content["status"], "ok");
        let kernel = self.kernel.take().expect("it was started here");
        in_time("the kernel's end", async {
            while !kernel.is_finished() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        assert_eq!(kernel.join().expect("it ended well"), Exit::Shutdown);
    }
}

/// A connection to ports that nobody listens on. They lie below those that the system gives to whoever asks for any
/// (from 32768 on under Linux), or one might be gone before the kernel binds it; each process begins elsewhere.
pub(crate) fn free_ports() -> ConnectionInfo {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(97);
    let free = |port: &u16| std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let port = || 10_000 + begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 22_000;
    let mut ports = std::iter::repeat_with(|| port() as u16).filter(free);
    let mut next = || ports.next().expect("there is one more");
    ConnectionInfo {
        ip: "127.0.0.1".into(),
        transport: Transport::TCP,
        shell_port: next(),
        iopub_port: next(),
        stdin_port: next(),
        control_port: next(),
        hb_port: next(),
        key: "a secret".into(),
        signature_scheme: "hmac-sha256".into(),
        kernel_name: None,
    }
}

/// The next message of a socket.
pub(crate) async fn receive<S: SocketRecv>(connection: &mut zmq::Connection<S>) -> Seen {
    let frames = in_time("a message", connection.socket.recv()).await;
    let raw = zmq::RawMessage::from_multipart(frames.expect("it is whole"), &connection.mac).expect("it is signed");
    let json = |part: usize| serde_json::from_slice::<Value>(&raw.jparts[part]).expect("it is JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Seen { kind: text(&json(0)["msg_type"]), parent: text(&json(1)["msg_id"]), content: json(3) }
}

/// The types of a trace.
pub(crate) fn kinds(trace: &[Seen]) -> Vec<&str> {
    trace.iter().map(|message| message.kind.as_str()).collect()
}
