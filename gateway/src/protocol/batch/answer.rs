//! The answer in JSON lines: one an entry, and the totals at the end.
//!
//! The first [`HELD_BYTES_MAX`] are held back, so that the status of a short batch tells how all of it went. Where 200 has already gone
//! out, an answer that ends well says so in a trailer (`Moongate-Status`), and one that broke off is cut after its last line, without
//! the end that HTTP/1.1 gives to a whole body: no client can take it for a success.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use tokio::sync::oneshot;

use crate::http::body::FrameSender;
use crate::http::intake::{BudgetPermit, ByteBudget};
use crate::http::{Body, Response};

/// Lines that are held back before the status goes out: about 2,500 entries.
const HELD_BYTES_MAX: usize = 256 << 10;
/// Lines are sent on in chunks of at least this size while the client is slow to take them.
const CHUNK_BYTES: usize = 64 << 10;
/// Chunks that may wait for a client that sends all of its batch before it reads: 64 MiB, about 600,000 entries.
const CHUNKS_WAITING_MAX: usize = 1024;
/// Before a connection is cut: time for what was written to leave.
const CUT_DELAY: Duration = Duration::from_millis(200);
const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");
const STATUS_TRAILER: HeaderName = HeaderName::from_static("moongate-status");

/// Nobody waits for the answer any more, or there is no memory left to keep it: stop.
#[derive(Debug)]
pub struct Gone;

/// Why a batch broke off.
#[derive(Debug)]
pub struct Broken {
    /// What the status is, if it can still be told.
    pub status: StatusCode,
    /// What happened.
    pub error: String,
    /// Where in the archive, in bytes, if it is its fault.
    pub offset: Option<u64>,
}

/// What all entries came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Entries that were done.
    pub done: u64,
    /// Entries that were not.
    pub failed: u64,
    /// Bytes of those that were done.
    pub bytes: u64,
}

/// Last line of an answer.
#[derive(Serialize)]
struct Last<'a> {
    #[serde(flatten)]
    done: Done,
    failed: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
}

/// The word under which the last line counts what was done.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Done {
    /// By an upload.
    Stored(u64),
    /// By a delete.
    Deleted(u64),
}

enum State {
    Held(oneshot::Sender<Response>),
    Streaming(FrameSender),
}

/// A chunk with its share of the budget, which is given back once it is sent.
struct Charged {
    text: Vec<u8>,
    _permit: BudgetPermit,
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

/// See the module.
pub struct Answer {
    state: State,
    text: Vec<u8>,
    budget: ByteBudget,
    /// So far.
    pub totals: Totals,
    word: fn(u64) -> Done,
}

impl Answer {
    /// An answer without lines, and where its head will appear.
    pub fn new(word: fn(u64) -> Done, budget: ByteBudget) -> (Self, oneshot::Receiver<Response>) {
        let (sender, receiver) = oneshot::channel();
        let answer = Self {
            state: State::Held(sender),
            text: Vec::new(),
            budget,
            totals: Totals::default(),
            word,
        };
        (answer, receiver)
    }

    /// Adds a line.
    pub fn line(&mut self, line: &impl Serialize) {
        // Writing to a Vec cannot fail, and all keys of ours are strings.
        if let Err(error) = serde_json::to_writer(&mut self.text, line) {
            tracing::error!(%error, "a line of an answer could not be written");
        }
        self.text.push(b'\n');
    }

    /// Adds a line that is written already.
    pub fn raw_line(&mut self, line: &[u8]) {
        self.text.extend_from_slice(line);
        self.text.push(b'\n');
    }

    /// Lets go what may go; waits while too much waits for the client.
    pub async fn flush(&mut self) -> Result<(), Gone> {
        if let State::Held(_) = self.state {
            if self.text.len() <= HELD_BYTES_MAX {
                return Ok(());
            }
            self.begin_streaming()?;
        }
        let State::Streaming(sender) = &self.state else {
            return Ok(());
        };
        let crowded = sender.free() < CHUNKS_WAITING_MAX / 2;
        if self.text.is_empty() || (crowded && self.text.len() < CHUNK_BYTES) {
            return Ok(());
        }
        self.send().await
    }

    fn begin_streaming(&mut self) -> Result<(), Gone> {
        let (sender, body) = Body::frames(CHUNKS_WAITING_MAX);
        let mut response = with_lines(StatusCode::OK, body);
        let trailer = HeaderValue::from_static("Moongate-Status");
        response.headers_mut().insert(header::TRAILER, trailer);
        let State::Held(head) = std::mem::replace(&mut self.state, State::Streaming(sender)) else {
            return Ok(());
        };
        head.send(response).map_err(|_| Gone)
    }

