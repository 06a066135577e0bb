//! Lists of images: JSON lines, each a file id in quotes or an object with `fid` and, to be called so in an archive, `name`.

use std::borrow::Cow;

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::Incoming;
use moongate_haystack::id::FileId;
use serde::Deserialize;

use super::super::error::ImageError;
use crate::archive::names;
use crate::http::intake::{self, BudgetPermit, IntakeError};
use crate::protocol::batch::BUDGET_WAIT;
use crate::protocol::exchange::declared_len;
use crate::state::Gateway;

/// One image that a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its id.
    pub fid: FileId,
    /// What to call it; `None`: as it is stored.
    pub name: Option<Box<str>>,
}

/// A list, and its share of the budget.
#[derive(Debug)]
pub struct List {
    /// In the client's order.
    pub wanted: Vec<Wanted>,
    _permits: [BudgetPermit; 2],
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line<'a> {
    #[serde(borrow)]
    Fid(Cow<'a, str>),
    Named {
        #[serde(borrow)]
        fid: Cow<'a, str>,
        #[serde(borrow, default)]
        name: Option<Cow<'a, str>>,
    },
}

/// Reads a list whole: a client that sends all of it before it reads is served, and a mistake in it is told before anything is done.
pub async fn read(
    gateway: &Gateway,
    headers: &HeaderMap,
    body: Incoming,
) -> Result<List, ImageError> {
    let mut limits = gateway.intake.clone();
    limits.len_bytes_max = gateway.config.image.batch_list_bytes_max.bytes();
    let declared = declared_len(headers);
    let collected = intake::collect(body, declared, &limits, &gateway.budget)
        .await
        .map_err(too_long)?;
    let lines = collected
        .bytes
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
        + 1;
    let held = lines * size_of::<Wanted>();
    let permit = gateway.budget.take(held as u64, BUDGET_WAIT).await;
    let permit = permit.ok_or(IntakeError::Busy)?;
    let wanted = parse(&collected.bytes, lines)?;
    Ok(List {
        wanted,
        _permits: [collected.permit, permit],
    })
}

fn too_long(error: IntakeError) -> ImageError {
    match error {
        IntakeError::TooLarge { limit_bytes } => ImageError::BadRequest(format!(
            "the list is over the limit of {limit_bytes} bytes (image.batch_list_bytes_max): send it in parts"
        )),
        error => error.into(),
    }
}

fn parse(text: &Bytes, lines: usize) -> Result<Vec<Wanted>, ImageError> {
    let mut wanted = Vec::with_capacity(lines);
    for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let one = of_line(line).map_err(|reason| {
            ImageError::BadRequest(format!("line {} of the list: {reason}", number + 1))
        })?;
        wanted.push(one);
    }
    Ok(wanted)
}

fn of_line(line: &[u8]) -> Result<Wanted, String> {
    const SHAPES: &str = r#"write "3,01637037d6" or {"fid":"3,01637037d6","name":"a.jpg"}"#;
    let line: Line<'_> = serde_json::from_slice(line).map_err(|_| SHAPES.to_owned())?;
    let (fid, name) = match line {
        Line::Fid(fid) => (fid, None),
        Line::Named { fid, name } => (fid, name),
    };
    let fid = fid.parse().map_err(|error| format!("{error}"))?;
    match name {
        Some(name) if !names::is_safe(&name) => Err(format!(
            "{name:?} cannot be a name in an archive: no / at its ends, no .., no control characters, at most {} bytes",
            crate::archive::NAME_BYTES_MAX
        )),
        name => Ok(Wanted {
            fid,
            name: name.map(|name| name.into_owned().into_boxed_str()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(text: &str) -> Result<Vec<Wanted>, String> {
        parse(&Bytes::copy_from_slice(text.as_bytes()), 1).map_err(|error| error.to_string())
    }

    #[test]
    fn both_shapes() {
        let text = "\"3,01637037d6\"\r\n\n{\"fid\":\"4,02637037d6\",\"name\":\"caf\\u00e9/a.jpg\"}\n{\"fid\":\"3,01637037d6\"}";
        let wanted = list(text).unwrap();
        let names: Vec<_> = wanted.iter().map(|it| it.name.as_deref()).collect();
        assert_eq!(names, [None, Some("café/a.jpg"), None]);
        assert_eq!(wanted[1].fid.to_string(), "4,02637037d6");
    }

    #[test]
    fn a_mistake_is_told_with_its_line() {
        for (text, says) in [
            ("\"3,01637037d6\"\nx", "line 2"),
            ("\"3\"", "line 1"),
            (
                "{\"fid\":\"3,01637037d6\",\"name\":\"../x\"}",
                "cannot be a name",
            ),
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
