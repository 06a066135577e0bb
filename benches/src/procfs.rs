//! What `/proc` says about a process: CPU time and memory (proc(5)).

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// User and system CPU time of the process and all its threads, the ended ones too.
///
/// The kernel counts it in nanoseconds and shows it in clock ticks (10 ms), so measure over a second or more.
///
/// # Errors
/// When the process is gone or `/proc` is not mounted.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let ticks = cpu_ticks(&stat).with_context(|| format!("{path} has no CPU times"))?;
    let per_sec = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs_f64(ticks as f64 / per_sec as f64))
}

/// Fields 14 (utime) and 15 (stime). The command name before them may hold spaces and parentheses.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_ascii_whitespace().skip(11);
    let user: u64 = times.next()?.parse().ok()?;
    let system: u64 = times.next()?.parse().ok()?;
    user.checked_add(system)
}

/// Memory of one process in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Resident, shared pages counted in full.
    pub rss_bytes: u64,
    /// Resident, shared pages divided among their users.
    pub pss_bytes: u64,
    /// Not backed by a file: heap and stacks.
    pub anonymous_bytes: u64,
}

/// Memory of the process from `smaps_rollup`.
///
/// # Errors
/// When the process is gone or the kernel has no `smaps_rollup` (before 4.14).
pub fn memory(pid: u32) -> Result<Memory> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let rollup = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    parse_rollup(&rollup).with_context(|| format!("{path} lacks a field"))
}

fn parse_rollup(rollup: &str) -> Option<Memory> {
    Some(Memory {
        rss_bytes: field_bytes(rollup, "Rss:")?,
        pss_bytes: field_bytes(rollup, "Pss:")?,
        anonymous_bytes: field_bytes(rollup, "Anonymous:")?,
    })
}

/// The value of a `Name:   123 kB` line, in bytes.
pub fn field_bytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cpu_ticks_survive_an_odd_command_name() {
        let stat = "42 (a) (b c) S 1 2 3 4 5 6 7 8 9 10 70 30 0 0 20 0 4 0";
        assert_eq!(cpu_ticks(stat), Some(100));
    }

    #[test]
    fn rollup_fields_are_kib() {
        let text = "55-7f ---p 00 [rollup]\nRss:      10 kB\nPss:   8 kB\nPss_Anon:  1 kB\nAnonymous:  6 kB\n";
        let memory = parse_rollup(text).unwrap();
        assert_eq!(
            memory,
            Memory {
                rss_bytes: 10_240,
                pss_bytes: 8_192,
                anonymous_bytes: 6_144
            }
        );
    }

    #[test]
    fn our_own_process_has_memory_and_its_cpu_time_grows() {
        let pid = std::process::id();
        assert!(memory(pid).unwrap().rss_bytes > 0);
        let before = cpu_time(pid).unwrap();
        let mut sum = 1u64;
        while cpu_time(pid).unwrap() == before {
            sum = std::hint::black_box(sum.wrapping_mul(3));
        }
        assert!(cpu_time(pid).unwrap() > before);
    }

    proptest! {
        #[test]
        fn any_text_parses_or_not_but_never_panics(text in ".*") {
            let _ = cpu_ticks(&text);
            let _ = parse_rollup(&text);
        }
    }
}
