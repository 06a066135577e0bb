//! The short way for the commonest requests there are: a plain GET or PUT of a small object.
//!
//! A connection begins in the lane. As long as it sends nothing but plain requests ([`Plain`]) they are parsed where they lie and answered by one
//! write, without a `HeaderMap` on either side. The first request that is anything else, and all that follow it, belong to hyper, which
//! is given the bytes as if it had read them itself: the lane never answers what it does not fully understand, and never with an error.
//! What it saves is told in docs/decisions/0012-a-lane-for-plain-requests.md.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use moongate_auth::tls::ClientCertificate;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::server::PeerInfo;
use super::watchdog::{Order, Watched};

/// A head that is longer is not plain.
const HEAD_BYTES_MAX: usize = 4096;
/// A head with more headers is not plain.
const HEADERS_MAX: usize = 16;
/// A PUT of a longer body is not plain. What a connection holds of one is not charged to the budget of bodies, so it is not more than hyper would hold.
const BODY_BYTES_MAX: usize = 16 << 10;
/// A body that stops for so long is left to hyper, which knows how long a body may take.
const BODY_WAIT: Duration = Duration::from_millis(250);
/// Room for the head of an answer.
const ANSWER_HEAD_BYTES: usize = 512;

/// What answers plain requests.
pub trait Lane: Clone + Send + Sync + 'static {
    /// What is kept of a connection between its requests.
    type Visit: Send;

    /// Begins with a connection.
    fn visit(&self, peer: PeerInfo, certificate: Option<Arc<ClientCertificate>>) -> Self::Visit;

    /// Whether there is anything to answer at all: otherwise connections go straight to hyper.
    fn is_open(&self) -> bool;

    /// Writes the head of the answer, status line and headers without the empty line, and returns its body. `None` leaves the request, and the connection, to
    /// hyper: it is asked again there, so nothing may have been counted, or changed in a way that asking again would not.
    fn answer(
        &self,
        visit: &mut Self::Visit,
        request: &Plain<'_>,
        head: &mut Vec<u8>,
    ) -> impl Future<Output = Option<Bytes>> + Send;
}

/// The lane of a port that has none.
#[derive(Clone, Copy, Debug)]
pub struct NoLane;

impl Lane for NoLane {
    type Visit = ();

    fn visit(&self, _: PeerInfo, _: Option<Arc<ClientCertificate>>) {}

    fn is_open(&self) -> bool {
        false
    }

    async fn answer(&self, (): &mut (), _: &Plain<'_>, _: &mut Vec<u8>) -> Option<Bytes> {
        None
    }
}

/// A request by HTTP/1.1 of a path without a query, and with no header that could change the answer but those that are told here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plain<'a> {
    /// As it was sent: letters, digits and `,./_-~%`.
    pub path: &'a str,
    /// GET or PUT.
    pub what: What<'a>,
    /// What it shows of who sent it.
    pub shown: Shown<'a>,
}

/// Headers by which somebody may show who they are. What they are worth is asked by whoever answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown<'a> {
    /// Value of `Authorization`: of the kinds `Bearer` and `Basic` alone, which are not answered by anything of their own.
    pub authorization: Option<&'a str>,
    /// Value of `Cookie`.
    pub cookie: Option<&'a str>,
}

/// What is to be done with the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What<'a> {
    /// `GET`, without a body.
    Get {
        /// Value of `Accept-Encoding`, if it was sent.
        accept_encoding: Option<&'a str>,
    },
    /// `PUT`.
    Put {
        /// Value of `Content-Type`, if it was sent: visible ASCII and spaces.
        content_type: Option<&'a str>,
        /// All of it.
        body: &'a [u8],
    },
}

/// What the bytes that have come so far are.
#[derive(Debug, PartialEq, Eq)]
enum Message<'a> {
    /// A whole request, and its length in bytes.
    Whole(Plain<'a>, usize),
    /// The beginning of a head that may yet be plain.
    Begun,
    /// A plain head, and a part of its body; how long they are together.
    Headed(usize),
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

impl<'a> Message<'a> {
    fn parse(bytes: &'a [u8]) -> Self {
        let is_plain = |method: &[u8]| {
            let begun = bytes.len().min(method.len());
            bytes[..begun] == method[..begun]
        };
        if !is_plain(b"GET /") && !is_plain(b"PUT /") {
            return Self::Other;
        }
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(bytes) {
            Ok(httparse::Status::Complete(len)) if len <= HEAD_BYTES_MAX => {
                Head::of(&request).map_or(Self::Other, |head| head.with_body(bytes, len))
            }
            Ok(httparse::Status::Partial) if bytes.len() < HEAD_BYTES_MAX => Self::Begun,
            _ => Self::Other,
        }
    }
}

/// What a plain head says.
struct Head<'a> {
    is_put: bool,
    path: &'a str,
    accept_encoding: Option<&'a str>,
    content_type: Option<&'a str>,
    content_length: Option<usize>,
    shown: Shown<'a>,
}

