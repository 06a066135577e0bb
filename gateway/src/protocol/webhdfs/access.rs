//! CHECKACCESS: whether a caller may, as the gatekeeper decides it; where nothing is governed by owner, group and mode, as HDFS tells it.

use moongate_auth::policy::FsAction;
use moongate_cache::{BackendError, Caller, ErrorKind, Status};

use super::error::Refusal;
use super::{Asked, acl, done, passthrough, status};
use crate::http::Response;
use crate::namespace::Namespace;
use crate::policy::gatekeeper::Deed;

/// CHECKACCESS. A NameNode knows groups, superusers and access control lists: it is asked where the mount names it.
pub async fn check(asked: &Asked<'_>) -> Result<Response, Refusal> {
    let action = asked.params.required("fsaction", "CHECKACCESS")?;
    let Some(bits) = acl::permission(action) else {
        let text =
            format!("Invalid value: \"{action}\" does not belong to the domain [r-][w-][x-]");
        return Err(Refusal::parameter("fsaction", &text));
    };
    let namespace = asked.namespace();
    let governed = namespace.is_governed(&asked.path);
    if passthrough::has_namenode(asked) && !governed {
        return passthrough::forward(asked, "CHECKACCESS").await;
    }
    let found = status::of(asked).await.map_err(|refusal| match refusal {
        Refusal::Store {
            kind: ErrorKind::NotFound,
            ..
        } => {
            let text = format!("Path not found: {}", asked.path);
            BackendError::new(ErrorKind::NotFound, text).into()
        }
        other => other,
    })?;
    if settled(namespace, &asked.caller, &asked.path, bits).await? {
        return Ok(done(http::StatusCode::OK));
    }
    if passthrough::has_namenode(asked) {
        return passthrough::forward(asked, "CHECKACCESS").await;
    }
    verdict(&found, &asked.caller, &asked.path, bits)?;
    Ok(done(http::StatusCode::OK))
}

/// Asks the gatekeeper, where the path is governed. `true`: that settles it; else the store's own permissions are asked next.
///
/// # Errors
/// The gatekeeper refuses.
pub async fn settled(
    namespace: &Namespace,
    caller: &Caller,
    path: &str,
    bits: u8,
) -> Result<bool, BackendError> {
    if !namespace.is_governed(path) {
        return Ok(false);
    }
    if let Some(action) = FsAction::of_bits(bits) {
        drop(namespace.may(caller, Deed::Check(action), path).await?);
    }
    Ok(!namespace.leaves_to_store(path))
}

/// Whether owner, group and mode let a caller, as far as the gateway knows them.
///
/// # Errors
/// AccessControlException, in the NameNode's words.
pub fn verdict(found: &Status, caller: &Caller, path: &str, bits: u8) -> Result<(), Refusal> {
    if granted(found, &caller.user) & bits == bits {
        return Ok(());
    }
    let text = format!(
        "Permission denied: user={}, access={}, inode=\"{path}\":{}:{}:{}",
        caller.user,
        name(bits),
        found.owner,
        found.group,
        symbolic(found)
    );
    Err(BackendError::new(ErrorKind::PermissionDenied, text).into())
}

/// What owner, group or others may. Nobody's groups are known here: a user is in the group of the same name.
fn granted(status: &Status, user: &str) -> u8 {
    let class = if *status.owner == *user {
        6
    } else if *status.group == *user {
        3
    } else {
        0
    };
    u8::try_from((status.permission >> class) & 7).unwrap_or(0)
}

/// As `org.apache.hadoop.fs.permission.FsAction` calls it.
const fn name(bits: u8) -> &'static str {
    match bits & 7 {
        0 => "NONE",
        1 => "EXECUTE",
        2 => "WRITE",
        3 => "WRITE_EXECUTE",
        4 => "READ",
        5 => "READ_EXECUTE",
        6 => "READ_WRITE",
        _ => "ALL",
    }
}

/// `-rw-r--r--`
fn symbolic(status: &Status) -> String {
    let kind = if status.is_dir() { 'd' } else { '-' };
    let class = |shift: u16| acl::bits(u8::try_from((status.permission >> shift) & 7).unwrap_or(0));
    format!("{kind}{}{}{}", class(6), class(3), class(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespace::path;

    #[test]
    fn the_mode_decides() {
        let mut status = crate::namespace::folder_status(path::name("/d"));
        status.owner = "alice".into();
        status.group = "bob".into();
        status.permission = 0o751;
        assert_eq!(
            [
                granted(&status, "alice"),
                granted(&status, "bob"),
                granted(&status, "eve")
            ],
            [7, 5, 1]
        );
        assert_eq!(
            (name(5), symbolic(&status)),
            ("READ_EXECUTE", "drwxr-x--x".into())
        );
    }
}
