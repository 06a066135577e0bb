//! The methods by their names.

use crate::metrics::Operation;

macro_rules! methods {
    ($($variant:ident = $name:literal),* $(,)?) => {
        /// A method.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "their names are Hadoop's")]
        pub enum Method {
            $($variant,)*
            /// Part of mending a pipeline of several DataNodes.
            Pipeline(&'static str),
            /// One that HDFS has, and no gateway.
            Lacking(&'static str),
        }

        impl Method {
            const ALL: &'static [(&'static str, Method)] = &[$(($name, Method::$variant)),*];

            /// As Hadoop calls it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Method::$variant => $name,)*
                    Method::Pipeline(name) | Method::Lacking(name) => name,
                }
            }
        }
    };
}

methods! {
    GetFileInfo = "getFileInfo",
    GetFileLinkInfo = "getFileLinkInfo",
    GetLocatedFileInfo = "getLocatedFileInfo",
    GetListing = "getListing",
    GetBlockLocations = "getBlockLocations",
    GetContentSummary = "getContentSummary",
    GetQuotaUsage = "getQuotaUsage",
    GetAclStatus = "getAclStatus",
    CheckAccess = "checkAccess",
    Create = "create",
    Append = "append",
    AddBlock = "addBlock",
    AbandonBlock = "abandonBlock",
    Complete = "complete",
    Fsync = "fsync",
    RecoverLease = "recoverLease",
    IsFileClosed = "isFileClosed",
    GetPreferredBlockSize = "getPreferredBlockSize",
    GetEZForPath = "getEZForPath",
    GetErasureCodingPolicy = "getErasureCodingPolicy",
    GetStoragePolicy = "getStoragePolicy",
    GetStoragePolicies = "getStoragePolicies",
    GetServerDefaults = "getServerDefaults",
    GetFsStats = "getFsStats",
    Msync = "msync",
    RenewLease = "renewLease",
    GetDataEncryptionKey = "getDataEncryptionKey",
    GetDelegationToken = "getDelegationToken",
    RenewDelegationToken = "renewDelegationToken",
    CancelDelegationToken = "cancelDelegationToken",
    GetHAServiceState = "getHAServiceState",
    GetServiceStatus = "getServiceStatus",
    Mkdirs = "mkdirs",
    Rename = "rename",
    Rename2 = "rename2",
    Delete = "delete",
    SetPermission = "setPermission",
    SetOwner = "setOwner",
    SetTimes = "setTimes",
    SetReplication = "setReplication",
    Truncate = "truncate",
    Concat = "concat",
    ModifyAclEntries = "modifyAclEntries",
    RemoveAclEntries = "removeAclEntries",
    RemoveDefaultAcl = "removeDefaultAcl",
    RemoveAcl = "removeAcl",
    SetAcl = "setAcl",
}

/// What is asked when one of several DataNodes is lost.
const PIPELINE: [&str; 3] = [
    "getAdditionalDatanode",
    "updateBlockForPipeline",
    "updatePipeline",
];
/// What only a cluster has.
const LACKING: [&str; 54] = [
    "createSymlink",
    "getFsReplicatedBlockStats",
    "getFsECBlockGroupStats",
    "getDatanodeReport",
    "getDatanodeStorageReport",
    "getSlowDatanodeReport",
    "getBatchedListing",
    "getLinkTarget",
    "setSafeMode",
    "saveNamespace",
    "rollEdits",
    "restoreFailedStorage",
    "refreshNodes",
    "finalizeUpgrade",
    "upgradeStatus",
    "rollingUpgrade",
    "listCorruptFileBlocks",
    "metaSave",
    "reportBadBlocks",
    "setQuota",
    "setStoragePolicy",
    "unsetStoragePolicy",
    "satisfyStoragePolicy",
    "setBalancerBandwidth",
    "createSnapshot",
    "renameSnapshot",
    "deleteSnapshot",
    "allowSnapshot",
    "disallowSnapshot",
    "getSnapshottableDirListing",
    "getSnapshotListing",
    "getSnapshotDiffReport",
    "getSnapshotDiffReportListing",
    "addCacheDirective",
    "modifyCacheDirective",
    "removeCacheDirective",
    "listCacheDirectives",
    "addCachePool",
    "modifyCachePool",
    "removeCachePool",
    "listCachePools",
    "createEncryptionZone",
    "listEncryptionZones",
    "reencryptEncryptionZone",
    "listReencryptionStatus",
    "setErasureCodingPolicy",
    "unsetErasureCodingPolicy",
    "getErasureCodingPolicies",
    "getErasureCodingCodecs",
    "setXAttr",
    "getXAttrs",
    "listXAttrs",
    "removeXAttr",
    "listOpenFiles",
];

impl Method {
    /// The method of a name.
    pub fn named(name: &str) -> Option<Self> {
        let answered = Self::ALL.iter().find(|(known, _)| *known == name);
        let find = |names: &'static [&'static str]| names.iter().find(|known| **known == name);
        answered
            .map(|(_, method)| *method)
            .or_else(|| find(&PIPELINE).map(|name| Self::Pipeline(name)))
            .or_else(|| find(&LACKING).map(|name| Self::Lacking(name)))
    }

    /// What it is counted as.
    pub const fn operation(self) -> Operation {
        match self {
            Self::Mkdirs
            | Self::Rename
            | Self::Rename2
            | Self::Delete
            | Self::SetPermission
            | Self::SetOwner
            | Self::SetTimes
            | Self::SetReplication
            | Self::Truncate
            | Self::Concat
            | Self::ModifyAclEntries
            | Self::RemoveAclEntries
            | Self::RemoveDefaultAcl
            | Self::RemoveAcl
            | Self::SetAcl => Operation::HdfsChange,
            Self::Create
            | Self::Append
            | Self::AddBlock
            | Self::AbandonBlock
            | Self::Complete
            | Self::Fsync
            | Self::RecoverLease
            | Self::Pipeline(_) => Operation::HdfsWrite,
            _ => Operation::HdfsStatus,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_once() {
        let mut names: Vec<&str> = Method::ALL.iter().map(|(name, _)| *name).collect();
        names.extend(PIPELINE);
        names.extend(LACKING);
        for name in &names {
            assert_eq!(Method::named(name).unwrap().name(), *name);
        }
        let len = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), len);
        assert_eq!(Method::named("getfileinfo"), None);
    }
}
