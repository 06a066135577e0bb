//! Opening a data folder: its index and every volume in it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use moongate_disk::Disk;

use super::committer::Committer;
use super::{DataDir, INDEX_DIR, StoreConfig};
use crate::error::HaystackError;
use crate::id::VolumeId;
use crate::index::TableId;
use crate::index::hot::HotIndex;
use crate::index::rocks::RocksIndex;
use crate::volume::Volume;
use crate::volume::files::VolumeFiles;
use crate::volume::open::{self, OpenError, Opened};
use crate::volume::writer::Writer;

pub(super) fn open_dir(
    disk: &Arc<dyn Disk>,
    path: &Path,
    index_memory_bytes: u64,
    config: &StoreConfig,
) -> Result<(Arc<DataDir>, Vec<Arc<Volume>>), HaystackError> {
    let failed = |e: std::io::Error| {
        HaystackError::Storage(format!("data folder {}: {e}", path.display()).into())
    };
    disk.create_dir_all(path).map_err(failed)?;
    let rocks = RocksIndex::open(&path.join(INDEX_DIR)).map_err(|e| {
        HaystackError::Storage(
            format!(
                "data folder {} (is another moongate using it?): {e}",
                path.display()
            )
            .into(),
        )
    })?;
    let index = Arc::new(HotIndex::new(Arc::new(rocks), index_memory_bytes));
    let space = disk.space(path).map_err(failed)?;
    let opened = open_volumes(&**disk, &index, path)?;
    let volumes = opened.iter().map(|o| Arc::clone(&o.volume)).collect();
    let writers: HashMap<VolumeId, Writer> = opened
        .into_iter()
        .map(|o| (o.volume.id(), o.writer))
        .collect();
    let dir = Arc::new_cyclic(|dir| DataDir {
        path: path.to_owned(),
        index,
        total_bytes: AtomicU64::new(space.total_bytes),
        free_bytes: AtomicU64::new(space.free_bytes),
        volume_bytes_limit: config.volume_bytes_max,
        committer: Committer::start(Arc::clone(disk), dir.clone(), writers, config),
    });
    Ok((dir, volumes))
}

/// Opens every `.dat` in a folder; removes those whose making was interrupted, and index tables without a volume.
fn open_volumes(
    disk: &dyn Disk,
    index: &Arc<HotIndex>,
    path: &Path,
) -> Result<Vec<Opened>, HaystackError> {
    let names = disk.list(path).map_err(|e| {
        HaystackError::Storage(format!("data folder {}: {e}", path.display()).into())
    })?;
    let mut opened = Vec::new();
    for files in names
        .iter()
        .filter_map(|name| VolumeFiles::from_dat_name(path, name))
    {
        match open::open(disk, index, files.clone()) {
            Ok(volume) => {
                report(&volume);
                opened.push(volume);
            }
            Err(OpenError::HalfMade(id)) => {
                tracing::info!(
                    volume = id.0,
                    "removing a volume whose making was interrupted"
                );
                open::remove(disk, &files).map_err(|e| HaystackError::from_io(id, &e))?;
            }
            Err(error) => tracing::error!(volume = files.id.0, %error, "volume not served"),
        }
    }
    let live: Vec<TableId> = opened.iter().map(|o| o.volume.generation().table).collect();
    for stale in index
        .store()
        .tables()?
        .into_iter()
        .filter(|table| !live.contains(table))
    {
        index.drop_table(stale)?;
    }
    Ok(opened)
}

fn report(opened: &Opened) {
    let (volume, recovery) = (opened.volume.id().0, &opened.recovery);
    if recovery.damaged_bytes > 0 {
        tracing::error!(
            volume,
            ?recovery,
            "part of the volume cannot be read: run moongate fsck"
        );
    } else if recovery.walked_bytes > 0 || recovery.rebuilt {
        tracing::info!(volume, ?recovery, "volume recovered");
    }
}
