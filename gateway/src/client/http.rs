//! HTTP as a client speaks it: requests with bodies that are made on the way, answers that are read as they come.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;

use super::access::Access;
use super::address::{Server, escaped};
use super::body::{Moved, Outgoing};
use super::error::ClientError;
use super::retry;

/// A connection that takes longer to be made is given up.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// A connection on which nothing moves for so long, either way, is given up.
const IDLE_MAX: Duration = Duration::from_secs(120);
/// Connections that are kept open for the next request; more streams than this only mean new connections.
const KEPT_MAX: usize = 64;
/// Most that is read of an answer that is taken as a whole.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Most that is told of an error's text.
const REASON_BYTES_MAX: usize = 1000;
/// Lines of JSON.
pub const NDJSON: &str = "application/x-ndjson";
/// The trailer by which a server says that what began as a success has failed.
const STATUS_TRAILER: &str = "moongate-status";

/// One request to be sent.
#[derive(Debug)]
pub struct Call<'a> {
    /// Its method.
    pub method: Method,
    /// Not escaped; what it is escaped to is seen by the server.
    pub path: &'a str,
    /// Escaped; empty for none.
    pub query: String,
    /// More headers.
    pub headers: Vec<(header::HeaderName, HeaderValue)>,
    /// Its body.
    pub body: Outgoing,
}

impl<'a> Call<'a> {
    /// A request without a body.
    pub fn new(method: Method, path: &'a str) -> Self {
        Self {
            method,
            path,
            query: String::new(),
            headers: Vec::new(),
            body: Outgoing::empty(),
        }
    }

    /// With a query.
    pub fn query(mut self, query: impl Into<String>) -> Self {
        self.query = query.into();
        self
    }

    /// With a header whose value is known to be one.
    pub fn header(mut self, name: header::HeaderName, value: &'static str) -> Self {
        self.headers.push((name, HeaderValue::from_static(value)));
        self
    }

    /// With a body of this media type.
    pub fn body(mut self, media_type: &'static str, body: Outgoing) -> Self {
        self.body = body;
        self.header(header::CONTENT_TYPE, media_type)
    }

    fn request(self, server: &Server) -> Result<Request<Outgoing>, ClientError> {
        let path = escaped(self.path);
        let mark = if self.query.is_empty() { "" } else { "?" };
        let uri = format!("{}{path}{mark}{}", server.url(), self.query);
        let mut request = Request::builder().method(self.method).uri(uri);
        if let Some(headers) = request.headers_mut() {
            // Without it a server sends no trailers (RFC 9110, 6.5.1), and some failures are told in them.
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
            headers.extend(
                self.headers
                    .into_iter()
                    .map(|(name, value)| (Some(name), value)),
            );
        }
        let bad = |error: http::Error| ClientError::Impossible(error.to_string());
        request.body(self.body).map_err(bad)
    }
}

/// One server, and the connections to it.
#[derive(Debug)]
pub struct Http {
    server: Server,
    client: Client<HttpsConnector<HttpConnector>, Outgoing>,
    /// What shows who asks.
    authorization: Option<HeaderValue>,
    answered: AtomicBool,
}

impl Http {
    /// Connects to nothing yet. Shows what `access` has.
    ///
    /// # Errors
    /// [`ClientError::Local`]: the authorities or the token cannot be read.
    pub fn open(server: Server, access: &Access) -> Result<Self, ClientError> {
        let authorization = access.authorization()?;
        let tls = access.tls(server.is_tls())?;
        Ok(Self {
            authorization,
            ..Self::with_tls(server, tls)
        })
    }

    /// Whether anything shows who asks.
    pub const fn shows_somebody(&self) -> bool {
        self.authorization.is_some()
    }

    /// Shows this with each request.
    pub fn showing(self, authorization: HeaderValue) -> Self {
        Self {
            authorization: Some(authorization),
            ..self
        }
    }

