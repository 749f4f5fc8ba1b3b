//! The load of the machine: processor and memory from Linux's `/proc` (man proc(5)), NVIDIA GPUs from `nvidia-smi`;
//! what is unavailable is left out.

use std::fs;

use super::gpu::Gpus;

/// Ticks of the kernel's clock in a second, as programs see it (`USER_HZ`).
const TICKS: f64 = 100.0;

/// Measures the load between successive readings.
#[derive(Debug, Clone)]
pub struct Monitor {
    last: Option<Counters>,
    gpus: Gpus,
}

impl Default for Monitor {
    fn default() -> Self {
        Self::new()
    }
}

/// Times since the machine, or the process, began.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Counters {
    busy: f64,
    all: f64,
    /// Of this process, in ticks.
    own: f64,
    /// Seconds since the machine began.
    uptime: f64,
}

impl Monitor {
    /// A monitor; its first reading of the processor is the mean since boot.
    pub fn new() -> Self {
        Self { last: None, gpus: Gpus::new() }
    }

    /// The load now: `system/cpu` (percent of all cores), `system/process_cpu` (percent of one core),
    /// `system/memory` (percent of the machine's), `system/process_memory_mb`; some seconds after the first reading also
    /// `system/gpu.0/use` (percent) and `system/gpu.0/memory_mb`. What cannot be read is left out.
    pub fn read(&mut self) -> Vec<(String, f64)> {
        let named = |(name, value): (&str, f64)| (name.to_string(), value);
        self.machine().into_iter().map(named).chain(self.gpus.read()).collect()
    }

    /// The current load in words: "cpu 93 %", "memory 1204 MiB of its own, 41 % in all", "gpu 0: 88 %, 9120 MiB".
    pub fn words(&mut self) -> Vec<String> {
        words(&self.read())
    }

    fn machine(&mut self) -> Vec<(&'static str, f64)> {
        let file = |name: &str| fs::read_to_string(format!("/proc/{name}")).unwrap_or_default();
        let mut values = Vec::new();
        if let Some(now) = counters(&file("stat"), &file("self/stat"), &file("uptime")) {
            let before = self.last.replace(now).unwrap_or(Counters { busy: 0.0, all: 0.0, own: 0.0, uptime: 0.0 });
            if now.all > before.all {
                values.push(("system/cpu", 100.0 * (now.busy - before.busy) / (now.all - before.all)));
            }
            if now.uptime > before.uptime {
                let seconds = now.uptime - before.uptime;
                values.push(("system/process_cpu", 100.0 * (now.own - before.own) / TICKS / seconds));
            }
        }
        values.extend(
            kilobytes(&file("meminfo"), "MemTotal")
                .zip(kilobytes(&file("meminfo"), "MemAvailable"))
                .map(|(total, free)| ("system/memory", 100.0 * (1.0 - free / total))),
        );
        values.extend(kilobytes(&file("self/status"), "VmRSS").map(|kb| ("system/process_memory_mb", kb / 1024.0)));
        values
    }
}

fn words(values: &[(String, f64)]) -> Vec<String> {
    let of = |name: &str| values.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
    let mut words: Vec<String> = of("system/cpu").map(|cpu| format!("cpu {cpu:.0} %")).into_iter().collect();
    if let (Some(own), Some(all)) = (of("system/process_memory_mb"), of("system/memory")) {
        words.push(format!("memory {own:.0} MiB of its own, {all:.0} % in all"));
    }
    for gpu in 0.. {
        match (of(&format!("system/gpu.{gpu}/use")), of(&format!("system/gpu.{gpu}/memory_mb"))) {
            (None, None) => break,
            (Some(busy), Some(memory)) => words.push(format!("gpu {gpu}: {busy:.0} %, {memory:.0} MiB")),
            (Some(busy), None) => words.push(format!("gpu {gpu}: {busy:.0} %")),
            (None, Some(memory)) => words.push(format!("gpu {gpu}: {memory:.0} MiB")),
        }
    }
    words
}

/// The first line of `/proc/stat` is `cpu user nice system idle iowait irq softirq steal …`; the 14th and 15th word of
/// `/proc/self/stat` are the ticks of the process, but its second may hold spaces, in brackets.
fn counters(stat: &str, own: &str, uptime: &str) -> Option<Counters> {
    let times: Vec<f64> = stat.lines().next()?.split_whitespace().skip(1).map_while(|t| t.parse().ok()).collect();
    let all: f64 = times.iter().take(8).sum();
    let idle = times.get(3)? + times.get(4).copied().unwrap_or(0.0);
    let mut rest = own.rsplit_once(')')?.1.split_whitespace().skip(11);
    let own = rest.next()?.parse::<f64>().ok()? + rest.next()?.parse::<f64>().ok()?;
    let uptime = uptime.split_whitespace().next()?.parse().ok()?;
    Some(Counters { busy: all - idle, all, own, uptime })
}

/// The value of a line `Name:   123 kB`.
fn kilobytes(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.split(':').next() == Some(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_texts_are_read() {
        let stat = "cpu  100 10 50 800 40 0 0 0 7 7\ncpu0 1 1 1 1\n";
        let own = "77 (a b) c) S 1 2 3 4 5 6 7 8 9 10 250 30 0 0";
        let counters = counters(stat, own, "12.5 40.0\n");
        assert_eq!(counters, Some(Counters { busy: 160.0, all: 1000.0, own: 280.0, uptime: 12.5 }));
        assert_eq!(kilobytes("MemTotal:  16000 kB\nMemFree:  9 kB\n", "MemFree"), Some(9.0));
        assert_eq!(kilobytes("VmSize: 1 kB", "VmRSS"), None);
    }

    #[test]
    fn the_load_is_told_in_words() {
        let values = [
            ("system/cpu", 93.2),
            ("system/memory", 41.0),
            ("system/process_memory_mb", 1204.4),
            ("system/gpu.0/use", 88.0),
            ("system/gpu.0/memory_mb", 9120.0),
            ("system/gpu.1/memory_mb", 3.0),
        ];
        let values = values.map(|(name, value)| (name.to_string(), value));
        let wanted = ["cpu 93 %", "memory 1204 MiB of its own, 41 % in all", "gpu 0: 88 %, 9120 MiB", "gpu 1: 3 MiB"];
        assert_eq!(words(&values), wanted);
        assert!(words(&[]).is_empty());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_load_of_this_machine_is_plausible() {
        let mut monitor = Monitor::new();
        let values = monitor.read();
        let names: Vec<&str> = values.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names[..4], ["system/cpu", "system/process_cpu", "system/memory", "system/process_memory_mb"]);
        assert!(values.iter().all(|(_, value)| value.is_finite() && *value >= 0.0), "{values:?}");
        assert!(values[0].1 <= 100.0 && values[2].1 <= 100.0 && values[3].1 > 0.5, "{values:?}");
    }
}
