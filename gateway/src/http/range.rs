//! Range requests: RFC 9110, section 14.

use std::num::IntErrorKind;

use bytes::Bytes;
use http::header::{CONTENT_RANGE, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::body::{Body, Response};
use super::request_id::RequestId;

/// A request for more ranges than this gets the whole representation: it is an attack or a mistake.
const RANGES_MAX: usize = 64;

/// What stands for the type of content that has none.
const OCTET_STREAM: &[u8] = b"application/octet-stream";

/// A range of the representation that is there to be sent; never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// The offset of its first byte.
    pub start: u64,
    /// Its length in bytes.
    pub len: u64,
}

impl ByteRange {
    fn end(self) -> u64 {
        self.start + self.len
    }

    /// The value of Content-Range for this part of `len` bytes.
    fn content_range(self, len: u64) -> String {
        format!("bytes {}-{}/{len}", self.start, self.end() - 1)
    }
}

/// What a Range header asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RangeOutcome {
    /// Answer as if there were no Range: 200 with everything.
    Full,
    /// Answer 206 with these ranges: at least one, none touching another, in the order of the request
    /// unless some had to be joined.
    Partial(Vec<ByteRange>),
    /// Answer 416: the header is valid, and none of its ranges is there.
    Unsatisfiable,
}

/// Reads the value of a Range header for a representation of `len` bytes.
///
/// What is not understood (another unit, bad syntax, too many ranges) is ignored, as section 14.2
/// says. Ranges that overlap or touch are joined (15.3.7.2), so what is sent is never longer than the
/// whole. The caller asks for GET only, and after [`if_range_allows`](super::conditional::if_range_allows).
pub fn parse(value: &str, len: u64) -> RangeOutcome {
    let Some(specs) = specs(value) else {
        return RangeOutcome::Full;
    };
    // A suffix of nothing is all of it, which a Content-Range cannot say.
    if len == 0 && specs.iter().any(|spec| matches!(spec, Spec::Suffix(1..))) {
        return RangeOutcome::Full;
    }
    let ranges: Vec<ByteRange> = specs.iter().filter_map(|spec| spec.within(len)).collect();
    if ranges.is_empty() {
        RangeOutcome::Unsatisfiable
    } else {
        RangeOutcome::Partial(joined(ranges))
    }
}

/// One element of a range-set.
enum Spec {
    /// `first-last`, both inclusive; `first-` is up to `u64::MAX`.
    Between(u64, u64),
    /// `-length`: the last bytes.
    Suffix(u64),
}

impl Spec {
    fn read(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-')?;
        match (first, last) {
            ("", length) => Some(Self::Suffix(number(length)?)),
            (first, "") => Some(Self::Between(number(first)?, u64::MAX)),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::Between(first, last))
            }
        }
    }

    /// The part of this range that `len` bytes have; `None` if there is no such byte.
    fn within(&self, len: u64) -> Option<ByteRange> {
        let (start, end) = match *self {
            Self::Between(first, last) => (first, last.saturating_add(1).min(len)),
            Self::Suffix(length) => (len.saturating_sub(length), len),
        };
        (start < end).then(|| ByteRange {
            start,
            len: end - start,
        })
    }
}

/// The elements of `bytes=…`, or `None` if the header is to be ignored.
fn specs(value: &str) -> Option<Vec<Spec>> {
    let (unit, set) = value.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    // Empty elements of a list are allowed (section 5.6.1.2), an empty list is not.
    let elements = set
        .split(',')
        .map(|text| text.trim_matches([' ', '\t']))
        .filter(|text| !text.is_empty());
    let specs: Vec<Spec> = elements
        .take(RANGES_MAX + 1)
        .map(Spec::read)
        .collect::<Option<_>>()?;
    (1..=RANGES_MAX).contains(&specs.len()).then_some(specs)
}

/// Digits only: no sign, no space. A number too large for 64 bits is the largest.
fn number(digits: &str) -> Option<u64> {
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    match digits.parse() {
        Ok(number) => Some(number),
        Err(error) => (*error.kind() == IntErrorKind::PosOverflow).then_some(u64::MAX),
    }
}

