//! The files in a request's body: of a form each part, else the body itself.

use http::{HeaderMap, Method, header};
use hyper::body::Incoming;

use super::error::ImageError;
use super::prepare::{Upload, mime_by_name};
use super::write::WriteRequest;
use crate::http::disposition;
use crate::http::intake::{self, Collected};
use crate::http::multipart::{self, Part};
use crate::protocol::exchange::declared_len;
use crate::state::Gateway;

const FILES_PER_UPLOAD_MAX: usize = 10_000;
const URLENCODED: &str = "application/x-www-form-urlencoded";

/// Reads a whole body.
pub async fn collect(
    gateway: &Gateway,
    headers: &HeaderMap,
    body: Incoming,
) -> Result<Collected, ImageError> {
    let declared = declared_len(headers);
    Ok(intake::collect(body, declared, &gateway.intake, &gateway.budget).await?)
}

/// The files of a request: of a form all with a file name (or its first part), else the body.
pub fn uploads(
    request: &WriteRequest<'_>,
    collected: &Collected,
    url_name: &str,
) -> Result<Vec<Upload>, ImageError> {
    let content_type = request
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok());
    let is_form = content_type.is_none_or(|t| t.contains("form-data"));
    if *request.method != Method::POST || !is_form {
        return raw(request, collected, content_type, url_name).map(|upload| vec![upload]);
    }
    let parts = multipart::parse(content_type, collected.bytes.clone(), FILES_PER_UPLOAD_MAX)?;
    let mut files: Vec<Part> = parts;
    if files.iter().any(|part| part.file_name.is_some()) {
        files.retain(|part| part.file_name.is_some());
    } else {
        files.truncate(1);
    }
    if files.is_empty() {
        Err(ImageError::BadRequest("the form has no part".into()))
    } else {
        files.into_iter().map(of_part).collect()
    }
}

fn of_part(part: Part) -> Result<Upload, ImageError> {
    let name = part.file_name.unwrap_or_default();
    let declared = part
        .content_type
        .filter(|t| t != "application/octet-stream");
    let mime = declared.unwrap_or_else(|| mime_by_name(&name));
    Ok(Upload {
        name,
        mime,
        data: part.data,
        gzip: part.gzip,
        md5: part.content_md5,
    })
}

fn raw(
    request: &WriteRequest<'_>,
    collected: &Collected,
    content_type: Option<&str>,
    url_name: &str,
) -> Result<Upload, ImageError> {
    if *request.method == Method::POST && content_type.is_some_and(|t| t.starts_with(URLENCODED)) {
        return Err(ImageError::BadRequest(format!(
            "a body of type {URLENCODED} is not stored: send the file with its own Content-Type, or as a form (curl -F file=@name)"
        )));
    }
    let named = request
        .headers
        .get(header::CONTENT_DISPOSITION)
        .and_then(|v| disposition::file_name(v.as_bytes()));
    let name = named.unwrap_or_else(|| url_name.to_owned());
    let header_text = |name: &str| {
        request
            .headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .map(str::to_owned)
    };
    let gzip = header_text("content-encoding").is_some_and(|v| v == "gzip");
    let mime = content_type.map_or_else(|| mime_by_name(&name), str::to_owned);
    Ok(Upload {
        name,
        mime,
        data: collected.bytes.clone(),
        gzip,
        md5: header_text("content-md5"),
    })
}