    /// Connects to nothing yet, and shows nobody anything.
    #[cfg(test)]
    pub fn new(server: Server) -> Self {
        Self::open(server, &Access::default()).unwrap()
    }

    fn with_tls(server: Server, tls: ClientConfig) -> Self {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(CONNECT_MAX));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(KEPT_MAX)
            .build(
                HttpsConnectorBuilder::new()
                    .with_tls_config(tls)
                    .https_or_http()
                    .enable_http1()
                    .wrap_connector(connector),
            );
        let answered = AtomicBool::new(false);
        Self {
            server,
            client,
            answered,
            authorization: None,
        }
    }

    /// Whether it has ever answered: then one that cannot be reached is being started again, and worth waiting for.
    pub fn has_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// Sends a request and waits for a status of success; the answer's body is still to be read.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`], [`ClientError::Broken`], [`ClientError::Refused`].
    pub async fn send(&self, call: Call<'_>) -> Result<Answer, ClientError> {
        let answer = self.send_any(call).await?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        Err(answer.refusal().await)
    }

    /// As [`Self::send`], for an answer of any status.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`], [`ClientError::Broken`].
    pub async fn send_any(&self, call: Call<'_>) -> Result<Answer, ClientError> {
        let mut request = call.request(&self.server)?;
        if let Some(shown) = &self.authorization {
            let headers = request.headers_mut();
            headers.insert(header::AUTHORIZATION, shown.clone());
        }
        let moved = request.body().moved();
        let answer = self.client.request(request);
        let answer = unless_idle(&moved, answer).await?;
        let (head, body) = answer.map_err(|error| self.why(&error))?.into_parts();
        self.answered.store(true, Ordering::Relaxed);
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
            moved,
        })
    }

    /// Sends a request and reads the whole of a short answer.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn send_and_read(&self, call: Call<'_>) -> Result<(HeaderMap, Bytes), ClientError> {
        let mut answer = self.send(call).await?;
        let bytes = answer.whole(ANSWER_BYTES_MAX).await?;
        Ok((answer.headers, bytes))
    }

    fn why(&self, error: &hyper_util::client::legacy::Error) -> ClientError {
        let reason = root_of(error);
        match error.is_connect() {
            true => ClientError::Unreachable {
                server: self.server.to_string(),
                reason,
            },
            false => ClientError::Broken(reason),
        }
    }
}

/// An answer whose head has come.
#[derive(Debug)]
pub struct Answer {
    status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    body: Incoming,
    moved: Arc<Moved>,
}

