//! Files on their way from a server: one stream's work.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::Method;
use serde::Deserialize;
use serde_json::json;
use tokio::task::block_in_place;

use super::body::Outgoing;
use super::error::ClientError;
use super::fetch;
use super::http::{Answer, Call, NDJSON};
use super::part::Parts;
use super::queue::{HasBytes, Load, Queue};
use super::remote::Remote;
use super::report::{Outcome, Report};
use super::same::{Care, Known, Verdict, crc32c_of};
use super::unpacking::{Unpacked, Unpacking};
use super::walk::mtime_secs;

/// A file to fetch.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its path there.
    pub path: String,
    /// Where it goes.
    pub target: PathBuf,
    /// What is known of it.
    pub known: Known,
}

impl HasBytes for Wanted {
    fn bytes(&self) -> u64 {
        self.known.bytes
    }
}

/// What the streams of one `get` share.
#[derive(Debug)]
pub struct Download {
    /// The server.
    pub remote: Remote,
    /// Who is told.
    pub report: Arc<Report>,
    /// Where files are written.
    pub parts: Parts,
    /// When what is here counts.
    pub care: Care,
}

/// A line of the entry that names what is missing from an archive.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Missing {
    name: String,
    path: String,
    error: String,
}

/// Files that are still to come, by their name in the archive: a number, so that no name of a server's becomes one here.
type Left = HashMap<String, Wanted>;

