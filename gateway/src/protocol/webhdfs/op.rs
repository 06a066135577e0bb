//! The operations of WebHDFS, each with its method, named as Hadoop names them (`org.apache.hadoop.hdfs.web.resources.*OpParam`).

use http::Method;

use super::error::Refusal;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is named as in Hadoop's documentation")]
pub enum Op {
    Open,
    GetFileStatus,
    ListStatus,
    ListStatusBatch,
    GetContentSummary,
    GetQuotaUsage,
    GetFileChecksum,
    GetHomeDirectory,
    GetTrashRoot,
    GetDelegationToken,
    GetFileBlockLocations,
    GetBlockLocations,
    GetAclStatus,
    CheckAccess,
    GetServerDefaults,
    Create,
    Append,
    MakeDirs,
    Rename,
    Delete,
    SetPermission,
    SetOwner,
    SetTimes,
    SetReplication,
    Truncate,
    Concat,
    ModifyAclEntries,
    RemoveAclEntries,
    RemoveDefaultAcl,
    RemoveAcl,
    SetAcl,
    RenewDelegationToken,
    CancelDelegationToken,
    /// What only a NameNode has: extended attributes, snapshots, policies, quotas.
    NameNodes(&'static str),
}

const GETS: [(&str, Op); 16] = [
    ("OPEN", Op::Open),
    ("GETFILESTATUS", Op::GetFileStatus),
    ("GETFILELINKSTATUS", Op::GetFileStatus),
    ("LISTSTATUS", Op::ListStatus),
    ("LISTSTATUS_BATCH", Op::ListStatusBatch),
    ("GETCONTENTSUMMARY", Op::GetContentSummary),
    ("GETQUOTAUSAGE", Op::GetQuotaUsage),
    ("GETFILECHECKSUM", Op::GetFileChecksum),
    ("GETHOMEDIRECTORY", Op::GetHomeDirectory),
    ("GETTRASHROOT", Op::GetTrashRoot),
    ("GETDELEGATIONTOKEN", Op::GetDelegationToken),
    ("GETFILEBLOCKLOCATIONS", Op::GetFileBlockLocations),
    ("GET_BLOCK_LOCATIONS", Op::GetBlockLocations),
    ("GETACLSTATUS", Op::GetAclStatus),
    ("CHECKACCESS", Op::CheckAccess),
    ("GETSERVERDEFAULTS", Op::GetServerDefaults),
];
const GETS_OF_NAMENODES: [&str; 14] = [
    "GETXATTRS",
    "LISTXATTRS",
    "GETALLSTORAGEPOLICY",
    "GETSTORAGEPOLICY",
    "GETECPOLICY",
    "GETECPOLICIES",
    "GETECCODECS",
    "GETSNAPSHOTDIFF",
    "GETSNAPSHOTDIFFLISTING",
    "GETSNAPSHOTTABLEDIRECTORYLIST",
    "GETSNAPSHOTLIST",
    "GETLINKTARGET",
    "GETSTATUS",
    "GETTRASHROOTS",
];
const PUTS: [(&str, Op); 14] = [
    ("CREATE", Op::Create),
    ("MKDIRS", Op::MakeDirs),
    ("RENAME", Op::Rename),
    ("SETPERMISSION", Op::SetPermission),
    ("SETOWNER", Op::SetOwner),
    ("SETTIMES", Op::SetTimes),
    ("SETREPLICATION", Op::SetReplication),
    ("MODIFYACLENTRIES", Op::ModifyAclEntries),
    ("REMOVEACLENTRIES", Op::RemoveAclEntries),
    ("REMOVEDEFAULTACL", Op::RemoveDefaultAcl),
    ("REMOVEACL", Op::RemoveAcl),
    ("SETACL", Op::SetAcl),
    ("RENEWDELEGATIONTOKEN", Op::RenewDelegationToken),
    ("CANCELDELEGATIONTOKEN", Op::CancelDelegationToken),
];
const PUTS_OF_NAMENODES: [&str; 14] = [
    "CREATESYMLINK",
    "SETXATTR",
    "REMOVEXATTR",
    "ENABLEECPOLICY",
    "DISABLEECPOLICY",
    "SETECPOLICY",
    "ALLOWSNAPSHOT",
    "DISALLOWSNAPSHOT",
    "CREATESNAPSHOT",
    "RENAMESNAPSHOT",
    "SATISFYSTORAGEPOLICY",
    "SETSTORAGEPOLICY",
    "SETQUOTA",
    "SETQUOTABYSTORAGETYPE",
];
const POSTS: [(&str, Op); 3] = [
    ("APPEND", Op::Append),
    ("CONCAT", Op::Concat),
    ("TRUNCATE", Op::Truncate),
];
const POSTS_OF_NAMENODES: [&str; 2] = ["UNSETSTORAGEPOLICY", "UNSETECPOLICY"];
const DELETES: [(&str, Op); 1] = [("DELETE", Op::Delete)];
const DELETES_OF_NAMENODES: [&str; 1] = ["DELETESNAPSHOT"];

impl Op {
    /// As Hadoop writes it.
    pub fn name(self) -> &'static str {
        if let Self::NameNodes(name) = self {
            return name;
        }
        let mut all = GETS.iter().chain(&PUTS).chain(&POSTS).chain(&DELETES);
        all.find(|(_, op)| *op == self).map_or("", |(name, _)| name)
    }

