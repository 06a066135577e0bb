//! Over real sockets, with limits short enough to wait for.

use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use http::Method;
use tokio::io::AsyncReadExt;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;
use crate::http::body::Body;
use crate::http::intake::{ByteBudget, IntakeError, IntakeLimits, collect};
use crate::http::lane::Plain;

/// Longer than anything here takes; a test that gets there has failed.
const PATIENCE: Duration = Duration::from_secs(30);
/// The limit under test, where a test waits for it to pass.
const SHORT: Duration = Duration::from_millis(100);
/// A body too large for any socket's buffers.
const LARGE_BYTES: usize = 64 << 20;

struct Running {
    addr: SocketAddr,
    stats: Arc<ConnectionStats>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    /// What lets the answers to `/wait` go.
    go: Arc<Notify>,
    /// Requests that have reached the service.
    started: Arc<AtomicU64>,
}

async fn start(limits: ServerLimits) -> Running {
    start_draining(limits, PATIENCE).await
}

async fn start_draining(limits: ServerLimits, drain_timeout: Duration) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let stats = Arc::new(ConnectionStats::default());
    let (stop, shutdown) = watch::channel(false);
    let (go, started) = (Arc::new(Notify::new()), Arc::new(AtomicU64::new(0)));
    let service = {
        let (go, started) = (Arc::clone(&go), Arc::clone(&started));
        move |request: Request<Incoming>, peer: PeerInfo| {
            assert!(peer.addr.ip().is_loopback());
            assert_ne!(request.uri().path(), "/panic-at-once");
            started.fetch_add(1, Ordering::Relaxed);
            respond(request, Arc::clone(&go))
        }
    };
    let lane = QuickLane {
        go: Arc::clone(&go),
    };
    let terms = Terms {
        limits,
        stats: Arc::clone(&stats),
        tls: None,
        drain_timeout,
    };
    let task = tokio::spawn(serve(listener, terms, service, lane, shutdown));
    Running {
        addr,
        stats,
        stop,
        task,
        go,
        started,
    }
}

/// Answers what begins with `/quick`.
#[derive(Clone)]
struct QuickLane {
    go: Arc<Notify>,
}

impl Lane for QuickLane {
    type Visit = ();

    fn visit(&self, _: PeerInfo, _: Option<Arc<ClientCertificate>>) {}

    fn is_open(&self) -> bool {
        true
    }

    async fn answer(&self, (): &mut (), request: &Plain<'_>, head: &mut Vec<u8>) -> Option<Bytes> {
        let body = match request.path.strip_prefix("/quick")? {
            "-panic" => panic!("a panic that this test wants"),
            "-large" => Bytes::from(vec![b'7'; LARGE_BYTES]),
            "-wait" => {
                self.go.notified().await;
                Bytes::from_static(b"hello")
            }
            _ => Bytes::from_static(b"hello"),
        };
        head.extend_from_slice(b"HTTP/1.1 200 OK\r\nLane: yes\r\nContent-Length: ");
        head.extend_from_slice(body.len().to_string().as_bytes());
        head.extend_from_slice(b"\r\n");
        Some(body)
    }
}

async fn respond(request: Request<Incoming>, go: Arc<Notify>) -> Response {
    if *request.method() == Method::PUT {
        return store(request).await;
    }
    match request.uri().path() {
        "/wait" => go.notified().await,
        "/panic" => panic!("a panic that this test wants"),
        "/large" => return Response::new(Body::full(vec![7; LARGE_BYTES])),
        "/short" => return short_body(go),
        "/early" => return error_json(StatusCode::PAYLOAD_TOO_LARGE, "no"),
        _ => {}
    }
    let mut response = Response::new(Body::full("hello"));
    response
        .headers_mut()
        .insert("etag", HeaderValue::from_static("\"d4a26623\""));
    response
        .headers_mut()
        .insert("content-md5", HeaderValue::from_static(""));
    response
}

/// Half of what it announces, and no more once it may go.
fn short_body(go: Arc<Notify>) -> Response {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        sender.send(Ok(Bytes::from_static(b"hello"))).await.unwrap();
        go.notified().await;
    });
    Response::new(Body::stream(receiver, Some(10)))
}

