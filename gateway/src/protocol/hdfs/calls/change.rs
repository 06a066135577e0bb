//! Changes of the tree and of what is known of files: all that needs no data port.

use bytes::Bytes;
use moongate_cache::{Backend as _, BackendError, Change, ErrorKind, RenameMode};

use super::{Answer, Call, Reach, decode, done, encode};
use crate::namespace::path as paths;
use crate::protocol::hdfs::proto::hdfs::{
    ConcatRequestProto, DeleteRequestProto, DeleteResponseProto, MkdirsRequestProto,
    MkdirsResponseProto, Rename2RequestProto, RenameRequestProto, RenameResponseProto,
    SetOwnerRequestProto, SetPermissionRequestProto, SetReplicationRequestProto,
    SetReplicationResponseProto, SetTimesRequestProto, TruncateRequestProto, TruncateResponseProto,
};
use crate::protocol::hdfs::refused::Refused;
use crate::protocol::webhdfs::Op;
use crate::protocol::webhdfs::error::Refusal;
use crate::protocol::webhdfs::tree::is_plain_failure;

/// Permission bits, with the sticky bit.
pub(super) fn permission(bits: u32) -> u16 {
    u16::try_from(bits & 0o1777).unwrap_or(0o1777)
}

pub(super) fn not_there(error: BackendError, text: impl FnOnce() -> String) -> Refused {
    match error.kind {
        ErrorKind::NotFound => BackendError::new(ErrorKind::NotFound, text()).into(),
        _ => error.into(),
    }
}

