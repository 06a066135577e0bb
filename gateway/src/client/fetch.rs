//! One file by its own GET: it goes on where the connection broke, as long as the file is the same.

use std::fs::File;
use std::io::{self, Seek as _, Write};

use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use tokio::task::block_in_place;

use super::download::Wanted;
use super::entry::parse_crc32c;
use super::error::ClientError;
use super::http::{Answer, Call};
use super::part::Parts;
use super::remote::Remote;
use super::report::{Outcome, Report};

const CRC32C: &str = "x-moongate-crc32c";

/// Where a content goes.
trait Sink: Send {
    /// Takes the next bytes.
    fn put(&mut self, piece: &[u8]) -> io::Result<()>;
    /// Forgets all that it has taken.
    fn restart(&mut self) -> io::Result<()>;
}

impl Sink for File {
    fn put(&mut self, piece: &[u8]) -> io::Result<()> {
        self.write_all(piece)
    }

    fn restart(&mut self) -> io::Result<()> {
        self.set_len(0)?;
        self.rewind()
    }
}

impl Sink for io::Stdout {
    fn put(&mut self, piece: &[u8]) -> io::Result<()> {
        self.write_all(piece)
    }

    fn restart(&mut self) -> io::Result<()> {
        Err(io::Error::other(
            "the file was replaced while it was fetched, and half of the old one is out: begin again",
        ))
    }
}

/// How far it is.
#[derive(Debug, Default)]
struct Progress {
    bytes: u64,
    crc32c: u32,
    etag: Option<HeaderValue>,
}

/// Fetches a file to its place.
///
/// # Errors
/// As [`Remote::ask`]; [`ClientError::Local`].
pub async fn to_file(
    remote: &Remote,
    report: &Report,
    parts: &Parts,
    wanted: &Wanted,
) -> Result<Outcome, ClientError> {
    let local = |error| ClientError::local(&wanted.target, error);
    let mut part = block_in_place(|| parts.begin(&wanted.target)).map_err(local)?;
    let outcome = fetch(remote, report, &wanted.path, &mut part.file)
        .await
        .map_err(|error| match error {
            ClientError::Local { error, .. } => local(error),
            error => error,
        })?;
    block_in_place(|| part.finish(wanted.known.mtime_secs)).map_err(local)?;
    Ok(outcome)
}

/// Fetches a file to standard output.
///
/// # Errors
/// As [`to_file`].
pub async fn to_stdout(
    remote: &Remote,
    report: &Report,
    path: &str,
) -> Result<Outcome, ClientError> {
    let mut out = io::stdout();
    let outcome = fetch(remote, report, path, &mut out).await?;
    out.flush()
        .map_err(|error| ClientError::local("-".as_ref(), error))?;
    Ok(outcome)
}

async fn fetch(
    remote: &Remote,
    report: &Report,
    path: &str,
    sink: &mut dyn Sink,
) -> Result<Outcome, ClientError> {
    let mut progress = Progress::default();
    let mut patience = remote.patience();
    loop {
        let before = progress.bytes;
        match attempt(remote, report, path, sink, &mut progress).await {
            Ok(()) => {
                let Progress { bytes, crc32c, .. } = progress;
                return Ok(Outcome::Done {
                    bytes,
                    crc32c: Some(crc32c),
                });
            }
            Err(error) => {
                if progress.bytes > before {
                    patience.renew();
                }
                remote.pause(&mut patience, error).await?;
            }
        }
    }
}

async fn attempt(
    remote: &Remote,
    report: &Report,
    path: &str,
    sink: &mut dyn Sink,
    progress: &mut Progress,
) -> Result<(), ClientError> {
    let mut answer = remote.http.send(call(path, progress)).await?;
    if progress.bytes > 0 && answer.status() != StatusCode::PARTIAL_CONTENT {
        report.moved_in_vain(progress.bytes);
        sink.restart().map_err(local)?;
        *progress = Progress::default();
    }
    progress.etag = answer.headers.get(header::ETAG).cloned();
    let expected = expected_crc32c(&answer);
    while let Some(piece) = answer.piece().await? {
        block_in_place(|| sink.put(&piece)).map_err(local)?;
        progress.bytes += piece.len() as u64;
        progress.crc32c = crc32c::crc32c_append(progress.crc32c, &piece);
        report.moved(piece.len() as u64);
    }
    match expected {
        Some(expected) if expected != progress.crc32c => {
            let text = "what came is not what is stored (its checksum differs): get it again; if that goes on, check memory and network";
            Err(ClientError::Impossible(text.to_owned()))
        }
        _ => Ok(()),
    }
}

/// The whole of it, or what is still to come if it is still the same.
fn call<'a>(path: &'a str, progress: &Progress) -> Call<'a> {
    let mut call = Call::new(Method::GET, path);
    if let (1.., Some(etag)) = (progress.bytes, &progress.etag) {
        let range = HeaderValue::from_str(&format!("bytes={}-", progress.bytes));
        let if_range: (HeaderName, HeaderValue) = (header::IF_RANGE, etag.clone());
        call.headers
            .extend(range.map(|range| (header::RANGE, range)));
        call.headers.push(if_range);
    }
    call
}

fn expected_crc32c(answer: &Answer) -> Option<u32> {
    parse_crc32c(answer.header(CRC32C)?)
}

fn local(error: io::Error) -> ClientError {
    ClientError::local("-".as_ref(), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on_only_behind_what_it_has_of_the_same_file() {
        let fresh = call("/a", &Progress::default());
        assert!(fresh.headers.is_empty());
        let etag = Some(HeaderValue::from_static("\"x\""));
        let halfway = call(
            "/a",
            &Progress {
                bytes: 7,
                crc32c: 0,
                etag,
            },
        );
        let want = [(header::RANGE, "bytes=7-"), (header::IF_RANGE, "\"x\"")];
        assert_eq!(
            halfway.headers,
            want.map(|(name, value)| (name, HeaderValue::from_static(value)))
        );
    }

    #[test]
    fn a_file_begins_anew_and_standard_output_cannot() {
        let mut file = tempfile::tempfile().unwrap();
        Sink::put(&mut file, b"old").unwrap();
        Sink::restart(&mut file).unwrap();
        Sink::put(&mut file, b"x").unwrap();
        assert_eq!(file.metadata().unwrap().len(), 1);
        assert!(Sink::restart(&mut io::stdout()).is_err());
    }
}
