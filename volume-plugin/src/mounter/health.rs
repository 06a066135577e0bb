//! How a mount is. "Transport endpoint is not connected" has several causes, and only one of them is mended by mounting again: so the daemon
//! is looked for first, then its own view of the bricks, then what the servers say.

use std::path::Path;
use std::time::Duration;

use moongate_proto::mounter::look_response::State;

use super::record::Record;
use crate::command::run;
use crate::gluster::xml::Answer;
use crate::patience::patiently;

const ASK_LIMIT: Duration = Duration::from_secs(10);

/// A state, and words for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// What is done about it depends on this.
    pub state: State,
    /// What a person reads.
    pub message: String,
}

impl Health {
    /// One with words.
    #[must_use]
    pub fn new(state: State, message: String) -> Self {
        Self { state, message }
    }
}

/// How a mount is whose daemon lives.
pub async fn of_living(record: &Record, point: &Path) -> Health {
    let (active, volume) = (point.join(".meta/graphs/active"), record.volume.clone());
    let seen = patiently(point, move || connected(&active, &volume)).await;
    match seen {
        Ok((up, all)) if up == all && all > 0 => {
            Health::new(State::Healthy, format!("all {all} bricks are connected"))
        }
        Ok((up, all)) if up > 0 => Health::new(
            State::Degraded,
            format!("{up} of {all} bricks are connected"),
        ),
        Ok(_) => by_servers(record, "no brick is connected").await,
        Err(error) => by_servers(record, &error.to_string()).await,
    }
}

/// The daemon's own view, which it shows as files: bricks connected, and all.
fn connected(active: &Path, volume: &str) -> std::io::Result<(usize, usize)> {
    let volume = volume.split('/').next().unwrap_or(volume);
    let prefix = format!("{volume}-client-");
    let (mut up, mut all) = (0, 0);
    for entry in std::fs::read_dir(active)? {
        let entry = entry?;
        let name = entry.file_name();
        if !name.to_string_lossy().starts_with(&prefix) {
            continue;
        }
        let text = std::fs::read_to_string(entry.path().join("private"))?;
        all += 1;
        up += usize::from(text.lines().any(|line| line == "connected = 1"));
    }
    Ok((up, all))
}

/// The daemon lives and serves nothing: the servers know why.
async fn by_servers(record: &Record, seen: &str) -> Health {
    let volume = record.volume.split('/').next().unwrap_or_default();
    for server in &record.servers {
        let Some(info) = ask(server, &["volume", "info", volume]).await else {
            continue;
        };
        let bricks = match Answer::parse(&info).map(Answer::into_volumes) {
            Some(volumes) => match volumes.into_iter().next() {
                Some(volume) if volume.started() => volume.bricks().len(),
                Some(_) => return stopped(volume, "is stopped: start it"),
                None => return stopped(volume, "does not exist any more"),
            },
            None => continue,
        };
        let status = ask(server, &["volume", "status", volume]).await;
        return by_bricks(running(&status.unwrap_or_default()), bricks, seen);
    }
    Health::new(
        State::Unreachable,
        format!("{seen}; none of {} answers", record.servers.join(", ")),
    )
}

fn stopped(volume: &str, what: &str) -> Health {
    Health::new(State::Stopped, format!("volume {volume} {what}"))
}

fn by_bricks(up: usize, all: usize, seen: &str) -> Health {
    let counts = format!("{up} of {all} bricks run");
    if up < all {
        return Health::new(
            State::NoQuorum,
            format!("{seen}; {counts}: see their nodes"),
        );
    }
    Health::new(
        State::Refused,
        format!(
            "{seen}; {counts}, and this node is not let in: see auth.allow and auth.ssl-allow, and the network"
        ),
    )
}

/// Bricks that run, of `volume status`: other daemons have no path.
fn running(status: &str) -> usize {
    let nodes = status.split("<node>").skip(1);
    let runs = |node: &&str| node.contains("<path>/") && node.contains("<status>1</status>");
    nodes.filter(runs).count()
}

/// Looking from afar is allowed; changing is not.
async fn ask(server: &str, words: &[&str]) -> Option<String> {
    let remote = format!("--remote-host={server}");
    let mut all = vec!["--mode=script", &remote, "--xml"];
    all.extend_from_slice(words);
    let ended = run("gluster", &all, ASK_LIMIT).await.ok()?;
    ended.stdout.contains("<cliOutput>").then_some(ended.stdout)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_daemons_own_view_is_read() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("v-client-0", "[x]\nconnected = 1\n"),
            ("v-client-1", "[x]\nconnected = 0\n"),
            ("v-replicate-0", "up = 1\n"),
        ] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(name).join("private"), text).unwrap();
        }
        assert_eq!(connected(folder.path(), "v/a").unwrap(), (1, 2));
        assert!(connected(&folder.path().join("none"), "v").is_err());
    }

    #[test]
    fn other_daemons_are_no_bricks() {
        let node = |path: &str, status: u8| {
            format!(
                "<node><hostname>h</hostname><path>{path}</path><status>{status}</status></node>"
            )
        };
        let text = node("/b/1", 1) + &node("/b/2", 0) + &node("127.0.0.1", 1);
        assert_eq!(running(&text), 1);
        assert_eq!(by_bricks(1, 3, "x").state, State::NoQuorum);
        assert_eq!(by_bricks(3, 3, "x").state, State::Refused);
    }
}
