//! The requests of MLflow's REST API that a run needs (mlflow.org/docs/latest/rest-api.html).

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::access::Access;
use crate::atomic;
use crate::error::{Error, Result};
use crate::track::Status;
use crate::track::sink::{Beginning, flatten_config};

/// The timeout of a request.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most parameters of one request.
const PARAMETERS: usize = 100;
/// The file in a run's folder that records its MLflow run.
const NOTE: &str = "mlflow.json";
/// The most characters of a parameter.
const CHARACTERS: usize = 6000;

/// A run on a server.
#[derive(Debug)]
pub(super) struct Server {
    agent: ureq::Agent,
    access: Access,
    run: String,
    /// The last step of each value that the server has, for a resumed run.
    known: HashMap<String, u64>,
    /// The address for artifacts, if the server stores any.
    artifacts: Option<String>,
}

/// A value at a step.
#[derive(Debug, Clone)]
pub(super) struct MlflowMetric {
    pub(super) key: String,
    pub(super) value: f64,
    pub(super) step: u64,
    /// Seconds since 1970.
    pub(super) time: f64,
}

impl Server {
    /// Finds or creates the experiment and starts a run in it.
    ///
    /// # Errors
    /// When the server does not answer or refuses.
    pub(super) fn begin(access: &Access, run: &Beginning) -> Result<Self> {
        let (access, agent) = (access.clone(), access.agent(PATIENCE));
        let mut server = Self { agent, access, run: String::new(), known: HashMap::new(), artifacts: None };
        if run.from_step.is_some_and(|step| step > 0) && server.goes_on(&run.folder)? {
            return Ok(server);
        }
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
        server.take(&made["run"]["info"])?;
        let params: Vec<Value> =
            flatten_config("", &run.config).into_iter().map(|(key, value)| parameter(&key, &value)).collect();
        for params in params.chunks(PARAMETERS) {
            server.post("runs/log-batch", &json!({ "run_id": server.run, "params": params }))?;
        }
        // Without it the run is another one on the server when it goes on.
        let noted = json!({ "address": server.access.address, "run_id": server.run });
        let _ = atomic::write(&run.folder.join(NOTE), format!("{noted:#}\n").as_bytes());
        Ok(server)
    }

    /// Stores the server's description of a run.
    fn take(&mut self, info: &Value) -> Result<()> {
        self.run = word(info, "run_id")?;
        let path = info["artifact_uri"].as_str().and_then(|uri| uri.strip_prefix("mlflow-artifacts:/"));
        self.artifacts = path.map(|path| {
            format!("{}/api/2.0/mlflow-artifacts/artifacts/{}", self.access.address, path.trim_start_matches('/'))
        });
        Ok(())
    }

    /// Resumes the MLflow run that the folder of a run records, if this server has it: values that it already has are
    /// not sent again.
    fn goes_on(&mut self, folder: &Path) -> Result<bool> {
        let noted = crate::files::read_text(&folder.join(NOTE)).ok();
        let noted: Value = noted.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(Value::Null);
        let Some(run) = noted["run_id"].as_str().filter(|_| noted["address"] == json!(self.access.address)) else {
            return Ok(false);
        };
        let url = self.url("runs/get");
        let found = self.signed(self.agent.get(&url).query("run_id", run)).call();
        let mut found = found.map_err(|e| silent(&self.access.address, &e))?;
        if !found.status().is_success() {
            return Ok(false); // somebody deleted it
        }
        let found: Value = answer(&url, &mut found)?;
        self.take(&found["run"]["info"])?;
        for metric in found["run"]["data"]["metrics"].as_array().into_iter().flatten() {
            // JSON of protocol buffers has 64-bit integers as texts.
            let step = &metric["step"];
            let step = step.as_u64().or_else(|| step.as_str()?.parse().ok());
            if let (Some(key), Some(step)) = (metric["key"].as_str(), step) {
                self.known.insert(key.to_string(), step);
            }
        }
        self.post("runs/update", &json!({ "run_id": self.run, "status": "RUNNING" }))?;
        Ok(true)
    }

