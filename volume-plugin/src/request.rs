//! What a CSI request asks for, checked: names, sizes and capabilities.

use moongate_proto::csi as api;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// Where the request names no size.
const SIZE_BYTES_DEFAULT: u64 = 1 << 30;
/// Bricks are measured in these.
const BLOCK_BYTES: u64 = 4096;
/// A volume smaller than this is mostly gluster's own folders.
const SIZE_BYTES_MIN: u64 = 1 << 20;
/// With the prefix it stays below gluster's limit of 64.
const PLAIN_BYTES_MAX: usize = 48;

/// The volume's id, made of the request's name alone, so that a repeated request finds what the first one made. A name that gluster would not
/// take is hashed; the prefixes differ, so that no two names meet.
///
/// # Errors
/// `Invalid` without a name.
pub fn volume_id(name: &str) -> Result<String> {
    if name.is_empty() {
        return Err(Error::Invalid("name: a volume needs one".to_owned()));
    }
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.len() <= PLAIN_BYTES_MAX && name.bytes().all(plain) {
        return Ok(format!("mg-{name}"));
    }
    let hash = Sha256::digest(name.as_bytes());
    let hex: String = hash
        .iter()
        .take(20)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(format!("mgh-{hex}"))
}

/// The size that is asked for, in whole blocks.
///
/// # Errors
/// `OutOfRange` where the limit is below the need.
pub fn size_bytes(range: Option<&api::CapacityRange>) -> Result<u64> {
    let Some(range) = range else {
        return Ok(SIZE_BYTES_DEFAULT);
    };
    let (required, limit) = (
        at_least_0(range.required_bytes)?,
        at_least_0(range.limit_bytes)?,
    );
    let wanted = match (required, limit) {
        (0, 0) => SIZE_BYTES_DEFAULT,
        (0, limit) => limit.min(SIZE_BYTES_DEFAULT) / BLOCK_BYTES * BLOCK_BYTES,
        (required, _) => required,
    };
    let size = wanted.max(SIZE_BYTES_MIN).next_multiple_of(BLOCK_BYTES);
    if limit > 0 && size > limit {
        return Err(Error::OutOfRange(format!(
            "limit_bytes {limit} is below {size}, the smallest size that will do"
        )));
    }
    Ok(size)
}

/// Whether a volume of this size is what the range asks for.
///
/// # Errors
/// `Differs` where it is not.
pub fn check_size(range: Option<&api::CapacityRange>, id: &str, there_bytes: u64) -> Result<()> {
    let Some(range) = range else { return Ok(()) };
    let (required, limit) = (
        at_least_0(range.required_bytes)?,
        at_least_0(range.limit_bytes)?,
    );
    if there_bytes >= required && (limit == 0 || there_bytes <= limit) {
        return Ok(());
    }
    Err(Error::Differs(format!(
        "volume {id} is there with {there_bytes} bytes, not {required} to {limit}: take another name"
    )))
}

fn at_least_0(bytes: i64) -> Result<u64> {
    u64::try_from(bytes).map_err(|_| Error::Invalid(format!("capacity_range: {bytes} is below 0")))
}

/// Volumes are folders, written by one node or by many.
///
/// # Errors
/// `Invalid` for none, for block devices, and for a mode that is not known.
pub fn check_capabilities(capabilities: &[api::VolumeCapability]) -> Result<()> {
    if capabilities.is_empty() {
        return Err(Error::Invalid(
            "volume_capabilities: at least one is needed".to_owned(),
        ));
    }
    capabilities.iter().try_for_each(check_capability)
}

/// As [`check_capabilities`], for one.
///
/// # Errors
/// `Invalid` for a block device or a mode that is not known.
pub fn check_capability(capability: &api::VolumeCapability) -> Result<()> {
    use api::volume_capability::{AccessType, access_mode::Mode};
    match &capability.access_type {
        Some(AccessType::Mount(_)) => {}
        Some(AccessType::Block(_)) => {
            return Err(Error::Invalid(
                "block volumes are not served: use volumeMode Filesystem".to_owned(),
            ));
        }
        None => {
            return Err(Error::Invalid(
                "volume_capability: it lacks its access type".to_owned(),
            ));
        }
    }
    let mode = capability.access_mode.map(|mode| mode.mode());
    match mode {
        Some(Mode::Unknown) | None => Err(Error::Invalid(
            "volume_capability: it lacks its access mode".to_owned(),
        )),
        Some(_) => Ok(()),
    }
}

/// A field that must be there.
///
/// # Errors
/// `Invalid` where it is empty.
pub fn required<'a>(field: &str, value: &'a str) -> Result<&'a str> {
    if value.is_empty() {
        Err(Error::Invalid(format!("{field}: it is missing")))
    } else {
        Ok(value)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn range(required_bytes: i64, limit_bytes: i64) -> api::CapacityRange {
        api::CapacityRange {
            required_bytes,
            limit_bytes,
        }
    }

    #[test]
    fn an_id_is_made_of_the_name_alone() {
        assert_eq!(volume_id("pvc-0a").unwrap(), "mg-pvc-0a");
        let odd = volume_id("Name/with ünusual").unwrap();
        assert_eq!(odd, volume_id("Name/with ünusual").unwrap());
        assert!(odd.starts_with("mgh-") && odd.len() <= 64);
        assert_ne!(odd, volume_id("Name/with unusual").unwrap());
        assert!(volume_id(&"a".repeat(128)).unwrap().len() <= 64);
        assert!(volume_id("").is_err());
    }

    #[test]
    fn a_size_is_in_whole_blocks_within_its_limit() {
        assert_eq!(size_bytes(None).unwrap(), 1 << 30);
        assert_eq!(size_bytes(Some(&range(0, 0))).unwrap(), 1 << 30);
        assert_eq!(
            size_bytes(Some(&range((10 << 20) + 1, 0))).unwrap(),
            (10 << 20) + 4096
        );
        assert_eq!(
            size_bytes(Some(&range(0, (10 << 20) + 1))).unwrap(),
            10 << 20
        );
        assert!(matches!(
            size_bytes(Some(&range((10 << 20) + 1, (10 << 20) + 2))),
            Err(Error::OutOfRange(_))
        ));
        assert!(matches!(
            size_bytes(Some(&range(-1, 0))),
            Err(Error::Invalid(_))
        ));
    }

    #[test]
    fn a_volume_that_is_there_must_be_what_is_asked_for() {
        assert!(check_size(Some(&range(5, 10)), "a", 7).is_ok());
        assert!(check_size(Some(&range(5, 0)), "a", 7).is_ok());
        for wrong in [range(8, 0), range(1, 6)] {
            assert!(matches!(
                check_size(Some(&wrong), "a", 7),
                Err(Error::Differs(_))
            ));
        }
    }
}
