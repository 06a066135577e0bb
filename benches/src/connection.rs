//! One connection of the load generator: a request, its response checked, again.

use std::fmt;
use std::rc::Rc;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::load::Tally;
use crate::response::{self, BadResponse, Head};

/// What one response must be.
#[derive(Clone, Copy, Debug)]
pub struct Expect {
    /// Status code.
    pub status: u16,
    /// Length of the body, where it is known.
    pub body_bytes: Option<usize>,
    /// First bytes of the body, where they are known.
    pub prefix: Option<[u8; 8]>,
}

impl Expect {
    /// Only the status is known.
    pub fn status(status: u16) -> Self {
        Self {
            status,
            body_bytes: None,
            prefix: None,
        }
    }

    /// 200 with a body of this length that starts with `prefix`.
    pub fn body(body_bytes: usize, prefix: [u8; 8]) -> Self {
        Self {
            status: 200,
            body_bytes: Some(body_bytes),
            prefix: Some(prefix),
        }
    }

    /// 206 with a body of this length that starts with `prefix`.
    pub fn part(body_bytes: usize, prefix: [u8; 8]) -> Self {
        Self {
            status: 206,
            ..Self::body(body_bytes, prefix)
        }
    }

    /// Whether a response is as expected.
    pub fn is_met(&self, status: u16, body: &[u8]) -> bool {
        self.status == status
            && self.body_bytes.is_none_or(|len| len == body.len())
            && self.prefix.is_none_or(|prefix| body.starts_with(&prefix))
    }
}

/// Gives one connection its requests.
pub trait Source {
    /// Writes the next request to `request` (empty when called) and says what must come back; `None` ends the connection.
    fn next(&mut self, request: &mut Vec<u8>) -> Option<Expect>;
}

/// Why a connection ended early.
#[derive(Debug)]
pub enum Failure {
    /// The socket failed.
    Io(std::io::Error),
    /// What came is no response that can be read.
    Response(BadResponse),
    /// The server closed it between or within responses.
    Closed,
    /// A readable response, but a wrong one.
    Unexpected {
        /// Its first line.
        request: String,
        /// What should have come back.
        expect: Expect,
        /// The status that came.
        status: u16,
        /// The start of the body that came.
        body: String,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(out, "{error}"),
            Self::Response(bad) => write!(out, "unusable response: {bad:?}"),
            Self::Closed => write!(out, "the server closed the connection"),
            Self::Unexpected {
                request,
                expect,
                status,
                body,
            } => {
                write!(
                    out,
                    "{request:?} gave {status} {body:?}, expected {expect:?}"
                )
            }
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

/// Goes on until its source ends or the round does.
///
/// # Errors
/// When the connection fails or a response is not as expected.
pub async fn converse(
    mut stream: TcpStream,
    mut source: Box<dyn Source>,
    tally: Rc<Tally>,
) -> Result<(), Failure> {
    let mut request = Vec::with_capacity(8 * 1024);
    let mut response = Vec::with_capacity(64 * 1024);
    while !tally.is_stopping() {
        request.clear();
        let Some(expect) = source.next(&mut request) else {
            break;
        };
        let begun = Instant::now();
        stream.write_all(&request).await?;
        let head = read_response(&mut stream, &mut response).await?;
        check(&request, &expect, &head, &response[head.body()])?;
        tally.record(begun.elapsed());
    }
    Ok(())
}

async fn read_response(stream: &mut TcpStream, response: &mut Vec<u8>) -> Result<Head, Failure> {
    response.clear();
    let head = loop {
        read_some(stream, response).await?;
        if let Some(head) = response::parse_head(response).map_err(Failure::Response)? {
            break head;
        }
    };
    while response.len() < head.total_bytes() {
        read_some(stream, response).await?;
    }
    if response.len() > head.total_bytes() {
        return Err(Failure::Response(BadResponse::Surplus));
    }
    Ok(head)
}

async fn read_some(stream: &mut TcpStream, response: &mut Vec<u8>) -> Result<(), Failure> {
    match stream.read_buf(response).await? {
        0 => Err(Failure::Closed),
        _ => Ok(()),
    }
}

fn check(request: &[u8], expect: &Expect, head: &Head, body: &[u8]) -> Result<(), Failure> {
    if expect.is_met(head.status, body) {
        return Ok(());
    }
    let line = request
        .split(|&byte| byte == b'\r')
        .next()
        .unwrap_or_default();
    Err(Failure::Unexpected {
        request: String::from_utf8_lossy(line).into_owned(),
        expect: *expect,
        status: head.status,
        body: String::from_utf8_lossy(&body[..body.len().min(120)]).into_owned(),
    })
}
