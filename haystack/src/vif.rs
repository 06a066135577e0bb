//! The `.vif` file: what else is known of a volume, as protobuf's JSON.

use serde::{Deserialize, Serialize};

use crate::idx::OffsetWidth;

/// The fields that we act on; what other fields a file has is kept when it is written again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeInfo {
    /// Files on a remote tier; a volume with any is not ours to serve from disk.
    pub files: Vec<serde_json::Value>,
    /// Record layout; when not 0 it overrides the super block's.
    pub version: u32,
    /// Replica placement `xyz`; when not empty it overrides the super block's.
    pub replication: String,
    /// 4 or 5: width of `.idx` offsets; absent means 4.
    pub bytes_offset: u32,
    /// Bytes of the `.dat` where it was moved to a remote tier.
    pub dat_file_size: serde_json::Value,
    /// When a TTL volume expires, unix seconds.
    pub expire_at_sec: serde_json::Value,
    /// No writes and no deletes.
    pub read_only: bool,
    /// Erasure coding, null without.
    pub ec_shard_config: Option<serde_json::Value>,
    /// With `read_only`: deletes are still allowed.
    pub read_only_can_delete: bool,
    /// Fields of other versions.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl Default for VolumeInfo {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            version: 0,
            replication: String::new(),
            bytes_offset: 4,
            dat_file_size: "0".into(),
            expire_at_sec: "0".into(),
            read_only: false,
            ec_shard_config: None,
            read_only_can_delete: false,
            other: serde_json::Map::new(),
        }
    }
}

impl VolumeInfo {
    /// What we write beside a new volume.
    pub fn new_volume() -> Self {
        Self {
            version: 3,
            ..Self::default()
        }
    }

    /// Reads the JSON; an empty file counts as absent.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, serde_json::Error> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            Ok(None)
        } else {
            serde_json::from_slice(bytes).map(Some)
        }
    }

    /// JSON, indented by two spaces as SeaweedFS writes it.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }

    /// Width of the offsets in the `.idx` beside it.
    pub const fn offset_width(&self) -> OffsetWidth {
        OffsetWidth::from_vif(self.bytes_offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keeps_what_it_does_not_know() {
        let text = br#"{"version":3,"bytesOffset":5,"datFileSize":"17","destroyTime":"9"}"#;
        let info = VolumeInfo::decode(text).unwrap().unwrap();
        assert_eq!((info.version, info.offset_width()), (3, OffsetWidth::Five));
        assert_eq!(
            VolumeInfo::decode(&info.encode()).unwrap(),
            Some(info.clone())
        );
        assert_eq!(info.other["destroyTime"], "9");
        assert_eq!(VolumeInfo::decode(b" \n").unwrap(), None);
        assert_eq!(VolumeInfo::new_volume().offset_width(), OffsetWidth::Four);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = VolumeInfo::decode(&bytes);
        }
    }
}
