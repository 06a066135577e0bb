//! Lists of what a client asks for: JSON lines, each a file id or a path in quotes, or an object with `fid` or `path` and, to be called so in
//! an archive, `name`.

use std::borrow::Cow;

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::Incoming;
use moongate_cache::{BackendError, ErrorKind};
use moongate_filer::FilePath;
use moongate_haystack::HaystackError;
use moongate_haystack::id::FileId;
use serde::Deserialize;

use super::BUDGET_WAIT;
use crate::archive::names;
use crate::files::FileError;
use crate::http::intake::{self, BudgetPermit, IntakeError};
use crate::protocol::exchange::declared_len;
use crate::protocol::image::error::ImageError;
use crate::state::Gateway;
use crate::tenancy::{self, Fenced};

/// An allocated path takes so much beside its bytes, about.
const PATH_BYTES: usize = 48;

/// What a line names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// An image by its id.
    Fid(FileId),
    /// A file by its path.
    Path(FilePath),
}

/// One image or file that a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Which.
    pub what: What,
    /// What to call it in an archive; `None`: as it is called where it is.
    pub name: Option<Box<str>>,
}

/// A list, and its share of the budget.
#[derive(Debug)]
pub struct List {
    /// In the client's order.
    pub wanted: Vec<Wanted>,
    /// To be kept for as long as what was in the list is.
    pub permits: [BudgetPermit; 2],
}

/// Why nothing is done with a list.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// It did not come whole.
    #[error(transparent)]
    Intake(#[from] IntakeError),
    /// It came, and cannot be read: say what would be.
    #[error("{0}")]
    Mistake(String),
    /// It names what is not the caller's.
    #[error(transparent)]
    Fenced(#[from] Fenced),
    /// The caller may not do it to something that it names.
    #[error("{0}")]
    Forbidden(String),
    /// What was to be done with it ended before its answer began.
    #[error("the work on the list ended without an answer: see the log")]
    Ended,
}

impl From<BackendError> for ListError {
    fn from(error: BackendError) -> Self {
        match error.kind {
            ErrorKind::PermissionDenied => Self::Forbidden(error.message),
            _ => Self::Mistake(error.message),
        }
    }
}

impl From<ListError> for ImageError {
    fn from(error: ListError) -> Self {
        match error {
            ListError::Intake(error) => Self::Intake(error),
            ListError::Mistake(text) => Self::BadRequest(text),
            ListError::Fenced(error) => Self::Fenced(error),
            ListError::Forbidden(text) => Self::Forbidden(text),
            ListError::Ended => HaystackError::Storage(error.to_string().into()).into(),
        }
    }
}

impl From<ListError> for FileError {
    fn from(error: ListError) -> Self {
        match error {
            ListError::Intake(error) => Self::Intake(error),
            ListError::Mistake(text) => Self::BadRequest(text),
            ListError::Fenced(error) => Self::Fenced(error),
            ListError::Forbidden(text) => Self::Forbidden(text),
            ListError::Ended => HaystackError::Storage(error.to_string().into()).into(),
        }
    }
}

/// A text alone.
#[derive(Deserialize)]
struct Bare<'a>(#[serde(borrow)] Cow<'a, str>);

/// An object.
#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow, default)]
    fid: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    path: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
}

/// Reads a list whole: a client that sends all of it before it reads is served, and a mistake in it is told before anything is done.
///
/// # Errors
/// The list does not come, names what is not the tenant's, is over `image.batch_list_bytes_max`, or has a line that names nothing.
pub async fn read(
    gateway: &Gateway,
    tenant: Option<&str>,
    headers: &HeaderMap,
    body: Incoming,
) -> Result<List, ListError> {
    let mut limits = gateway.intake.clone();
    limits.len_bytes_max = gateway.config.image.batch_list_bytes_max.bytes();
    let declared = declared_len(headers);
    let collected = intake::collect(body, declared, &limits, &gateway.budget)
        .await
        .map_err(too_long)?;
    let is_end = |byte: &&u8| **byte == b'\n';
    let lines = collected.bytes.iter().filter(is_end).count() + 1;
    let held = lines * (size_of::<Wanted>() + PATH_BYTES) + collected.bytes.len();
    let permit = gateway.budget.take(held as u64, BUDGET_WAIT).await;
    let permit = permit.ok_or(IntakeError::Busy)?;
    let wanted = parse(&collected.bytes, lines)?;
    tenancy::files::listed(gateway, tenant, &wanted)?;
    Ok(List {
        wanted,
        permits: [collected.permit, permit],
    })
}

