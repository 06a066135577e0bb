//! Preconditions of a request: RFC 9110, section 13.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

/// What identifies the representation that a request selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validators<'v> {
    /// The strong entity tag, with its quotes: `"d4a26623"`.
    pub etag: &'v str,
    /// When it was last modified, in seconds since 1970; `None` when that is not known.
    pub last_modified_secs: Option<u64>,
}

/// What the preconditions of a request say about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Do what the method says.
    Proceed,
    /// Answer 304 with the validators and no body.
    NotModified,
    /// Answer 412 and change nothing.
    PreconditionFailed,
}

/// Evaluates the preconditions of a request, in the order of section 13.2.2.
///
/// `current` is what the target is now, `None` if there is nothing. A request without preconditions,
/// which is nearly every one, pays four look-ups that fail.
pub fn evaluate(method: &Method, headers: &HeaderMap, current: Option<&Validators<'_>>) -> Outcome {
    if is_unconditional(headers) || !selects_a_representation(method) {
        return Outcome::Proceed;
    }
    if !may_change(headers, current) {
        return Outcome::PreconditionFailed;
    }
    let reads = matches!(*method, Method::GET | Method::HEAD);
    if headers.contains_key(IF_NONE_MATCH) {
        return match (none_match(headers, current), reads) {
            (true, _) => Outcome::Proceed,
            (false, true) => Outcome::NotModified,
            (false, false) => Outcome::PreconditionFailed,
        };
    }
    if reads && !modified_since(headers, current) {
        return Outcome::NotModified;
    }
    Outcome::Proceed
}

/// Whether the Range of a request may be honoured (If-Range, section 13.1.5). When it may not, the
/// whole representation is sent.
pub fn if_range_allows(headers: &HeaderMap, current: &Validators<'_>) -> bool {
    let Some(value) = headers.get(IF_RANGE) else {
        return true;
    };
    match Tag::read(value.as_bytes()) {
        Some((tag, rest)) => rest.is_empty() && tag.equals_strongly(current.etag),
        None => {
            let date = http_date_secs(value);
            date.is_some() && date == current.last_modified_secs
        }
    }
}

fn is_unconditional(headers: &HeaderMap) -> bool {
    let conditions = [
        IF_NONE_MATCH,
        IF_MODIFIED_SINCE,
        IF_MATCH,
        IF_UNMODIFIED_SINCE,
    ];
    !conditions.iter().any(|name| headers.contains_key(name))
}

/// Section 13.2.1: preconditions mean nothing to methods that act on no representation.
fn selects_a_representation(method: &Method) -> bool {
    !matches!(*method, Method::CONNECT | Method::OPTIONS | Method::TRACE)
}

/// Steps 1 and 2: If-Match, or If-Unmodified-Since where that is absent.
fn may_change(headers: &HeaderMap, current: Option<&Validators<'_>>) -> bool {
    if headers.contains_key(IF_MATCH) {
        return any_tag(headers, &IF_MATCH, current, |tag, etag| {
            tag.equals_strongly(etag)
        });
    }
    match known_dates(headers, &IF_UNMODIFIED_SINCE, current) {
        Some((date_secs, modified_secs)) => modified_secs <= date_secs,
        None => true,
    }
}

/// Step 3: If-None-Match, by weak comparison.
fn none_match(headers: &HeaderMap, current: Option<&Validators<'_>>) -> bool {
    !any_tag(headers, &IF_NONE_MATCH, current, |tag, etag| {
        tag.equals_weakly(etag)
    })
}

/// Step 4: If-Modified-Since.
fn modified_since(headers: &HeaderMap, current: Option<&Validators<'_>>) -> bool {
    match known_dates(headers, &IF_MODIFIED_SINCE, current) {
        Some((date_secs, modified_secs)) => modified_secs > date_secs,
        None => true,
    }
}

/// The date of a header, and that of the representation; `None` if either is absent or no date: such a
/// condition is ignored.
fn known_dates(
    headers: &HeaderMap,
    name: &HeaderName,
    current: Option<&Validators<'_>>,
) -> Option<(u64, u64)> {
    Some((
        http_date_secs(headers.get(name)?)?,
        current?.last_modified_secs?,
    ))
}

fn http_date_secs(value: &HeaderValue) -> Option<u64> {
    let time: SystemTime = httpdate::parse_http_date(value.to_str().ok()?).ok()?;
    time.duration_since(UNIX_EPOCH)
        .ok()
        .as_ref()
        .map(Duration::as_secs)
}

/// Whether any tag of the header's list, over all its lines, is that of `current`; `*` is any.
fn any_tag(
    headers: &HeaderMap,
    name: &HeaderName,
    current: Option<&Validators<'_>>,
    equals: for<'t> fn(&Tag<'t>, &str) -> bool,
) -> bool {
    let Some(current) = current else { return false };
    headers.get_all(name).iter().any(|line| {
        let line = line.as_bytes().trim_ascii();
        line == b"*" || tags(line).any(|tag| equals(&tag, current.etag))
    })
}

/// An entity tag of a request (section 8.8.3).
struct Tag<'h> {
    weak: bool,
    quoted: &'h [u8],
}

impl<'h> Tag<'h> {
    /// Reads the tag that `text` begins with; returns it and what follows.
    fn read(text: &'h [u8]) -> Option<(Self, &'h [u8])> {
        let (weak, quoted) = match text.strip_prefix(b"W/") {
            Some(quoted) => (true, quoted),
            None => (false, text),
        };
        let opaque = quoted.strip_prefix(b"\"")?;
        let end = opaque.iter().position(|byte| *byte == b'"')? + 2;
        Some((
            Self {
                weak,
                quoted: &quoted[..end],
            },
            &quoted[end..],
        ))
    }

    fn equals_strongly(&self, etag: &str) -> bool {
        !self.weak && self.quoted == etag.as_bytes()
    }

    fn equals_weakly(&self, etag: &str) -> bool {
        self.quoted == etag.strip_prefix("W/").unwrap_or(etag).as_bytes()
    }
}

/// The tags of a list. Commas may be part of a tag, so it is not split at them; the list ends at the
/// first thing that is no tag.
fn tags(mut line: &[u8]) -> impl Iterator<Item = Tag<'_>> {
    std::iter::from_fn(move || {
        let start = line
            .iter()
            .position(|byte| !matches!(byte, b',' | b' ' | b'\t'))?;
        let (tag, rest) = Tag::read(&line[start..])?;
        line = rest;
        Some(tag)
    })
}

#[cfg(test)]
mod tests;
