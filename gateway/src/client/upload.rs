//! Files on their way to a server: one stream's work.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, header};
use tokio::task::block_in_place;

use super::address::join;
use super::answers::{self, Line};
use super::body::Outgoing;
use super::entry::parse_crc32c;
use super::error::ClientError;
use super::http::Call;
use super::queue::{HasBytes, Load, Queue};
use super::remote::{Remote, folder_form};
use super::report::{Outcome, Report};
use super::same::{Care, Known, Verdict, crc32c_of};
use super::walk::LocalFile;
use super::whole_file;
use crate::archive::{Encoder, Entry, Format};

impl HasBytes for LocalFile {
    fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// What the streams of one `put` share.
#[derive(Debug)]
pub struct Upload {
    /// The server.
    pub remote: Remote,
    /// Who is told.
    pub report: Arc<Report>,
    /// The folder that all goes to.
    pub base: String,
    /// What is below it already, by name.
    pub there: HashMap<String, Known>,
    /// When that counts.
    pub care: Care,
    /// `ttl=..&collection=..`, escaped; empty for none.
    pub query: String,
}

/// A small file that has been read.
#[derive(Debug)]
pub struct Loaded {
    file: LocalFile,
    data: Bytes,
    crc32c: u32,
}

impl Upload {
    /// Works until the queue is empty.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] only: all else is reported with the file that it concerns.
    pub async fn work(self: Arc<Self>, queue: Arc<Queue<LocalFile>>) -> Result<(), ClientError> {
        while let Some(load) = queue.next().await {
            match load {
                Load::Large(file) => self.large(&file).await?,
                Load::Batch(files) => {
                    let loaded = block_in_place(|| self.load(files));
                    match <[Loaded; 1]>::try_from(loaded) {
                        Ok([one]) => self.one(one).await?,
                        Err(loaded) => self.batch(loaded).await?,
                    }
                }
            }
        }
        Ok(())
    }

    fn done(&self, file: &LocalFile, outcome: &Outcome) {
        self.report.item(&join(&self.base, &file.name), outcome);
    }

    /// Reports the end of a file, unless it is the end of all.
    fn settle(
        &self,
        file: &LocalFile,
        result: Result<Outcome, ClientError>,
    ) -> Result<(), ClientError> {
        match result {
            Err(error) if error.is_unreachable() => return Err(error),
            Err(error) => self.done(file, &Outcome::Failed(error.to_string())),
            Ok(outcome) => self.done(file, &outcome),
        }
        Ok(())
    }

    fn verdict(&self, file: &LocalFile) -> Verdict {
        let here = Known {
            bytes: file.bytes,
            crc32c: None,
            mtime_secs: file.mtime_secs,
        };
        self.care.compare(here, self.there.get(&file.name).copied())
    }

    /// Reads those that are not there already.
    fn load(&self, files: Vec<LocalFile>) -> Vec<Loaded> {
        files
            .into_iter()
            .filter_map(|file| self.load_one(file))
            .collect()
    }

    fn load_one(&self, mut file: LocalFile) -> Option<Loaded> {
        let verdict = self.verdict(&file);
        if verdict == Verdict::Same {
            self.done(&file, &Outcome::Same { bytes: file.bytes });
            return None;
        }
        let data = match std::fs::read(&file.path) {
            Ok(data) => Bytes::from(data),
            Err(error) => {
                let error = ClientError::local(&file.path, error);
                self.done(&file, &Outcome::Failed(error.to_string()));
                return None;
            }
        };
        let crc32c = crc32c::crc32c(&data);
        file.bytes = data.len() as u64;
        if verdict == Verdict::IfCrc32c(crc32c) {
            self.done(&file, &Outcome::Same { bytes: file.bytes });
            return None;
        }
        Some(Loaded { file, data, crc32c })
    }