async fn store(request: Request<Incoming>) -> Response {
    let declared = request.headers().get("content-length");
    let declared = declared.map(|value| value.to_str().unwrap().parse().unwrap());
    let stall_timeout = if request.uri().path() == "/stall" {
        SHORT
    } else {
        PATIENCE
    };
    let limits = IntakeLimits::new(1 << 20, stall_timeout);
    match collect(
        request.into_body(),
        declared,
        &limits,
        &ByteBudget::new(1 << 30),
    )
    .await
    {
        Ok(body) => Response::new(Body::from(format!("stored {}", body.bytes.len()))),
        Err(IntakeError::Stalled { .. }) => error_json(StatusCode::REQUEST_TIMEOUT, "stalled"),
        Err(IntakeError::TooLarge { .. }) => error_json(StatusCode::PAYLOAD_TOO_LARGE, "too large"),
        Err(error) => error_json(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.unwrap()
    }

    /// Sends `request` on a connection of its own and returns all that comes until it is closed.
    async fn exchange(&self, request: impl AsRef<[u8]>) -> String {
        let mut client = self.connect().await;
        client.write_all(request.as_ref()).await.unwrap();
        until_closed(&mut client).await
    }

    async fn get(&self, path: &str) -> String {
        self.exchange(format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        ))
        .await
    }

    async fn until_open(&self, connections: u64) {
        until(|| self.stats.open.load(Ordering::Relaxed) == connections).await;
    }

    async fn until_started(&self, requests: u64) {
        until(|| self.started.load(Ordering::Relaxed) == requests).await;
    }

    async fn stop(self) {
        self.stop.send(true).unwrap();
        timeout(PATIENCE, self.task).await.unwrap().unwrap();
        assert_eq!(self.stats.open.load(Ordering::Relaxed), 0);
    }
}

async fn until(condition: impl Fn() -> bool) {
    let asked = Instant::now();
    while !condition() {
        assert!(asked.elapsed() < PATIENCE, "the condition never came true");
        sleep(Duration::from_millis(1)).await;
    }
}

/// All that comes until the server closes the connection, or resets it.
async fn until_closed(client: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = timeout(PATIENCE, client.read_to_end(&mut bytes))
        .await
        .unwrap();
    String::from_utf8(bytes).unwrap()
}

