//! One connection with one long exchange: a large body up, or down, or both at once.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::chunked::BodyReader;
use crate::load::Round;
use crate::process::Target;
use crate::procfs;
use crate::response::HEAD_BYTES_MAX;

/// Read from and written to the socket at once, about.
const PIECE_BYTES: usize = 256 << 10;

/// A body to be sent, made while it is sent.
pub trait Feed: Send {
    /// How long it is altogether.
    fn len_bytes(&self) -> u64;

    /// Appends some of it to `out` (empty when called); nothing at its end.
    fn next(&mut self, out: &mut Vec<u8>);
}

/// A body that is in memory.
impl Feed for &[u8] {
    fn len_bytes(&self) -> u64 {
        self.len() as u64
    }

    fn next(&mut self, out: &mut Vec<u8>) {
        let (piece, rest) = self.split_at(self.len().min(PIECE_BYTES));
        out.extend_from_slice(piece);
        *self = rest;
    }
}

/// What came of an exchange.
#[derive(Debug)]
pub struct Answered {
    /// Length and the server's CPU time; its operations are for the caller to count.
    pub round: Round,
    /// The answer's head.
    pub head: String,
}

/// Sends `line` (`GET /x`), `headers` (each with its line end) and a body; shows the answer's body to `sink` as it comes.
///
/// # Errors
/// The connection fails, the status is not 200, or the sink does not want what came.
pub fn exchange(
    target: Target,
    line: &str,
    headers: &str,
    mut feed: impl Feed,
    sink: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<Answered> {
    let mut stream = TcpStream::connect(target.addr)?;
    stream.set_nodelay(true)?;
    let mut sender = stream.try_clone()?;
    let head = format!(
        "{line} HTTP/1.1\r\nHost: bench\r\n{headers}Content-Length: {}\r\n\r\n",
        feed.len_bytes()
    );
    let (begun, cpu) = (Instant::now(), procfs::cpu_time(target.pid)?);
    let answer = thread::scope(|scope| {
        let sending = scope.spawn(move || send(&mut sender, &head, &mut feed));
        let answer = receive(&mut stream, sink);
        if answer.is_err() {
            // So that nobody waits for a server that has stopped reading.
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
        match sending.join() {
            Ok(sent) => answer.and_then(|head| sent.map(|()| head)),
            Err(_) => bail!("the sender panicked"),
        }
    });
    let head = answer.with_context(|| line.to_owned())?;
    let round = Round {
        elapsed: begun.elapsed(),
        server_cpu: procfs::cpu_time(target.pid)?.saturating_sub(cpu),
        ..Round::default()
    };
    Ok(Answered { round, head })
}

fn send(stream: &mut TcpStream, head: &str, feed: &mut impl Feed) -> Result<()> {
    let mut piece = Vec::with_capacity(2 * PIECE_BYTES);
    piece.extend_from_slice(head.as_bytes());
    while !piece.is_empty() {
        stream.write_all(&piece)?;
        piece.clear();
        feed.next(&mut piece);
    }
    Ok(())
}

fn receive(stream: &mut TcpStream, sink: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<String> {
    let mut buffer = vec![0; PIECE_BYTES];
    let mut filled = 0;
    let end = loop {
        filled += read_some(stream, &mut buffer[filled..])?;
        let found = buffer[..filled].windows(4).position(|at| at == b"\r\n\r\n");
        if let Some(at) = found {
            break at + 4;
        }
        ensure!(filled < HEAD_BYTES_MAX, "the answer's head has no end");
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    ensure!(
        head.starts_with("HTTP/1.1 200 "),
        "{}",
        String::from_utf8_lossy(&buffer[..filled])
    );
    let mut body = BodyReader::of_head(&head)?;
    body.feed(&buffer[end..filled], sink)?;
    while !body.has_ended() {
        let read = read_some(stream, &mut buffer)?;
        body.feed(&buffer[..read], sink)?;
    }
    Ok(head)
}

fn read_some(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<usize> {
    let read = stream.read(buffer)?;
    ensure!(
        read > 0,
        "the server closed the connection within its answer"
    );
    Ok(read)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::floor_http;

    fn floor() -> Target {
        Target {
            addr: floor_http::spawn().unwrap(),
            pid: std::process::id(),
        }
    }

    #[test]
    fn a_long_answer_comes_whole() {
        let mut bytes = 0;
        let line = "GET /stream/3000000";
        exchange(floor(), line, "", &b""[..], &mut |piece| {
            bytes += piece.len();
            Ok(())
        })
        .unwrap();
        assert_eq!(bytes, 3_000_000);
    }

    #[test]
    fn another_status_is_an_error_with_the_answer() {
        let body = vec![7; 3_000_000];
        let error = exchange(floor(), "PUT /x", "", &body[..], &mut |_| Ok(())).unwrap_err();
        assert!(format!("{error:#}").contains("400"), "{error:#}");
    }
}
