//! hdfs-native's errors, as what a caller does about them. The only place where they are looked at.

use hdfs_native::HdfsError;

use crate::backend::{BackendError, ErrorKind};

const FILE_NOT_FOUND: &str = "java.io.FileNotFoundException";
const IO: &str = "java.io.IOException";
const ALREADY_EXISTS: &str = "org.apache.hadoop.fs.FileAlreadyExistsException";
const BEING_CREATED: &str = "org.apache.hadoop.hdfs.protocol.AlreadyBeingCreatedException";

/// What the NameNode's exceptions mean. Any other is [`ErrorKind::Failed`], in its own words.
const CLASSES: [(&str, ErrorKind); 35] = [
    (FILE_NOT_FOUND, ErrorKind::NotFound),
    (
        "org.apache.hadoop.fs.PathNotFoundException",
        ErrorKind::NotFound,
    ),
    (ALREADY_EXISTS, ErrorKind::AlreadyExists),
    (BEING_CREATED, ErrorKind::AlreadyExists),
    (
        "org.apache.hadoop.fs.PathExistsException",
        ErrorKind::AlreadyExists,
    ),
    (
        "org.apache.hadoop.security.AccessControlException",
        ErrorKind::PermissionDenied,
    ),
    (
        "org.apache.hadoop.fs.permission.AccessControlException",
        ErrorKind::PermissionDenied,
    ),
    (
        "org.apache.hadoop.security.authorize.AuthorizationException",
        ErrorKind::PermissionDenied,
    ),
    (
        "org.apache.hadoop.security.token.SecretManager$InvalidToken",
        ErrorKind::PermissionDenied,
    ),
    (
        "javax.security.sasl.SaslException",
        ErrorKind::PermissionDenied,
    ),
    ("org.ietf.jgss.GSSException", ErrorKind::PermissionDenied),
    (
        "org.apache.hadoop.fs.ParentNotDirectoryException",
        ErrorKind::NotADirectory,
    ),
    (
        "org.apache.hadoop.fs.PathIsNotDirectoryException",
        ErrorKind::NotADirectory,
    ),
    (
        "org.apache.hadoop.fs.PathIsDirectoryException",
        ErrorKind::IsADirectory,
    ),
    (
        "org.apache.hadoop.fs.PathIsNotEmptyDirectoryException",
        ErrorKind::NotEmpty,
    ),
    (
        "org.apache.hadoop.hdfs.server.namenode.SafeModeException",
        ErrorKind::Unavailable,
    ),
    (
        "org.apache.hadoop.ipc.StandbyException",
        ErrorKind::Unavailable,
    ),
    (
        "org.apache.hadoop.ipc.ObserverRetryOnActiveException",
        ErrorKind::Unavailable,
    ),
    (
        "org.apache.hadoop.ipc.RetriableException",
        ErrorKind::Unavailable,
    ),
    (
        "org.apache.hadoop.hdfs.server.namenode.NotReplicatedYetException",
        ErrorKind::Unavailable,
    ),
    (
        "org.apache.hadoop.hdfs.protocol.RecoveryInProgressException",
        ErrorKind::Unavailable,
    ),
    (
        "org.apache.hadoop.hdfs.BlockMissingException",
        ErrorKind::Unavailable,
    ),
    (
        "org.apache.hadoop.hdfs.protocol.DSQuotaExceededException",
        ErrorKind::NoSpace,
    ),
    (
        "org.apache.hadoop.hdfs.protocol.NSQuotaExceededException",
        ErrorKind::NoSpace,
    ),
    (
        "org.apache.hadoop.hdfs.protocol.QuotaExceededException",
        ErrorKind::NoSpace,
    ),
    (
        "org.apache.hadoop.hdfs.protocol.QuotaByStorageTypeExceededException",
        ErrorKind::NoSpace,
    ),
    (
        "org.apache.hadoop.fs.ClusterStorageCapacityExceededException",
        ErrorKind::NoSpace,
    ),
    (
        "org.apache.hadoop.fs.InvalidPathException",
        ErrorKind::Invalid,
    ),
    (
        "org.apache.hadoop.HadoopIllegalArgumentException",
        ErrorKind::Invalid,
    ),
    ("java.lang.IllegalArgumentException", ErrorKind::Invalid),
    (
        "org.apache.hadoop.hdfs.protocol.AclException",
        ErrorKind::Invalid,
    ),
    (
        "org.apache.hadoop.hdfs.protocol.FSLimitException$PathComponentTooLongException",
        ErrorKind::Invalid,
    ),
    (
        "org.apache.hadoop.hdfs.protocol.FSLimitException$MaxDirectoryItemsExceededException",
        ErrorKind::NoSpace,
    ),
    (
        "java.lang.UnsupportedOperationException",
        ErrorKind::Unsupported,
    ),
    (
        "org.apache.hadoop.ipc.RpcNoSuchMethodException",
        ErrorKind::Unsupported,
    ),
];

/// What plain `IOException`s mean, by what they say: HDFS has no class of its own for these (`FSDirRenameOp`, `BlockManager`).
const IO_MESSAGES: [(&str, ErrorKind); 5] = [
    ("could only be written to", ErrorKind::Unavailable),
    (
        "rename destination directory is not empty",
        ErrorKind::NotEmpty,
    ),
    ("directory is not empty", ErrorKind::NotEmpty),
    ("safe mode", ErrorKind::Unavailable),
    ("Invalid path name", ErrorKind::Invalid),
];