impl Download {
    /// Works until the queue is empty.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] only: all else is reported with the file that it concerns.
    pub async fn work(self: Arc<Self>, queue: Arc<Queue<Wanted>>) -> Result<(), ClientError> {
        while let Some(load) = queue.next().await {
            match load {
                Load::Large(file) if block_in_place(|| self.is_here(&file)) => {}
                Load::Large(file) => self.single(&file).await?,
                Load::Batch(mut files) => {
                    block_in_place(|| files.retain(|file| !self.is_here(file)));
                    match files.as_slice() {
                        [file] => self.single(file).await?,
                        _ => self.batch(files).await?,
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether it is here already; then that is reported.
    fn is_here(&self, file: &Wanted) -> bool {
        let here = known_here(&file.target);
        let same = match self.care.compare(file.known, here) {
            Verdict::Same => true,
            Verdict::Other => false,
            Verdict::IfCrc32c(crc32c) => crc32c_of(&file.target).is_ok_and(|here| here == crc32c),
        };
        if same {
            self.report.item(
                &file.path,
                &Outcome::Same {
                    bytes: file.known.bytes,
                },
            );
        }
        same
    }

    async fn single(&self, file: &Wanted) -> Result<(), ClientError> {
        match fetch::to_file(&self.remote, &self.report, &self.parts, file).await {
            Err(error) if error.is_unreachable() => return Err(error),
            Err(error) => self
                .report
                .item(&file.path, &Outcome::Failed(error.to_string())),
            Ok(outcome) => self.report.item(&file.path, &outcome),
        }
        Ok(())
    }

    /// Fetches small files in one archive, and those that did not come again.
    async fn batch(&self, files: Vec<Wanted>) -> Result<(), ClientError> {
        let mut left: Left = files
            .into_iter()
            .enumerate()
            .map(|(n, file)| (n.to_string(), file))
            .collect();
        let mut changed = Vec::new();
        let mut patience = self.remote.patience();
        while !left.is_empty() {
            let before = left.len();
            let Err(error) = self.try_batch(&mut left, &mut changed).await else {
                break;
            };
            if left.len() < before {
                patience.renew();
            }
            match self.remote.pause(&mut patience, error).await {
                Ok(()) => {}
                Err(error) if error.is_unreachable() => return Err(error),
                Err(error) => return self.give_up(&left, &error.to_string()),
            }
        }
        for file in &changed {
            self.single(file).await?;
        }
        self.give_up(&left, "the server did not say what became of it")
    }

    fn give_up(&self, left: &Left, reason: &str) -> Result<(), ClientError> {
        for file in left.values() {
            self.report
                .item(&file.path, &Outcome::Failed(reason.to_owned()));
        }
        Ok(())
    }

    async fn try_batch(
        &self,
        left: &mut Left,
        changed: &mut Vec<Wanted>,
    ) -> Result<(), ClientError> {
        let call = Call::new(Method::POST, "/batch/get")
            .query("format=tar&order=stored")
            .body(NDJSON, Outgoing::from(list_of(left)));
        let mut answer = self.remote.http.send(call).await?;
        let mut unpacking = Unpacking::default();
        while let Some(piece) = answer.piece().await? {
            unpacking.feed(piece);
            block_in_place(|| self.take(&mut unpacking, left, changed))?;
        }
        unpacking.finish();
        block_in_place(|| self.take(&mut unpacking, left, changed))?;
        unpacking.check_end()?;
        self.check_missing(&answer, left)
    }

    fn take(
        &self,
        unpacking: &mut Unpacking,
        left: &mut Left,
        changed: &mut Vec<Wanted>,
    ) -> Result<(), ClientError> {
        while let Some(unpacked) = unpacking.next_file()? {
            if unpacked.is_errors() {
                self.missing(&unpacked.data, left);
            } else if let Some(file) = left.remove(&unpacked.name) {
                match self.keep(&file, &unpacked) {
                    Some(outcome) => self.report.item(&file.path, &outcome),
                    None => changed.push(file),
                }
            }
        }
        Ok(())
    }

    /// Writes a file; `None` if it is not the one that was listed: it has been replaced since.
    fn keep(&self, file: &Wanted, unpacked: &Unpacked) -> Option<Outcome> {
        let crc32c = crc32c::crc32c(&unpacked.data);
        let bytes = unpacked.data.len() as u64;
        if bytes != file.known.bytes || file.known.crc32c.is_some_and(|known| known != crc32c) {
            return None;
        }
        self.report.moved(bytes);
        Some(match self.write(file, &unpacked.data) {
            Ok(()) => Outcome::Done {
                bytes,
                crc32c: Some(crc32c),
            },
            Err(error) => Outcome::Failed(ClientError::local(&file.target, error).to_string()),
        })
    }

    fn write(&self, file: &Wanted, data: &[u8]) -> std::io::Result<()> {
        use std::io::Write as _;
        let mut part = self.parts.begin(&file.target)?;
        part.file.write_all(data)?;
        part.finish(file.known.mtime_secs)
    }

    /// Reads the list of what the server could not put into the archive.
    fn missing(&self, lines: &[u8], left: &mut Left) {
        for line in lines
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            let missing: Missing = serde_json::from_slice(line).unwrap_or_default();
            let by_path = || {
                left.iter()
                    .find(|(_, file)| file.path == missing.path)
                    .map(|(name, _)| name.clone())
            };
            let name = if left.contains_key(&missing.name) {
                Some(missing.name.clone())
            } else {
                by_path()
            };
            if let Some(file) = name.and_then(|name| left.remove(&name)) {
                self.report
                    .item(&file.path, &Outcome::Failed(missing.error));
            }
        }
    }

    /// What the trailer counts as missing must have been named.
    fn check_missing(&self, answer: &Answer, left: &Left) -> Result<(), ClientError> {
        match left.is_empty() || answer.header("moongate-errors").is_some() {
            true => Ok(()),
            false => Err(ClientError::Broken(
                "the archive is shorter than what was asked for".to_owned(),
            )),
        }
    }
}

fn list_of(left: &Left) -> Vec<u8> {
    let mut list = Vec::new();
    for (name, file) in left {
        list.extend_from_slice(
            json!({ "path": file.path, "name": name })
                .to_string()
                .as_bytes(),
        );
        list.push(b'\n');
    }
    list
}

/// What is at a path here, if it is a file.
pub fn known_here(path: &Path) -> Option<Known> {
    let metadata = path.metadata().ok().filter(std::fs::Metadata::is_file)?;
    Some(Known {
        bytes: metadata.len(),
        crc32c: None,
        mtime_secs: mtime_secs(&metadata),
    })
}

#[cfg(test)]
mod tests {
    use super::super::address::Server;
    use super::super::http::Http;
    use super::super::report::Loudness;
    use super::*;

    fn download() -> Download {
        Download {
            remote: Remote::new(Http::new(Server::parse("h").unwrap()), 0),
            report: Report::begin(
                Loudness {
                    quiet: true,
                    json: false,
                },
                "fetched",
            ),
            parts: Parts::default(),
            care: Care::Checksum,
        }
    }

    fn wanted(folder: &Path, name: &str, data: &[u8]) -> Wanted {
        let known = Known {
            bytes: data.len() as u64,
            crc32c: Some(crc32c::crc32c(data)),
            mtime_secs: 5,
        };
        Wanted {
            path: format!("/p/{name}"),
            target: folder.join(name),
            known,
        }
    }

    #[tokio::test]
    async fn only_what_was_listed_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (download, file) = (download(), wanted(folder.path(), "a/b", b"abc"));
        let came = |data: &[u8]| Unpacked {
            name: "0".to_owned(),
            data: data.to_vec(),
        };
        assert_eq!(download.keep(&file, &came(b"abd")), None);
        assert!(!download.is_here(&file));
        assert!(matches!(
            download.keep(&file, &came(b"abc")),
            Some(Outcome::Done { bytes: 3, .. })
        ));
        assert!(download.is_here(&file));
        std::fs::write(&file.target, "abd").unwrap();
        assert!(!download.is_here(&file));
    }

    #[tokio::test]
    async fn what_the_server_could_not_read_is_told_by_its_name() {
        let (download, folder) = (download(), Path::new("/nowhere"));
        let mut left = Left::from([
            ("0".to_owned(), wanted(folder, "x", b"1")),
            ("1".to_owned(), wanted(folder, "y", b"2")),
            ("2".to_owned(), wanted(folder, "z", b"3")),
        ]);
        let lines =
            b"{\"name\":\"0\",\"error\":\"damaged\"}\n{\"path\":\"/p/y\",\"error\":\"gone\"}\n?\n";
        download.missing(lines, &mut left);
        assert_eq!(left.into_keys().collect::<Vec<_>>(), ["2"]);
        assert_eq!(download.report.totals().failed, 2);
    }

    #[test]
    fn the_list_says_path_and_number() {
        let left = Left::from([("7".to_owned(), wanted(Path::new("/t"), "a\"b", b""))]);
        let line: serde_json::Value = serde_json::from_slice(&list_of(&left)).unwrap();
        assert_eq!(line, json!({ "path": "/p/a\"b", "name": "7" }));
    }
}
