//! Other programs, each with a deadline: gluster, mkfs, mount. What hangs is killed, and the caller hears of it.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::error::{Error, Result};

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status was 0.
    pub ok: bool,
    /// What it printed.
    pub stdout: String,
    /// What it complained of, in one line.
    pub stderr: String,
}

/// Runs a program to its end, or kills it and its group after `limit`.
///
/// # Errors
/// `Unavailable` when it hangs (the outcome is open), `Internal` when it cannot be started.
pub async fn run(program: &str, arguments: &[&str], limit: Duration) -> Result<Ended> {
    let child = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| {
            Error::Internal(format!("{program} cannot be started ({error}): install it"))
        })?;
    let group = child.id();
    match tokio::time::timeout(limit, child.wait_with_output()).await {
        Ok(Ok(output)) => Ok(Ended {
            ok: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: one_line(&output.stderr),
        }),
        Ok(Err(error)) => Err(Error::Internal(format!("{program}: {error}"))),
        Err(_) => {
            kill_group(group);
            Err(Error::Unavailable(format!(
                "{program} {} did not end within {limit:?} and was killed",
                arguments.join(" ")
            )))
        }
    }
}

/// As [`run`], for a program that must succeed.
///
/// # Errors
/// As [`run`], and `Internal` with the program's complaint when it fails.
pub async fn must(program: &str, arguments: &[&str], limit: Duration) -> Result<String> {
    let ended = run(program, arguments, limit).await?;
    if ended.ok {
        return Ok(ended.stdout);
    }
    Err(Error::Internal(format!(
        "{program} {}: {}",
        arguments.join(" "),
        ended.stderr
    )))
}

/// The program's own children too: `mount` starts helpers.
fn kill_group(group: Option<u32>) {
    let pid = group
        .and_then(|id| i32::try_from(id).ok())
        .and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
    }
}

fn one_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_hangs_is_killed_with_its_children() {
        let started = std::time::Instant::now();
        let answer = run("sh", &["-c", "sleep 60 & wait"], Duration::from_millis(200)).await;
        assert!(matches!(answer, Err(Error::Unavailable(_))));
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[tokio::test]
    async fn a_complaint_is_handed_on() {
        let limit = Duration::from_secs(10);
        let error = must("sh", &["-c", "echo no such thing >&2; exit 3"], limit).await;
        assert!(error.unwrap_err().to_string().ends_with("no such thing"));
        let ended = run("sh", &["-c", "echo yes"], limit).await.unwrap();
        assert!(ended.ok);
        assert_eq!(ended.stdout, "yes\n");
    }
}