impl Call<'_> {
    pub(super) async fn make_dirs(&self, body: Bytes) -> Answer {
        let asked: MkdirsRequestProto = decode(body)?;
        let path = self.path(&asked.src, Reach::One)?;
        if !asked.create_parent {
            self.parent_is_there(&path).await?;
        }
        let bits = permission(asked.masked.perm);
        let made = self.namespace().make_dirs(&self.caller, &path, bits).await;
        made.map_err(|error| {
            let error = match error.kind {
                ErrorKind::AlreadyExists => {
                    let text = format!("Path is not a directory: {path}");
                    BackendError::new(ErrorKind::AlreadyExists, text)
                }
                _ => error,
            };
            Refused::of(&error.into(), Op::MakeDirs)
        })?;
        Ok(encode(&MkdirsResponseProto { result: true }))
    }

    async fn parent_is_there(&self, path: &str) -> Result<(), Refused> {
        let parent = paths::parent(path);
        match self.look(parent).await {
            Ok(found) if found.is_dir() => Ok(()),
            Ok(_) => {
                let text = format!("Parent path is not a directory: {parent}");
                let error = BackendError::new(ErrorKind::NotADirectory, text);
                Err(Refused::of(&error.into(), Op::MakeDirs))
            }
            Err(error) => Err(not_there(error, || {
                format!("Parent directory doesn't exist: {parent}")
            })),
        }
    }

    /// What cannot be is `false`.
    pub(super) async fn rename(&self, body: Bytes) -> Answer {
        let asked: RenameRequestProto = decode(body)?;
        let renamed = self.moved(&asked.src, &asked.dst, RenameMode::Into).await?;
        let result = match renamed {
            Ok(()) => true,
            Err(error) if is_plain_failure(&error) => false,
            Err(error) => return Err(Refused::of(&error.into(), Op::Rename)),
        };
        Ok(encode(&RenameResponseProto { result }))
    }

    /// What cannot be is an exception.
    pub(super) async fn rename_to(&self, body: Bytes) -> Answer {
        let asked: Rename2RequestProto = decode(body)?;
        let mode = if asked.overwrite_dest {
            RenameMode::Replace
        } else {
            RenameMode::NoReplace
        };
        match self.moved(&asked.src, &asked.dst, mode).await? {
            Ok(()) => Ok(done()),
            Err(error) if error.class.is_none() && error.kind == ErrorKind::Invalid => {
                let text = format!(
                    "Rename destination {} is a directory or file under source {}",
                    asked.dst, asked.src
                );
                Err(Refusal::Io(text).into())
            }
            Err(error) => Err(Refused::of(&error.into(), Op::Rename)),
        }
    }

    async fn moved(
        &self,
        from: &str,
        to: &str,
        mode: RenameMode,
    ) -> Result<Result<(), BackendError>, Refused> {
        let from = self.path(from, Reach::All)?;
        let to = self.path(to, Reach::All)?;
        let moved = self
            .namespace()
            .rename(&self.caller, &from, &to, mode)
            .await;
        if moved.is_ok() {
            self.leases_moved(&from, &to, mode).await;
        }
        Ok(moved)
    }

    /// What is being written below goes on where it is now.
    async fn leases_moved(&self, from: &str, to: &str, mode: RenameMode) {
        let leases = &self.ask.hdfs.leases;
        if leases.below(from).is_empty() {
            return;
        }
        let inside = paths::join(to, paths::name(from));
        let went_inside = mode == RenameMode::Into && self.look(&inside).await.is_ok();
        leases.moved(from, if went_inside { &inside } else { to });
    }

    pub(super) async fn delete(&self, body: Bytes) -> Answer {
        let asked: DeleteRequestProto = decode(body)?;
        let path = self.path(&asked.src, Reach::All)?;
        if path == "/" {
            return Ok(encode(&DeleteResponseProto { result: false }));
        }
        let deleted = self
            .namespace()
            .delete(&self.caller, &path, asked.recursive)
            .await;
        let result = deleted.map_err(|error| match error.kind {
            ErrorKind::NotEmpty => {
                let text = format!("`{path} is non empty': Directory is not empty");
                BackendError::new(ErrorKind::NotEmpty, text)
            }
            _ => error,
        })?;
        let result = self.given_up(&path).await || result;
        Ok(encode(&DeleteResponseProto { result }))
    }

    /// Writers of what was deleted have no file any more. Whether there were any.
    async fn given_up(&self, path: &str) -> bool {
        let leases = &self.ask.hdfs.leases;
        let files = leases.below(path);
        for file in &files {
            leases.end(file);
            file.drop_writer().await;
        }
        !files.is_empty()
    }

    pub(super) async fn set_permission(&self, body: Bytes) -> Answer {
        let asked: SetPermissionRequestProto = decode(body)?;
        let change = Change::Permission(permission(asked.permission.perm));
        self.changed(&asked.src, &change).await
    }

    pub(super) async fn set_owner(&self, body: Bytes) -> Answer {
        let asked: SetOwnerRequestProto = decode(body)?;
        let given = |name: Option<String>| name.filter(|name| !name.is_empty());
        let (owner, group) = (given(asked.username), given(asked.groupname));
        if owner.is_none() && group.is_none() {
            return Err(Refusal::Illegal("Both owner and group are empty.".to_owned()).into());
        }
        self.changed(&asked.src, &Change::Owner { owner, group })
            .await
    }

    /// -1 stays.
    pub(super) async fn set_times(&self, body: Bytes) -> Answer {
        let asked: SetTimesRequestProto = decode(body)?;
        let given = |ms: u64| (ms.cast_signed() >= 0).then_some(ms);
        let change = Change::Times {
            modified_ms: given(asked.mtime),
            accessed_ms: given(asked.atime),
        };
        self.changed(&asked.src, &change).await
    }

    pub(super) async fn changed(&self, given: &str, change: &Change) -> Answer {
        let path = self.path(given, Reach::All)?;
        let changed = self.namespace().change(&self.caller, &path, change).await;
        changed.map_err(|error| not_there(error, || format!("File does not exist: {path}")))?;
        Ok(done())
    }

    /// Of a folder, or of nothing, it is `false`.
    pub(super) async fn set_replication(&self, body: Bytes) -> Answer {
        let asked: SetReplicationRequestProto = decode(body)?;
        let path = self.path(&asked.src, Reach::One)?;
        let found = super::status::if_there(self.look(&path).await)?;
        let result = found.is_some_and(|found| !found.is_dir());
        if result {
            let copies = u16::try_from(asked.replication)
                .map_err(|_| Refused::from(Refusal::Illegal("too many copies".to_owned())))?;
            self.changed(&path, &Change::Replication(copies)).await?;
        }
        Ok(encode(&SetReplicationResponseProto { result }))
    }

    pub(super) async fn truncate(&self, body: Bytes) -> Answer {
        let asked: TruncateRequestProto = decode(body)?;
        let path = self.path(&asked.src, Reach::All)?;
        self.nobody_writes(&path, &self.holder(asked.client_name))
            .await?;
        let cut = self
            .namespace()
            .truncate(&self.caller, &path, asked.new_length)
            .await;
        let result =
            cut.map_err(|error| not_there(error, || format!("File does not exist: {path}")))?;
        Ok(encode(&TruncateResponseProto { result }))
    }

    pub(super) async fn concat(&self, body: Bytes) -> Answer {
        let asked: ConcatRequestProto = decode(body)?;
        let path = self.path(&asked.trg, Reach::All)?;
        let mut sources = Vec::with_capacity(asked.srcs.len());
        for source in &asked.srcs {
            sources.push(self.path(source, Reach::All)?);
        }
        let nobody = self.holder(String::new());
        for path in sources.iter().chain([&path]) {
            self.nobody_writes(path, &nobody).await?;
        }
        if sources.contains(&path) {
            let text =
                format!("concat: the src file {path} is the same with the target file {path}");
            let class = "org.apache.hadoop.HadoopIllegalArgumentException";
            return Err(BackendError::of_class(ErrorKind::Invalid, class, text).into());
        }
        self.namespace()
            .concat(&self.caller, &path, &sources)
            .await?;
        Ok(done())
    }
}
