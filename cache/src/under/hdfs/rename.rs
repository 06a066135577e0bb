//! Renaming. hdfs-native has HDFS's second rename alone; its first one, which moves into a folder, is made of that.

use super::calls::Calls;
use super::status;
use crate::backend::{BackendError, Caller, ErrorKind, RenameMode, Status};

pub(super) async fn rename(
    calls: &Calls,
    caller: &Caller,
    from: &str,
    to: &str,
    mode: RenameMode,
) -> Result<(), BackendError> {
    let into = match mode {
        RenameMode::Into => into(calls, caller, from, to).await?,
        RenameMode::NoReplace | RenameMode::Replace => Some(to.to_owned()),
    };
    let Some(to) = into else { return Ok(()) };
    if to
        .strip_prefix(from)
        .is_some_and(|rest| rest.starts_with('/'))
    {
        look(calls, caller, from)
            .await?
            .ok_or_else(|| BackendError::not_found(from))?;
        let text = format!("{from}: a folder cannot be moved into itself");
        return Err(BackendError::new(ErrorKind::Invalid, text));
    }
    let (overwrite, to) = (mode == RenameMode::Replace, to.as_str());
    let renamed = calls
        .tell(caller, from, |client| async move {
            client.rename(from, to, overwrite).await
        })
        .await;
    match renamed {
        Err(error) if error.kind == ErrorKind::Failed => {
            Err(explain(calls, caller, (from, to, mode), error).await)
        }
        done => done,
    }
}

/// Where a source really goes; nowhere, if it is there already.
async fn into(
    calls: &Calls,
    caller: &Caller,
    from: &str,
    to: &str,
) -> Result<Option<String>, BackendError> {
    let name = from.rsplit_once('/').map_or(from, |(_, name)| name);
    Ok(match look(calls, caller, to).await? {
        Some(target) if target.is_dir() => Some(format!("{}/{name}", to.trim_end_matches('/'))),
        Some(_) if from == to => None,
        _ => Some(to.to_owned()),
    })
}

async fn look(calls: &Calls, caller: &Caller, path: &str) -> Result<Option<Status>, BackendError> {
    let found = calls
        .ask(caller, path, |client| async move {
            client.get_file_info(path).await
        })
        .await;
    match found {
        Ok(found) => Ok(Some(status::of(&found, String::new()))),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Most of what a rename refuses it calls an `IOException`: what is there tells which it was.
async fn explain(
    calls: &Calls,
    caller: &Caller,
    (from, to, mode): (&str, &str, RenameMode),
    mut error: BackendError,
) -> BackendError {
    let (Ok(source), Ok(target)) = (
        look(calls, caller, from).await,
        look(calls, caller, to).await,
    ) else {
        return error;
    };
    let kinds = (source.map(|s| s.is_dir()), target.map(|t| t.is_dir()));
    match kinds {
        (Some(_), Some(_)) if mode != RenameMode::Replace => error.kind = ErrorKind::AlreadyExists,
        (Some(false), Some(true)) => error.kind = ErrorKind::IsADirectory,
        (Some(true), Some(false)) => error.kind = ErrorKind::NotADirectory,
        _ => {}
    }
    error
}
