//! How the files of a volume come to be, and how they go.

use std::io;

use moongate_disk::{Disk, OpenMode};

use crate::error::HaystackError;
use crate::mutant::{self, Mutant};
use crate::placement::ReplicaPlacement;
use crate::super_block::SuperBlock;
use crate::ttl::Ttl;
use crate::vif::VolumeInfo;
use crate::volume::files::VolumeFiles;

/// Makes an empty volume; when this returns it survives a power cut.
pub fn create(
    disk: &dyn Disk,
    files: &VolumeFiles,
    placement: ReplicaPlacement,
    ttl: Ttl,
) -> Result<(), HaystackError> {
    let failed = |e: io::Error| HaystackError::from_io(files.id, &e);
    // Of a volume that was half made and removed, the `.dat` must not come back beside new files.
    if disk.exists(&files.vif()).map_err(failed)? {
        disk.sync_dir(&files.dir).map_err(failed)?;
    }
    let block = SuperBlock::new(placement, ttl).encode();
    // The `.dat` comes last: a volume without one does not exist.
    for (path, bytes) in [
        (files.vif(), &VolumeInfo::new_volume().encode()[..]),
        (files.idx(), &[]),
        (files.dat(), &block),
    ] {
        let file = disk
            .open(&path, OpenMode::CreateOrTruncate)
            .map_err(failed)?;
        file.write_all_at(bytes, 0)
            .and_then(|()| file.sync_data())
            .map_err(failed)?;
    }
    if mutant::is(Mutant::SkipFolderSync) {
        Ok(())
    } else {
        disk.sync_dir(&files.dir).map_err(failed)
    }
}

/// Removes the files of a volume, the `.dat` first.
pub fn remove(disk: &dyn Disk, files: &VolumeFiles) -> io::Result<()> {
    for path in [
        files.dat(),
        files.idx(),
        files.vif(),
        files.compact_idx(),
        files.compact_dat(),
    ] {
        if disk.exists(&path)? {
            disk.remove(&path)?;
        }
    }
    disk.sync_dir(&files.dir)
}
