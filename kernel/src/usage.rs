//! Processor and memory use of this process and the machine, for extensions that show it (`usage_request`).

use std::time::Instant;

use serde_json::{Value, json};

/// Processor times at the last answer, from which shares are computed.
#[derive(Debug)]
pub(crate) struct Usage {
    at: Instant,
    process: Option<f64>,
    host: Option<(f64, f64)>,
}

/// Clock ticks a second: Linux's default.
const TICKS: f64 = 100.0;

impl Usage {
    pub(crate) fn new() -> Self {
        Self { at: Instant::now(), process: process_seconds(), host: host_seconds() }
    }

    /// The content of a reply; values that the system does not report are left out.
    pub(crate) fn answer(&mut self) -> Value {
        let now = Self::new();
        let passed = now.at.duration_since(self.at).as_secs_f64().max(1e-3);
        let mut content = json!({
            "hostname": word("/proc/sys/kernel/hostname"),
            "pid": std::process::id(),
            "cpu_count": std::thread::available_parallelism().map_or(1, usize::from),
        });
        if let (Some(before), Some(after)) = (self.process, now.process) {
            content["kernel_cpu"] = round((after - before) / passed * 100.0);
        }
        if let (Some(before), Some(after)) = (self.host, now.host) {
            let (busy, all) = (after.0 - before.0, after.1 - before.1);
            content["host_cpu_percent"] = round(if all > 0.0 { busy / all * 100.0 } else { 0.0 });
        }
        if let Some(bytes) = kibibytes("/proc/self/status", "VmRSS:").map(|k| k * 1024) {
            content["kernel_memory"] = bytes.into();
        }
        let memory = |name| kibibytes("/proc/meminfo", name).map(|k| k * 1024);
        if let (Some(total), Some(available)) = (memory("MemTotal:"), memory("MemAvailable:")) {
            let used = total.saturating_sub(available);
            let percent = round(used as f64 / total.max(1) as f64 * 100.0);
            content["host_virtual_memory"] =
                json!({ "total": total, "available": available, "used": used, "percent": percent });
        }
        *self = now;
        content
    }
}

fn round(x: f64) -> Value {
    json!((x * 10.0).round() / 10.0)
}

fn word(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// Processor time of this process in seconds (proc(5), `utime` and `stime`).
fn process_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in brackets may hold spaces.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |i: usize| fields.get(i)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS)
}

/// Busy and total processor time in seconds (proc(5), first line of `/proc/stat`).
fn host_seconds() -> Option<(f64, f64)> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let times: Vec<f64> = stat.lines().next()?.split_whitespace().skip(1).filter_map(|t| t.parse().ok()).collect();
    let all: f64 = times.iter().take(8).sum();
    let idle = times.get(3)? + times.get(4).unwrap_or(&0.0);
    Some(((all - idle) / TICKS, all / TICKS))
}

fn kibibytes(path: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_seen_at_work() {
        let mut usage = Usage::new();
        let begun = Instant::now();
        let mut x = 0_u64;
        // On a crowded machine a while of work is a long time.
        while process_seconds() < usage.process.map(|s| s + 0.05) && begun.elapsed().as_secs() < 20 {
            x = std::hint::black_box(x.wrapping_mul(31).wrapping_add(7));
        }
        let content = usage.answer();
        assert!(content["kernel_cpu"].as_f64().is_some_and(|share| share > 0.1), "{content}");
        assert!(content["kernel_memory"].as_u64().is_some_and(|bytes| bytes > 1 << 20), "{content}");
        assert!(content["host_virtual_memory"]["percent"].as_f64().is_some_and(|p| (0.0..=100.0).contains(&p)));
        assert_eq!(content["pid"], std::process::id());
    }
}
