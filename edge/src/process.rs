//! The process' own limits and figures.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The limit of open files: (before, now); `None` is no limit.
pub type OpenFiles = (Option<u64>, Option<u64>);

/// Raises the soft limit of open files to the hard one, since each connection is one. Gives what it was and is.
///
/// # Errors
/// The system refuses; the old limit stays.
pub fn raise_open_files() -> std::io::Result<OpenFiles> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    }
    Ok((current, maximum))
}

/// Memory, processor time and open files, read from `/proc` when the metrics page is asked for.
#[derive(Debug)]
pub struct ProcessMetrics;

/// One reading. What cannot be read is absent, and then missing from the page.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Figures {
    resident_bytes: Option<u64>,
    open_files: Option<u64>,
    open_files_max: Option<u64>,
    cpu_seconds: Option<f64>,
    start_seconds: Option<f64>,
}

// === impl ProcessMetrics ===

impl Collector for ProcessMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let now = Figures::read();
        let gauges = [
            ("process_resident_memory_bytes", "Resident memory", now.resident_bytes.map(as_f64)),
            ("process_open_fds", "Open file descriptors", now.open_files.map(as_f64)),
            ("process_max_fds", "Limit of open file descriptors", now.open_files_max.map(as_f64)),
            ("process_start_time_seconds", "Start of the process, seconds since 1970", now.start_seconds),
        ];
        for (name, help, value) in gauges {
            let Some(value) = value else { continue };
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        if let Some(value) = now.cpu_seconds {
            let counter = ConstCounter::new(value);
            let help = "Processor time, user and system";
            counter.encode(encoder.encode_descriptor(
                "process_cpu_seconds",
                help,
                None,
                counter.metric_type(),
            )?)?;
        }
        Ok(())
    }
}

// === impl Figures ===

impl Figures {
    fn read() -> Self {
        let text = |path| std::fs::read_to_string(path).ok();
        let (cpu_seconds, since_boot) = text("/proc/self/stat").and_then(|stat| times(&stat)).unzip();
        let boot = text("/proc/stat").and_then(|stat| field(&stat, "btime "));
        Self {
            resident_bytes: text("/proc/self/status").and_then(|s| field(&s, "VmRSS:")).map(|kib| kib * 1024),
            open_files: std::fs::read_dir("/proc/self/fd").ok().map(|dir| dir.count() as u64),
            open_files_max: getrlimit(Resource::Nofile).current,
            cpu_seconds,
            start_seconds: boot.zip(since_boot).map(|(boot, since)| as_f64(boot) + since),
        }
    }
}

/// The number after `key` at the beginning of a line.
fn field(text: &str, key: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// From `/proc/self/stat`, proc(5): seconds of processor time, and of the start after boot. The name in
/// parentheses may hold spaces; fields are counted after it.
fn times(stat: &str) -> Option<(f64, f64)> {
    let ticks_per_second = as_f64(rustix::param::clock_ticks_per_second());
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok().map(as_f64);
    Some(((ticks(11)? + ticks(12)?) / ticks_per_second, ticks(19)? / ticks_per_second))
}

/// Exact up to 2^53, which no figure here reaches.
#[allow(clippy::cast_precision_loss)]
fn as_f64(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_of_this_process_are_plausible() {
        let figures = Figures::read();
        assert!(figures.resident_bytes.unwrap() > 1 << 20, "{figures:?}");
        assert!(figures.open_files.unwrap() >= 3, "{figures:?}");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        let start = figures.start_seconds.unwrap();
        assert!(start <= now + 1.0 && start > now - 86_400.0, "{figures:?}");
    }

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b (c)) S 1 1 1 0 -1 0 0 0 0 0 200 50 0 0 20 0 1 0 1000 0 0";
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        assert_eq!(times(stat), Some((250.0 / ticks, 1000.0 / ticks)));
    }

    #[test]
    fn the_soft_limit_of_open_files_becomes_the_hard_one() {
        let (_, now) = raise_open_files().unwrap();
        assert_eq!(getrlimit(Resource::Nofile).current, now);
    }
}
