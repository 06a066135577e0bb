//! A connection: what is written to it, and how answers are read from it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::{Request, Response};

/// No answer within this time is a failure: the server under test must never hang.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(120);

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
            trailers: Vec::new(),
        };
        if method != "HEAD" && status >= 200 && status != 204 && status != 304 {
            self.receive_body(&mut response)?;
        }
        Ok(response)
    }

    /// Waits until so many bytes of an answer have come, and keeps them for [`Connection::receive`].
    pub fn wait_for(&mut self, len_bytes: usize) -> io::Result<()> {
        while self.received.len() < len_bytes {
            if !self.fill()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
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

    fn receive_body(&mut self, response: &mut Response) -> io::Result<()> {
        if response
            .header("Transfer-Encoding")
            .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
        {
            return self.receive_chunks(response);
        }
        response.body = match response.header("Content-Length") {
            Some(text) => {
                let len_bytes = text
                    .parse()
                    .map_err(|_| broken(&format!("Content-Length {text:?}")))?;
                self.take(len_bytes)?
            }
            None => self.receive_rest(),
        };
        Ok(())
    }

    fn receive_chunks(&mut self, response: &mut Response) -> io::Result<()> {
        loop {
            let line = self.line()?;
            let size = line.split(';').next().unwrap_or("");
            let size = usize::from_str_radix(size, 16)
                .map_err(|_| broken(&format!("chunk size {line:?}")))?;
            if size == 0 {
                break;
            }
            response.body.extend(self.take(size)?);
            self.take(2)?;
        }
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(());
            }
            response.trailers.push(split_header(&line)?);
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let end = self.find(b"\r\n")?;
        let line = String::from_utf8_lossy(&self.received[..end]).into_owned();
        self.received.drain(..end + 2);
        Ok(line)
    }

    fn take(&mut self, len_bytes: usize) -> io::Result<Vec<u8>> {
        self.wait_for(len_bytes)?;
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
