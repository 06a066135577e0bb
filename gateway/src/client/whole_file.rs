//! One file in one PUT, from a path here or from standard input.

use std::fs::File;
use std::io::{self, Read};

use bytes::Bytes;
use form_urlencoded::Serializer;
use http::{HeaderValue, Method, header};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::body::Outgoing;
use super::entry::parse_crc32c;
use super::error::ClientError;
use super::http::Call;
use super::remote::Remote;
use super::report::{Outcome, Report};
use super::same::Known;
use super::walk::LocalFile;

/// Read at a time, and given to the connection.
const CHUNK_BYTES: usize = 256 << 10;
/// Chunks that wait for the connection.
const CHUNKS_WAITING_MAX: usize = 8;

/// A PUT of a file.
pub fn call<'a>(path: &'a str, query: &str, mode: Option<u32>, body: Outgoing) -> Call<'a> {
    let mut all = Serializer::new(query.to_owned());
    if let Some(mode) = mode {
        all.append_pair("mode", &format!("{mode:04o}"));
    }
    let mut call = Call::new(Method::PUT, path).query(all.finish());
    let kind = mime_guess::from_path(path).first_raw();
    let kind = kind.unwrap_or("application/octet-stream");
    call.headers
        .push((header::CONTENT_TYPE, HeaderValue::from_static(kind)));
    call.body = body;
    call
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Stored {
    size: u64,
    crc32c: Option<String>,
}

/// Reads the answer to a PUT.
///
/// # Errors
/// [`ClientError::Answer`]; as [`compared`].
pub fn outcome(answer: &[u8], sent: Known) -> Result<Outcome, ClientError> {
    let stored: Stored =
        serde_json::from_slice(answer).map_err(|error| ClientError::Answer(error.to_string()))?;
    let crc32c = stored.crc32c.as_deref().and_then(parse_crc32c);
    compared(
        sent,
        Known {
            bytes: stored.size,
            crc32c,
            mtime_secs: 0,
        },
    )
}

/// What was stored must be what was sent.
///
/// # Errors
/// [`ClientError::Impossible`] if it is not.
pub fn compared(sent: Known, stored: Known) -> Result<Outcome, ClientError> {
    let differs = |here: Option<u32>, there: Option<u32>| {
        here.zip(there).is_some_and(|(here, there)| here != there)
    };
    if stored.bytes != sent.bytes || differs(sent.crc32c, stored.crc32c) {
        let text = "what was stored is not what was sent: send it again; if that goes on, check memory and network";
        return Err(ClientError::Impossible(text.to_owned()));
    }
    Ok(Outcome::Done {
        bytes: sent.bytes,
        crc32c: sent.crc32c,
    })
}

/// Sends a file, and again where the connection breaks.
///
/// # Errors
/// [`ClientError::Local`] if it cannot be read, or changes while it is; others as [`Remote::ask`].
pub async fn put(
    remote: &Remote,
    report: &Report,
    file: &LocalFile,
    path: &str,
    query: &str,
) -> Result<Outcome, ClientError> {
    let mut patience = remote.patience();
    loop {
        let source =
            File::open(&file.path).map_err(|error| ClientError::local(&file.path, error))?;
        let stream = Stream::begin(source, Some(file.bytes));
        match stream
            .send(remote, report, path, query, Some(file.mode))
            .await
        {
            Ok(outcome) => return Ok(outcome),
            Err(Failure::Reading(error)) => return Err(ClientError::local(&file.path, error)),
            Err(Failure::Sending(error)) => remote.pause(&mut patience, error).await?,
        }
    }
}

/// Sends what comes from standard input; it can be sent only once.
///
/// # Errors
/// As [`put`].
pub async fn put_stdin(
    remote: &Remote,
    report: &Report,
    path: &str,
    query: &str,
) -> Result<Outcome, ClientError> {
    let stream = Stream::begin(io::stdin(), None);
    match stream.send(remote, report, path, query, None).await {
        Ok(outcome) => Ok(outcome),
        Err(Failure::Reading(error)) => Err(ClientError::local("-".as_ref(), error)),
        Err(Failure::Sending(error)) => Err(error),
    }
}

/// Which side failed.
#[derive(Debug)]
pub enum Failure {
    /// This one.
    Reading(io::Error),
    /// The other one, or what is between.
    Sending(ClientError),
}

/// A source that is read by a thread while it is sent.
#[derive(Debug)]
pub struct Stream {
    body: Outgoing,
    reader: JoinHandle<io::Result<Option<Known>>>,
}

impl Stream {
    /// Begins to read; `bytes`: how long it must turn out to be.
    pub fn begin(source: impl Read + Send + 'static, bytes: Option<u64>) -> Self {
        let (sender, receiver) = mpsc::channel(CHUNKS_WAITING_MAX);
        let body = Outgoing::channel(receiver, bytes);
        let reader = tokio::task::spawn_blocking(move || pump(source, bytes, &sender));
        Self { body, reader }
    }

    /// The body, and who waits for the end of the reading.
    pub fn split(self) -> (Outgoing, JoinHandle<io::Result<Option<Known>>>) {
        (self.body, self.reader)
    }

