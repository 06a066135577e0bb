//! Shapes of answers: `org.apache.hadoop.hdfs.web.JsonUtil`, key by key in its order.

use http::StatusCode;
use moongate_cache::Status;
use serde::ser::{SerializeSeq as _, Serializer};
use serde::{Serialize, ser};

use crate::http::Response;
use crate::http::json::json;

/// `{"name":…}`
pub fn named(name: &'static str, value: &impl Serialize) -> Response {
    json(StatusCode::OK, &Named { name, value }, false)
}

/// `{"boolean":…}`
pub fn boolean(value: bool) -> Response {
    named("boolean", &value)
}

struct Named<'a, T> {
    name: &'static str,
    value: &'a T,
}

impl<T: Serialize> Serialize for Named<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(self.name, self.value)])
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shape<'a> {
    access_time: u64,
    block_size: u64,
    children_num: u64,
    file_id: u64,
    group: &'a str,
    length: u64,
    modification_time: u64,
    owner: &'a str,
    path_suffix: &'a str,
    permission: Octal,
    replication: u16,
    storage_policy: u8,
    #[serde(rename = "type")]
    kind: &'static str,
}

/// Permission bits as text.
#[derive(Clone, Copy, Debug)]
pub struct Octal(pub u16);

impl Serialize for Octal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:o}", self.0))
    }
}

/// What is said of a file or folder. How many names a folder holds is not known without listing it, nor are inodes: both say 0.
#[derive(Clone, Copy, Debug)]
pub struct FileStatus<'a>(pub &'a Status);

impl Serialize for FileStatus<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(status) = self;
        Shape {
            access_time: status.accessed_ms,
            block_size: status.block_bytes,
            children_num: 0,
            file_id: 0,
            group: &status.group,
            length: status.len,
            modification_time: status.modified_ms,
            owner: &status.owner,
            path_suffix: &status.name,
            permission: Octal(status.permission),
            replication: status.replication,
            storage_policy: 0,
            kind: if status.is_dir() { "DIRECTORY" } else { "FILE" },
        }
        .serialize(serializer)
    }
}

/// Many of them.
#[derive(Clone, Copy, Debug)]
pub struct FileStatuses<'a>(pub &'a [Status]);

impl Serialize for FileStatuses<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(self.0.len()))?;
        for status in self.0 {
            seq.serialize_element(&FileStatus(status))?;
        }
        ser::SerializeSeq::end(seq)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use moongate_cache::FileKind;

    use super::*;

    #[test]
    fn a_status_as_the_namenode_writes_it() {
        let status = Status {
            name: "f".into(),
            kind: FileKind::File,
            len: 12,
            modified_ms: 1_795_353_724_785,
            accessed_ms: 1_795_353_722_667,
            owner: Arc::from("root"),
            group: Arc::from("supergroup"),
            permission: 0o1644,
            replication: 1,
            block_bytes: 134_217_728,
            etag: None,
        };
        assert_eq!(
            serde_json::to_string(&FileStatus(&status)).unwrap(),
            r#"{"accessTime":1795353722667,"blockSize":134217728,"childrenNum":0,"fileId":0,"group":"supergroup","length":12,"modificationTime":1795353724785,"owner":"root","pathSuffix":"f","permission":"1644","replication":1,"storagePolicy":0,"type":"FILE"}"#
        );
    }
}
