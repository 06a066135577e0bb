//! The HTTP floor: what hyper and the kernel cost when the answer is already in memory.

use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::connection::{Expect, Source};

/// Length of the body that GET answers and PUT takes: 5 KB.
pub const BODY_BYTES: usize = 5 * 1024;

/// What PUT answers; as long as a volume server's usual answer.
const PUT_REPLY: &[u8] = br#"{"name":"3,0163037d6a","size":5120,"eTag":"1bcfbdf3"}"#;

static BODY: [u8; BODY_BYTES] = [b'x'; BODY_BYTES];

/// Streamed at once.
const PIECE_BYTES: usize = 512 << 10;

static PIECE: [u8; PIECE_BYTES] = [b'x'; PIECE_BYTES];

/// GET of this and a number streams so many bytes from memory, chunked.
pub const STREAM_PATH: &str = "/stream/";

/// Bytes from memory that are still to be sent.
struct Stream {
    left: u64,
}

impl Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = usize::try_from(self.left).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
        self.left -= piece as u64;
        let frame = || Ok(Frame::data(Bytes::from_static(&PIECE[..piece])));
        Poll::Ready((piece > 0).then(frame))
    }
}

/// Serves until killed, on tokio's default runtime as the gateway does; prints a ready line.
///
/// # Errors
/// When it cannot listen.
pub fn serve(listen: SocketAddr) -> Result<()> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let listener = TcpListener::bind(listen).await?;
        let addr = listener.local_addr()?;
        writeln!(
            std::io::stdout(),
            "{}",
            serde_json::json!({ "ready": true, "image": addr })
        )?;
        accept(listener).await
    })
}

async fn accept(listener: TcpListener) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(connection(stream));
    }
}

async fn connection(stream: TcpStream) {
    // Neither failure has anyone to be told to: the load generator sees the connection end.
    let _ = stream.set_nodelay(true);
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service_fn(answer))
        .await;
}

async fn answer(
    request: Request<Incoming>,
) -> Result<Response<Either<Full<Bytes>, Stream>>, Infallible> {
    if request.method() == Method::GET {
        let stream = request.uri().path().strip_prefix(STREAM_PATH);
        let body = match stream.and_then(|bytes| bytes.parse().ok()) {
            Some(left) => Either::Right(Stream { left }),
            None => Either::Left(Full::new(Bytes::from_static(&BODY))),
        };
        return Ok(Response::new(body));
    }
    let taken = drain(request.into_body()).await;
    let mut response = Response::new(Either::Left(Full::new(Bytes::from_static(PUT_REPLY))));
    *response.status_mut() = if taken == BODY_BYTES {
        StatusCode::CREATED
    } else {
        StatusCode::BAD_REQUEST
    };
    Ok(response)
}

async fn drain(mut body: Incoming) -> usize {
    let mut taken = 0;
    while let Some(Ok(frame)) = body.frame().await {
        taken += frame.data_ref().map_or(0, Bytes::len);
    }
    taken
}

/// GETs for the floor, with a path as long as a fid's.
pub struct GetFloor;

impl GetFloor {
    /// One connection's source.
    pub fn boxed() -> Box<dyn Source> {
        Box::new(Self)
    }
}

impl Source for GetFloor {
    fn next(&mut self, request: &mut Vec<u8>) -> Option<Expect> {
        request.extend_from_slice(b"GET /3,0163037d6a_1234 HTTP/1.1\r\nHost: bench\r\n\r\n");
        Some(Expect {
            status: 200,
            body_bytes: Some(BODY_BYTES),
            prefix: None,
        })
    }
}

/// PUTs for the floor, of [`BODY_BYTES`] each.
pub struct PutFloor;

impl PutFloor {
    /// One connection's source.
    pub fn boxed() -> Box<dyn Source> {
        Box::new(Self)
    }
}

impl Source for PutFloor {
    fn next(&mut self, request: &mut Vec<u8>) -> Option<Expect> {
        request.extend_from_slice(b"PUT /3,0163037d6a_1234 HTTP/1.1\r\nHost: bench\r\n");
        request.extend_from_slice(b"Content-Type: image/jpeg\r\nContent-Length: 5120\r\n\r\n");
        request.extend_from_slice(&BODY);
        Some(Expect {
            status: 201,
            body_bytes: Some(PUT_REPLY.len()),
            prefix: None,
        })
    }
}

/// The floor on a thread of this process, for tests.
#[cfg(test)]
pub fn spawn() -> Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let addr = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::spawn(move || {
        runtime.block_on(async { accept(TcpListener::from_std(listener)?).await })
    });
    Ok(addr)
}
