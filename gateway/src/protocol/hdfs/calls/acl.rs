//! Access control lists.

use bytes::Bytes;
use moongate_cache::{AclEntry, Backend as _, Change};

use super::{Answer, Call, Method, Reach, decode, encode};
use crate::protocol::hdfs::proto::hdfs::acl_entry_proto::{
    AclEntryScopeProto as Scope, AclEntryTypeProto as Kind,
};
use crate::protocol::hdfs::proto::hdfs::{
    AclEntryProto, AclStatusProto, FsPermissionProto, GetAclStatusRequestProto,
    GetAclStatusResponseProto, RemoveAclRequestProto, SetAclRequestProto,
};

fn told(entry: &AclEntry) -> AclEntryProto {
    let scope = if entry.is_default {
        Scope::Default
    } else {
        Scope::Access
    };
    let kind = match entry.kind.as_str() {
        "user" => Kind::User,
        "group" => Kind::Group,
        "mask" => Kind::Mask,
        _ => Kind::Other,
    };
    AclEntryProto {
        r#type: kind.into(),
        scope: scope.into(),
        permissions: i32::from(entry.permission.unwrap_or(0) & 7),
        name: (!entry.name.is_empty()).then(|| entry.name.clone()),
    }
}

fn understood(entry: &AclEntryProto, with_permission: bool) -> AclEntry {
    let kind = match entry.r#type() {
        Kind::User => "user",
        Kind::Group => "group",
        Kind::Mask => "mask",
        Kind::Other => "other",
    };
    let bits = u8::try_from(entry.permissions & 7).unwrap_or(0);
    AclEntry {
        is_default: entry.scope() == Scope::Default,
        kind: kind.to_owned(),
        name: entry.name().to_owned(),
        permission: with_permission.then_some(bits),
    }
}

impl Call<'_> {
    pub(super) async fn acl_status(&self, body: Bytes) -> Answer {
        let asked: GetAclStatusRequestProto = decode(body)?;
        let path = self.path(&asked.src, Reach::One)?;
        let acl = self.namespace().acl(&self.caller, &path).await?;
        let result = AclStatusProto {
            entries: acl.entries.iter().map(told).collect(),
            permission: Some(FsPermissionProto {
                perm: u32::from(acl.permission & 0o777),
            }),
            sticky: acl.sticky,
            owner: acl.owner,
            group: acl.group,
        };
        Ok(encode(&GetAclStatusResponseProto { result }))
    }

    /// All requests look alike: a path, and entries where there are any.
    pub(super) async fn change_acl(&self, method: Method, body: Bytes) -> Answer {
        if let Method::RemoveAcl | Method::RemoveDefaultAcl = method {
            let asked: RemoveAclRequestProto = decode(body)?;
            let change = match method {
                Method::RemoveAcl => Change::RemoveAcl,
                _ => Change::RemoveDefaultAcl,
            };
            return self.changed(&asked.src, &change).await;
        }
        let asked: SetAclRequestProto = decode(body)?;
        let removes = method == Method::RemoveAclEntries;
        let entries = asked.acl_spec.iter();
        let entries = entries.map(|entry| understood(entry, !removes)).collect();
        let change = match method {
            Method::ModifyAclEntries => Change::ModifyAcl(entries),
            Method::RemoveAclEntries => Change::RemoveAclEntries(entries),
            _ => Change::SetAcl(entries),
        };
        self.changed(&asked.src, &change).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_back() {
        for (is_default, kind, name, bits) in [
            (false, "user", "bob", 6),
            (true, "group", "", 5),
            (false, "mask", "", 7),
            (true, "other", "", 0),
        ] {
            let entry = AclEntry {
                is_default,
                kind: kind.to_owned(),
                name: name.to_owned(),
                permission: Some(bits),
            };
            assert_eq!(understood(&told(&entry), true), entry);
            assert_eq!(understood(&told(&entry), false).permission, None);
        }
    }
}
