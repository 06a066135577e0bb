//! Changes of what is known of a file: permissions, owners, times, copies, access control lists.

use http::StatusCode;
use moongate_cache::{Backend as _, Change, ErrorKind};

use super::error::Refusal;
use super::json::boolean;
use super::status::missing;
use super::{Asked, Op, acl, done};
use crate::http::Response;

/// What SETPERMISSION sets without a parameter.
const PERMISSION: u16 = 0o755;

/// Everything but SETREPLICATION.
pub async fn apply(asked: &Asked<'_>) -> Result<Response, Refusal> {
    let change = wanted(asked)?;
    let changed = asked
        .namespace()
        .change(&asked.caller, &asked.path, &change)
        .await;
    changed.map_err(|error| missing(error, || not_there(asked)))?;
    Ok(done(StatusCode::OK))
}

fn not_there(asked: &Asked<'_>) -> String {
    let path = &asked.path;
    match asked.op {
        Op::SetTimes => format!("File/Directory {path} does not exist."),
        _ => format!("Directory/File does not exist {path}"),
    }
}

fn wanted(asked: &Asked<'_>) -> Result<Change, Refusal> {
    let params = asked.params;
    let entries = |op: &str, with_permission: bool| {
        acl::parse(params.required("aclspec", op)?, with_permission)
    };
    Ok(match asked.op {
        Op::SetOwner => owner(asked)?,
        Op::SetTimes => Change::Times {
            modified_ms: params
                .signed("modificationtime", -1)?
                .and_then(|ms| u64::try_from(ms).ok()),
            accessed_ms: params
                .signed("accesstime", -1)?
                .and_then(|ms| u64::try_from(ms).ok()),
        },
        Op::ModifyAclEntries => Change::ModifyAcl(entries("MODIFYACLENTRIES", true)?),
        Op::RemoveAclEntries => Change::RemoveAclEntries(entries("REMOVEACLENTRIES", false)?),
        Op::SetAcl => Change::SetAcl(entries("SETACL", true)?),
        Op::RemoveDefaultAcl => Change::RemoveDefaultAcl,
        Op::RemoveAcl => Change::RemoveAcl,
        _ => Change::Permission(params.permission(PERMISSION)?),
    })
}

fn owner(asked: &Asked<'_>) -> Result<Change, Refusal> {
    let name = |parameter| asked.params.text(parameter).map(str::to_owned);
    match (name("owner"), name("group")) {
        (None, None) => Err(Refusal::Illegal("Both owner and group are empty.".into())),
        (owner, group) => Ok(Change::Owner { owner, group }),
    }
}

/// SETREPLICATION: of a folder, or of nothing, it is `false`.
pub async fn replication(asked: &Asked<'_>) -> Result<Response, Refusal> {
    let copies = asked.params.replication()?;
    let found = asked
        .namespace()
        .status(&asked.caller, &asked.path, asked.freshness())
        .await;
    match found {
        Ok(status) if status.is_dir() => return Ok(boolean(false)),
        Err(error) if error.kind == ErrorKind::NotFound => return Ok(boolean(false)),
        Err(error) => return Err(error.into()),
        Ok(_) => {}
    }
    let change = Change::Replication(copies.unwrap_or(3));
    asked
        .namespace()
        .change(&asked.caller, &asked.path, &change)
        .await?;
    Ok(boolean(true))
}
