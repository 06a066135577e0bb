//! Bodies of any length, taken piece by piece: of a known length, or chunked (RFC 9112, section 7.1).

use anyhow::{Context, Result, bail, ensure};

/// Longest line between chunks that is taken.
const LINE_BYTES_MAX: usize = 8 << 10;

/// A body that comes in pieces.
#[derive(Debug)]
pub struct BodyReader {
    state: State,
    line: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The line with a chunk's length.
    Length,
    /// A chunk's data; the flag says that a line end follows.
    Data {
        left: u64,
        chunked: bool,
    },
    /// The line end behind a chunk.
    Behind,
    /// Trailers, up to an empty line.
    Trailers,
    Ended,
}

impl BodyReader {
    /// A body as a response's head announces it; the head's lines are given.
    ///
    /// # Errors
    /// The head tells no length.
    pub fn of_head(head: &str) -> Result<Self> {
        let state = if header(head, "transfer-encoding") == Some("chunked") {
            State::Length
        } else {
            let length = header(head, "content-length").context("the answer tells no length")?;
            let left = length
                .parse()
                .with_context(|| format!("Content-Length {length:?}"))?;
            data(left, false)
        };
        Ok(Self {
            state,
            line: Vec::new(),
        })
    }

    /// Whether all has come.
    pub fn has_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// Takes what came and shows `sink` what of it is the body.
    ///
    /// # Errors
    /// It breaks the rules of chunks, or the sink does not want it.
    pub fn feed(
        &mut self,
        mut bytes: &[u8],
        sink: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        while !bytes.is_empty() {
            if let State::Data { left, chunked } = self.state {
                let (piece, rest) =
                    bytes.split_at(bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
                sink(piece)?;
                self.state = data(left - piece.len() as u64, chunked);
                bytes = rest;
                continue;
            }
            ensure!(!self.has_ended(), "more came than the body has");
            let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
                ensure!(
                    self.line.len() + bytes.len() < LINE_BYTES_MAX,
                    "an endless line between chunks"
                );
                self.line.extend_from_slice(bytes);
                return Ok(());
            };
            self.line.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end + 1..];
            self.end_line()?;
        }
        Ok(())
    }

    fn end_line(&mut self) -> Result<()> {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end_matches('\r');
        self.state = match self.state {
            State::Length => {
                let digits = line.split(';').next().unwrap_or_default().trim();
                match u64::from_str_radix(digits, 16) {
                    Ok(0) => State::Trailers,
                    Ok(left) => data(left, true),
                    Err(_) => bail!("{line:?} is no length of a chunk"),
                }
            }
            State::Behind if line.is_empty() => State::Length,
            State::Trailers if line.is_empty() => State::Ended,
            State::Trailers => State::Trailers,
            _ => bail!("{line:?} stands behind a chunk"),
        };
        Ok(())
    }
}

fn data(left: u64, chunked: bool) -> State {
    match (left, chunked) {
        (0, true) => State::Behind,
        (0, false) => State::Ended,
        _ => State::Data { left, chunked },
    }
}

/// The value of a header in a head's lines.
pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

    fn read(head: &str, pieces: &[&[u8]]) -> Result<(Vec<u8>, bool)> {
        let mut reader = BodyReader::of_head(head)?;
        let mut body = Vec::new();
        for piece in pieces {
            reader.feed(piece, &mut |bytes| {
                body.extend_from_slice(bytes);
                Ok(())
            })?;
        }
        Ok((body, reader.has_ended()))
    }

    #[test]
    fn a_known_length_is_read_to_its_end() {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n";
        assert_eq!(
            read(head, &[b"ab", b"cd"]).unwrap(),
            (b"abcd".to_vec(), true)
        );
        assert!(!read(head, &[b"abc"]).unwrap().1);
        assert!(read(head, &[b"abcde"]).is_err());
        assert!(BodyReader::of_head("HTTP/1.1 200 OK\r\n\r\n").is_err());
    }

    #[test]
    fn what_breaks_the_rules_is_refused() {
        assert!(read(CHUNKED, &[b"x\r\n"]).is_err());
        assert!(read(CHUNKED, &[b"1\r\nab\r\n"]).is_err());
    }

    proptest! {
        #[test]
        fn chunks_survive_any_cut(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..5),
            cut in 1usize..30,
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend_from_slice(format!("{:x};a=b\r\n", chunk.len()).as_bytes());
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\nMoongate-Errors: 0\r\n\r\n");
            let pieces: Vec<&[u8]> = wire.chunks(cut).collect();
            let (body, ended) = read(CHUNKED, &pieces).unwrap();
            prop_assert_eq!(body, chunks.concat());
            prop_assert!(ended);
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(CHUNKED, &[&bytes]);
        }
    }
}