    /// Sends a small file on its own.
    async fn one(&self, loaded: Loaded) -> Result<(), ClientError> {
        let Loaded { file, data, crc32c } = loaded;
        let path = join(&self.base, &file.name);
        let call = || {
            let body = Outgoing::pieces(VecDeque::from([data.clone()]));
            whole_file::call(&path, &self.query, Some(file.mode), body)
        };
        let answer = self.remote.ask(call).await;
        let sent = Known {
            bytes: file.bytes,
            crc32c: Some(crc32c),
            mtime_secs: 0,
        };
        let result = answer.and_then(|(_, answer)| whole_file::outcome(&answer, sent));
        self.report.moved(file.bytes);
        self.settle(&file, result)
    }

    /// Sends a large file on its own, unless it is there.
    async fn large(&self, file: &LocalFile) -> Result<(), ClientError> {
        let same = match self.verdict(file) {
            Verdict::Other => Ok(false),
            Verdict::Same => Ok(true),
            Verdict::IfCrc32c(crc32c) => {
                block_in_place(|| crc32c_of(&file.path)).map(|here| here == crc32c)
            }
        };
        let result = match same {
            Ok(true) => Ok(Outcome::Same { bytes: file.bytes }),
            Ok(false) => {
                let path = join(&self.base, &file.name);
                whole_file::put(&self.remote, &self.report, file, &path, &self.query).await
            }
            Err(error) => Err(ClientError::local(&file.path, error)),
        };
        self.settle(file, result)
    }

    /// Sends small files in one request, and those that were not answered for again.
    async fn batch(&self, loaded: Vec<Loaded>) -> Result<(), ClientError> {
        let mut left: HashMap<String, Loaded> = HashMap::new();
        for loaded in loaded {
            if let Some(other) = left.insert(loaded.file.name.clone(), loaded) {
                let text =
                    "is to be stored under the same name as another file: send them to two folders";
                self.report.item(
                    &other.file.path.to_string_lossy(),
                    &Outcome::Failed(text.to_owned()),
                );
            }
        }
        let mut patience = self.remote.patience();
        while !left.is_empty() {
            let before = left.len();
            let Err(error) = self.try_batch(&mut left).await else {
                break;
            };
            if left.len() < before {
                patience.renew();
            }
            if let Err(error) = self.remote.pause(&mut patience, error).await {
                return self.give_up(&left, &error);
            }
        }
        self.give_up(
            &left,
            &ClientError::Answer("the server did not say what became of it".to_owned()),
        )
    }

    fn give_up(
        &self,
        left: &HashMap<String, Loaded>,
        error: &ClientError,
    ) -> Result<(), ClientError> {
        if let ClientError::Unreachable { server, reason } = error {
            return Err(ClientError::Unreachable {
                server: server.clone(),
                reason: reason.clone(),
            });
        }
        for loaded in left.values() {
            self.done(&loaded.file, &Outcome::Failed(error.to_string()));
        }
        Ok(())
    }

    async fn try_batch(&self, left: &mut HashMap<String, Loaded>) -> Result<(), ClientError> {
        let body = Outgoing::pieces(tar_of(left.values()));
        let answer = self
            .remote
            .http
            .send_any(batch_call(&folder_form(&self.base), &self.query, body))
            .await?;
        let answer = answer.lines_or_refusal().await?;
        answers::read(answer, |line| {
            if let Some(loaded) = left.remove(&line.name) {
                self.report.moved(loaded.file.bytes);
                self.done(&loaded.file, &outcome_of(&loaded, &line));
            }
        })
        .await
    }
}

/// A request with a tar.
pub fn batch_call<'a>(folder: &'a str, query: &str, body: Outgoing) -> Call<'a> {
    let query = if query.is_empty() {
        "batch".to_owned()
    } else {
        format!("batch&{query}")
    };
    Call::new(Method::POST, folder)
        .query(query)
        .header(header::ACCEPT, "application/x-ndjson")
        .body("application/x-tar", body)
}

