//! The machine, as far as it affects the figures.

use std::time::SystemTime;

use edgelatch_tests::RedisServer;
use serde::Serialize;

/// The machine and the moment.
#[derive(Serialize)]
pub(crate) struct Machine {
    /// The time of the run, in UTC (RFC 3339).
    pub(crate) when: String,
    pub(crate) processors: usize,
    /// The processors' name in `/proc/cpuinfo`.
    pub(crate) model: String,
    /// The version of the kernel.
    pub(crate) kernel: String,
    /// The version of Redis.
    pub(crate) redis: String,
    /// The load average of the last minute before the run: above 0.5, the machine was busy.
    pub(crate) load_before: f64,
}

impl Machine {
    /// This machine, now.
    pub(crate) async fn here(redis: &RedisServer) -> Self {
        let info: String = redis.run(&["INFO", "server"]).await;
        Self {
            when: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            model: value_of(&read("/proc/cpuinfo"), "model name"),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            redis: value_of(&info, "redis_version"),
            load_before: read("/proc/loadavg")
                .split(' ')
                .next()
                .and_then(|load| load.parse().ok())
                .unwrap_or(0.0),
        }
    }
}

fn read(file: &str) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}

/// The value of the first `name: value`.
fn value_of(text: &str, name: &str) -> String {
    let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
    let found = pairs.find(|(found, _)| found.trim() == name);
    found.map_or_else(
        || "unknown".to_owned(),
        |(_, value)| value.trim().to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_name() {
        let text = "processor\t: 0\nmodel name\t: A B: C\nmodel name\t: D\n";
        assert_eq!(value_of(text, "model name"), "A B: C");
        assert_eq!(value_of(text, "flags"), "unknown");
    }
}
