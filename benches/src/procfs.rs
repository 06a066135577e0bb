//! What `/proc` says about a process: CPU time and memory (proc(5)).

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// User and system CPU time of the process.
///
/// Exact to the nanosecond where the kernel keeps `schedstat`: the sum over the threads that live now. What ended threads have used
/// is not in it, so a window should not be so long that idle threads of a pool end in it; a difference that would be negative is for
/// the caller to take as nothing. Elsewhere it is counted in clock ticks (10 ms), ended threads included: measure over a second or more.
///
/// # Errors
/// When the process is gone or `/proc` is not mounted.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    match threads_cpu_time(pid) {
        Some(time) => Ok(time),
        None => cpu_time_in_ticks(pid),
    }
}

/// Sum over the threads; `None` when the kernel keeps no `schedstat`.
fn threads_cpu_time(pid: u32) -> Option<Duration> {
    let mut nanos = None;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let Ok(thread) = thread else { continue };
        // A thread may end while we look.
        let Ok(stat) = fs::read_to_string(thread.path().join("schedstat")) else {
            continue;
        };
        nanos = Some(nanos.unwrap_or(0) + run_nanos(&stat)?);
    }
    nanos.map(Duration::from_nanos)
}

/// The first field of `schedstat`: time on a CPU in nanoseconds (Documentation/scheduler/sched-stats.rst).
fn run_nanos(schedstat: &str) -> Option<u64> {
    schedstat.split_ascii_whitespace().next()?.parse().ok()
}

fn cpu_time_in_ticks(pid: u32) -> Result<Duration> {
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

/// The most resident memory since [`forget_peak`], in bytes (`VmHWM`).
///
/// # Errors
/// When the process is gone.
pub fn peak_bytes(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    field_bytes(&status, "VmHWM:").with_context(|| format!("{path} has no VmHWM"))
}

/// Lets the peak start again from what is resident now (proc(5), `clear_refs`).
///
/// # Errors
/// When the process is gone or belongs to someone else.
pub fn forget_peak(pid: u32) -> Result<()> {
    let path = format!("/proc/{pid}/clear_refs");
    fs::write(&path, "5").with_context(|| format!("writing {path}"))
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
    use std::process::Command;

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cpu_ticks_survive_an_odd_command_name() {
        let stat = "42 (a) (b c) S 1 2 3 4 5 6 7 8 9 10 70 30 0 0 20 0 4 0";
        assert_eq!(cpu_ticks(stat), Some(100));
    }

    #[test]
    fn run_time_is_the_first_field() {
        assert_eq!(run_nanos("165597861 497246474 65\n"), Some(165_597_861));
        assert_eq!(run_nanos(""), None);
        assert_eq!(run_nanos("-1 2 3"), None);
    }

    #[test]
    fn the_threads_agree_with_the_ticks() {
        let mut busy = Command::new("sh")
            .args(["-c", "while :; do :; done"])
            .spawn()
            .unwrap();
        let tenth = Duration::from_millis(100);
        while cpu_time_in_ticks(busy.id()).unwrap() < tenth {
            std::thread::yield_now();
        }
        let (threads, ticks) = (
            threads_cpu_time(busy.id()),
            cpu_time_in_ticks(busy.id()).unwrap(),
        );
        busy.kill().unwrap();
        busy.wait().unwrap();
        // A kernel without schedstat has nothing to agree with.
        if let Some(threads) = threads {
            assert!(threads.abs_diff(ticks) < tenth, "{threads:?} {ticks:?}");
        }
    }

    #[test]
    fn the_peak_is_seen_and_forgotten() {
        let pid = std::process::id();
        let large = std::hint::black_box(vec![1u8; 64 << 20]);
        let peak = peak_bytes(pid).unwrap();
        assert!(peak >= large.len() as u64);
        drop(large);
        forget_peak(pid).unwrap();
        assert!(peak_bytes(pid).unwrap() > 0);
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
    fn our_own_process_has_memory_and_cpu_time() {
        let pid = std::process::id();
        assert!(memory(pid).unwrap().rss_bytes > 0);
        while cpu_time(pid).unwrap().is_zero() {
            std::hint::spin_loop();
        }
        assert!(cpu_time(u32::MAX).is_err());
    }

    proptest! {
        #[test]
        fn any_text_parses_or_not_but_never_panics(text in ".*") {
            let _ = cpu_ticks(&text);
            let _ = run_nanos(&text);
            let _ = parse_rollup(&text);
        }
    }
}