fn outcome_of(sent: &Loaded, line: &Line) -> Outcome {
    if let Some(error) = &line.error {
        return Outcome::Failed(error.clone());
    }
    let stored = Known {
        bytes: line.size,
        crc32c: line.crc32c.as_deref().and_then(parse_crc32c),
        mtime_secs: 0,
    };
    let sent = Known {
        bytes: sent.file.bytes,
        crc32c: Some(sent.crc32c),
        mtime_secs: 0,
    };
    match whole_file::compared(sent, stored) {
        Ok(outcome) => outcome,
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// A tar of files that are in memory; their data are not copied.
fn tar_of<'a>(files: impl Iterator<Item = &'a Loaded>) -> VecDeque<Bytes> {
    let mut encoder = Encoder::new(Format::Tar, "");
    let mut pieces = VecDeque::new();
    let mut out = Vec::new();
    for Loaded { file, data, .. } in files {
        let entry = Entry {
            name: &file.name,
            size_bytes: data.len() as u64,
            mtime_secs: file.mtime_secs,
            mode: file.mode,
            ..Entry::default()
        };
        encoder.begin(&entry, &mut out);
        pieces.push_back(Bytes::from(std::mem::take(&mut out)));
        if !data.is_empty() {
            pieces.push_back(data.clone());
        }
        encoder.data(data);
        // As long as its buffer, by the line above: it cannot differ.
        let _ = encoder.end(&mut out);
    }
    encoder.finish(&mut out);
    pieces.push_back(Bytes::from(out));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::{ArchiveReader, Event};

    fn loaded(name: &str, data: &[u8]) -> Loaded {
        let file = LocalFile {
            path: name.into(),
            name: name.to_owned(),
            bytes: data.len() as u64,
            mtime_secs: 7,
            mode: 0o640,
        };
        Loaded {
            file,
            crc32c: crc32c::crc32c(data),
            data: Bytes::copy_from_slice(data),
        }
    }

    #[test]
    fn the_tar_holds_the_files() {
        let files = [
            loaded("a/b", &[1; 700]),
            loaded("empty", b""),
            loaded("猫", &[2; 512]),
        ];
        let mut reader = ArchiveReader::new(None);
        let (mut names, mut data) = (Vec::new(), Vec::new());
        for piece in tar_of(files.iter()) {
            reader.feed(piece);
            while let Some(event) = reader.next_event().unwrap() {
                match event {
                    Event::File(member) => names.push((
                        String::from_utf8(member.name).unwrap(),
                        member.size_bytes,
                        member.mode,
                    )),
                    Event::Data(piece) => data.extend_from_slice(&piece),
                    _ => {}
                }
            }
        }
        reader.finish();
        while reader.next_event().unwrap().is_some() {}
        reader.check_end().unwrap();
        let want = [("a/b", 700), ("empty", 0), ("猫", 512)]
            .map(|(name, bytes)| (name.to_owned(), bytes, 0o640));
        assert_eq!(names, want);
        assert_eq!(data, [vec![1; 700], vec![2; 512]].concat());
    }

    #[test]
    fn what_was_stored_must_be_what_was_sent() {
        let sent = loaded("a", b"123456789");
        let line = |text| serde_json::from_str::<Line>(text).unwrap();
        let good = line(r#"{"name":"a","size":9,"crc32c":"e3069283"}"#);
        let done = Outcome::Done {
            bytes: 9,
            crc32c: Some(0xe306_9283),
        };
        assert_eq!(outcome_of(&sent, &good), done);
        for bad in [
            r#"{"name":"a","size":9,"crc32c":"e3069284"}"#,
            r#"{"name":"a","size":8,"crc32c":"e3069283"}"#,
            r#"{"name":"a","error":"the disk is full"}"#,
        ] {
            assert!(
                matches!(outcome_of(&sent, &line(bad)), Outcome::Failed(_)),
                "{bad}"
            );
        }
    }
}
