//! Changes of attributes, and access control lists.

use hdfs_native::Client;
use hdfs_native::HdfsError;
use hdfs_native::acl::{self as native, AclEntryScope, AclEntryType, FsAction};

use super::calls::Calls;
use crate::backend::{AclEntry, AclStatus, BackendError, Caller, Change, ErrorKind};

/// `-1` in Java: the time stays.
const STAYS: u64 = u64::MAX;

pub(super) async fn change(
    calls: &Calls,
    caller: &Caller,
    path: &str,
    change: &Change,
) -> Result<(), BackendError> {
    let entries = match change {
        Change::ModifyAcl(entries)
        | Change::RemoveAclEntries(entries)
        | Change::SetAcl(entries) => to_native(path, entries)?,
        Change::Permission(_)
        | Change::Owner { .. }
        | Change::Times { .. }
        | Change::Replication(_)
        | Change::RemoveDefaultAcl
        | Change::RemoveAcl => Vec::new(),
    };
    calls
        .tell(caller, path, |client| async move {
            apply(&client, path, change, entries).await
        })
        .await
}

async fn apply(
    client: &Client,
    path: &str,
    change: &Change,
    entries: Vec<native::AclEntry>,
) -> Result<(), HdfsError> {
    match change {
        Change::Permission(permission) => client.set_permission(path, u32::from(*permission)).await,
        Change::Owner { owner, group } => {
            client
                .set_owner(path, owner.as_deref(), group.as_deref())
                .await
        }
        Change::Times {
            modified_ms,
            accessed_ms,
        } => {
            let (modified, accessed) = (modified_ms.unwrap_or(STAYS), accessed_ms.unwrap_or(STAYS));
            client.set_times(path, modified, accessed).await
        }
        Change::Replication(copies) => {
            let set = client.set_replication(path, u32::from(*copies)).await?;
            // HDFS says no more than that it did not.
            let text = || format!("{path}: only a file has a replication");
            set.then_some(())
                .ok_or_else(|| HdfsError::InvalidArgument(text()))
        }
        Change::ModifyAcl(_) => client.modify_acl_entries(path, entries).await,
        Change::RemoveAclEntries(_) => client.remove_acl_entries(path, entries).await,
        Change::RemoveDefaultAcl => client.remove_default_acl(path).await,
        Change::RemoveAcl => client.remove_acl(path).await,
        Change::SetAcl(_) => client.set_acl(path, entries).await,
    }
}

pub(super) async fn of(
    calls: &Calls,
    caller: &Caller,
    path: &str,
) -> Result<AclStatus, BackendError> {
    let acl = calls
        .ask(caller, path, |client| async move {
            client.get_acl_status(path).await
        })
        .await?;
    Ok(AclStatus {
        owner: acl.owner,
        group: acl.group,
        permission: acl.permission & 0o1777,
        sticky: acl.sticky,
        entries: acl.entries.into_iter().map(from_native).collect(),
    })
}

fn from_native(entry: native::AclEntry) -> AclEntry {
    AclEntry {
        is_default: entry.scope == AclEntryScope::Default,
        kind: entry.r#type.to_string(),
        name: entry.name.unwrap_or_default(),
        permission: Some(bits(&entry.permissions)),
    }
}

fn to_native(path: &str, entries: &[AclEntry]) -> Result<Vec<native::AclEntry>, BackendError> {
    let one = |entry: &AclEntry| {
        let kind = kind(&entry.kind)?;
        let scope = if entry.is_default {
            AclEntryScope::Default
        } else {
            AclEntryScope::Access
        };
        let permission = action(entry.permission.unwrap_or(0))?;
        let name = (!entry.name.is_empty()).then(|| entry.name.clone());
        Some(native::AclEntry::new(kind, scope, permission, name))
    };
    let refuse = |entry: &AclEntry| {
        let text = format!("{path}: {entry:?} is no entry of an access control list");
        BackendError::new(ErrorKind::Invalid, text)
    };
    entries
        .iter()
        .map(|entry| one(entry).ok_or_else(|| refuse(entry)))
        .collect()
}

/// hdfs-native's own conversion panics on any other word.
fn kind(word: &str) -> Option<AclEntryType> {
    match word {
        "user" => Some(AclEntryType::User),
        "group" => Some(AclEntryType::Group),
        "mask" => Some(AclEntryType::Mask),
        "other" => Some(AclEntryType::Other),
        _ => None,
    }
}

fn action(bits: u8) -> Option<FsAction> {
    Some(match bits {
        0 => FsAction::None,
        1 => FsAction::Execute,
        2 => FsAction::Write,
        3 => FsAction::WriteExecute,
        4 => FsAction::Read,
        5 => FsAction::ReadExecute,
        6 => FsAction::ReadWrite,
        7 => FsAction::PermAll,
        _ => return None,
    })
}

const fn bits(action: &FsAction) -> u8 {
    match action {
        FsAction::None => 0,
        FsAction::Execute => 1,
        FsAction::Write => 2,
        FsAction::WriteExecute => 3,
        FsAction::Read => 4,
        FsAction::ReadExecute => 5,
        FsAction::ReadWrite => 6,
        FsAction::PermAll => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_go_there_and_back() {
        for (bits, kind) in (0..8).zip(["user", "group", "mask", "other"].into_iter().cycle()) {
            let entry = AclEntry {
                is_default: bits % 2 == 0,
                kind: kind.to_owned(),
                name: if bits < 4 {
                    "bob".to_owned()
                } else {
                    String::new()
                },
                permission: Some(bits),
            };
            let there = to_native("/x", std::slice::from_ref(&entry)).unwrap();
            let back: Vec<_> = there.into_iter().map(from_native).collect();
            assert_eq!(back, [entry]);
        }
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        for (kind, permission) in [("nobody", 7), ("user", 8), ("", 0)] {
            let entry = AclEntry {
                is_default: false,
                kind: kind.to_owned(),
                name: String::new(),
                permission: Some(permission),
            };
            let refused = to_native("/x", &[entry]).unwrap_err();
            assert_eq!(refused.kind, ErrorKind::Invalid);
        }
    }
}