    /// The operation that a method and the parameter `op` (whatever its case) name.
    ///
    /// # Errors
    /// There is no such operation of this method.
    pub fn parse(method: &Method, name: Option<&str>) -> Result<Self, Refusal> {
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return Err(Refusal::Unsupported("op=NULL is not supported".into()));
        };
        let (own, of_namenodes, method): (&[(&str, Self)], &[&'static str], &str) = match *method {
            Method::GET | Method::HEAD => (&GETS, &GETS_OF_NAMENODES, "GET"),
            Method::PUT => (&PUTS, &PUTS_OF_NAMENODES, "PUT"),
            Method::POST => (&POSTS, &POSTS_OF_NAMENODES, "POST"),
            Method::DELETE => (&DELETES, &DELETES_OF_NAMENODES, "DELETE"),
            _ => (&[], &[], method.as_str()),
        };
        let known = own
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        let op = known.map(|(_, op)| *op).or_else(|| {
            let known = of_namenodes
                .iter()
                .find(|known| known.eq_ignore_ascii_case(name))?;
            Some(Self::NameNodes(known))
        });
        op.ok_or_else(|| {
            let name = name.to_ascii_uppercase();
            Refusal::parameter("op", &format!("{name} is not a valid {method} operation."))
        })
    }

    /// Whether it moves the bytes of a file.
    pub const fn carries_bytes(self) -> bool {
        matches!(self, Self::Open | Self::Create | Self::Append)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_method_has_its_own() {
        let parse = |method: Method, name: &str| Op::parse(&method, Some(name));
        assert_eq!(parse(Method::GET, "open").unwrap(), Op::Open);
        assert_eq!(parse(Method::PUT, "MKDIRS").unwrap(), Op::MakeDirs);
        assert_eq!(parse(Method::POST, "Append").unwrap(), Op::Append);
        assert_eq!(parse(Method::DELETE, "DELETE").unwrap(), Op::Delete);
        assert_eq!(
            parse(Method::GET, "getXAttrs").unwrap(),
            Op::NameNodes("GETXATTRS")
        );
        for (method, name) in [
            (Method::PUT, "OPEN"),
            (Method::GET, "FOO"),
            (Method::GET, "CREATE"),
        ] {
            let refused = parse(method.clone(), name).unwrap_err();
            let text = format!(
                "Invalid value for webhdfs parameter \"op\": {name} is not a valid {method} operation."
            );
            assert_eq!(refused, Refusal::Illegal(text));
        }
        let none = Op::parse(&Method::GET, None).unwrap_err();
        assert_eq!(
            none,
            Refusal::Unsupported("op=NULL is not supported".into())
        );
    }
}
