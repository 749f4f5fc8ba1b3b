//! The calls of MLflow's REST interface that a run needs (mlflow.org/docs/latest/rest-api.html).

use std::time::Duration;

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::track::Status;
use crate::track::runs::flat;
use crate::track::sink::Beginning;

/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most parameters of one call.
const PARAMETERS: usize = 100;
/// The most characters of a parameter.
const CHARACTERS: usize = 6000;

/// A run on a server.
#[derive(Debug)]
pub(super) struct Server {
    agent: ureq::Agent,
    address: String,
    run: String,
    /// Where the server takes files, when it does.
    artifacts: Option<String>,
}

/// A value at a step.
#[derive(Debug, Clone)]
pub(super) struct Metric {
    pub(super) key: String,
    pub(super) value: f64,
    pub(super) step: u64,
    /// Seconds since 1970.
    pub(super) time: f64,
}

impl Server {
    /// Finds or makes the experiment and begins a run in it.
    ///
    /// # Errors
    /// When the server does not answer or refuses.
    pub(super) fn begin(address: &str, run: &Beginning) -> Result<Self> {
        let config = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false).build();
        let address = address.trim_end_matches('/').to_string();
        let mut server = Self { agent: config.into(), address, run: String::new(), artifacts: None };
        let experiment = server.experiment(&run.project)?;
        let mut tags = vec![json!({ "key": "mlflow.source.name", "value": "etude" })];
        tags.extend(run.tags.iter().map(|tag| json!({ "key": tag, "value": "true" })));
        if !run.notes.is_empty() {
            tags.push(json!({ "key": "mlflow.note.content", "value": run.notes }));
        }
        let body = json!({
            "experiment_id": experiment,
            "run_name": run.name,
            "start_time": millis(run.time),
            "tags": tags,
        });
        let made = server.post("runs/create", &body)?;
        let info = &made["run"]["info"];
        server.run = word(info, "run_id")?;
        server.artifacts =
            info["artifact_uri"].as_str().and_then(|uri| uri.strip_prefix("mlflow-artifacts:/")).map(|path| {
                format!("{}/api/2.0/mlflow-artifacts/artifacts/{}", server.address, path.trim_start_matches('/'))
            });
        let params: Vec<Value> =
            flat("", &run.config).into_iter().map(|(key, value)| parameter(&key, &value)).collect();
        for params in params.chunks(PARAMETERS) {
            server.post("runs/log-batch", &json!({ "run_id": server.run, "params": params }))?;
        }
        Ok(server)
    }

    fn experiment(&self, name: &str) -> Result<String> {
        let url = self.url("experiments/get-by-name");
        let found = self.agent.get(&url).query("experiment_name", name).call();
        let mut found = found.map_err(|e| silent(&self.address, &e))?;
        if found.status().is_success() {
            let body: Value = answer(&url, &mut found)?;
            return word(&body["experiment"], "experiment_id");
        }
        word(&self.post("experiments/create", &json!({ "name": name }))?, "experiment_id")
    }

    /// # Errors
    /// See [`Server::begin`].
    pub(super) fn log(&self, metrics: &[Metric]) -> Result<()> {
        let metric = |m: &Metric| json!({ "key": plain(&m.key), "value": number(m.value), "timestamp": millis(m.time), "step": m.step });
        let metrics: Vec<Value> = metrics.iter().map(metric).collect();
        self.post("runs/log-batch", &json!({ "run_id": self.run, "metrics": metrics })).map(drop)
    }

    /// Sends a file, where the server takes files.
    ///
    /// # Errors
    /// See [`Server::begin`].
    pub(super) fn artifact(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let Some(folder) = &self.artifacts else { return Ok(()) };
        let url = format!("{folder}/{name}");
        let sent = self.agent.put(&url).header("Content-Type", "application/octet-stream").send(bytes);
        let mut sent = sent.map_err(|e| silent(&self.address, &e))?;
        if sent.status().is_success() { Ok(()) } else { Err(refusal(&url, &mut sent)) }
    }

    /// # Errors
    /// See [`Server::begin`].
    pub(super) fn end(&self, status: Status, time: f64) -> Result<()> {
        let status = match status {
            Status::Finished => "FINISHED",
            Status::Failed => "FAILED",
            Status::Stopped => "KILLED",
        };
        let body = json!({ "run_id": self.run, "status": status, "end_time": millis(time) });
        self.post("runs/update", &body).map(drop)
    }

    fn url(&self, call: &str) -> String {
        format!("{}/api/2.0/mlflow/{call}", self.address)
    }

    fn post(&self, call: &str, body: &Value) -> Result<Value> {
        let url = self.url(call);
        let sent = self.agent.post(&url).header("Content-Type", "application/json").send(body.to_string());
        let mut sent = sent.map_err(|e| silent(&self.address, &e))?;
        if sent.status().is_success() { answer(&url, &mut sent) } else { Err(refusal(&url, &mut sent)) }
    }
}

type Response = ureq::http::Response<ureq::Body>;

fn silent(address: &str, error: &ureq::Error) -> Error {
    Error::broken(format!("the MLflow server at {address} does not answer: {error}"))
}

fn refusal(url: &str, response: &mut Response) -> Error {
    let status = response.status();
    let body = response.body_mut().read_to_string().unwrap_or_default();
    let said = serde_json::from_str::<Value>(&body).ok().and_then(|body| body["message"].as_str().map(str::to_string));
    Error::broken(format!("MLflow refuses {url}: {status}, {}", said.unwrap_or_default()))
}

fn answer(url: &str, response: &mut Response) -> Result<Value> {
    let body = response.body_mut().read_to_string().unwrap_or_default();
    serde_json::from_str(&body).map_err(|_| Error::broken(format!("{url} does not answer as an MLflow server does")))
}

fn word(of: &Value, key: &str) -> Result<String> {
    let word = of[key].as_str().map(str::to_string);
    word.ok_or_else(|| Error::broken(format!("the MLflow server's answer has no '{key}'")))
}

fn millis(seconds: f64) -> i64 {
    (seconds * 1000.0) as i64
}

/// JSON of protocol buffers has words for numbers that are not finite.
fn number(value: f64) -> Value {
    match value {
        v if v.is_nan() => json!("NaN"),
        v if v.is_infinite() => json!(if v > 0.0 { "Infinity" } else { "-Infinity" }),
        v => json!(v),
    }
}

/// A name in the characters that MLflow takes.
fn plain(key: &str) -> String {
    key.chars().map(|c| if c.is_ascii_alphanumeric() || "_-./ ".contains(c) { c } else { '_' }).collect()
}

fn parameter(key: &str, value: &str) -> Value {
    json!({ "key": plain(key), "value": value.chars().take(CHARACTERS).collect::<String>() })
}
