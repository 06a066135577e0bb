//! What a volume says of itself: its `.vif` and its super block.

use moongate_disk::{Disk, DiskFile, OpenMode};
use std::io;

use super::OpenError;
use crate::error::HaystackError;
use crate::id::VolumeId;
use crate::needle::Version;
use crate::placement::ReplicaPlacement;
use crate::super_block::{SUPER_BLOCK_BYTES, SuperBlock, SuperBlockError};
use crate::vif::VolumeInfo;
use crate::volume::files::VolumeFiles;

pub(crate) fn read_info(disk: &dyn Disk, files: &VolumeFiles) -> Result<VolumeInfo, OpenError> {
    let failed = |e: io::Error| HaystackError::from_io(files.id, &e);
    if !disk.exists(&files.vif()).map_err(failed)? {
        return Ok(VolumeInfo::default());
    }
    let file = disk.open(&files.vif(), OpenMode::Read).map_err(failed)?;
    let len = file.len().map_err(failed)?.min(1 << 20);
    let bytes = moongate_disk::read_exact_at(&*file, 0, len as usize).map_err(failed)?;
    let info = VolumeInfo::decode(&bytes)
        .map_err(|e| OpenError::Unsupported(format!("{}: {e}", files.vif().display())))?;
    let info = info.unwrap_or_default();
    if info.files.is_empty() {
        Ok(info)
    } else {
        Err(OpenError::Unsupported(format!(
            "volume {} is on a remote tier",
            files.id
        )))
    }
}

pub(crate) fn read_block(
    dat: &dyn DiskFile,
    info: &VolumeInfo,
    id: VolumeId,
) -> Result<SuperBlock, OpenError> {
    let mut bytes = [0; SUPER_BLOCK_BYTES];
    let read = dat
        .read_at(&mut bytes, 0)
        .map_err(|e| HaystackError::from_io(id, &e))?;
    let never_written = read < SUPER_BLOCK_BYTES
        || (bytes == [0; SUPER_BLOCK_BYTES]
            && dat.len().is_ok_and(|len| len <= SUPER_BLOCK_BYTES as u64));
    if never_written {
        return Err(OpenError::HalfMade(id));
    }
    let mut block = SuperBlock::decode(&bytes)
        .map_err(|e: SuperBlockError| OpenError::Unsupported(format!("volume {id}: {e}")))?;
    if let Some(version) = u8::try_from(info.version).ok().and_then(Version::from_byte) {
        block.version = version;
    }
    if let (false, Ok(placement)) = (
        info.replication.is_empty(),
        ReplicaPlacement::parse(&info.replication),
    ) {
        block.placement = placement;
    }
    Ok(block)
}

/// A `.dat` without a super block was never finished only if its `.idx` is empty, as it is made.
pub(super) fn unless_idx_names_needles(
    disk: &dyn Disk,
    files: &VolumeFiles,
    error: OpenError,
) -> OpenError {
    let OpenError::HalfMade(volume) = error else {
        return error;
    };
    let path = files.idx();
    let idx_bytes = disk.exists(&path).and_then(|exists| match exists {
        true => disk.open(&path, OpenMode::Read)?.len(),
        false => Ok(0),
    });
    match idx_bytes {
        Ok(0) => error,
        Ok(idx_bytes) => OpenError::DatCut { volume, idx_bytes },
        Err(error) => HaystackError::from_io(volume, &error).into(),
    }
}
