//! Mending: everything that is derived is built anew from the `.dat`, and a torn tail is cut off, kept in a file of its own.
//!
//! What is damaged in the `.dat` itself stays as it is.

use std::path::Path;
use std::sync::Arc;

use moongate_disk::Disk;

use super::problem::Problem;
use super::volume::{self, Checked};
use super::{Context, FolderReport, FsckError, VolumeReport, Watcher};
use crate::error::HaystackError;
use crate::index::hot::HotIndex;
use crate::index::rocks::RocksIndex;
use crate::index::{Change, TableId};
use crate::store::INDEX_DIR;
use crate::volume::files::VolumeFiles;
use crate::volume::open::{self, OpenError, Recovery};
use crate::volume::vacuum;

/// Names that an index folder which cannot be opened is tried to be kept under.
const SET_ASIDE_MAX: u32 = 100;

/// Opens the index as a gateway does. One that cannot be opened is set aside: it is derived, so a new one will do.
pub fn open_index(
    disk: &dyn Disk,
    dir: &Path,
    total: &mut FolderReport,
) -> Result<Arc<HotIndex>, FsckError> {
    let path = dir.join(INDEX_DIR);
    let opened = RocksIndex::open(&path).or_else(|error| {
        if error.0.contains("lock") && error.0.contains("LOCK") {
            return Err(FsckError::InUse(dir.to_owned()));
        }
        let aside = set_aside(disk, dir)?;
        total.repaired.push(format!(
            "the index could not be opened ({error}): it is now {aside}, and a new one was made"
        ));
        RocksIndex::open(&path).map_err(|error| io_error(&path, std::io::Error::other(error)))
    });
    Ok(Arc::new(HotIndex::new(Arc::new(opened?), 0)))
}

fn io_error(path: &Path, error: std::io::Error) -> FsckError {
    FsckError::Io {
        path: path.to_owned(),
        error,
    }
}

fn set_aside(disk: &dyn Disk, dir: &Path) -> Result<String, FsckError> {
    let path = dir.join(INDEX_DIR);
    for n in 1..=SET_ASIDE_MAX {
        let name = format!("{INDEX_DIR}.damaged-{n}");
        let aside = dir.join(&name);
        if !disk.exists(&aside).map_err(|e| io_error(&aside, e))? {
            disk.rename(&path, &aside)
                .and_then(|()| disk.sync_dir(dir))
                .map_err(|e| io_error(&path, e))?;
            return Ok(name);
        }
    }
    Err(io_error(
        &path,
        std::io::Error::other("too many damaged indexes are kept here already: remove some"),
    ))
}

/// Checks a volume; where it is hurt and a repair is wanted, mends it and checks it again.
pub fn check_and_mend(
    context: &Context<'_>,
    files: &VolumeFiles,
    watcher: &mut dyn Watcher,
) -> VolumeReport {
    let checked = volume::check(context, files, &mut |bytes| watcher.walked(bytes));
    if !context.repair || checked.report.is_sound() {
        return checked.report;
    }
    match mend(context, files, &checked) {
        Ok(done) if done.is_empty() => checked.report,
        Ok(done) => {
            let gone = matches!(context.disk.exists(&files.dat()), Ok(false));
            let mut report = if gone {
                VolumeReport {
                    problems: Vec::new(),
                    ..checked.report
                }
            } else {
                volume::check(context, files, &mut |bytes| watcher.walked(bytes)).report
            };
            report.repaired = done;
            report
        }
        Err(error) => {
            let mut report = checked.report;
            report.add(Problem::Failed {
                error: format!("not mended: {error}"),
            });
            report
        }
    }
}

fn failed(files: &VolumeFiles) -> impl Fn(std::io::Error) -> HaystackError + '_ {
    |error| HaystackError::from_io(files.id, &error)
}

/// Does what the findings call for, and says what that was.
fn mend(
    context: &Context<'_>,
    files: &VolumeFiles,
    checked: &Checked,
) -> Result<Vec<String>, OpenError> {
    let mut done = Vec::new();
    let problems = &checked.report.problems;
    if problems.contains(&Problem::HalfMade) {
        open::remove(context.disk, files).map_err(failed(files))?;
        return Ok(vec!["removed: nothing was ever stored in it".into()]);
    }
    let unserved = |p: &Problem| {
        matches!(
            p,
            Problem::NotServed { .. } | Problem::DatCut { .. } | Problem::Failed { .. }
        )
    };
    if problems.iter().any(unserved) {
        return Ok(done);
    }
    if problems
        .iter()
        .any(|p| matches!(p, Problem::Leftover { .. }))
    {
        clear_leftovers(context, files).map_err(failed(files))?;
        done.push("what an interrupted vacuum or rebuild left was finished or removed".into());
    }
    if problems.iter().any(Problem::wants_rebuild) {
        done.push(rebuild(context, files, checked)?);
    }
    Ok(done)
}

fn clear_leftovers(context: &Context<'_>, files: &VolumeFiles) -> std::io::Result<()> {
    vacuum::finish_or_drop(context.disk, files)?;
    let new_idx = files.path("idx.new");
    if context.disk.exists(&new_idx)? {
        context.disk.remove(&new_idx)?;
    }
    context.disk.sync_dir(&files.dir)
}

fn rebuild(
    context: &Context<'_>,
    files: &VolumeFiles,
    checked: &Checked,
) -> Result<String, OpenError> {
    let Some(index) = &context.index else {
        return Err(HaystackError::Storage("there is no index to mend".into()).into());
    };
    let mut opened = open::rebuild(context.disk, index, files.clone(), &checked.trusted)?;
    let table = opened.volume.generation().table;
    keep_hurt(index, table, &checked.hurt)?;
    opened.writer.close()?;
    Ok(told(&opened.recovery, files))
}

/// Rows of needles that cannot be read go back into the new table: they are answered with an error, not as missing.
fn keep_hurt(index: &HotIndex, table: TableId, hurt: &[Change]) -> Result<(), HaystackError> {
    let store = index.store();
    let mut rows = Vec::new();
    for (key, entry) in hurt {
        if store.get(table, *key)? != Some(*entry) {
            rows.push((*key, *entry));
        }
    }
    if let (Some(progress), false) = (store.progress(table)?, rows.is_empty()) {
        store.apply(table, &rows, &progress)?;
        store.sync()?;
    }
    Ok(())
}

fn told(recovery: &Recovery, files: &VolumeFiles) -> String {
    let mut text = String::from("index and .idx were built anew from the .dat");
    if recovery.cut_bytes > 0 {
        let kept = files.path("cut-OFFSET");
        let kept = kept.file_name().unwrap_or_default().to_string_lossy();
        text += &format!(
            "; {} bytes behind the last whole commit were cut off and are kept in {kept}; {} whole needles of them were stored again",
            recovery.cut_bytes, recovery.salvaged
        );
    }
    text
}