    async fn send(
        self,
        remote: &Remote,
        report: &Report,
        path: &str,
        query: &str,
        mode: Option<u32>,
    ) -> Result<Outcome, Failure> {
        let (body, reader) = self.split();
        let moved = body.moved();
        let answer = {
            let sending = remote.http.send_and_read(call(path, query, mode, body));
            super::meter::metered(report, &moved, sending).await
        };
        let outcome = match (read_by(reader).await, answer) {
            (Err(error), _) => Err(Failure::Reading(error)),
            (_, Err(error)) => Err(Failure::Sending(error)),
            (Ok(None), Ok(_)) => Err(Failure::Sending(ClientError::Broken(
                "it was answered too early".to_owned(),
            ))),
            (Ok(Some(sent)), Ok((_, answer))) => outcome(&answer, sent).map_err(Failure::Sending),
        };
        if outcome.is_err() {
            report.moved_in_vain(moved.bytes());
        }
        outcome
    }
}

/// What the thread has read. Standard input may never end, and is not waited for once nobody wants it: its task is told by its
/// closed channel only when something comes.
async fn read_by(reader: JoinHandle<io::Result<Option<Known>>>) -> io::Result<Option<Known>> {
    match tokio::time::timeout(std::time::Duration::from_secs(1), reader).await {
        Err(_) => Ok(None),
        Ok(Err(error)) => Err(io::Error::other(error)),
        Ok(Ok(read)) => read,
    }
}

/// Reads to the end; `None` if nobody wanted all of it.
fn pump(
    mut source: impl Read,
    bytes: Option<u64>,
    sender: &mpsc::Sender<io::Result<Bytes>>,
) -> io::Result<Option<Known>> {
    let mut known = Known {
        bytes: 0,
        crc32c: None,
        mtime_secs: 0,
    };
    let mut crc32c = 0;
    loop {
        let piece = match next_piece(
            &mut source,
            bytes.map(|bytes| bytes.saturating_sub(known.bytes)),
        ) {
            Ok(piece) => piece,
            Err(error) => {
                // The request must not look complete.
                let _ = sender.blocking_send(Err(error.kind().into()));
                return Err(error);
            }
        };
        if piece.is_empty() {
            known.crc32c = Some(crc32c);
            return Ok(Some(known));
        }
        crc32c = crc32c::crc32c_append(crc32c, &piece);
        known.bytes += piece.len() as u64;
        if sender.blocking_send(Ok(piece)).is_err() {
            return Ok(None);
        }
    }
}

/// The next piece; `left`: bytes that are still to come, if that is known.
fn next_piece(source: &mut impl Read, left: Option<u64>) -> io::Result<Bytes> {
    let mut piece = Vec::with_capacity(CHUNK_BYTES);
    source.take(CHUNK_BYTES as u64).read_to_end(&mut piece)?;
    let wrong = match left {
        None => false,
        Some(left) => piece.len() as u64 > left || (piece.is_empty() && left > 0),
    };
    match wrong {
        true => Err(io::Error::other(
            "it changed while it was read: try again when it is at rest",
        )),
        false => Ok(Bytes::from(piece)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pumped(source: &'static [u8], bytes: Option<u64>) -> (io::Result<Option<Known>>, usize) {
        let (sender, mut receiver) = mpsc::channel(CHUNKS_WAITING_MAX);
        let read = pump(source, bytes, &sender);
        let mut got = 0;
        while let Ok(piece) = receiver.try_recv() {
            got += piece.map_or(0, |piece| piece.len());
        }
        (read, got)
    }

    #[test]
    fn a_source_is_read_to_its_end_and_summed() {
        let (read, got) = pumped(b"123456789", Some(9));
        let known = read.unwrap().unwrap();
        assert_eq!((known.bytes, known.crc32c, got), (9, Some(0xe306_9283), 9));
        let (read, _) = pumped(b"", None);
        assert_eq!(read.unwrap().unwrap().crc32c, Some(0));
    }

    #[test]
    fn one_that_changes_on_the_way_is_a_failure() {
        for bytes in [8, 10] {
            assert!(pumped(b"123456789", Some(bytes)).0.is_err());
        }
    }

    #[test]
    fn a_put_says_what_it_is() {
        let call = call("/a/b.jpg", "ttl=3d", Some(0o644), Outgoing::empty());
        assert_eq!(call.query, "ttl=3d&mode=0644");
        assert_eq!(
            call.headers,
            [(header::CONTENT_TYPE, HeaderValue::from_static("image/jpeg"))]
        );
    }

    #[test]
    fn an_answer_without_a_checksum_is_taken_by_its_length() {
        let sent = Known {
            bytes: 3,
            crc32c: Some(1),
            mtime_secs: 0,
        };
        assert!(outcome(br#"{"name":"a","size":3}"#, sent).is_ok());
        assert!(outcome(br#"{"name":"a","size":4}"#, sent).is_err());
        assert!(outcome(b"<html>", sent).is_err());
    }
}