    /// Sends the lines there are.
    async fn send(&mut self) -> Result<(), Gone> {
        let State::Streaming(sender) = &self.state else {
            return Ok(());
        };
        let text = std::mem::take(&mut self.text);
        let _permit = self
            .budget
            .take(text.len() as u64, super::BUDGET_WAIT)
            .await
            .ok_or(Gone)?;
        let chunk = Bytes::from_owner(Charged { text, _permit });
        sender.send(chunk).await.map_err(|_| Gone)
    }

    /// Adds the last line and ends the answer.
    pub async fn end(mut self, broken: Option<Broken>) {
        let status = match &broken {
            Some(broken) => broken.status,
            None if self.totals.failed > 0 => StatusCode::MULTI_STATUS,
            None => StatusCode::OK,
        };
        let Totals {
            done,
            failed,
            bytes,
        } = self.totals;
        self.line(&Last {
            done: (self.word)(done),
            failed,
            bytes,
            error: broken.as_ref().map(|broken| broken.error.as_str()),
            offset: broken.as_ref().and_then(|broken| broken.offset),
        });
        if let State::Held(head) = self.state {
            let mut response = with_lines(status, Body::full(self.text));
            if retry_helps(status) {
                let headers = response.headers_mut();
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            // Who asked may have gone.
            let _ = head.send(response);
            return;
        }
        if self.send().await.is_err() {
            return;
        }
        let State::Streaming(sender) = self.state else {
            return;
        };
        if broken.is_none() {
            let trailer = (STATUS_TRAILER, HeaderValue::from(status.as_u16()));
            return sender.finish(HeaderMap::from_iter([trailer]));
        }
        // The sender cuts the body when it goes: what was said has to leave before.
        if sender.taken().await.is_ok() {
            tokio::time::sleep(CUT_DELAY).await;
        }
    }
}

const fn retry_helps(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    )
}

fn with_lines(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, NDJSON);
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use serde_json::json;

    use super::*;

    fn broken() -> Broken {
        Broken {
            status: StatusCode::BAD_REQUEST,
            error: "cut".into(),
            offset: Some(7),
        }
    }

    #[tokio::test]
    async fn the_status_of_a_short_batch_tells_how_it_went() {
        for (failed, broke, status) in [(0, None, 200), (1, None, 207), (1, Some(broken()), 400)] {
            let (mut answer, head) = Answer::new(Done::Stored, ByteBudget::new(1 << 20));
            answer.totals = Totals {
                done: 2,
                failed,
                bytes: 30,
            };
            answer.line(&json!({"name": "a"}));
            answer.flush().await.unwrap();
            let last = if broke.is_some() {
                r#","error":"cut","offset":7"#
            } else {
                ""
            };
            answer.end(broke).await;
            let response = head.await.unwrap();
            assert_eq!(response.status().as_u16(), status);
            let text = response.into_body().collect().await.unwrap().to_bytes();
            let want = format!(
                "{{\"name\":\"a\"}}\n{{\"stored\":2,\"failed\":{failed},\"bytes\":30{last}}}\n"
            );
            assert_eq!(text, want);
        }
    }

    async fn long(broke: Option<Broken>) -> Body {
        let (mut answer, head) = Answer::new(Done::Deleted, ByteBudget::new(8 << 20));
        tokio::spawn(async move {
            for n in 0..100_000 {
                answer.line(&json!({ "n": n }));
                answer.flush().await.unwrap();
            }
            answer.end(broke).await;
        });
        let response = head.await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        response.into_body()
    }

    #[tokio::test]
    async fn a_long_one_confirms_its_status_in_a_trailer() {
        let (mut body, mut lines) = (long(None).await, 0);
        loop {
            let frame = body.frame().await.unwrap().unwrap();
            match frame.into_data() {
                Ok(text) => lines += text.iter().filter(|byte| **byte == b'\n').count(),
                Err(trailers) => {
                    let trailers = trailers.into_trailers().unwrap();
                    assert_eq!(trailers["moongate-status"], "200");
                    break;
                }
            }
        }
        assert_eq!(lines, 100_001);
    }

    #[tokio::test]
    async fn a_long_one_that_broke_off_is_cut_after_its_last_line() {
        let mut body = long(Some(broken())).await;
        let mut text = Vec::new();
        let error = loop {
            match body.frame().await.expect("an error") {
                Ok(frame) => text.extend_from_slice(&frame.into_data().unwrap()),
                Err(error) => break error,
            }
        };
        assert!(error.to_string().contains("broke off"));
        assert!(text.ends_with(b"\"error\":\"cut\",\"offset\":7}\n"));
    }

    #[tokio::test]
    async fn nobody_who_listens_is_noticed() {
        let (mut answer, head) = Answer::new(Done::Stored, ByteBudget::new(1 << 20));
        drop(head);
        for _ in 0..20_000 {
            answer.line(&"a line that nobody will ever read");
        }
        assert!(answer.flush().await.is_err());
    }
}
