//! The HTTP floor: what hyper and the kernel cost when the answer is already in memory.

use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
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

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.method() == Method::GET {
        return Ok(Response::new(Full::new(Bytes::from_static(&BODY))));
    }
    let taken = drain(request.into_body()).await;
    let mut response = Response::new(Full::new(Bytes::from_static(PUT_REPLY)));
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