/// An error of hdfs-native about a path.
pub(super) fn of_hdfs(error: HdfsError, path: &str) -> BackendError {
    let of = |kind, text: &str| BackendError::new(kind, format!("{path}: {text}"));
    match error {
        HdfsError::RPCError(class, message) | HdfsError::FatalRPCError(class, message) => {
            of_class(class, &message)
        }
        HdfsError::FileNotFound(_) => BackendError {
            class: Some(FILE_NOT_FOUND.to_owned()),
            ..BackendError::not_found(path)
        },
        // hdfs-native makes one error of two exceptions.
        HdfsError::AlreadyExists(message) if message.contains("already being created") => {
            of_class(BEING_CREATED.to_owned(), &message)
        }
        HdfsError::AlreadyExists(message) => of_class(ALREADY_EXISTS.to_owned(), &message),
        HdfsError::IsADirectoryError(_) => of(ErrorKind::IsADirectory, "it is a folder"),
        HdfsError::IOError(ref io) if io.kind() == std::io::ErrorKind::TimedOut => {
            of(ErrorKind::TimedOut, &error.to_string())
        }
        HdfsError::IOError(_) | HdfsError::DataTransferError(_) | HdfsError::BlocksNotFound(_) => {
            of(ErrorKind::Unavailable, &error.to_string())
        }
        HdfsError::SASLError(_) | HdfsError::GSSAPIError(..) | HdfsError::NoSASLMechanism => {
            let text = format!(
                "{error}. Are the mount's principal and keytab right, and its ticket not over?"
            );
            of(ErrorKind::PermissionDenied, &text)
        }
        HdfsError::InvalidPath(_)
        | HdfsError::InvalidArgument(_)
        | HdfsError::UrlParseError(_)
        | HdfsError::XmlParseError(_) => of(ErrorKind::Invalid, &error.to_string()),
        HdfsError::TrashNotEnabled
        | HdfsError::UnsupportedErasureCodingPolicy(_)
        | HdfsError::UnsupportedFeature(_) => of(ErrorKind::Unsupported, &error.to_string()),
        HdfsError::ChecksumError
        | HdfsError::OperationFailed(_)
        | HdfsError::ErasureCodingError(_)
        | HdfsError::InternalError(_)
        | HdfsError::InvalidRPCResponse(_) => of(ErrorKind::Failed, &error.to_string()),
    }
}

/// An exception of the NameNode's.
pub(super) fn of_class(class: String, message: &str) -> BackendError {
    let message = without_stack(message, &class);
    let known = CLASSES.iter().find(|(name, _)| *name == class);
    let kind = match known {
        Some((_, kind)) => *kind,
        None if class == IO => kind_of_io(message),
        None => ErrorKind::Failed,
    };
    BackendError::of_class(kind, class, message)
}

fn kind_of_io(message: &str) -> ErrorKind {
    let known = IO_MESSAGES
        .iter()
        .find(|(words, _)| message.contains(words));
    known.map_or(ErrorKind::Failed, |(_, kind)| *kind)
}

/// The NameNode sends an exception as Java prints it: `class: message`, and then the stack. WebHDFS tells the message alone, and so do we.
fn without_stack<'a>(printed: &'a str, class: &str) -> &'a str {
    let end = printed.find("\n\tat ").unwrap_or(printed.len());
    let text = printed.get(..end).unwrap_or(printed).trim_end();
    let named = text.strip_prefix(class);
    named
        .and_then(|rest| rest.strip_prefix(": "))
        .unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn an_exception_is_told_without_its_stack() {
        let class = "org.apache.hadoop.hdfs.server.namenode.SafeModeException";
        let printed = format!(
            "{class}: Cannot create file/x. Name node is in safe mode.\nResources are low. NamenodeHostName:nn\n\tat \
             org.apache.hadoop.hdfs.server.namenode.FSNamesystem.newSafemodeException(FSNamesystem.java:1612)\n\tat java.base/x\n"
        );
        let error = of_hdfs(HdfsError::RPCError(class.to_owned(), printed), "/x");
        assert_eq!(error.kind, ErrorKind::Unavailable);
        assert_eq!(error.class.as_deref(), Some(class));
        let want = "Cannot create file/x. Name node is in safe mode.\nResources are low. NamenodeHostName:nn";
        assert_eq!(error.message, want);
    }

    #[test]
    fn a_terse_exception_is_told_as_it_is() {
        let class = "org.apache.hadoop.security.AccessControlException";
        let message = "Permission denied: user=bob, access=WRITE, inode=\"/\":root:root:drwxr-xr-x";
        for printed in [message.to_owned(), format!("{class}: {message}")] {
            let error = of_hdfs(HdfsError::RPCError(class.to_owned(), printed), "/x");
            assert_eq!(
                (error.kind, error.message.as_str()),
                (ErrorKind::PermissionDenied, message)
            );
        }
    }

    #[test]
    fn an_unknown_exception_keeps_its_class() {
        let error = of_hdfs(
            HdfsError::RPCError("a.b.C".to_owned(), "why".to_owned()),
            "/x",
        );
        assert_eq!(
            (error.kind, error.class.as_deref()),
            (ErrorKind::Failed, Some("a.b.C"))
        );
    }

    #[test]
    fn classes_are_named_once() {
        let names: BTreeSet<_> = CLASSES.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), CLASSES.len());
    }

    #[test]
    fn of_two_exceptions_that_become_one_each_keeps_its_class() {
        let busy = "Failed to CREATE_FILE /x for c: it is already being created by d";
        let error = of_hdfs(HdfsError::AlreadyExists(busy.to_owned()), "/x");
        assert_eq!(error.class.as_deref(), Some(BEING_CREATED));
        let there = "/x for client 127.0.0.1 already exists";
        let error = of_hdfs(HdfsError::AlreadyExists(there.to_owned()), "/x");
        assert_eq!(error.class.as_deref(), Some(ALREADY_EXISTS));
        assert_eq!(error.kind, ErrorKind::AlreadyExists);
    }
}