/// One answer of `hello` on a connection that stays open.
async fn hello(client: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\nhello") {
        let mut more = [0; 1024];
        let len = timeout(PATIENCE, client.read(&mut more))
            .await
            .unwrap()
            .unwrap();
        assert_ne!(len, 0, "closed after {:?}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&more[..len]);
    }
    String::from_utf8(bytes).unwrap()
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

fn short_header() -> ServerLimits {
    ServerLimits {
        header_timeout: SHORT,
        ..ServerLimits::default()
    }
}

#[tokio::test]
async fn requests_are_answered_on_one_connection_with_headers_spelled_as_go_does() {
    let server = start(ServerLimits::default()).await;
    let mut client = server.connect().await;
    for _ in 0..3 {
        client.write_all(GET).await.unwrap();
        let answer = hello(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        for line in [
            "Etag: \"d4a26623\"",
            "Content-Md5: ",
            "Content-Length: 5",
            "Date: ",
        ] {
            assert!(answer.contains(&format!("\r\n{line}")), "{answer}");
        }
    }
    assert_eq!(server.stats.accepted.load(Ordering::Relaxed), 1);
    server.stop().await;
}

#[tokio::test]
async fn head_answers_the_length_without_the_body() {
    let server = start(ServerLimits::default()).await;
    let answer = server
        .exchange("HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await;
    assert!(
        answer.contains("\r\nContent-Length: 5\r\n") && answer.ends_with("\r\n\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = start(ServerLimits::default()).await;
    let put = "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
    let last = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = server.exchange(format!("{put}{put}{last}")).await;
    let at = |text: &str| answer.find(text).unwrap();
    assert_eq!(answer.matches("stored 3").count(), 2);
    assert!(at("stored 3") < at("hello"));
}

#[tokio::test]
async fn header_bombs_get_431() {
    let server = start(ServerLimits::default()).await;
    let long = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n",
        "a".repeat(1 << 20)
    );
    let many = format!(
        "GET / HTTP/1.1\r\nHost: x\r\n{}\r\n",
        "A: b\r\n".repeat(200)
    );
    for bomb in [long, many] {
        let mut client = server.connect().await;
        // The answer may come, and the connection close, before all is written.
        let _ = client.write_all(bomb.as_bytes()).await;
        let answer = until_closed(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
    server.until_open(0).await;
}

#[tokio::test]
async fn a_head_within_its_limit_is_served() {
    let server = start(ServerLimits::default()).await;
    let request = format!(
        "GET / HTTP/1.1\r\nConnection: close\r\nA: {}\r\n\r\n",
        "a".repeat(60_000)
    );
    assert!(server.exchange(request).await.ends_with("hello"));
}

#[tokio::test]
async fn what_is_no_http_gets_400() {
    let server = start(ServerLimits::default()).await;
    assert!(
        server
            .exchange("\x16\x03\x01 hello tls\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 400 ")
    );
}

#[tokio::test]
async fn a_head_byte_by_byte_is_cut() {
    let server = start(short_header()).await;
    let began = Instant::now();
    let mut client = server.connect().await;
    // Never finishes; each byte comes well within the time that the whole head has.
    while client.write_all(b"G").await.is_ok() {
        assert!(
            began.elapsed() < PATIENCE,
            "a drip of header bytes was never cut"
        );
        sleep(Duration::from_millis(5)).await;
    }
    assert!(began.elapsed() >= SHORT);
    server.until_open(0).await;
}

#[tokio::test]
async fn silent_and_idle_connections_are_closed() {
    let server = start(short_header()).await;
    let mut silent = server.connect().await;
    let mut idle = server.connect().await;
    idle.write_all(GET).await.unwrap();
    hello(&mut idle).await;
    assert_eq!(until_closed(&mut silent).await, "");
    assert_eq!(until_closed(&mut idle).await, "");
    server.until_open(0).await;
}

#[tokio::test]
async fn many_half_open_connections_disturb_nobody() {
    let server = start(ServerLimits::default()).await;
    let mut half_open = Vec::new();
    for at in 0..300 {
        let mut client = server.connect().await;
        if at % 2 == 0 {
            client.write_all(b"G").await.unwrap();
        }
        half_open.push(client);
    }
    server.until_open(300).await;
    for _ in 0..20 {
        assert!(server.get("/").await.ends_with("hello"));
    }
    drop(half_open);
    server.until_open(0).await;
}

#[tokio::test]
async fn above_the_most_connections_clients_are_told() {
    let limits = ServerLimits {
        connections_max: 1,
        ..ServerLimits::default()
    };
    let server = start(limits).await;
    let mut first = server.connect().await;
    first.write_all(GET).await.unwrap();
    hello(&mut first).await;
    let answer = server.get("/").await;
    assert!(
        answer.starts_with("HTTP/1.1 503 ") && answer.contains("Retry-After: 1"),
        "{answer}"
    );
    assert_eq!(server.stats.refused.load(Ordering::Relaxed), 1);
    drop(first);
    server.until_open(0).await;
    assert!(server.get("/").await.ends_with("hello"));
}

#[tokio::test]
async fn a_panic_answers_500_and_the_server_lives() {
    let server = start(ServerLimits::default()).await;
    for path in ["/panic", "/panic-at-once"] {
        let answer = server
            .exchange(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"))
            .await;
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
        assert!(
            answer.ends_with(r#"{"error":"internal error"}"#),
            "{answer}"
        );
    }
    assert_eq!(server.stats.panics.load(Ordering::Relaxed), 2);
    assert!(server.get("/").await.ends_with("hello"));
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_stops_is_cut_with_408() {
    let server = start(ServerLimits::default()).await;
    let answer = server
        .exchange("PUT /stall HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly this")
        .await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn a_body_that_ends_early_is_never_stored() {
    let server = start(ServerLimits::default()).await;
    let mut client = server.connect().await;
    client
        .write_all(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly this")
        .await
        .unwrap();
    server.until_started(1).await;
    client.shutdown().await.unwrap();
    assert!(!until_closed(&mut client).await.contains("stored"));
    server.until_open(0).await;
}

#[tokio::test]
async fn bodies_of_any_framing_are_stored() {
    let server = start(ServerLimits::default()).await;
    let head = "PUT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
    let sized = format!(
        "{head}Content-Length: 300000\r\n\r\n{}",
        "x".repeat(300_000)
    );
    assert!(server.exchange(sized).await.ends_with("stored 300000"));
    let chunked =
        format!("{head}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    assert!(server.exchange(chunked).await.ends_with("stored 5"));
    let empty = format!("{head}Content-Length: 0\r\n\r\n");
    assert!(server.exchange(empty).await.ends_with("stored 0"));
    let malformed = format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\nabc");
    assert!(!server.exchange(malformed).await.contains("stored"));
}

#[tokio::test]
async fn expect_continue_is_answered_before_the_body() {
    let server = start(ServerLimits::default()).await;
    let mut client = server.connect().await;
    let head = "PUT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    timeout(PATIENCE, client.read_exact(&mut go_on))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"abc").await.unwrap();
    assert!(until_closed(&mut client).await.ends_with("stored 3"));
}

#[tokio::test]
async fn an_answer_before_the_body_has_come_is_heard() {
    let server = start(ServerLimits::default()).await;
    let mut client = server.connect().await;
    let head = format!(
        "POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        4 << 20
    );
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(&vec![0; 4 << 20]).await.unwrap();
    let answer = until_closed(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn a_short_body_of_ours_cuts_the_connection() {
    let server = start(ServerLimits::default()).await;
    let mut client = server.connect().await;
    client
        .write_all(b"GET /short HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    assert!(
        hello(&mut client)
            .await
            .contains("\r\nContent-Length: 10\r\n")
    );
    server.go.notify_one();
    assert_eq!(until_closed(&mut client).await, "");
    server.until_open(0).await;
}

#[tokio::test]
async fn a_client_that_stops_reading_is_cut() {
    let limits = ServerLimits {
        write_stall_timeout: SHORT,
        ..ServerLimits::default()
    };
    let server = start(limits).await;
    let mut client = server.connect().await;
    client
        .write_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    server.until_started(1).await;
    server.until_open(0).await;
    let mut bytes = Vec::new();
    let _ = timeout(PATIENCE, client.read_to_end(&mut bytes))
        .await
        .unwrap();
    assert!(bytes.len() < LARGE_BYTES);
}

#[tokio::test]
async fn a_slow_client_that_keeps_reading_gets_it_all() {
    let write_stall_timeout = 4 * SHORT;
    let limits = ServerLimits {
        write_stall_timeout,
        ..ServerLimits::default()
    };
    let server = start(limits).await;
    let mut client = server.connect().await;
    client
        .write_all(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut piece = vec![0; 64 << 10];
    let (mut read_bytes, began) = (0, Instant::now());
    // In all longer than the limit, which is about each pause.
    while began.elapsed() < 2 * write_stall_timeout {
        read_bytes += client.read(&mut piece).await.unwrap();
        sleep(Duration::from_millis(2)).await;
    }
    assert!(read_bytes < LARGE_BYTES, "was not slow");
    let mut rest = Vec::new();
    read_bytes += timeout(PATIENCE, client.read_to_end(&mut rest))
        .await
        .unwrap()
        .unwrap();
    assert!(read_bytes > LARGE_BYTES, "{read_bytes}");
}

#[tokio::test]
async fn shutdown_finishes_what_is_in_flight_and_closes_what_is_idle() {
    let server = start(ServerLimits::default()).await;
    let mut busy = server.connect().await;
    busy.write_all(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let (mut idle, mut silent) = (server.connect().await, server.connect().await);
    idle.write_all(GET).await.unwrap();
    hello(&mut idle).await;
    server.until_started(2).await;
    server.until_open(3).await;
    server.stop.send(true).unwrap();
    assert_eq!(until_closed(&mut idle).await, "");
    assert_eq!(until_closed(&mut silent).await, "");
    assert!(
        TcpStream::connect(server.addr).await.is_err(),
        "the listener is closed"
    );
    assert!(!server.task.is_finished());
    server.go.notify_one();
    assert!(until_closed(&mut busy).await.ends_with("hello"));
    drop((busy, idle, silent));
    timeout(PATIENCE, server.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn shutdown_cuts_what_outlasts_the_drain() {
    let server = start_draining(ServerLimits::default(), SHORT).await;
    let mut stuck = server.connect().await;
    stuck
        .write_all(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    server.until_started(1).await;
    server.stop().await;
    assert_eq!(until_closed(&mut stuck).await, "");
}

#[tokio::test]
async fn a_dropped_sender_stops_the_server() {
    let server = start(ServerLimits::default()).await;
    drop(server.stop);
    timeout(PATIENCE, server.task).await.unwrap().unwrap();
}

const QUICK: &str = "GET /quick HTTP/1.1\r\nHost: x\r\n\r\n";

#[tokio::test]
async fn plain_gets_stay_in_the_lane_and_the_first_other_request_leaves_it() {
    let server = start(ServerLimits::default()).await;
    let mut client = server.connect().await;
    for (request, in_lane) in [
        (QUICK, true),
        (QUICK, true),
        ("GET /else HTTP/1.1\r\nHost: x\r\n\r\n", false),
        (QUICK, false),
    ] {
        client.write_all(request.as_bytes()).await.unwrap();
        let answer = hello(&mut client).await;
        assert_eq!(answer.contains("\r\nLane: yes\r\n"), in_lane, "{answer}");
    }
    assert_eq!(server.started.load(Ordering::Relaxed), 2);
    server.stop().await;
}

#[tokio::test]
async fn the_lane_takes_requests_as_they_come_byte_by_byte_or_many_at_once() {
    let server = start(ServerLimits::default()).await;
    let mut client = server.connect().await;
    for byte in QUICK.bytes() {
        client.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert!(hello(&mut client).await.contains("Lane: yes"));
    let last = "GET /else HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let many = format!("{}{last}", QUICK.repeat(100));
    client.write_all(many.as_bytes()).await.unwrap();
    let answers = until_closed(&mut client).await;
    assert_eq!(answers.matches("Lane: yes").count(), 100);
    assert_eq!(answers.matches("hello").count(), 101);
    assert!(answers.contains("Etag"));
}

#[tokio::test]
async fn a_panic_in_the_lane_is_answered_by_hyper() {
    let server = start(ServerLimits::default()).await;
    let mut client = server.connect().await;
    let request = "GET /quick-panic HTTP/1.1\r\nHost: x\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    assert!(!hello(&mut client).await.contains("Lane"));
    server.stop().await;
}

#[tokio::test]
async fn who_is_silent_in_the_lane_is_cut_and_who_waits_for_an_answer_is_not() {
    let server = start(short_header()).await;
    let mut silent = server.connect().await;
    silent.write_all(QUICK.as_bytes()).await.unwrap();
    hello(&mut silent).await;
    silent.write_all(b"GET /qui").await.unwrap();
    let mut waiting = server.connect().await;
    let wait = "GET /quick-wait HTTP/1.1\r\nHost: x\r\n\r\n";
    waiting.write_all(wait.as_bytes()).await.unwrap();
    assert_eq!(until_closed(&mut silent).await, "");
    server.until_open(1).await;
    server.go.notify_one();
    assert!(hello(&mut waiting).await.contains("Lane: yes"));
}

#[tokio::test]
async fn a_client_that_stops_reading_in_the_lane_is_cut() {
    let limits = ServerLimits {
        write_stall_timeout: SHORT,
        ..ServerLimits::default()
    };
    let server = start(limits).await;
    let mut client = server.connect().await;
    let request = "GET /quick-large HTTP/1.1\r\nHost: x\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    server.until_open(1).await;
    server.until_open(0).await;
}

#[tokio::test]
async fn a_shutdown_lets_the_lane_finish_its_answer_and_says_so() {
    let server = start(ServerLimits::default()).await;
    let mut waiting = server.connect().await;
    let mut idle = server.connect().await;
    idle.write_all(QUICK.as_bytes()).await.unwrap();
    hello(&mut idle).await;
    let wait = "GET /quick-wait HTTP/1.1\r\nHost: x\r\n\r\n";
    waiting.write_all(wait.as_bytes()).await.unwrap();
    sleep(SHORT).await;
    server.stop.send(true).unwrap();
    assert_eq!(until_closed(&mut idle).await, "");
    server.go.notify_one();
    let answer = until_closed(&mut waiting).await;
    assert!(
        answer.contains("Connection: close") && answer.ends_with("hello"),
        "{answer}"
    );
}
