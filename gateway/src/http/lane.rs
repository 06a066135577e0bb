//! The short way for the commonest request there is: a plain GET of a small object.
//!
//! A connection begins in the lane. As long as it sends nothing but plain GETs ([`PlainGet`]) they are parsed where they lie and answered by one
//! write, without a `HeaderMap` on either side. The first request that is anything else, and all that follow it, belong to hyper, which
//! is given the bytes as if it had read them itself: the lane never answers what it does not fully understand, and never with an error.
//! What it saves is told in docs/decisions/0012-a-lane-for-plain-gets.md.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _};

use super::socket::GuardedSocket;
use super::watchdog::{Order, Watched};

/// A head that is longer is not plain.
const HEAD_BYTES_MAX: usize = 4096;
/// A head with more headers is not plain.
const HEADERS_MAX: usize = 16;
/// Room for the head of an answer.
const ANSWER_HEAD_BYTES: usize = 512;

/// What answers plain GETs.
pub trait Lane: Clone + Send + Sync + 'static {
    /// Whether there is anything to answer at all: otherwise connections go straight to hyper.
    fn is_open(&self) -> bool;

    /// Writes the head of the answer, status line and headers without the empty line, and returns its body. `None` leaves the request, and the connection, to
    /// hyper: it is asked again there, so nothing may have been counted or changed.
    fn answer(
        &self,
        request: &PlainGet<'_>,
        head: &mut Vec<u8>,
    ) -> impl Future<Output = Option<Bytes>> + Send;
}

/// The lane of a port that has none.
#[derive(Clone, Copy, Debug)]
pub struct NoLane;

impl Lane for NoLane {
    fn is_open(&self) -> bool {
        false
    }

    async fn answer(&self, _: &PlainGet<'_>, _: &mut Vec<u8>) -> Option<Bytes> {
        None
    }
}

/// `GET` by HTTP/1.1 of a path without a query, with no body and no header that could change the answer but `Accept-Encoding`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainGet<'a> {
    /// As it was sent: letters, digits and `,./_-~%`.
    pub path: &'a str,
    /// Value of `Accept-Encoding`, if it was sent.
    pub accept_encoding: Option<&'a str>,
}

/// What the bytes that have come so far are.
#[derive(Debug, PartialEq, Eq)]
enum Head<'a> {
    /// A whole head, and its length in bytes.
    Plain(PlainGet<'a>, usize),
    /// The beginning of one that may yet be plain.
    Partial,
    /// For hyper.
    Other,
}

/// Headers that do not change the answer, in small letters.
const WITHOUT_EFFECT: [&str; 11] = [
    "user-agent",
    "accept",
    "accept-language",
    "referer",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "forwarded",
    "traceparent",
    "tracestate",
];

impl<'a> Head<'a> {
    fn parse(bytes: &'a [u8]) -> Self {
        const METHOD: &[u8] = b"GET /";
        let begun = bytes.len().min(METHOD.len());
        if bytes[..begun] != METHOD[..begun] {
            return Self::Other;
        }
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(bytes) {
            Ok(httparse::Status::Complete(len)) if len <= HEAD_BYTES_MAX => {
                PlainGet::of(&request).map_or(Self::Other, |plain| Self::Plain(plain, len))
            }
            Ok(httparse::Status::Partial) if bytes.len() < HEAD_BYTES_MAX => Self::Partial,
            _ => Self::Other,
        }
    }
}

impl<'a> PlainGet<'a> {
    fn of(request: &httparse::Request<'_, 'a>) -> Option<Self> {
        let path = request.path.filter(|path| path.bytes().all(is_plain))?;
        if request.version != Some(1) {
            return None;
        }
        let (mut hosts, mut accept_encoding) = (0, None);
        for header in &*request.headers {
            let name = header.name;
            if name.eq_ignore_ascii_case("host") {
                hosts += 1;
            } else if name.eq_ignore_ascii_case("accept-encoding") {
                if accept_encoding.is_some() {
                    return None;
                }
                accept_encoding = Some(std::str::from_utf8(header.value).ok()?);
            } else if name.eq_ignore_ascii_case("connection") {
                if !header.value.eq_ignore_ascii_case(b"keep-alive") {
                    return None;
                }
            } else if !WITHOUT_EFFECT
                .iter()
                .any(|known| name.eq_ignore_ascii_case(known))
            {
                return None;
            }
        }
        (hosts == 1).then_some(Self {
            path,
            accept_encoding,
        })
    }
}

const fn is_plain(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b',' | b'.' | b'/' | b'_' | b'-' | b'~' | b'%')
}

/// How a connection left the lane.
#[derive(Debug)]
pub(super) enum Left {
    /// It has ended.
    Ended,
    /// These bytes of it are hyper's to read first.
    Ahead(Bytes),
}

/// Serves a connection for as long as it stays in the lane.
pub(super) async fn drive<L: Lane>(
    socket: &mut GuardedSocket,
    lane: &L,
    watched: &Watched,
) -> Left {
    let (mut ahead, mut head) = (BytesMut::new(), Vec::new());
    loop {
        let (request, len) = match Head::parse(&ahead) {
            Head::Plain(request, len) => (request, len),
            Head::Other => return Left::Ahead(ahead.freeze()),
            Head::Partial => match more(socket, &mut ahead, watched).await {
                More::Read => continue,
                More::Gone => return Left::Ended,
                More::Finish if ahead.is_empty() => {
                    let _ = socket.shutdown().await;
                    return Left::Ended;
                }
                More::Finish => return Left::Ahead(ahead.freeze()),
            },
        };
        let in_flight = watched.begin();
        head.clear();
        head.reserve(ANSWER_HEAD_BYTES);
        let Some(body) = answered(lane, &request, &mut head).await else {
            return Left::Ahead(ahead.freeze());
        };
        let finishing = watched.is_finishing();
        head.extend_from_slice(if finishing {
            b"Connection: close\r\n\r\n"
        } else {
            b"\r\n"
        });
        if write(socket, &head, body).await.is_err() {
            return Left::Ended;
        }
        drop(in_flight);
        ahead.advance(len);
        if finishing {
            let _ = socket.shutdown().await;
            return Left::Ended;
        }
    }
}

