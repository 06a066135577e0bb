//! A move between stores: file by file, each carried over, compared and removed by the server; then the folders, emptied.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;

use super::entry::Entry;
use super::error::ClientError;
use super::remote::Remote;
use super::report::{Loudness, Outcome, Report};

/// Files that are moved at once: each costs some round trips.
const AT_ONCE: usize = 4;

/// A move between stores.
#[derive(Debug)]
pub struct Across<'r> {
    remote: &'r Remote,
    /// Whether files that are there are replaced.
    overwrite: bool,
}

impl<'r> Across<'r> {
    /// By a server.
    pub const fn new(remote: &'r Remote, overwrite: bool) -> Self {
        Self { remote, overwrite }
    }

    /// Moves a file, or a folder with all that is in it. What fails is told and stays, and so do the folders above it.
    ///
    /// # Errors
    /// As [`Remote::ask`]; [`ClientError::Impossible`] if anything stays.
    pub async fn run(&self, entry: &Entry, to: &str) -> Result<(), ClientError> {
        // The server says first whether it can be done at all.
        if !entry.is_folder() {
            return self.file(&entry.full_path, to).await;
        }
        self.file(&entry.full_path, to).await?;
        let report = Report::begin(Loudness::default(), "moved");
        let moved = self.folder(&entry.full_path, to, &report).await;
        report.end();
        moved?;
        match report.totals().failed {
            0 => Ok(()),
            failed => Err(ClientError::Impossible(format!(
                "{failed} of its files stay; the same command tries them again"
            ))),
        }
    }

    async fn file(&self, from: &str, to: &str) -> Result<(), ClientError> {
        self.remote.move_across(from, to, self.overwrite).await
    }

    async fn folder(&self, from: &str, to: &str, report: &Arc<Report>) -> Result<(), ClientError> {
        let there = |path: &str| format!("{to}{}", path.get(from.len()..).unwrap_or_default());
        let mut folders = vec![from.to_owned()];
        let mut moving = FuturesUnordered::new();
        let mut listing = self.remote.list(from, true);
        while let Some(entry) = listing.next().await? {
            let (path, bytes, to) = (
                entry.full_path.clone(),
                entry.file_size,
                there(&entry.full_path),
            );
            if entry.is_folder() {
                self.file(&path, &to).await?;
                folders.push(path);
                continue;
            }
            report.found(bytes);
            if moving.len() >= AT_ONCE {
                moving.next().await.transpose()?;
            }
            moving.push(async move {
                let moved = self.file(&path, &to).await;
                note(report, &path, bytes, moved)
            });
        }
        report.found_all();
        while let Some(done) = moving.next().await {
            done?;
        }
        if report.totals().failed > 0 {
            return Ok(());
        }
        // The deepest first. What has come into one meanwhile keeps it.
        for folder in folders.iter().rev() {
            self.remote.delete_empty(folder).await?;
        }
        Ok(())
    }
}

/// What is no end of all is told with the file.
fn note(
    report: &Report,
    path: &str,
    bytes: u64,
    moved: Result<(), ClientError>,
) -> Result<(), ClientError> {
    match moved {
        Ok(()) => {
            report.moved(bytes);
            let crc32c = None;
            report.item(path, &Outcome::Done { bytes, crc32c });
        }
        Err(error) if error.is_unreachable() => return Err(error),
        Err(error) => report.item(path, &Outcome::Failed(error.to_string())),
    }
    Ok(())
}
