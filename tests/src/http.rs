//! A blocking HTTP/1.1 client over a plain socket (RFC 9112).
//!
//! A test of a server needs to see header names as they were spelled, and to send what no well-behaved client would:
//! half a request, two lengths, random bytes. So this one hides nothing and repairs nothing.

mod connection;

use serde_json::Value;

pub use self::connection::{ANSWER_LIMIT, Connection, send};

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
    /// Fields behind a chunked body.
    pub trailers: Vec<(String, String)>,
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

    /// The value of a trailer, whatever its case.
    pub fn trailer(&self, name: &str) -> Option<&str> {
        let mut found = self.trailers.iter();
        let found = found.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
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