impl<'a> Head<'a> {
    fn of(request: &httparse::Request<'_, 'a>) -> Option<Self> {
        let path = request.path.filter(|path| path.bytes().all(is_plain))?;
        if request.version != Some(1) {
            return None;
        }
        let mut head = Self {
            is_put: request.method == Some("PUT"),
            path,
            accept_encoding: None,
            content_type: None,
            content_length: None,
            shown: Shown::default(),
        };
        let mut hosts = 0;
        for header in &*request.headers {
            if header.name.eq_ignore_ascii_case("host") {
                hosts += 1;
            } else {
                head.take(header)?;
            }
        }
        (hosts == 1).then_some(head)
    }

    /// Takes in a header; `None` if the request is not plain with it.
    fn take(&mut self, header: &httparse::Header<'a>) -> Option<()> {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("accept-encoding") {
            let value = std::str::from_utf8(header.value).ok()?;
            once(&mut self.accept_encoding, value)
        } else if self.is_put && is("content-type") {
            once(&mut self.content_type, visible(header.value)?)
        } else if self.is_put && is("content-length") {
            once(&mut self.content_length, decimal(header.value)?)
        } else if is("connection") {
            let stays = header.value.eq_ignore_ascii_case(b"keep-alive");
            stays.then_some(())
        } else if is("authorization") {
            let value = visible(header.value).filter(|value| is_repeatable(value))?;
            once(&mut self.shown.authorization, value)
        } else if is("cookie") {
            once(&mut self.shown.cookie, visible(header.value)?)
        } else {
            WITHOUT_EFFECT.iter().any(|known| is(known)).then_some(())
        }
    }

    /// The request, of which the head is the first `len` of the bytes that have come.
    fn with_body(self, bytes: &'a [u8], len: usize) -> Message<'a> {
        let (path, shown) = (self.path, self.shown);
        if !self.is_put {
            let accept_encoding = self.accept_encoding;
            return Message::Whole(
                Plain {
                    path,
                    what: What::Get { accept_encoding },
                    shown,
                },
                len,
            );
        }
        let Some(body_len) = self.content_length.filter(|len| *len <= BODY_BYTES_MAX) else {
            return Message::Other;
        };
        let end = len + body_len;
        let content_type = self.content_type;
        bytes.get(len..end).map_or(Message::Headed(end), |body| {
            Message::Whole(
                Plain {
                    path,
                    what: What::Put { content_type, body },
                    shown,
                },
                end,
            )
        })
    }
}

/// Takes the value of a header that may come once.
fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

/// Whether it may be shown again and again, and is answered by nothing: a ticket is for one request.
fn is_repeatable(authorization: &str) -> bool {
    let kind = authorization.split(' ').next().unwrap_or_default();
    ["bearer", "basic"]
        .iter()
        .any(|known| kind.eq_ignore_ascii_case(known))
}

fn visible(value: &[u8]) -> Option<&str> {
    let is_visible = value.iter().all(|byte| matches!(byte, b' '..=b'~'));
    std::str::from_utf8(value).ok().filter(|_| is_visible)
}

