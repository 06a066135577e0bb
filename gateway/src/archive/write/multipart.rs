//! `multipart/mixed` (RFC 2046, 5.1): a part an entry, with its name, type and length.

use std::io::Write as _;

use http::HeaderValue;

use super::Entry;
use crate::http::disposition::{self, Disposition};

/// See the module.
#[derive(Debug)]
pub struct MultipartEncoder {
    boundary: String,
}

impl MultipartEncoder {
    pub fn new(boundary: &str) -> Self {
        Self {
            boundary: boundary.to_owned(),
        }
    }

    pub fn content_type(&self) -> HeaderValue {
        let value = format!("multipart/mixed; boundary={}", self.boundary);
        HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static("multipart/mixed"))
    }

    pub fn begin(&self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        let known = HeaderValue::from_str(entry.mime)
            .ok()
            .filter(|mime| !mime.is_empty());
        let mime = known.unwrap_or(HeaderValue::from_static("application/octet-stream"));
        let name = disposition::format(Disposition::Attachment, entry.name);
        self.boundary(out);
        for (header, value) in [("Content-Disposition", &name), ("Content-Type", &mime)] {
            out.extend_from_slice(header.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        // Writing to a Vec cannot fail.
        let _ = write!(out, "Content-Length: {}\r\n\r\n", entry.size_bytes);
    }

    fn boundary(&self, out: &mut Vec<u8>) {
        let _ = write!(out, "\r\n--{}\r\n", self.boundary);
    }

    pub fn finish(&self, out: &mut Vec<u8>) {
        let _ = write!(out, "\r\n--{}--\r\n", self.boundary);
    }
}
