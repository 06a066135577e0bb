//! The gluster command line on this node: script mode, XML answers, a deadline, one change at a time.
//!
//! `--xml` exits with 0 for most refusals, so only `opRet` is believed. The CLI refuses changes from afar, which is why an agent on
//! each node drives it.

pub mod xml;

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::command;
use crate::error::{Error, Result};
use xml::{Answer, VolumeInfo};

/// The CLI itself gives up after 120 s without saying what became of the command.
const CHANGE_LIMIT: Duration = Duration::from_secs(100);
const LOOK_LIMIT: Duration = Duration::from_secs(20);
const NO_SUCH_VOLUME: i64 = 30806;
const ANOTHER_TRANSACTION: i64 = 30802;
/// A transaction of another node passes in a moment.
const TRIES_MAX: u32 = 10;
const TRY_INTERVAL: Duration = Duration::from_millis(500);

/// The local CLI.
#[derive(Debug, Default)]
pub struct Gluster {
    changing: Mutex<()>,
}

impl Gluster {
    /// All volumes, or one of this name.
    ///
    /// # Errors
    /// `Unavailable` where glusterd does not answer.
    pub async fn volumes(&self, name: Option<&str>) -> Result<Vec<VolumeInfo>> {
        let answer = ask(&["volume", "info", name.unwrap_or("all")], LOOK_LIMIT).await?;
        if answer.errno == NO_SUCH_VOLUME || answer.says("does not exist") {
            return Ok(Vec::new());
        }
        answer.accepted("volume info").map(Answer::into_volumes)
    }

    /// One volume, if it is there.
    ///
    /// # Errors
    /// As [`Gluster::volumes`].
    pub async fn volume(&self, name: &str) -> Result<Option<VolumeInfo>> {
        Ok(self.volumes(Some(name)).await?.into_iter().next())
    }

    /// Makes a volume over bricks that are there: `host:path`. A volume of this name over the same bricks is success.
    ///
    /// # Errors
    /// `Differs` where a volume of the name has other bricks.
    pub async fn create(&self, name: &str, bricks: &[String], replica: u32) -> Result<()> {
        if let Some(there) = self.volume(name).await? {
            return same_bricks(&there, bricks);
        }
        let copies = replica.to_string();
        let mut arguments = vec!["volume", "create", name];
        if replica > 1 {
            arguments.extend(["replica", &copies]);
        }
        arguments.extend(bricks.iter().map(String::as_str));
        self.change(&arguments, "already exists").await
    }

    /// Sets options, one command for all that differ.
    ///
    /// # Errors
    /// `NotFound` without the volume; `Internal` with gluster's words for an option that it refuses.
    pub async fn set(&self, name: &str, options: &BTreeMap<String, String>) -> Result<()> {
        let there = self.volume(name).await?.ok_or_else(|| no_volume(name))?;
        let has = there.options();
        let differ = options
            .iter()
            .filter(|(key, value)| has.get(*key) != Some(*value));
        let words: Vec<&str> = differ
            .flat_map(|(key, value)| [key.as_str(), value.as_str()])
            .collect();
        if words.is_empty() {
            return Ok(());
        }
        let mut arguments = vec!["volume", "set", name];
        arguments.extend(words);
        self.change(&arguments, "").await
    }

    /// Starts a volume; one that runs is success.
    ///
    /// # Errors
    /// `Internal` with gluster's words where it cannot start.
    pub async fn start(&self, name: &str) -> Result<()> {
        if self
            .volume(name)
            .await?
            .is_some_and(|volume| volume.started())
        {
            return Ok(());
        }
        self.change(&["volume", "start", name], "already started")
            .await
    }

    /// Stops and deletes a volume that nobody has mounted; one that is gone is success. Returns the bricks that it had.
    ///
    /// # Errors
    /// `NotNow` with the clients' addresses while it is in use.
    pub async fn delete(&self, name: &str) -> Result<Vec<String>> {
        let Some(volume) = self.volume(name).await? else {
            return Ok(Vec::new());
        };
        if volume.started() {
            self.refuse_while_used(&volume).await?;
            self.change(
                &["volume", "stop", name, "force"],
                "not in the started state",
            )
            .await?;
        }
        self.change(&["volume", "delete", name], "does not exist")
            .await?;
        Ok(volume.bricks())
    }

    /// gluster itself would stop it under its clients without a word.
    async fn refuse_while_used(&self, volume: &VolumeInfo) -> Result<()> {
        let answer = ask(&["volume", "status", &volume.name, "clients"], LOOK_LIMIT).await?;
        let users = answer.accepted("volume status")?.users(volume);
        if users.is_empty() {
            return Ok(());
        }
        let users = users.into_iter().collect::<Vec<_>>().join(", ");
        Err(Error::NotNow(format!(
            "volume {} is mounted by {users}: unmount it there first",
            volume.name
        )))
    }

    /// A change, repeated while another node's transaction is under way. An answer that contains `fine` is success too.
    async fn change(&self, arguments: &[&str], fine: &str) -> Result<()> {
        let _one = self.changing.lock().await;
        for _ in 1..TRIES_MAX {
            match self.change_once(arguments, fine).await {
                Err(Error::Busy(_)) => tokio::time::sleep(TRY_INTERVAL).await,
                answer => return answer,
            }
        }
        self.change_once(arguments, fine).await
    }

    async fn change_once(&self, arguments: &[&str], fine: &str) -> Result<()> {
        let answer = ask(arguments, CHANGE_LIMIT).await?;
        if !fine.is_empty() && answer.says(fine) {
            return Ok(());
        }
        answer.accepted(&arguments.join(" ")).map(|_| ())
    }
}

async fn ask(arguments: &[&str], limit: Duration) -> Result<Answer> {
    let mut all = vec!["--mode=script", "--xml"];
    all.extend_from_slice(arguments);
    let ended = command::run("gluster", &all, limit).await?;
    Answer::parse(&ended.stdout).ok_or_else(|| unreadable(arguments, &ended))
}

/// Plain text: wrong arguments, no glusterd, or a deadline of the CLI's own.
fn unreadable(arguments: &[&str], ended: &command::Ended) -> Error {
    let said = format!("{} {}", ended.stdout.trim(), ended.stderr);
    let text = format!("gluster {}: {}", arguments.join(" "), said.trim());
    if said.contains("Usage") {
        Error::Invalid(text)
    } else {
        Error::Unavailable(text)
    }
}

impl Answer {
    fn says(&self, words: &str) -> bool {
        self.ret != 0 && self.text.contains(words)
    }

    fn accepted(self, what: &str) -> Result<Self> {
        let text = format!("gluster {what}: {}", self.text);
        match (self.ret, self.errno) {
            (0, _) => Ok(self),
            (_, ANOTHER_TRANSACTION) => Err(Error::Busy(text)),
            (_, NO_SUCH_VOLUME) => Err(Error::NotFound(text)),
            _ if self.text.contains("Another transaction") => Err(Error::Busy(text)),
            _ if self.text.contains("timed out") || self.text.contains("not connected") => {
                Err(Error::Unavailable(text))
            }
            _ => Err(Error::Internal(text)),
        }
    }
}

fn same_bricks(there: &VolumeInfo, bricks: &[String]) -> Result<()> {
    if there.bricks() == bricks {
        return Ok(());
    }
    Err(Error::Differs(format!(
        "volume {} is there over other bricks: {}",
        there.name,
        there.bricks().join(" ")
    )))
}

fn no_volume(name: &str) -> Error {
    Error::NotFound(format!("there is no gluster volume {name}"))
}
