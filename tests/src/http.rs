//! A blocking HTTP/1.1 client over a plain socket (RFC 9112).
//!
//! A test of a server needs to see header names as they were spelled, and to send what no well-behaved client would:
//! half a request, two lengths, random bytes. So this one hides nothing and repairs nothing.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// No answer within this time is a failure: the server under test must never hang.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// A request as it will be written: nothing is added but `Host` and, with a body, `Content-Length`.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method, sent as it is.
    pub method: String,
    /// Path and query, sent as they are.
    pub target: String,
    /// Header lines in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// A request with no header and no body.
    pub fn new(method: &str, target: &str) -> Request {
        Request {
            method: method.into(),
            target: target.into(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// `GET target`
    pub fn get(target: &str) -> Request {
        Request::new("GET", target)
    }

    /// `PUT target` with a raw body and, when not empty, its Content-Type.
    pub fn put(target: &str, content_type: &str, body: &[u8]) -> Request {
        let request = Request::new("PUT", target).body(body);
        if content_type.is_empty() {
            request
        } else {
            request.header("Content-Type", content_type)
        }
    }

    /// `POST target` with `multipart/form-data`.
    pub fn post_multipart(target: &str, parts: &[Part]) -> Request {
        Request::new("POST", target)
            .header(
                "Content-Type",
                &format!("multipart/form-data; boundary={BOUNDARY}"),
            )
            .body(&multipart_body(parts))
    }

    /// Adds a header line.
    pub fn header(mut self, name: &str, value: &str) -> Request {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: &[u8]) -> Request {
        self.body = body.to_vec();
        self
    }

    /// The bytes on the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut wire = self.head_bytes();
        wire.extend_from_slice(&self.body);
        wire
    }

    /// The bytes on the wire up to and including the empty line.
    pub fn head_bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !self.has("host") {
            head.push_str("Host: moongate.test\r\n");
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let has_body = !self.body.is_empty() || matches!(self.method.as_str(), "PUT" | "POST");
        if has_body && !self.has("content-length") && !self.has("transfer-encoding") {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    fn has(&self, name: &str) -> bool {
        self.headers
            .iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(name))
    }
}

const BOUNDARY: &str = "----moongate-test-7MA4YWxkTrZu0gW";

/// One part of a multipart form.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// The field's name.
    pub field: String,
    /// The file name, where the part is a file.
    pub filename: Option<String>,
    /// Header lines beside Content-Disposition.
    pub headers: Vec<(String, String)>,
    /// The content.
    pub body: Vec<u8>,
}

impl Part {
    /// A file with its Content-Type.
    pub fn file(filename: &str, content_type: &str, body: &[u8]) -> Part {
        let headers = match content_type {
            "" => Vec::new(),
            _ => vec![("Content-Type".into(), content_type.into())],
        };
        Part {
            field: "file".into(),
            filename: Some(filename.into()),
            headers,
            body: body.to_vec(),
        }
    }

    /// A form field that is not a file.
    pub fn field(name: &str, value: &[u8]) -> Part {
        Part {
            field: name.into(),
            body: value.to_vec(),
            ..Part::default()
        }
    }

    /// Adds a header line to the part.
    pub fn header(mut self, name: &str, value: &str) -> Part {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// The body of a multipart form (RFC 7578), with the boundary that [`Request::post_multipart`] declares.
pub fn multipart_body(parts: &[Part]) -> Vec<u8> {
    let mut body = Vec::new();
    for part in parts {
        let mut head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{}\"",
            part.field
        );
        if let Some(filename) = &part.filename {
            head.push_str(&format!("; filename=\"{filename}\""));
        }
        head.push_str("\r\n");
        for (name, value) in &part.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(b"\r\n");
        body.extend_from_slice(&part.body);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

/// An answer, with its header names as they were spelled.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Header lines in order, names as on the wire.
    pub headers: Vec<(String, String)>,
    /// The body, with its transfer coding removed and nothing else.
    pub body: Vec<u8>,
}

impl Response {
    /// The first value of a header, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self
            .headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.as_str())
    }

    /// The value of a header that must be there.
    #[track_caller]
    pub fn expect_header(&self, name: &str) -> &str {
        self.header(name)
            .unwrap_or_else(|| panic!("no {name} in {}", self.summary()))
    }

    /// The body as JSON, which must be declared as such.
    #[track_caller]
    pub fn json(&self) -> Value {
        let kind = self.header("Content-Type").unwrap_or("");
        assert!(
            kind.starts_with("application/json"),
            "not declared as JSON: {}",
            self.summary()
        );
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {}", self.summary()))
    }

    /// The text of `{"error": ...}`, which every error with a body carries.
    #[track_caller]
    pub fn error(&self) -> String {
        let json = self.json();
        json["error"]
            .as_str()
            .unwrap_or_else(|| panic!("no error text in {}", self.summary()))
            .to_owned()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Passes itself on when the status is the expected one.
    #[track_caller]
    pub fn status(self, expected: u16) -> Response {
        assert_eq!(
            self.status,
            expected,
            "unexpected status: {}",
            self.summary()
        );
        self
    }

    /// Passes itself on when the body is empty and says so.
    #[track_caller]
    pub fn empty(self) -> Response {
        assert!(
            self.body.is_empty(),
            "should have no body: {}",
            self.summary()
        );
        self
    }

    /// Everything about it that fits in a failure's message.
    pub fn summary(&self) -> String {
        let shown = &self.body[..self.body.len().min(300)];
        format!(
            "{} {:?} body({}) {:?}",
            self.status,
            self.headers,
            self.body.len(),
            String::from_utf8_lossy(shown)
        )
    }
}

/// One connection, kept alive between requests.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    /// Connects, with [`ANSWER_LIMIT`] on every read and write.
    pub fn open(address: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect_timeout(&address, ANSWER_LIMIT)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        stream.set_write_timeout(Some(ANSWER_LIMIT))?;
        stream.set_nodelay(true)?;
        Ok(Connection {
            stream,
            received: Vec::new(),
        })
    }

    /// Sends a request and reads its answer.
    pub fn send(&mut self, request: &Request) -> io::Result<Response> {
        self.write(&request.to_bytes())?;
        self.receive(&request.method)
    }

    /// Writes bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Says that nothing more will be written.
    pub fn finish_writing(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Reads the final answer to a request of this method; interim answers (1xx) are passed over.
    pub fn receive(&mut self, method: &str) -> io::Result<Response> {
        loop {
            let response = self.receive_any(method)?;
            if response.status >= 200 {
                return Ok(response);
            }
        }
    }

    /// Reads the next answer, an interim one too.
    pub fn receive_any(&mut self, method: &str) -> io::Result<Response> {
        let (status, headers) = self.receive_head()?;
        let mut response = Response {
            status,
            headers,
            body: Vec::new(),
        };
        if method != "HEAD" && status >= 200 && status != 204 && status != 304 {
            response.body = self.receive_body(&response)?;
        }
        Ok(response)
    }

    /// Reads until the peer closes; a reset counts as closed.
    pub fn receive_rest(&mut self) -> Vec<u8> {
        while matches!(self.fill(), Ok(true)) {}
        std::mem::take(&mut self.received)
    }

    /// True when the peer has closed (or reset) within `limit`; what it sent before that is dropped.
    pub fn is_closed_within(&mut self, limit: Duration) -> bool {
        let deadline = std::time::Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                return false;
            }
            self.stream
                .set_read_timeout(Some(left))
                .expect("a timeout above zero");
            match self.fill() {
                Ok(true) => {}
                Ok(false) => return true,
                Err(error) if is_timeout(&error) => return false,
                Err(_) => return true,
            }
        }
    }

    fn receive_head(&mut self) -> io::Result<(u16, Vec<(String, String)>)> {
        let end = self.find(b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&self.received[..end]).into_owned();
        self.received.drain(..end + 4);
        let mut lines = head.split("\r\n");
        let status_line = lines.next().unwrap_or("");
        let status = status_line
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| broken(&format!("status line {status_line:?}")))?;
        Ok((status, lines.map(split_header).collect::<io::Result<_>>()?))
    }

    fn receive_body(&mut self, response: &Response) -> io::Result<Vec<u8>> {
        if response
            .header("Transfer-Encoding")
            .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
        {
            return self.receive_chunks();
        }
        match response.header("Content-Length") {
            Some(text) => {
                let len_bytes = text
                    .parse()
                    .map_err(|_| broken(&format!("Content-Length {text:?}")))?;
                self.take(len_bytes)
            }
            None => Ok(self.receive_rest()),
        }
    }

    fn receive_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let end = self.find(b"\r\n")?;
            let line = String::from_utf8_lossy(&self.received[..end]).into_owned();
            self.received.drain(..end + 2);
            let size = line.split(';').next().unwrap_or("");
            let size = usize::from_str_radix(size, 16)
                .map_err(|_| broken(&format!("chunk size {line:?}")))?;
            body.extend(self.take(size)?);
            self.take(2)?;
            if size == 0 {
                return Ok(body);
            }
        }
    }

    fn take(&mut self, len_bytes: usize) -> io::Result<Vec<u8>> {
        while self.received.len() < len_bytes {
            if !self.fill()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.received.drain(..len_bytes).collect())
    }

    fn find(&mut self, mark: &[u8]) -> io::Result<usize> {
        loop {
            if let Some(at) = self
                .received
                .windows(mark.len())
                .position(|window| window == mark)
            {
                return Ok(at);
            }
            if !self.fill()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn fill(&mut self) -> io::Result<bool> {
        let mut chunk = [0; 64 << 10];
        let read = self.stream.read(&mut chunk)?;
        self.received.extend_from_slice(&chunk[..read]);
        Ok(read > 0)
    }
}

/// Sends one request on a connection of its own.
pub fn send(address: SocketAddr, request: &Request) -> io::Result<Response> {
    Connection::open(address)?.send(request)
}

fn split_header(line: &str) -> io::Result<(String, String)> {
    let (name, value) = line
        .split_once(':')
        .ok_or_else(|| broken(&format!("header line {line:?}")))?;
    Ok((name.to_owned(), value.trim().to_owned()))
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not HTTP: {what}"))
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}
