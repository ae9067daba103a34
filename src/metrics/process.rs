//! The daemon's own resource use, read from the kernel when the metrics are asked for.
//!
//! A figure that cannot be read is left out, not shown as 0.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use rustix::process::{Resource, getrlimit};

/// The usual process metrics, under their usual names.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut out: DescriptorEncoder) -> Result<(), fmt::Error> {
        let (bytes, seconds) = (Some(&Unit::Bytes), Some(&Unit::Seconds));
        let mut tell = |name: &str, help: &str, unit: Option<&Unit>, figure: Option<Figure>| match figure {
            Some(figure) => figure.encode(out.encode_descriptor(name, help, unit, figure.metric_type())?),
            None => Ok(()),
        };
        let stat = Stat::read();
        let of_stat = |figure: fn(&Stat) -> Figure| stat.as_ref().map(figure);
        tell("process_cpu", "Processor time of the daemon.", seconds, of_stat(|stat| Figure::Counter(stat.cpu_s)))?;
        tell("process_start_time", "When the daemon started, since 1970.", seconds, start_time(stat.as_ref()))?;
        tell("process_threads", "Threads of the daemon.", None, of_stat(|stat| Figure::Gauge(stat.threads)))?;
        tell("process_virtual_memory", "Address space of the daemon.", bytes, pages(0))?;
        tell("process_resident_memory", "Resident memory of the daemon.", bytes, pages(1))?;
        tell("process_open_fds", "Open files of the daemon.", None, open_fds())?;
        let max = getrlimit(Resource::Nofile).current.map(|max| Figure::Gauge(max as f64));
        tell("process_max_fds", "Files that the daemon may have open.", None, max)
    }
}

/// One metric's value.
enum Figure {
    Gauge(f64),
    Counter(f64),
}

impl Figure {
    fn metric_type(&self) -> prometheus_client::metrics::MetricType {
        match self {
            Figure::Gauge(number) => ConstGauge::new(*number).metric_type(),
            Figure::Counter(number) => ConstCounter::new(*number).metric_type(),
        }
    }

    fn encode(&self, out: prometheus_client::encoding::MetricEncoder<'_>) -> Result<(), fmt::Error> {
        match self {
            Figure::Gauge(number) => ConstGauge::new(*number).encode(out),
            Figure::Counter(number) => ConstCounter::new(*number).encode(out),
        }
    }
}

/// The fields of /proc/self/stat that are used.
struct Stat {
    cpu_s: f64,
    threads: f64,
    /// Seconds since the boot.
    start_s: f64,
}

impl Stat {
    fn read() -> Option<Stat> {
        Stat::parse(&fs::read_to_string("/proc/self/stat").ok()?, rustix::param::clock_ticks_per_second() as f64)
    }

    /// The name, field 2, may hold spaces and parentheses; it ends at the last parenthesis, behind which field 3 begins.
    fn parse(text: &str, ticks_per_s: f64) -> Option<Stat> {
        let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        let cpu_s = (field(14)? + field(15)?) / ticks_per_s;
        Some(Stat { cpu_s, threads: field(20)?, start_s: field(22)? / ticks_per_s })
    }
}

/// Start of the process, in seconds since 1970. The kernel moves the time of the boot with the clock, so that this is right
/// once the clock is.
fn start_time(stat: Option<&Stat>) -> Option<Figure> {
    let kernel = fs::read_to_string("/proc/stat").ok()?;
    let boot_s = kernel.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<f64>().ok())?;
    Some(Figure::Gauge(boot_s + stat?.start_s))
}

/// A field of /proc/self/statm, in bytes: 0 is the address space, 1 the resident memory.
fn pages(field: usize) -> Option<Figure> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: f64 = statm.split_ascii_whitespace().nth(field)?.parse().ok()?;
    Some(Figure::Gauge(pages * rustix::param::page_size() as f64))
}

fn open_fds() -> Option<Figure> {
    // The directory that is being read is one of them.
    Some(Figure::Gauge(fs::read_dir("/proc/self/fd").ok()?.count() as f64 - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_moves_no_field() {
        let line = "42 (a) S 9 (b)) S 1 40 39 0 -1 4194304 95 0 0 0 150 50 0 0 20 0 3 0 8600 2830336 0";
        let stat = Stat::parse(line, 100.0).expect("a process");
        assert_eq!((stat.cpu_s, stat.threads, stat.start_s), (2.0, 3.0, 86.0));
        assert!(Stat::parse("42 (a", 100.0).is_none());
    }
}