fn too_long(error: IntakeError) -> ListError {
    match error {
        IntakeError::TooLarge { limit_bytes } => ListError::Mistake(format!(
            "the list is over the limit of {limit_bytes} bytes (image.batch_list_bytes_max): send it in parts"
        )),
        error => error.into(),
    }
}

fn parse(text: &Bytes, lines: usize) -> Result<Vec<Wanted>, ListError> {
    let mut wanted = Vec::with_capacity(lines);
    for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let one = of_line(line).map_err(|reason| {
            ListError::Mistake(format!("line {} of the list: {reason}", number + 1))
        })?;
        wanted.push(one);
    }
    Ok(wanted)
}

fn of_line(line: &[u8]) -> Result<Wanted, String> {
    const SHAPES: &str = r#"write "3,01637037d6" or "/a/b.jpg", or {"fid":"3,01637037d6","name":"a.jpg"} or {"path":"/a/b.jpg","name":"b.jpg"}"#;
    let other = |_| SHAPES.to_owned();
    // By its first byte: to try one shape after the other, serde would have to keep the value in between.
    let (what, name) = if line.first() == Some(&b'"') {
        let Bare(word) = serde_json::from_slice(line).map_err(other)?;
        match word.starts_with('/') {
            true => (path(&word)?, None),
            false => (fid(&word)?, None),
        }
    } else {
        let named: Named<'_> = serde_json::from_slice(line).map_err(other)?;
        match (named.fid, named.path) {
            (Some(word), None) => (fid(&word)?, named.name),
            (None, Some(word)) if word.starts_with('/') => (path(&word)?, named.name),
            _ => return Err(SHAPES.to_owned()),
        }
    };
    match name {
        Some(name) if !names::is_safe(&name) => Err(format!(
            "{name:?} cannot be a name in an archive: no / at its ends, no .., no control characters, at most {} bytes",
            crate::archive::NAME_BYTES_MAX
        )),
        name => Ok(Wanted {
            what,
            name: name.map(|name| name.into_owned().into_boxed_str()),
        }),
    }
}

fn fid(word: &str) -> Result<What, String> {
    let parsed = word.parse().map(What::Fid);
    parsed.map_err(|error| format!("{error}; a path begins with /"))
}

fn path(word: &str) -> Result<What, String> {
    let parsed = FilePath::parse(word).map(What::Path);
    parsed.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(text: &str) -> Result<Vec<Wanted>, String> {
        parse(&Bytes::copy_from_slice(text.as_bytes()), 1).map_err(|error| error.to_string())
    }

    #[test]
    fn ids_and_paths_with_and_without_names() {
        let text = "\"3,01637037d6\"\r\n\n{\"fid\":\"4,02637037d6\",\"name\":\"caf\\u00e9/a.jpg\"}\n\"/a/b.jpg\"\n\
                    {\"path\":\"/c\",\"name\":\"x/c.jpg\"}\n{\"path\":\"/d\"}";
        let wanted = list(text).unwrap();
        let names: Vec<_> = wanted.iter().map(|it| it.name.as_deref()).collect();
        assert_eq!(
            names,
            [None, Some("café/a.jpg"), None, Some("x/c.jpg"), None]
        );
        let words = wanted.iter().map(|it| match &it.what {
            What::Fid(fid) => fid.to_string(),
            What::Path(path) => path.to_string(),
        });
        let want = ["3,01637037d6", "4,02637037d6", "/a/b.jpg", "/c", "/d"];
        assert_eq!(words.collect::<Vec<_>>(), want);
    }

    #[test]
    fn a_mistake_is_told_with_its_line() {
        for (text, says) in [
            ("\"3,01637037d6\"\nx", "line 2"),
            ("\"3\"", "line 1"),
            ("\"a/b.jpg\"", "begins with /"),
            ("\"/a/../b\"", "line 1"),
            ("{\"path\":\"a\"}", "write"),
            ("{\"path\":\"/a\",\"fid\":\"3,01637037d6\"}", "write"),
            (
                "{\"fid\":\"3,01637037d6\",\"name\":\"../x\"}",
                "cannot be a name",
            ),
            ("{\"path\":\"/a\",\"name\":\"../x\"}", "cannot be a name"),
            ("{\"name\":\"x\"}", "write"),
        ] {
            let error = list(text).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(?s).{0,200}") {
            let _ = list(&text);
        }
    }
}
