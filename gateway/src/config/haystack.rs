//! The `[haystack]` section: where images are kept, and how hard. Doc comments here become `docs/config.md`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize, de};

use super::units::{ByteSize, Span};

/// Where images are kept: volumes on one or more disks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a section of keys")]
pub struct HaystackConfig {
    /// Folders that hold the volumes, one for each disk. A folder of SeaweedFS volumes opens in place. Relative ones
    /// start from where `moongate` is started.
    #[serde(deserialize_with = "one_or_more_folders")]
    pub data: Vec<PathBuf>,
    /// Size at which a volume is full and another is begun. With `image.upload_bytes_max` on top at most 32GiB: the
    /// volume format reaches no further.
    pub volume_bytes_max: ByteSize,
    /// How many volumes are begun at once when a collection needs one; as many writers can commit side by side.
    pub volumes_per_growth: u32,
    /// When a write is acknowledged, unless its collection says otherwise.
    pub durability: Durability,
    /// The data center that is reported to clients, and asked for by their `dataCenter=`.
    pub data_center: String,
    /// The rack that is reported to clients, and asked for by their `rack=`.
    pub rack: String,
    /// Memory for the hot part of the index (which needle lies where).
    pub index_memory: ByteSize,
    /// How disks are read and written when it would block.
    pub io_engine: IoEngine,
    /// Threads for `io_engine = "threads"`. 0: chosen from the number of cores and disks.
    pub io_threads: usize,
    /// Share of deleted bytes at which a volume is rewritten without them. More than 0, at most 1.
    pub vacuum_garbage_ratio: f64,
    /// How often volumes are looked at for garbage.
    pub vacuum_interval: Span,
    /// Most bytes a second that vacuum copies, so that serving goes on. 0: no bound.
    pub vacuum_bytes_per_sec: ByteSize,
    /// Bytes a second that are read again in the background to find bit rot. 0: never. An image counts for 4 KiB at least.
    pub scrub_bytes_per_sec: ByteSize,
    /// Most bytes that writers of one volume commit with one sync.
    pub commit_batch_bytes_max: ByteSize,
    /// Most writes that wait for one disk; further ones wait for their place.
    pub queue_len_max: usize,
    /// What differs for a collection, by its name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub collections: BTreeMap<String, CollectionConfig>,
}

impl HaystackConfig {
    /// When writes to `collection` are acknowledged.
    pub fn durability_of(&self, collection: &str) -> Durability {
        self.collections
            .get(collection)
            .and_then(|own| own.durability)
            .unwrap_or(self.durability)
    }
}

impl Default for HaystackConfig {
    fn default() -> Self {
        Self {
            data: vec!["./moongate-data".into()],
            volume_bytes_max: ByteSize::from_bytes(30_000_000_000),
            volumes_per_growth: 7,
            durability: Durability::Fsync,
            data_center: "DefaultDataCenter".to_owned(),
            rack: "DefaultRack".to_owned(),
            index_memory: ByteSize::mib(256),
            io_engine: IoEngine::Auto,
            io_threads: 0,
            vacuum_garbage_ratio: 0.3,
            vacuum_interval: Span::from_secs(15 * 60),
            vacuum_bytes_per_sec: ByteSize::mib(64),
            scrub_bytes_per_sec: ByteSize::mib(8),
            commit_batch_bytes_max: ByteSize::mib(8),
            queue_len_max: 4096,
            collections: BTreeMap::new(),
        }
    }
}

/// What differs for one collection. Its name is what clients send as `collection=`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a section of keys")]
pub struct CollectionConfig {
    /// When a write to it is acknowledged. Left out: as `haystack.durability` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub durability: Option<Durability>,
}

/// When a write is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Once it is on the disk: it survives a power loss.
    #[default]
    Fsync,
    /// Once the operating system has it: it survives a crash of `moongate`, not of the machine.
    Os,
}

/// How disks are read and written when it would block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum IoEngine {
    /// io_uring where the kernel and the container allow it, else threads; the log tells which.
    #[default]
    Auto,
    /// io_uring, or refuse to start.
    IoUring,
    /// A pool of threads.
    Threads,
}

/// `data = "/disk1"` is the same as `data = ["/disk1"]`.
fn one_or_more_folders<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<PathBuf>, D::Error> {
    struct Folders;
    impl<'de> de::Visitor<'de> for Folders {
        type Value = Vec<PathBuf>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a folder in quotes, or a list of them such as [\"/disk1\", \"/disk2\"]")
        }

        fn visit_str<E: de::Error>(self, folder: &str) -> Result<Self::Value, E> {
            Ok(vec![folder.into()])
        }

        fn visit_seq<A: de::SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
            Vec::deserialize(de::value::SeqAccessDeserializer::new(list))
        }
    }
    deserializer.deserialize_any(Folders)
}
