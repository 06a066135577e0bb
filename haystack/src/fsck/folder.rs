//! What is in a folder beside its volumes: files without a volume, and the sequence of keys.

use std::collections::HashSet;
use std::path::Path;

use moongate_disk::{Disk, OpenMode};

use super::problem::Problem;
use super::{Context, FolderReport, FsckError, VolumeReport};
use crate::id::{NeedleKey, VolumeId};
use crate::sequence::{self, Sequence};
use crate::volume::files::VolumeFiles;

/// What is there.
#[derive(Debug, Default)]
pub struct Content {
    /// Volumes, by number.
    pub volumes: Vec<VolumeFiles>,
    /// Numbers that two volumes have.
    pub twice: HashSet<VolumeId>,
    /// Bytes of all `.dat` files.
    pub bytes: u64,
    /// Volumes without a `.dat`.
    orphans: Vec<VolumeFiles>,
    /// Erasure coded volumes, by their index.
    erasure_coded: Vec<String>,
}

/// Lists a folder.
pub fn read(disk: &dyn Disk, dir: &Path) -> Result<Content, FsckError> {
    let failed = |error| FsckError::Io {
        path: dir.to_owned(),
        error,
    };
    let names = disk.list(dir).map_err(failed)?;
    let mut content = Content::default();
    for name in &names {
        if let Some(files) = VolumeFiles::from_dat_name(dir, name) {
            let len = disk
                .open(&files.dat(), OpenMode::Read)
                .and_then(|dat| dat.len());
            content.bytes += len.unwrap_or(0);
            content.volumes.push(files);
        } else if let Some(files) = orphan(dir, name, &names) {
            content.orphans.push(files);
        } else if name.ends_with(".ecx") {
            content.erasure_coded.push(name.clone());
        }
    }
    content.orphans.dedup();
    content.volumes.sort_by_key(|files| files.id);
    for pair in content.volumes.windows(2) {
        if pair[0].id == pair[1].id {
            content.twice.insert(pair[0].id);
        }
    }
    Ok(content)
}

/// The volume of an `.idx` or a `.vif` that has no `.dat`.
fn orphan(dir: &Path, name: &str, names: &[String]) -> Option<VolumeFiles> {
    let base = name
        .strip_suffix(".idx")
        .or_else(|| name.strip_suffix(".vif"))?;
    let dat = format!("{base}.dat");
    let files = VolumeFiles::from_dat_name(dir, &dat)?;
    // An erasure coded volume keeps its `.vif`.
    let coded = names.contains(&format!("{base}.ecx"));
    (!coded && !names.contains(&dat)).then_some(files)
}

/// What the sequence of keys has to be above.
#[derive(Debug, Default)]
pub struct Extremes {
    key_max: u64,
    volume_max: u32,
    written_by_moongate: bool,
}

impl Extremes {
    /// Takes in a volume.
    pub fn take(&mut self, report: &VolumeReport) {
        self.key_max = self.key_max.max(report.key_max);
        self.volume_max = self.volume_max.max(report.volume);
        self.written_by_moongate |= report.written_by_moongate;
    }
}

/// Checks what is beside the volumes, and mends it if that is wanted.
pub fn check(
    context: &Context<'_>,
    content: &Content,
    extremes: &Extremes,
    total: &mut FolderReport,
) {
    let coded = content.erasure_coded.iter();
    total.problems.extend(coded.map(|name| Problem::NotServed {
        why: format!("{name} is of an erasure coded volume"),
    }));
    for files in &content.orphans {
        if let Some(problem) = orphaned(context, files) {
            mend_orphan(context, files, problem, total);
        }
    }
    if let Some(problem) = sequence_problem(context, extremes) {
        mend_sequence(context, extremes, problem, total);
    }
}

fn orphaned(context: &Context<'_>, files: &VolumeFiles) -> Option<Problem> {
    let idx = files.idx();
    let len = context
        .disk
        .open(&idx, OpenMode::Read)
        .and_then(|f| f.len());
    let named = |path: &Path| {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    };
    match len {
        Ok(1..) => Some(Problem::DatMissing { file: named(&idx) }),
        Ok(0) => Some(Problem::Leftover { file: named(&idx) }),
        Err(_) => Some(Problem::Leftover {
            file: named(&files.vif()),
        }),
    }
}

fn mend_orphan(
    context: &Context<'_>,
    files: &VolumeFiles,
    problem: Problem,
    total: &mut FolderReport,
) {
    if !context.repair || !matches!(problem, Problem::Leftover { .. }) {
        return total.problems.push(problem);
    }
    match crate::volume::open::remove(context.disk, files) {
        Ok(()) => total.repaired.push(format!("{problem}: removed")),
        Err(error) => total.problems.push(Problem::Failed {
            error: error.to_string(),
        }),
    }
}

fn sequence_problem(context: &Context<'_>, extremes: &Extremes) -> Option<Problem> {
    let path = context.dir.join(sequence::FILE_NAME);
    if !matches!(context.disk.exists(&path), Ok(true)) {
        return extremes
            .written_by_moongate
            .then_some(Problem::SequenceMissing);
    }
    match sequence::read(context.disk, &path) {
        Err(error) => Some(Problem::SequenceUnreadable {
            error: error.to_string(),
        }),
        // What SeaweedFS stored since is no fault of the file.
        Ok(reserved) if extremes.written_by_moongate => {
            let behind =
                reserved.next_key <= extremes.key_max || reserved.volume_max < extremes.volume_max;
            behind.then_some(Problem::SequenceBehind {
                next_key: NeedleKey(reserved.next_key),
                key_max: NeedleKey(extremes.key_max),
                volume_max: extremes.volume_max,
            })
        }
        Ok(_) => None,
    }
}

/// Goes on so far above every key in use that keys which were handed out but not used are not handed out again.
fn mend_sequence(
    context: &Context<'_>,
    extremes: &Extremes,
    problem: Problem,
    total: &mut FolderReport,
) {
    if !context.repair {
        return total.problems.push(problem);
    }
    match write_sequence(context, extremes, &problem) {
        Ok(next_key) => total
            .repaired
            .push(format!("{problem}: it goes on with key {next_key:x} now")),
        Err(error) => total.problems.push(Problem::Failed { error }),
    }
}

fn write_sequence(
    context: &Context<'_>,
    extremes: &Extremes,
    problem: &Problem,
) -> Result<u64, String> {
    let path = context.dir.join(sequence::FILE_NAME);
    if matches!(problem, Problem::SequenceUnreadable { .. }) {
        let aside = context.dir.join(format!("{}.damaged", sequence::FILE_NAME));
        let moved = context.disk.rename(&path, &aside);
        moved.map_err(|e| format!("{}: {e}", path.display()))?;
    }
    let above = extremes.key_max.saturating_add(sequence::COUNT_MAX);
    let dirs = [context.dir.to_owned()];
    let mut sequence = Sequence::open(context.disk, &dirs, above, extremes.volume_max)
        .map_err(|e| e.to_string())?;
    let written = sequence.keys(context.disk, 1).map_err(|e| e.to_string())?;
    Ok(written.0)
}
