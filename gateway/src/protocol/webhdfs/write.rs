//! CREATE and APPEND: first a redirect to ourselves with `data=true`, as HttpFS has it, then the bytes, straight into the store.

use std::fmt::Write as _;
use std::sync::Arc;

use http::{HeaderValue, StatusCode, header};
use hyper::body::Incoming;
use moongate_cache::{Backend as _, BackendError, BackendWriter, CreateOptions, ErrorKind};

use super::error::Refusal;
use super::json::named;
use super::status::missing;
use super::{Asked, done};
use crate::http::Response;
use crate::http::arriving::Arriving;
use crate::http::intake::IntakeError;
use crate::state::Gateway;

const PERMISSION: u16 = 0o644;

/// Whether the client wants to be told where to go, in place of an answer.
pub fn wants_location(asked: &Asked<'_>) -> Result<bool, Refusal> {
    Ok(asked.params.is_true("noredirect", false)? && !is_data(asked)?)
}

fn is_data(asked: &Asked<'_>) -> Result<bool, Refusal> {
    asked.params.is_true("data", false)
}

/// `{"Location":"http://…"}`
pub fn location(asked: &Asked<'_>) -> Response {
    named("Location", &data_url(asked))
}

/// This very request, with `data=true`; the bytes of the path stay what they are.
fn data_url(asked: &Asked<'_>) -> String {
    let mut url = asked.origin();
    push_ascii(&mut url, asked.parts.uri.path());
    url.push('?');
    push_ascii(&mut url, asked.parts.uri.query().unwrap_or_default());
    url.push_str("&data=true");
    url
}

/// What stands in a header is ASCII: what is not goes as percent-encoded bytes, which mean the same.
fn push_ascii(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_graphic() {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

fn redirect(asked: &Asked<'_>) -> Result<Response, Refusal> {
    if wants_location(asked)? {
        return Ok(location(asked));
    }
    let mut response = done(StatusCode::TEMPORARY_REDIRECT);
    let url = HeaderValue::from_str(&data_url(asked));
    let url = url.map_err(|_| Refusal::Illegal("Invalid path name".into()))?;
    response.headers_mut().insert(header::LOCATION, url);
    Ok(response)
}

/// CREATE
pub async fn create(asked: &Asked<'_>, body: Incoming) -> Result<Response, Refusal> {
    let options = options(asked)?;
    if !is_data(asked)? {
        return redirect(asked);
    }
    let begun = asked
        .namespace()
        .create(&asked.caller, &asked.path, &options)
        .await;
    let writer = begun.map_err(|error| not_created(asked, error))?;
    carry(asked.gateway, body, writer).await?;
    let mut response = done(StatusCode::CREATED);
    let mut url = asked.origin();
    push_ascii(&mut url, asked.parts.uri.path());
    if let Ok(url) = HeaderValue::from_str(&url) {
        response.headers_mut().insert(header::LOCATION, url);
    }
    Ok(response)
}

fn options(asked: &Asked<'_>) -> Result<CreateOptions, Refusal> {
    let params = asked.params;
    Ok(CreateOptions {
        overwrite: params.is_true("overwrite", false)?,
        create_parents: params.is_true("createparent", true)?,
        permission: params.permission(PERMISSION)?,
        replication: params.replication()?,
        block_bytes: params.number("blocksize", 1)?,
    })
}

fn not_created(asked: &Asked<'_>, error: BackendError) -> Refusal {
    let path = &asked.path;
    let text = match error.kind {
        ErrorKind::IsADirectory => format!("{path} already exists as a directory"),
        ErrorKind::AlreadyExists if error.class.is_none() => format!("{path} already exists"),
        _ => return error.into(),
    };
    BackendError::new(error.kind, text).into()
}

/// APPEND
pub async fn append(asked: &Asked<'_>, body: Incoming) -> Result<Response, Refusal> {
    if !is_data(asked)? {
        return redirect(asked);
    }
    let begun = asked.namespace().append(&asked.caller, &asked.path).await;
    let writer = begun.map_err(|error| not_appended(asked, error))?;
    carry(asked.gateway, body, writer).await?;
    Ok(done(StatusCode::OK))
}

fn not_appended(asked: &Asked<'_>, error: BackendError) -> Refusal {
    let path = &asked.path;
    if error.kind == ErrorKind::IsADirectory {
        let text = format!("Cannot append to directory {path}; already exists as a directory.");
        return BackendError::new(error.kind, text).into();
    }
    missing(error, || format!("File {path} not found."))
}

/// Carries a body into a writer: all of it, or the writer is given up. It is a task of its own, for a client that goes away takes the request
/// with it, and a file that is begun must be ended one way or the other.
///
/// # Errors
/// The client stalls or leaves, or the store says no.
pub async fn carry(
    gateway: &Arc<Gateway>,
    body: Incoming,
    writer: Box<dyn BackendWriter>,
) -> Result<(), Refusal> {
    let arriving = Arriving::new(body, &gateway.intake);
    let carrying = tokio::spawn(carry_all(arriving, writer));
    let carried = carrying.await;
    carried.unwrap_or_else(|error| Err(Refusal::Io(format!("the upload broke off: {error}"))))
}

async fn carry_all(
    mut arriving: Arriving<Incoming>,
    mut writer: Box<dyn BackendWriter>,
) -> Result<(), Refusal> {
    loop {
        let piece = match arriving.next().await {
            Ok(Some(piece)) => piece,
            Ok(None) => return Ok(writer.finish().await?),
            Err(error) => return give_up(writer, error).await,
        };
        let asked = tokio::time::Instant::now();
        if let Err(error) = writer.write(piece).await {
            writer.abort().await;
            return Err(error.into());
        }
        arriving.forgive(asked);
    }
}

async fn give_up(writer: Box<dyn BackendWriter>, error: IntakeError) -> Result<(), Refusal> {
    writer.abort().await;
    Err(error.into())
}
