//! The least HTTP/1.1 response reading that a load generator needs: status, `Content-Length`, body (RFC 9112).

use std::ops::Range;

/// Why a response cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadResponse {
    /// Not an HTTP/1.1 status line.
    Status,
    /// The head is longer than [`HEAD_BYTES_MAX`].
    HeadTooLong,
    /// No usable `Content-Length`; chunked bodies are not understood.
    Length,
    /// More bytes came than were announced.
    Surplus,
}

/// Longest response head that is taken.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Largest body that is taken.
const BODY_BYTES_MAX: usize = 64 << 20;

/// The head of one response and where its body lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Status code.
    pub status: u16,
    /// Bytes of the head, the empty line included.
    pub head_bytes: usize,
    /// Bytes of the body.
    pub body_bytes: usize,
}

impl Head {
    /// Where the body lies in the buffer that starts with the head.
    pub fn body(&self) -> Range<usize> {
        self.head_bytes..self.total_bytes()
    }

    /// Head and body.
    pub fn total_bytes(&self) -> usize {
        self.head_bytes + self.body_bytes
    }
}

/// Reads the head at the start of `bytes`; `None` when it is not whole yet.
///
/// # Errors
/// When it cannot become a response that this reader understands.
pub fn parse_head(bytes: &[u8]) -> Result<Option<Head>, BadResponse> {
    let Some((status_line, mut at)) = line(bytes, 0) else {
        return unfinished(bytes);
    };
    let status = parse_status(status_line).ok_or(BadResponse::Status)?;
    let mut length = None;
    loop {
        let Some((header, next)) = line(bytes, at) else {
            return unfinished(bytes);
        };
        at = next;
        if header.is_empty() {
            break;
        }
        length = length.or(parse_length(header)?);
    }
    let body_bytes = match (length, status) {
        (_, 204 | 304) => 0,
        (Some(length), _) => length,
        (None, _) => return Err(BadResponse::Length),
    };
    Ok(Some(Head {
        status,
        head_bytes: at,
        body_bytes,
    }))
}

fn unfinished(bytes: &[u8]) -> Result<Option<Head>, BadResponse> {
    if bytes.len() > HEAD_BYTES_MAX {
        Err(BadResponse::HeadTooLong)
    } else {
        Ok(None)
    }
}

/// The line that starts at `at`, without its CRLF, and where the next one starts.
fn line(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let rest = bytes.get(at..)?;
    let end = rest.iter().position(|&byte| byte == b'\n')?;
    let line = &rest[..end];
    Some((line.strip_suffix(b"\r").unwrap_or(line), at + end + 1))
}

fn parse_status(line: &[u8]) -> Option<u16> {
    let code = line.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    std::str::from_utf8(code).ok()?.parse().ok()
}

/// The value if this header is `Content-Length`.
fn parse_length(header: &[u8]) -> Result<Option<usize>, BadResponse> {
    const NAME: &[u8] = b"content-length:";
    // The length is told apart from all usual headers by these two bytes, which saves most comparisons.
    if header.get(7) != Some(&b'-') || header.get(14) != Some(&b':') {
        return Ok(None);
    }
    if !header[..NAME.len()].eq_ignore_ascii_case(NAME) {
        return Ok(None);
    }
    let value = std::str::from_utf8(&header[NAME.len()..]).map_err(|_| BadResponse::Length)?;
    let length = value.trim().parse().map_err(|_| BadResponse::Length)?;
    if length > BODY_BYTES_MAX {
        Err(BadResponse::Length)
    } else {
        Ok(Some(length))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const OK: &[u8] = b"HTTP/1.1 200 OK\r\nEtag: \"x\"\r\nContent-Length: 5\r\n\r\nhello";

    #[test]
    fn a_head_is_whole_only_with_its_empty_line() {
        let head = parse_head(OK).unwrap().unwrap();
        assert_eq!((head.status, &OK[head.body()]), (200, &b"hello"[..]));
        for len in 0..head.head_bytes {
            assert_eq!(parse_head(&OK[..len]), Ok(None), "{len}");
        }
    }

    #[test]
    fn header_names_have_no_case() {
        let head = parse_head(b"HTTP/1.1 201 Created\r\ncontent-length:7\r\n\r\n")
            .unwrap()
            .unwrap();
        assert_eq!((head.status, head.body_bytes), (201, 7));
    }

    #[test]
    fn no_content_needs_no_length() {
        assert_eq!(
            parse_head(b"HTTP/1.1 204 No Content\r\n\r\n")
                .unwrap()
                .unwrap()
                .body_bytes,
            0
        );
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        assert_eq!(parse_head(b"HTTP/2 200\r\n\r\n"), Err(BadResponse::Status));
        assert_eq!(
            parse_head(b"HTTP/1.1 200 OK\r\n\r\n"),
            Err(BadResponse::Length)
        );
        assert_eq!(
            parse_head(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
            Err(BadResponse::Length)
        );
        let endless = vec![b'a'; HEAD_BYTES_MAX + 1];
        assert_eq!(parse_head(&endless), Err(BadResponse::HeadTooLong));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_head(&bytes);
        }

        #[test]
        fn a_flipped_bit_never_panics(at in 0..OK.len(), bit in 0u8..8) {
            let mut bytes = OK.to_vec();
            bytes[at] ^= 1u8 << bit;
            if let Ok(Some(head)) = parse_head(&bytes) {
                prop_assert!(head.head_bytes <= bytes.len());
            }
        }
    }
}