/// The ranges as they are if no two of them touch; else sorted and joined.
fn joined(ranges: Vec<ByteRange>) -> Vec<ByteRange> {
    if ranges.len() == 1 {
        return ranges;
    }
    let mut sorted = ranges.clone();
    sorted.sort_unstable_by_key(|range| range.start);
    let mut joined: Vec<ByteRange> = Vec::with_capacity(sorted.len());
    for range in sorted {
        match joined.last_mut() {
            Some(last) if range.start <= last.end() => {
                last.len = last.end().max(range.end()) - last.start;
            }
            _ => joined.push(range),
        }
    }
    if joined.len() == ranges.len() {
        ranges
    } else {
        joined
    }
}

/// The answer to a GET for `content`, according to `outcome`: 200, 206 (one range, or several as
/// `multipart/byteranges`), or 416.
///
/// `headers` are those of the answer to the same request without Range; `content_type` is added as the
/// outcome needs it. No byte of the content is copied. Content-Length is left to hyper, which knows the
/// length of the body.
pub fn respond_range(
    mut headers: HeaderMap,
    content: Bytes,
    content_type: Option<HeaderValue>,
    outcome: &RangeOutcome,
) -> Response {
    let len = content.len() as u64;
    let (status, content_type, body) = match outcome {
        RangeOutcome::Full => (StatusCode::OK, content_type, Body::full(content)),
        RangeOutcome::Unsatisfiable => {
            insert_text(&mut headers, CONTENT_RANGE, &format!("bytes */{len}"));
            (StatusCode::RANGE_NOT_SATISFIABLE, None, Body::empty())
        }
        RangeOutcome::Partial(ranges) => match ranges[..] {
            [range] => {
                insert_text(&mut headers, CONTENT_RANGE, &range.content_range(len));
                (
                    StatusCode::PARTIAL_CONTENT,
                    content_type,
                    Body::full(slice(&content, range)),
                )
            }
            _ => byteranges(&content, content_type.as_ref(), ranges),
        },
    };
    if let Some(content_type) = content_type {
        headers.insert(CONTENT_TYPE, content_type);
    }
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Several ranges as one body (section 14.6): their bytes as they are, with a header before each.
fn byteranges(
    content: &Bytes,
    content_type: Option<&HeaderValue>,
    ranges: &[ByteRange],
) -> (StatusCode, Option<HeaderValue>, Body) {
    let boundary = boundary();
    let part_type = content_type.map_or(OCTET_STREAM, HeaderValue::as_bytes);
    let mut pieces = Vec::with_capacity(2 * ranges.len() + 1);
    for range in ranges {
        let break_before = if pieces.is_empty() { "" } else { "\r\n" };
        let mut head = format!("{break_before}--{boundary}\r\nContent-Type: ").into_bytes();
        head.extend_from_slice(part_type);
        let content_range = range.content_range(content.len() as u64);
        head.extend_from_slice(format!("\r\nContent-Range: {content_range}\r\n\r\n").as_bytes());
        pieces.extend([Bytes::from(head), slice(content, *range)]);
    }
    pieces.push(Bytes::from(format!("\r\n--{boundary}--\r\n")));
    let whole_type = format!("multipart/byteranges; boundary={boundary}");
    (
        StatusCode::PARTIAL_CONTENT,
        HeaderValue::try_from(whole_type).ok(),
        Body::chunks(pieces),
    )
}

/// 48 hex digits, half of them random: nobody stores an image with that in it by chance.
fn boundary() -> String {
    format!(
        "{}{:024x}",
        RequestId::fresh().as_str(),
        rand::random::<u128>() >> 32
    )
}

/// The bytes of `range`; fewer if the caller asks for a range of something longer than `content`.
fn slice(content: &Bytes, range: ByteRange) -> Bytes {
    let within = |offset: u64| {
        usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(content.len())
    };
    content.slice(within(range.start)..within(range.end()))
}

fn insert_text(headers: &mut HeaderMap, name: http::HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests;
