//! The resources that processes use, from `/proc`: the benchmark runs on Linux only.

use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context as _;

/// What a process and its children have used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// User and system time.
    pub(crate) cpu: Duration,
    /// Memory in use, in bytes.
    pub(crate) resident: u64,
}

/// The fields of `/proc/<pid>/stat` that we need.
struct Stat {
    parent: u32,
    ticks: u64,
    ticks_of_ended_children: u64,
    pages: u64,
}

impl Usage {
    /// Of a process and its children: Spin has a child that does the work.
    ///
    /// # Errors
    /// If there is no such process, or no `/proc`.
    pub(crate) fn of(pid: u32) -> anyhow::Result<Self> {
        let mut usage = Self::default();
        stat(pid)?.add_to(&mut usage);
        for entry in std::fs::read_dir("/proc")?.flatten() {
            let name = entry.file_name();
            let Some(other) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // It may have ended meanwhile.
            if let Ok(stat) = stat(other)
                && stat.parent == pid
            {
                stat.add_to(&mut usage);
            }
        }
        Ok(usage)
    }

    /// Processor time since `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        self.cpu.saturating_sub(earlier.cpu)
    }
}

/// Processor time of the whole machine, including time that the hypervisor gave to other machines.
/// Interrupts are left out, since no process is charged for them.
///
/// # Errors
/// If there is no `/proc`.
pub(crate) fn machine() -> anyhow::Result<Duration> {
    let text = std::fs::read_to_string("/proc/stat")?;
    let ticks = parse_machine(&text).context("/proc/stat can't be read")?;
    Ok(ticks_to_time(ticks))
}

/// Processor time of this process and of its ended children.
///
/// # Errors
/// If there is no `/proc`.
pub(crate) fn own() -> anyhow::Result<Duration> {
    let stat = stat(std::process::id())?;
    Ok(ticks_to_time(stat.ticks + stat.ticks_of_ended_children))
}

fn ticks_to_time(ticks: u64) -> Duration {
    Duration::from_secs_f64(ticks as f64 / constant("CLK_TCK", 100) as f64)
}

impl Stat {
    fn add_to(&self, usage: &mut Usage) {
        usage.cpu += ticks_to_time(self.ticks);
        usage.resident += self.pages * constant("PAGESIZE", 4096);
    }
}

fn stat(pid: u32) -> anyhow::Result<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse(&text).with_context(|| format!("/proc/{pid}/stat can't be read"))
}

/// Parses the format of proc_pid_stat(5). The program's name, in brackets, may contain anything,
/// including brackets.
fn parse(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    // The first of these is field 3.
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Stat {
        parent: u32::try_from(number(4)?).ok()?,
        ticks: number(14)? + number(15)?,
        ticks_of_ended_children: number(16)? + number(17)?,
        pages: number(24)?,
    })
}

/// Adds up user, nice, system and steal time of all processors (proc_stat(5)).
fn parse_machine(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let fields: Vec<&str> = line.split_whitespace().collect();
    let number = |field: usize| fields.get(field)?.parse::<u64>().ok();
    Some(number(0)? + number(1)? + number(2)? + number(7)?)
}

/// A constant of the system (`getconf`), or the usual value if `getconf` fails.
fn constant(name: &'static str, usual: u64) -> u64 {
    static TICKS: OnceLock<u64> = OnceLock::new();
    static PAGE: OnceLock<u64> = OnceLock::new();
    let known = if name == "CLK_TCK" { &TICKS } else { &PAGE };
    *known.get_or_init(|| {
        let output = Command::new("getconf").arg(name).output().ok();
        let text = output.and_then(|output| String::from_utf8(output.stdout).ok());
        text.and_then(|text| text.trim().parse().ok())
            .unwrap_or(usual)
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_name_may_hold_spaces_and_brackets() {
        let text = "42 (a) b (c) S 7 42 42 0 -1 4194560 900 0 0 0 120 30 5 5 20 0 3 0 1000 \
                    5000000 256 1844";
        let stat = parse(text).unwrap();
        assert_eq!((stat.parent, stat.ticks, stat.pages), (7, 150, 256));
        assert_eq!(stat.ticks_of_ended_children, 10);
    }

    #[test]
    fn interrupts_are_not_counted() {
        let text = "cpu  100 20 3 9999 50 7 8 4 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
        assert_eq!(parse_machine(text), Some(127));
        assert_eq!(parse_machine("intr 1 2\n"), None);
    }

    #[test]
    fn truncated_text_is_rejected() {
        assert!(parse("42 (a) S 7 42").is_none());
        assert!(parse("").is_none());
    }

    #[test]
    fn this_process_uses_memory() {
        assert!(Usage::of(std::process::id()).unwrap().resident > 100_000);
    }
}
