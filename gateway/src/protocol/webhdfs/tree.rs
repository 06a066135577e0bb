//! Changes of the tree: MKDIRS, RENAME, DELETE, CONCAT, TRUNCATE.

use http::StatusCode;
use moongate_cache::{Backend as _, BackendError, ErrorKind, RenameMode};

use super::error::Refusal;
use super::json::boolean;
use super::{Asked, done, passthrough, status};
use crate::http::Response;
use crate::namespace::path as paths;

const FOLDER_PERMISSION: u16 = 0o755;
/// Most sources of one CONCAT.
const SOURCES_MAX: usize = 10_000;

/// MKDIRS
pub async fn make_dirs(asked: &Asked<'_>) -> Result<Response, Refusal> {
    let permission = asked.params.permission(FOLDER_PERMISSION)?;
    let made = asked
        .namespace()
        .make_dirs(&asked.caller, &asked.path, permission)
        .await;
    made.map_err(|error| match error.kind {
        ErrorKind::AlreadyExists => {
            let text = format!("Path is not a directory: {}", asked.path);
            BackendError::new(ErrorKind::AlreadyExists, text)
        }
        _ => error,
    })?;
    Ok(boolean(true))
}

/// RENAME: without options what cannot be is `false`, with them it is an exception.
pub async fn rename(asked: &Asked<'_>) -> Result<Response, Refusal> {
    let to = paths::normal(asked.params.path("destination", "RENAME")?)?;
    let mode = mode(asked.params.text("renameoptions"))?;
    let renamed = asked
        .namespace()
        .rename(
            &asked.caller,
            &asked.path,
            &to,
            mode.unwrap_or(RenameMode::Into),
        )
        .await;
    match (renamed, mode) {
        (Ok(()), None) => Ok(boolean(true)),
        (Ok(()), Some(_)) => Ok(done(StatusCode::OK)),
        (Err(error), None) if is_plain_failure(&error) => Ok(boolean(false)),
        (Err(error), Some(_)) if error.class.is_none() && error.kind == ErrorKind::Invalid => {
            Err(Refusal::Io(format!(
                "Rename destination {to} is a directory or file under source {}",
                asked.path
            )))
        }
        (Err(error), _) => Err(error.into()),
    }
}

/// `None` if no options are given.
fn mode(options: Option<&str>) -> Result<Option<RenameMode>, Refusal> {
    let Some(options) = options else {
        return Ok(None);
    };
    let mut mode = RenameMode::NoReplace;
    for option in options.split(',').map(str::trim) {
        if option.eq_ignore_ascii_case("OVERWRITE") {
            mode = RenameMode::Replace;
        } else if !["NONE", "TO_TRASH"]
            .iter()
            .any(|known| option.eq_ignore_ascii_case(known))
        {
            let text = format!(
                "No enum constant org.apache.hadoop.fs.Options.Rename.{}",
                option.to_ascii_uppercase()
            );
            return Err(Refusal::parameter("renameoptions", &text));
        }
    }
    Ok(Some(mode))
}

/// What HDFS's first rename answers with `false`.
pub const fn is_plain_failure(error: &BackendError) -> bool {
    match error.kind {
        ErrorKind::NotFound
        | ErrorKind::AlreadyExists
        | ErrorKind::NotADirectory
        | ErrorKind::IsADirectory
        | ErrorKind::NotEmpty
        | ErrorKind::Invalid
        | ErrorKind::Failed => true,
        ErrorKind::PermissionDenied
        | ErrorKind::Changed
        | ErrorKind::Unsupported
        | ErrorKind::Unavailable
        | ErrorKind::TimedOut
        | ErrorKind::NoSpace => false,
    }
}

/// DELETE
pub async fn delete(asked: &Asked<'_>) -> Result<Response, Refusal> {
    let recursive = asked.params.is_true("recursive", false)?;
    if asked.path == "/" {
        return Ok(boolean(false));
    }
    let deleted = asked
        .namespace()
        .delete(&asked.caller, &asked.path, recursive)
        .await;
    let deleted = deleted.map_err(|error| match error.kind {
        ErrorKind::NotEmpty => {
            let text = format!("`{} is non empty': Directory is not empty", asked.path);
            BackendError::new(ErrorKind::NotEmpty, text)
        }
        _ => error,
    })?;
    Ok(boolean(deleted))
}

/// CONCAT
pub async fn concat(asked: &Asked<'_>) -> Result<Response, Refusal> {
    let given = asked.params.required("sources", "CONCAT")?;
    let mut sources = Vec::new();
    for source in given.split(',').take(SOURCES_MAX + 1) {
        sources.push(paths::normal(source)?);
    }
    if sources.len() > SOURCES_MAX {
        return Err(Refusal::Illegal(format!(
            "concat: at most {SOURCES_MAX} sources at once"
        )));
    }
    if sources.contains(&asked.path) {
        let text = format!(
            "concat: the src file {0} is the same with the target file {0}",
            asked.path
        );
        let class = "org.apache.hadoop.HadoopIllegalArgumentException";
        return Err(BackendError::of_class(ErrorKind::Invalid, class, text).into());
    }
    let joined = asked
        .namespace()
        .concat(&asked.caller, &asked.path, &sources)
        .await;
    match joined {
        Ok(()) => Ok(done(StatusCode::OK)),
        Err(error) => passthrough::instead(asked, "CONCAT", error.into()).await,
    }
}

/// TRUNCATE
pub async fn truncate(asked: &Asked<'_>) -> Result<Response, Refusal> {
    asked.params.required("newlength", "TRUNCATE")?;
    let len = asked.params.number("newlength", 0)?.unwrap_or(0);
    let cut = asked
        .namespace()
        .truncate(&asked.caller, &asked.path, len)
        .await;
    match cut {
        Ok(cut) => Ok(boolean(cut)),
        Err(error) => {
            let refused = status::no_file(asked, error);
            passthrough::instead(asked, "TRUNCATE", refused).await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rename_options() {
        assert_eq!(mode(None).unwrap(), None);
        assert_eq!(mode(Some("NONE")).unwrap(), Some(RenameMode::NoReplace));
        assert_eq!(
            mode(Some("none,overwrite")).unwrap(),
            Some(RenameMode::Replace)
        );
        let text = "Invalid value for webhdfs parameter \"renameoptions\": No enum constant org.apache.hadoop.fs.Options.Rename.BAD";
        assert_eq!(
            mode(Some("BAD")).unwrap_err(),
            Refusal::Illegal(text.into())
        );
    }
}