impl Answer {
    /// Its status.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The next piece of the body; `None` at its end, which is the true one: a body that is cut off is an error.
    ///
    /// # Errors
    /// [`ClientError::Broken`]; [`ClientError::Refused`] where a trailer says that the server failed on the way.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, ClientError> {
        while let Some(frame) = unless_idle(&self.moved, self.body.frame()).await? {
            let frame = frame.map_err(|error| ClientError::Broken(root_of(&error)))?;
            match frame.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => return Ok(Some(data)),
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        failed_late(&trailers)?;
                        self.headers.extend(trailers);
                    }
                }
            }
        }
        Ok(None)
    }

    /// All that is left of the body.
    ///
    /// # Errors
    /// As [`Self::piece`]; [`ClientError::Answer`] where there are more than `bytes_max`.
    pub async fn whole(&mut self, bytes_max: usize) -> Result<Bytes, ClientError> {
        let mut whole = BytesMut::new();
        while let Some(piece) = self.piece().await? {
            if whole.len() + piece.len() > bytes_max {
                return Err(ClientError::Answer(format!("more than {bytes_max} bytes")));
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    /// A header or, at the end of the body, a trailer.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// When the server wants to be asked again.
    pub fn retry_after(&self) -> Option<Duration> {
        retry::retry_after(self.headers.get(header::RETRY_AFTER))
    }

    /// Itself if it has lines of JSON, whatever its status: they say what was done before it failed. Else as [`Http::send`].
    ///
    /// # Errors
    /// [`ClientError::Refused`].
    pub async fn lines_or_refusal(self) -> Result<Self, ClientError> {
        let lines = self
            .header("content-type")
            .is_some_and(|kind| kind.starts_with(NDJSON));
        match lines || self.status.is_success() {
            true => Ok(self),
            false => Err(self.refusal().await),
        }
    }

    async fn refusal(mut self) -> ClientError {
        let retry_after = self.retry_after();
        let text = self.whole(ANSWER_BYTES_MAX).await.unwrap_or_default();
        ClientError::Refused {
            status: self.status,
            reason: reason(&text, self.status),
            retry_after,
        }
    }
}

/// The `error` of a JSON answer, else its text, else the status' own words.
fn reason(text: &[u8], status: StatusCode) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(text).ok();
    let error = json.as_ref().and_then(|json| json.get("error")?.as_str());
    let text = error.map_or_else(|| String::from_utf8_lossy(text), Into::into);
    let text = text.trim();
    if text.is_empty() || text.starts_with('<') {
        return match status {
            StatusCode::NOT_FOUND => "nothing is there".to_owned(),
            status => status.canonical_reason().unwrap_or("refused").to_owned(),
        };
    }
    let text = text.get(..text.floor_char_boundary(REASON_BYTES_MAX));
    text.unwrap_or_default().replace('\n', " ")
}

fn failed_late(trailers: &HeaderMap) -> Result<(), ClientError> {
    let Some(status) = trailers.get(STATUS_TRAILER) else {
        return Ok(());
    };
    match StatusCode::from_bytes(status.as_bytes()) {
        Ok(status) if status.is_success() => Ok(()),
        status => Err(ClientError::Refused {
            status: status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            reason: "the server could not finish".to_owned(),
            retry_after: None,
        }),
    }
}

/// Waits for `work` as long as bytes of the request move.
async fn unless_idle<T>(moved: &Moved, work: impl Future<Output = T>) -> Result<T, ClientError> {
    tokio::pin!(work);
    loop {
        let before = moved.bytes();
        match tokio::time::timeout(IDLE_MAX, &mut work).await {
            Ok(done) => return Ok(done),
            Err(_) if moved.bytes() != before => {}
            Err(_) => {
                let secs = IDLE_MAX.as_secs();
                return Err(ClientError::Broken(format!("nothing moved for {secs} s")));
            }
        }
    }
}

/// The innermost cause, which says most.
fn root_of(error: &dyn std::error::Error) -> String {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_in_the_servers_words() {
        let status = StatusCode::CONFLICT;
        assert_eq!(reason(br#"{"error":"is a folder"}"#, status), "is a folder");
        assert_eq!(reason(b"plain\ntext\n", status), "plain text");
        assert_eq!(reason(b"", status), "Conflict");
        assert_eq!(reason(b"", StatusCode::NOT_FOUND), "nothing is there");
        assert_eq!(reason(b"<html>", status), "Conflict");
    }

    #[test]
    fn a_trailer_can_take_a_success_back() {
        let mut trailers = HeaderMap::new();
        assert!(failed_late(&trailers).is_ok());
        trailers.insert(STATUS_TRAILER, HeaderValue::from_static("200"));
        assert!(failed_late(&trailers).is_ok());
        trailers.insert(STATUS_TRAILER, HeaderValue::from_static("503"));
        let error = failed_late(&trailers).unwrap_err();
        assert!(error.may_pass());
    }

    #[test]
    fn a_path_is_escaped_and_a_query_is_not() {
        let call = Call::new(Method::GET, "/a b?/ü").query("limit=1");
        let request = call.request(&Server::parse("h:1").unwrap()).unwrap();
        assert_eq!(request.uri(), "http://h:1/a%20b%3F/%C3%BC?limit=1");
        assert_eq!(request.headers()[header::TE], "trailers");
    }
}
