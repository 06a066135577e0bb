//! A blocking HTTP client for what is not load: assigning, storing a large image, fetching one thing at a time.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Result, bail, ensure};

use crate::fid::Assigned;
use crate::response;

/// One keep-alive connection.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A response, its body borrowed from the client's buffer.
pub struct Reply<'a> {
    /// Status code.
    pub status: u16,
    /// The body.
    pub body: &'a [u8],
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn connect(addr: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::new(),
        })
    }

    /// GET.
    ///
    /// # Errors
    /// When the connection fails or the response cannot be read; any status is a reply.
    pub fn get(&mut self, path: &str) -> Result<Reply<'_>> {
        write!(self.stream, "GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n")?;
        self.read_reply()
    }

    /// PUT of a JPEG.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn put_jpeg(&mut self, path: &str, body: &[u8]) -> Result<Reply<'_>> {
        let head = format!(
            "PUT {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.stream.write_all(head.as_bytes())?;
        self.stream.write_all(body)?;
        self.read_reply()
    }

    /// Asks for `count` ids at once.
    ///
    /// # Errors
    /// When the answer is no assignment.
    pub fn assign(&mut self, count: u32) -> Result<Assigned> {
        let reply = self.get(&format!("/dir/assign?count={count}"))?;
        match Assigned::parse(reply.body) {
            Some(assigned) if reply.status == 200 && assigned.count == count => Ok(assigned),
            _ => bail!(
                "assigning {count}: {} {}",
                reply.status,
                String::from_utf8_lossy(reply.body)
            ),
        }
    }

    fn read_reply(&mut self) -> Result<Reply<'_>> {
        self.buffer.clear();
        let head = loop {
            self.read_some()?;
            match response::parse_head(&self.buffer) {
                Ok(Some(head)) => break head,
                Ok(None) => {}
                Err(bad) => bail!("unusable response: {bad:?}"),
            }
        };
        while self.buffer.len() < head.total_bytes() {
            self.read_some()?;
        }
        Ok(Reply {
            status: head.status,
            body: &self.buffer[head.body()],
        })
    }

    fn read_some(&mut self) -> Result<()> {
        let filled = self.buffer.len();
        self.buffer.resize(filled + 64 * 1024, 0);
        let read = self.stream.read(&mut self.buffer[filled..])?;
        self.buffer.truncate(filled + read);
        ensure!(read > 0, "the server closed the connection");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::floor_http;

    #[test]
    fn a_connection_is_used_again() {
        let mut client = Client::connect(floor_http::spawn().unwrap()).unwrap();
        assert_eq!(client.get("/x").unwrap().body.len(), floor_http::BODY_BYTES);
        assert_eq!(
            client
                .put_jpeg("/x", &[0; floor_http::BODY_BYTES])
                .unwrap()
                .status,
            201
        );
        assert_eq!(client.put_jpeg("/x", b"too short").unwrap().status, 400);
        assert!(client.assign(3).is_err());
    }
}
