//! The load of NVIDIA GPUs by `nvidia-smi`, polled on a thread of its own, since the tool is slow.

use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// The polling interval.
const EVERY: Duration = Duration::from_secs(5);
const QUERY: [&str; 2] = ["--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits"];

type GpuValues = Vec<(String, f64)>;

/// Polls until it is dropped; without `nvidia-smi` it has no values.
#[derive(Debug, Clone)]
pub(super) struct Gpus(Arc<Mutex<GpuValues>>);

impl Gpus {
    pub(super) fn new() -> Self {
        let latest = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::downgrade(&latest);
        // Without a thread nothing is measured.
        let _ = std::thread::Builder::new().name("nvidia-smi".into()).spawn(move || watch(&shared));
        Self(latest)
    }

    /// The latest values.
    pub(super) fn read(&self) -> GpuValues {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn watch(latest: &Weak<Mutex<GpuValues>>) {
    while latest.strong_count() > 0 {
        let asked = Command::new("nvidia-smi").args(QUERY).stdin(Stdio::null()).stderr(Stdio::null()).output();
        let Ok(answer) = asked else { return };
        if !answer.status.success() {
            return;
        }
        let Some(latest) = latest.upgrade() else { return };
        *latest.lock().unwrap_or_else(PoisonError::into_inner) = values(&String::from_utf8_lossy(&answer.stdout));
        drop(latest);
        std::thread::sleep(EVERY);
    }
}

/// Parses a line for each GPU: percent, MiB. Values that a GPU does not report are `[N/A]`.
fn values(text: &str) -> GpuValues {
    let line = |(gpu, line): (usize, &str)| {
        let names = ["use", "memory_mb"].into_iter();
        let values = names.zip(line.split(',')).filter_map(|(name, value)| Some((name, value.trim().parse().ok()?)));
        values.map(|(name, value)| (format!("system/gpu.{gpu}/{name}"), value)).collect::<GpuValues>()
    };
    text.lines().enumerate().flat_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_gpu() {
        let expected =
            [("system/gpu.0/use", 37.0), ("system/gpu.0/memory_mb", 1024.0), ("system/gpu.1/memory_mb", 3.0)];
        let expected: GpuValues = expected.map(|(name, value)| (name.to_string(), value)).into();
        assert_eq!(values("37, 1024\n[N/A], 3\n"), expected);
        assert_eq!(values("no devices were found"), []);
    }
}
