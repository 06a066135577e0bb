//! Uploads as `multipart/form-data` (RFC 7578), from a body that is already in memory.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_TYPE};
use http_body_util::{BodyDataStream, Full};
use multer::{Field, Multipart};
use thiserror::Error;

use super::{disposition, parameters};

/// The longest boundary that RFC 2046 allows, in bytes.
const BOUNDARY_LEN_MAX: usize = 70;

/// One part of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The name of the form's field, where the client gives one.
    pub name: Option<String>,
    /// The name of the file without any path; `None` for a field that is no file.
    pub file_name: Option<String>,
    /// Its Content-Type, as it was sent.
    pub content_type: Option<String>,
    /// Its Content-MD5, as it was sent.
    pub content_md5: Option<String>,
    /// Whether its data are compressed (`Content-Encoding: gzip`).
    pub gzip: bool,
    /// The data: a slice of one buffer that all parts share.
    pub data: Bytes,
}

/// Why an upload is no `multipart/form-data`. Each is the client's mistake: 400 with its text.
#[derive(Debug, Error)]
pub enum MultipartError {
    /// The type of the request is another one, or missing.
    #[error("request Content-Type isn't multipart/form-data")]
    NotMultipart,
    /// The type has no boundary, or one that RFC 2046 forbids.
    #[error("no usable multipart boundary in Content-Type")]
    NoBoundary,
    /// The body does not begin with the boundary that the type announces.
    #[error("the multipart body does not contain its boundary {boundary:?}")]
    BoundaryNotFound {
        /// The boundary that was looked for.
        boundary: String,
    },
    /// The body ends before its closing boundary.
    #[error("the multipart body is truncated: part {part} does not end with the boundary")]
    Truncated {
        /// The part that is cut off, counted from 1.
        part: usize,
    },
    /// There are more parts than allowed; the client should send several uploads.
    #[error("the multipart body has more than {parts_max} parts")]
    TooManyParts {
        /// The limit.
        parts_max: usize,
    },
    /// The headers of a part cannot be read.
    #[error("part {part} of the multipart body is malformed: {reason}")]
    Malformed {
        /// The bad part, counted from 1.
        part: usize,
        /// What is wrong with it.
        reason: String,
    },
}

/// Reads all parts of `body`, at most `parts_max`, in their order.
///
/// The parser copies the body once into a buffer of its own, of which the parts are slices; `body` is
/// dropped at that moment.
pub fn parse(
    content_type: Option<&str>,
    body: Bytes,
    parts_max: usize,
) -> Result<Vec<Part>, MultipartError> {
    let boundary = boundary(content_type)?;
    let mut form = Multipart::new(BodyDataStream::new(Full::new(body)), boundary.as_str());
    let mut parts = Vec::new();
    loop {
        let number = parts.len() + 1;
        let field = match at_once(form.next_field()) {
            Ok(Some(field)) => field,
            Ok(None) => return Ok(parts),
            Err(multer::Error::IncompleteStream) if parts.is_empty() => {
                return Err(MultipartError::BoundaryNotFound { boundary });
            }
            Err(error) => return Err(of_part(number, &error)),
        };
        if parts.len() == parts_max {
            return Err(MultipartError::TooManyParts { parts_max });
        }
        parts.push(read(field).map_err(|error| of_part(number, &error))?);
    }
}

/// The boundary that a Content-Type announces.
pub fn boundary(content_type: Option<&str>) -> Result<String, MultipartError> {
    let content_type = content_type.ok_or(MultipartError::NotMultipart)?;
    if !parameters::essence(content_type).eq_ignore_ascii_case("multipart/form-data") {
        return Err(MultipartError::NotMultipart);
    }
    parameters::find(content_type.as_bytes(), "boundary")
        .filter(|boundary| (1..=BOUNDARY_LEN_MAX).contains(&boundary.len()))
        .ok_or(MultipartError::NoBoundary)
}

fn read(mut field: Field<'_>) -> multer::Result<Part> {
    let headers = field.headers();
    let gzip =
        text(headers, CONTENT_ENCODING.as_str()).is_some_and(|is| is.eq_ignore_ascii_case("gzip"));
    let parameter = |name| parameters::find(headers.get(CONTENT_DISPOSITION)?.as_bytes(), name);
    Ok(Part {
        name: parameter("name"),
        file_name: parameter("filename").and_then(|path| disposition::strip_path(&path)),
        content_type: text(headers, CONTENT_TYPE.as_str()),
        content_md5: text(headers, "content-md5"),
        gzip,
        data: data(&mut field)?,
    })
}

/// The data of a part. The whole body is in the parser's buffer by now, so there is one piece (or none),
/// and taking that as it is saves the copy that [`Field::bytes`] makes.
fn data(field: &mut Field<'_>) -> multer::Result<Bytes> {
    let Some(first) = at_once(field.chunk())? else {
        return Ok(Bytes::new());
    };
    let mut more = Vec::new();
    while let Some(piece) = at_once(field.chunk())? {
        more.push(piece);
    }
    Ok(if more.is_empty() {
        first
    } else {
        [vec![first], more].concat().concat().into()
    })
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?.trim();
    (!value.is_empty()).then(|| value.to_owned())
}

/// Runs a future of the parser, which never has to wait: its input is in memory. Should it want to wait
/// all the same, it lacks input.
fn at_once<T>(future: impl Future<Output = multer::Result<T>>) -> multer::Result<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(multer::Error::IncompleteStream),
    }
}

fn of_part(part: usize, error: &multer::Error) -> MultipartError {
    match error {
        multer::Error::IncompleteStream
        | multer::Error::IncompleteFieldData { .. }
        | multer::Error::IncompleteHeaders => MultipartError::Truncated { part },
        other => MultipartError::Malformed {
            part,
            reason: other.to_string(),
        },
    }
}

#[cfg(test)]
mod tests;