/// Runs the answer. One that panics is left to hyper: that knows what to say, and counts it.
async fn answered<L: Lane>(lane: &L, request: &PlainGet<'_>, head: &mut Vec<u8>) -> Option<Bytes> {
    let mut running = pin!(lane.answer(request, head));
    poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(cx)));
        polled.unwrap_or(Poll::Ready(None))
    })
    .await
}

/// What waiting for more bytes came to.
enum More {
    Read,
    /// The client has closed or the connection is broken, or no head came in time.
    Gone,
    /// The server is to stop.
    Finish,
}

async fn more(socket: &mut GuardedSocket, ahead: &mut BytesMut, watched: &Watched) -> More {
    ahead.reserve(HEAD_BYTES_MAX);
    let mut reading = pin!(socket.read_buf(ahead));
    poll_fn(|cx| {
        match watched.poll_order(cx) {
            Order::GoOn => {}
            Order::Finish => return Poll::Ready(More::Finish),
            Order::Cut => return Poll::Ready(More::Gone),
        }
        let read = ready!(reading.as_mut().poll(cx));
        Poll::Ready(match read {
            Ok(0) | Err(_) => More::Gone,
            Ok(_) => More::Read,
        })
    })
    .await
}

async fn write(socket: &mut GuardedSocket, head: &[u8], body: Bytes) -> io::Result<()> {
    let mut rest = Buf::chain(head, body);
    while rest.has_remaining() {
        let written = poll_fn(|cx| {
            let mut slices = [IoSlice::new(&[]); 2];
            let count = rest.chunks_vectored(&mut slices);
            Pin::new(&mut *socket).poll_write_vectored(cx, &slices[..count])
        });
        match written.await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => rest.advance(written),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head(lines: &str) -> String {
        format!("GET /3,01637037d6.jpg HTTP/1.1\r\n{lines}\r\n")
    }

    fn is_plain_get(request: &str) -> bool {
        match Head::parse(request.as_bytes()) {
            Head::Plain(_, len) => len == request.len(),
            Head::Partial | Head::Other => false,
        }
    }

    #[test]
    fn what_clients_send_is_plain() {
        for lines in [
            "Host: x\r\n",
            "host: x\r\nUser-Agent: Go-http-client/1.1\r\nAccept-Encoding: gzip\r\n",
            "Host: x\r\nUser-Agent: python-requests/2.32\r\nAccept-Encoding: gzip, deflate\r\nAccept: */*\r\nConnection: keep-alive\r\n",
            "Host: x\r\nX-Forwarded-For: 10.0.0.7\r\ntraceparent: 00-a-b-01\r\n",
        ] {
            assert!(is_plain_get(&head(lines)), "{lines}");
        }
    }

    #[test]
    fn what_could_change_the_answer_is_not() {
        for line in [
            "Range: bytes=0-1",
            "If-None-Match: \"1\"",
            "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT",
            "Content-Length: 0",
            "Transfer-Encoding: chunked",
            "Connection: close",
            "Connection: upgrade",
            "Expect: 100-continue",
            "Origin: http://a",
            "Authorization: Bearer x",
            "Cookie: a=b",
            "X-Amz-Request-Id: 7",
            "Host: y",
            "Accept-Encoding: gzip\r\nAccept-Encoding: br",
            "Accept-Encoding: \u{e9}\u{e9}",
        ] {
            let plain = is_plain_get(&head(&format!("Host: x\r\n{line}\r\n")));
            // A value that is UTF-8 but not ASCII matters to nobody.
            assert_eq!(plain, line.contains('\u{e9}'), "{line}");
        }
        for request in [
            "HEAD /3,01637037d6 HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /3,01637037d6 HTTP/1.0\r\nHost: x\r\n\r\n",
            "GET /3,01637037d6?width=7 HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /3,01637037d6#a HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /3,01637037d6 HTTP/1.1\r\n\r\n",
            "GET http://x/3,01637037d6 HTTP/1.1\r\nHost: x\r\n\r\n",
        ] {
            assert!(!is_plain_get(request), "{request}");
        }
    }

    #[test]
    fn a_head_that_is_too_long_is_left_to_hyper() {
        let long = head(&format!(
            "Host: x\r\nAccept: {}\r\n",
            "a".repeat(HEAD_BYTES_MAX)
        ));
        assert_eq!(Head::parse(long.as_bytes()), Head::Other);
        assert_eq!(Head::parse(&long.as_bytes()[..HEAD_BYTES_MAX]), Head::Other);
        let many = head(&format!(
            "Host: x\r\n{}",
            "Accept: a\r\n".repeat(HEADERS_MAX)
        ));
        assert_eq!(Head::parse(many.as_bytes()), Head::Other);
    }

    proptest! {
        #[test]
        fn a_cut_head_is_partial_until_it_is_whole(cut in 0usize..60) {
            let request = head("Host: x\r\nAccept: */*\r\n");
            let cut = cut.min(request.len() - 1);
            prop_assert_eq!(Head::parse(&request.as_bytes()[..cut]), Head::Partial);
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            Head::parse(&bytes);
            Head::parse(&[b"GET /1,2 HTTP/1.1\r\n", &bytes[..]].concat());
        }
    }
}