    fn experiment(&self, name: &str) -> Result<String> {
        let url = self.url("experiments/get-by-name");
        let found = self.signed(self.agent.get(&url).query("experiment_name", name)).call();
        let mut found = found.map_err(|e| silent(&self.access.address, &e))?;
        if let 401 | 403 = found.status().as_u16() {
            return Err(refusal(&url, &mut found));
        }
        if found.status().is_success() {
            let body: Value = answer(&url, &mut found)?;
            return word(&body["experiment"], "experiment_id");
        }
        word(&self.post("experiments/create", &json!({ "name": name }))?, "experiment_id")
    }

    /// # Errors
    /// See [`Server::begin`].
    pub(super) fn log(&self, metrics: &[MlflowMetric]) -> Result<()> {
        let metric = |m: &MlflowMetric| json!({ "key": plain(&m.key), "value": number(m.value), "timestamp": millis(m.time), "step": m.step });
        let new = |m: &&MlflowMetric| self.known.get(&plain(&m.key)).is_none_or(|&last| m.step > last);
        let metrics: Vec<Value> = metrics.iter().filter(new).map(metric).collect();
        if metrics.is_empty() {
            return Ok(());
        }
        self.post("runs/log-batch", &json!({ "run_id": self.run, "metrics": metrics })).map(drop)
    }

    /// Uploads a file, if the server stores artifacts.
    ///
    /// # Errors
    /// See [`Server::begin`].
    pub(super) fn artifact(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let Some(folder) = &self.artifacts else { return Ok(()) };
        let url = format!("{folder}/{name}");
        let sent = self.signed(self.agent.put(&url).header("Content-Type", "application/octet-stream")).send(bytes);
        let mut sent = sent.map_err(|e| silent(&self.access.address, &e))?;
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
        format!("{}/api/2.0/mlflow/{call}", self.access.address)
    }

    /// Adds the credentials to a request.
    fn signed<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.access.authorization {
            Some(authorization) => request.header("Authorization", authorization),
            None => request,
        }
    }

    fn post(&self, call: &str, body: &Value) -> Result<Value> {
        let url = self.url(call);
        let sent = self.signed(self.agent.post(&url).header("Content-Type", "application/json")).send(body.to_string());
        let mut sent = sent.map_err(|e| silent(&self.access.address, &e))?;
        if sent.status().is_success() { answer(&url, &mut sent) } else { Err(refusal(&url, &mut sent)) }
    }
}

type Response = ureq::http::Response<ureq::Body>;

fn silent(address: &str, error: &ureq::Error) -> Error {
    let failure = Error::broken(format!("the MLflow server at {address} does not answer: {error}"));
    match error.to_string().contains("certificate") {
        true => failure.with_hint("MLFLOW_TRACKING_SERVER_CERT_PATH names the certificate of who signed the server's"),
        false => failure,
    }
}

fn refusal(url: &str, response: &mut Response) -> Error {
    let status = response.status();
    let body = response.body_mut().read_to_string().unwrap_or_default();
    let error_text =
        serde_json::from_str::<Value>(&body).ok().and_then(|body| body["message"].as_str().map(str::to_string));
    let error = Error::broken(format!("MLflow refuses {url}: {status}, {}", error_text.unwrap_or_default()));
    match status.as_u16() {
        401 | 403 => {
            error.with_hint("set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN")
        }
        _ => error,
    }
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

/// JSON of protocol buffers has strings for numbers that are not finite.
fn number(value: f64) -> Value {
    match value {
        v if v.is_nan() => json!("NaN"),
        v if v.is_infinite() => json!(if v > 0.0 { "Infinity" } else { "-Infinity" }),
        v => json!(v),
    }
}

/// A name with only the characters that MLflow allows.
fn plain(key: &str) -> String {
    key.chars().map(|c| if c.is_ascii_alphanumeric() || "_-./ ".contains(c) { c } else { '_' }).collect()
}

fn parameter(key: &str, value: &str) -> Value {
    json!({ "key": plain(key), "value": value.chars().take(CHARACTERS).collect::<String>() })
}