/// Nothing but digits: what else a length could be, hyper knows.
fn decimal(value: &[u8]) -> Option<usize> {
    let digits = visible(value)?;
    let is_decimal = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_decimal.then(|| digits.parse().ok()).flatten()
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
pub(super) async fn drive<I: AsyncRead + AsyncWrite + Unpin, L: Lane>(
    socket: &mut I,
    lane: &L,
    visit: &mut L::Visit,
    watched: &Watched,
) -> Left {
    let (mut ahead, mut head) = (BytesMut::new(), Vec::new());
    // As much as the longest message so far, so that the next is read at once.
    let mut room = HEAD_BYTES_MAX;
    loop {
        let (request, len) = match Message::parse(&ahead) {
            Message::Whole(request, len) => (request, len),
            Message::Other => return Left::Ahead(ahead.freeze()),
            Message::Headed(len) => {
                room = room.max(len);
                let missing = len - ahead.len();
                let body = more(socket, &mut ahead, missing, watched);
                match tokio::time::timeout(BODY_WAIT, body).await {
                    Ok(More::Read) => continue,
                    Ok(More::Gone) => return Left::Ended,
                    Ok(More::Finish) | Err(_) => return Left::Ahead(ahead.freeze()),
                }
            }
            Message::Begun => match more(socket, &mut ahead, room, watched).await {
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
        let Some(body) = answered(lane, visit, &request, &mut head).await else {
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
async fn answered<L: Lane>(
    lane: &L,
    visit: &mut L::Visit,
    request: &Plain<'_>,
    head: &mut Vec<u8>,
) -> Option<Bytes> {
    let mut running = pin!(lane.answer(visit, request, head));
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

async fn more<I: AsyncRead + Unpin>(
    socket: &mut I,
    ahead: &mut BytesMut,
    room: usize,
    watched: &Watched,
) -> More {
    ahead.reserve(room);
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

async fn write<I: AsyncWrite + Unpin>(socket: &mut I, head: &[u8], body: Bytes) -> io::Result<()> {
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
    // What TLS may hold back.
    socket.flush().await
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head(lines: &str) -> String {
        format!("GET /3,01637037d6.jpg HTTP/1.1\r\n{lines}\r\n")
    }

    fn is_whole(request: &str) -> bool {
        match Message::parse(request.as_bytes()) {
            Message::Whole(_, len) => len == request.len(),
            _ => false,
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
            assert!(is_whole(&head(lines)), "{lines}");
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
            "Authorization: Negotiate x",
            "Authorization: Digest x",
            "Authorization: Bearer x\r\nAuthorization: Bearer x",
            "Authorization: Bearer x\ty",
            "Cookie: a=b\r\nCookie: c=d",
            "X-Amz-Request-Id: 7",
            "Host: y",
            "Accept-Encoding: gzip\r\nAccept-Encoding: br",
            "Accept-Encoding: \u{e9}\u{e9}",
        ] {
            let plain = is_whole(&head(&format!("Host: x\r\n{line}\r\n")));
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
            assert!(!is_whole(request), "{request}");
        }
    }

    #[test]
    fn what_is_shown_is_told() {
        let lines = "Host: x\r\nauthorization: bEarer a.b.c\r\nCookie: a=b; hadoop.auth=\"u\"\r\n";
        let head = head(lines);
        let Message::Whole(request, _) = Message::parse(head.as_bytes()) else {
            panic!("it is plain");
        };
        let Shown {
            authorization,
            cookie,
        } = request.shown;
        assert_eq!(authorization, Some("bEarer a.b.c"));
        assert_eq!(cookie, Some("a=b; hadoop.auth=\"u\""));
    }

    #[test]
    fn a_head_that_is_too_long_is_left_to_hyper() {
        let long = head(&format!(
            "Host: x\r\nAccept: {}\r\n",
            "a".repeat(HEAD_BYTES_MAX)
        ));
        assert_eq!(Message::parse(long.as_bytes()), Message::Other);
        assert_eq!(
            Message::parse(&long.as_bytes()[..HEAD_BYTES_MAX]),
            Message::Other
        );
        let many = head(&format!(
            "Host: x\r\n{}",
            "Accept: a\r\n".repeat(HEADERS_MAX)
        ));
        assert_eq!(Message::parse(many.as_bytes()), Message::Other);
    }

    fn put(lines: &str, body: &str) -> String {
        format!("PUT /3,01637037d6 HTTP/1.1\r\nHost: x\r\n{lines}\r\n{body}")
    }

    #[test]
    fn a_put_is_whole_with_its_body() {
        let typed = "Content-Type: image/jpeg\r\nContent-Length: 5\r\n";
        let whole = put(typed, "hello");
        let what = What::Put {
            content_type: Some("image/jpeg"),
            body: b"hello",
        };
        let path = "/3,01637037d6";
        let shown = Shown::default();
        let wanted = Message::Whole(Plain { path, what, shown }, whole.len());
        assert_eq!(Message::parse(whole.as_bytes()), wanted);
        assert_eq!(
            Message::parse(put(typed, "he").as_bytes()),
            Message::Headed(whole.len())
        );
        // The next request is not a part of it.
        let two = put(typed, "helloGET /");
        assert_eq!(Message::parse(two.as_bytes()), wanted);
        assert!(is_whole(&put("Content-Length: 0\r\n", "")));
    }

    #[test]
    fn a_put_that_says_more_is_not_plain() {
        for lines in [
            "",
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: \r\n",
            "Content-Length: 99999999999999999999999\r\n",
            "Content-Length: 16385\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: 5\r\nContent-Encoding: gzip\r\n",
            "Content-Length: 5\r\nContent-MD5: x\r\n",
            "Content-Length: 5\r\nContent-Disposition: attachment\r\n",
            "Content-Length: 5\r\nSeaweed-Label: cat\r\n",
            "Content-Length: 5\r\nExpect: 100-continue\r\n",
            "Content-Length: 5\r\nIf-Match: *\r\n",
            "Content-Length: 5\r\nContent-Type: a\tb\r\n",
            "Content-Length: 5\r\nContent-Type: a\r\nContent-Type: b\r\n",
        ] {
            let parsed = put(lines, "hello");
            assert_eq!(Message::parse(parsed.as_bytes()), Message::Other, "{lines}");
        }
    }

    proptest! {
        #[test]
        fn a_cut_head_is_partial_until_it_is_whole(cut in 0usize..60) {
            let request = head("Host: x\r\nAccept: */*\r\n");
            let cut = cut.min(request.len() - 1);
            prop_assert_eq!(Message::parse(&request.as_bytes()[..cut]), Message::Begun);
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            Message::parse(&bytes);
            Message::parse(&[b"GET /1,2 HTTP/1.1\r\n", &bytes[..]].concat());
            Message::parse(&[b"PUT /1,2 HTTP/1.1\r\nContent-Length: ", &bytes[..]].concat());
        }
    }
}
