//! A line that describes the machine, for measured figures; from Linux's `/proc`.

use std::fs;

/// "2 × Intel Xeon, 24 GiB": the processors available to this process, their name, the memory. What the system does not
/// report is left out.
pub fn machine() -> String {
    let file = |name: &str| fs::read_to_string(format!("/proc/{name}")).unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    line(processors, &file("cpuinfo"), &file("meminfo"))
}

fn line(processors: usize, cpuinfo: &str, meminfo: &str) -> String {
    let value = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name));
        line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_string())
    };
    let name = value(cpuinfo, "model name").unwrap_or_else(|| "processors".into());
    // Virtual machines may report only a number as the name.
    let name = match (value(cpuinfo, "vendor_id").as_deref(), value(cpuinfo, "model")) {
        (Some("GenuineIntel"), Some(model)) if !name.contains("Intel") => format!("{name} (Intel, model {model})"),
        _ => name,
    };
    let kib: Option<f64> = value(meminfo, "MemTotal").and_then(|total| total.strip_suffix("kB")?.trim().parse().ok());
    let memory = kib.map_or(String::new(), |kib| format!(", {:.0} GiB", kib / f64::from(1 << 20)));
    format!("{processors} × {name}{memory}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_told_by_processors_and_memory() {
        let cpu = "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel\t\t: 207\nmodel name\t: INTEL(R) XEON(R) 8581C\n";
        let text = line(2, cpu, "MemTotal:       25165824 kB\n");
        assert_eq!(text, "2 × INTEL(R) XEON(R) 8581C (Intel, model 207), 24 GiB");
        assert_eq!(line(4, "model name : AMD EPYC 7763\n", ""), "4 × AMD EPYC 7763");
        assert_eq!(line(1, "", ""), "1 × processors");
    }
}
