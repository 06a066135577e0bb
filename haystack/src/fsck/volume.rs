//! Checking one volume.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use moongate_disk::{DiskFile, OpenMode};

use super::damage::garbage;
use super::fold::Folded;
use super::idx_file::{self, IdxFile};
use super::problem::{NeedleName, Problem};
use super::table::{self, Standing};
use super::walk::{Known, Walked, walk};
use super::{Context, VolumeReport};
use crate::error::HaystackError;
use crate::id::NeedleKey;
use crate::idx::OffsetWidth;
use crate::index::{Change, TableId};
use crate::needle::{HEADER_BYTES, Header};
use crate::super_block::SuperBlock;
use crate::volume::files::VolumeFiles;
use crate::volume::open::{self, OpenError, Trusted};

/// What a check found out, for a repair to go on from.
pub struct Checked {
    /// What was found.
    pub report: VolumeReport,
    /// What the index knew of the `.dat`.
    pub trusted: Trusted,
    /// Rows of live needles whose records cannot be read: kept, so that they are answered with an error and not as missing.
    pub hurt: Vec<Change>,
}

/// An open volume, read only.
pub(super) struct Subject<'a> {
    context: &'a Context<'a>,
    files: &'a VolumeFiles,
    dat: Arc<dyn DiskFile>,
    pub(super) block: SuperBlock,
    width: OffsetWidth,
    /// After an interrupted vacuum the new index still has its first name.
    idx: PathBuf,
}

/// Checks a volume; writes nothing.
pub fn check(context: &Context<'_>, files: &VolumeFiles, watch: &mut dyn FnMut(u64)) -> Checked {
    let mut checked = Checked {
        report: VolumeReport {
            volume: files.id.0,
            collection: files.collection.clone(),
            file: files.dat(),
            ..VolumeReport::default()
        },
        trusted: Trusted::default(),
        hurt: Vec::new(),
    };
    if let Err(problem) = check_into(context, files, &mut checked, watch) {
        checked.report.add(problem);
    }
    checked
}

fn failed(error: impl std::fmt::Display) -> Problem {
    Problem::Failed {
        error: error.to_string(),
    }
}

fn check_into(
    context: &Context<'_>,
    files: &VolumeFiles,
    checked: &mut Checked,
    watch: &mut dyn FnMut(u64),
) -> Result<(), Problem> {
    let idx = leftovers(context, files, &mut checked.report).map_err(failed)?;
    let info = open::read_info(context.disk, files).map_err(not_served)?;
    let dat = context
        .disk
        .open(&files.dat(), OpenMode::Read)
        .map_err(failed)?;
    checked.report.bytes = dat.len().map_err(failed)?;
    let block = match open::read_block(&*dat, &info, files.id) {
        Ok(block) => block,
        Err(OpenError::HalfMade(_)) => return Err(half_made(context, &idx).map_err(failed)?),
        Err(error) => return Err(not_served(error)),
    };
    let subject = Subject {
        context,
        files,
        dat,
        block,
        width: info.offset_width(),
        idx,
    };
    subject.check(checked, watch)
}

fn not_served(error: OpenError) -> Problem {
    match error {
        OpenError::Failed(HaystackError::Storage(text)) => failed(text),
        error => Problem::NotServed {
            why: error.to_string(),
        },
    }
}

/// Empty, or cut to nothing: its `.idx` tells.
fn half_made(context: &Context<'_>, idx: &Path) -> std::io::Result<Problem> {
    let idx_bytes = if context.disk.exists(idx)? {
        context.disk.open(idx, OpenMode::Read)?.len()?
    } else {
        0
    };
    Ok(if idx_bytes > 0 {
        Problem::DatCut { idx_bytes }
    } else {
        Problem::HalfMade
    })
}

/// Reports what was left behind, and says which file is the volume's `.idx`.
fn leftovers(
    context: &Context<'_>,
    files: &VolumeFiles,
    report: &mut VolumeReport,
) -> std::io::Result<PathBuf> {
    let (dat, idx) = (files.compact_dat(), files.compact_idx());
    let mut found = Vec::new();
    for path in [&dat, &idx, &files.path("idx.new")] {
        if context.disk.exists(path)? {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            report.add(Problem::Leftover { file: file.into() });
            found.push(path.clone());
        }
    }
    let renamed_half = found.contains(&idx) && !found.contains(&dat);
    Ok(if renamed_half { idx } else { files.idx() })
}

impl Subject<'_> {
    fn check(&self, checked: &mut Checked, watch: &mut dyn FnMut(u64)) -> Result<(), Problem> {
        let idx = IdxFile::read(self.context.disk, &self.idx, self.width).map_err(failed)?;
        let standing = self.standing().map_err(failed)?;
        let first = self.block.first_record();
        let sealed_from = match &standing {
            Standing::Of(progress, _) => Some(progress.sealed_from),
            Standing::Missing | Standing::Other(_) => None,
        };
        let places = match (&standing, self.context.store()) {
            (Standing::Of(..), Some(store)) => {
                table::places(store, self.table()).map_err(failed)?
            }
            _ => Vec::new(),
        };
        let known = Known {
            version: self.block.version,
            first,
            acknowledged_to: match standing.acknowledged_to(checked.report.bytes) {
                Some(known) => known,
                None => first.max(idx.proves(&*self.dat, self.block.version).map_err(failed)?),
            },
            sealed_from,
            idx: &idx,
            places: &places,
        };
        let mut walked = walk(&*self.dat, &known, watch).map_err(failed)?;
        checked.trusted = Trusted {
            acknowledged_to: known.acknowledged_to,
            places,
        };
        let folded = Folded::new(&mut walked.touches, self.block.version);
        let report = &mut checked.report;
        count(report, &walked, &folded);
        self.damage(report, &walked, &folded, &mut checked.hurt);
        let settled_from = match &standing {
            Standing::Of(_, checkpoint) if checkpoint.dat_bytes < walked.dat_bytes => {
                checkpoint.dat_bytes
            }
            _ => u64::MAX,
        };
        let name = |key, offset| self.name(key, offset);
        idx_file::Compare {
            idx: &idx,
            walked: &walked,
            folded: &folded,
            version: self.block.version,
            width: self.width,
            settled_from,
        }
        .report(&name, &mut |problem| report.add(problem));
        self.index(checked, &standing, &walked, &folded)
            .map_err(failed)
    }

    const fn table(&self) -> TableId {
        TableId {
            volume: self.files.id,
            revision: self.block.revision,
        }
    }

    /// What the index says, and whether it is of this very file: as a volume is opened.
    fn standing(&self) -> Result<Standing, Box<dyn std::error::Error>> {
        let Some(store) = self.context.store() else {
            return Ok(Standing::Missing);
        };
        let (Some(progress), Some(checkpoint)) = (
            store.progress(self.table())?,
            store.checkpoint(self.table())?,
        ) else {
            return Ok(Standing::Missing);
        };
        let bytes = self.dat.len()?;
        let fits = checkpoint.dat_bytes <= progress.dat_bytes && progress.dat_bytes <= bytes;
        let same = fits && open::tail_crc(&*self.dat, checkpoint.dat_bytes)? == checkpoint.tail_crc;
        Ok(if same {
            Standing::Of(progress, checkpoint)
        } else {
            Standing::Other(progress)
        })
    }

    /// The fid under which a client knows what stands, or should stand, at an offset.
    pub(super) fn name(&self, key: NeedleKey, offset: u64) -> NeedleName {
        let header = moongate_disk::read_exact_at(&*self.dat, offset, HEADER_BYTES)
            .ok()
            .and_then(|bytes| Header::decode(&bytes));
        NeedleName {
            volume: self.files.id,
            key,
            cookie: header.filter(|h| h.key == key).map(|h| h.cookie),
        }
    }

    fn index(
        &self,
        checked: &mut Checked,
        standing: &Standing,
        walked: &Walked,
        folded: &Folded,
    ) -> Result<(), crate::index::IndexError> {
        let report = &mut checked.report;
        match (standing, self.context.store()) {
            (Standing::Of(progress, checkpoint), Some(store)) => {
                if checkpoint.dat_bytes < walked.settled_to {
                    report.add(Problem::NotClosed {
                        offset: checkpoint.dat_bytes,
                        bytes: walked.settled_to - checkpoint.dat_bytes,
                    });
                }
                let compare = table::Compare {
                    store,
                    table: self.table(),
                    progress: *progress,
                    walked,
                    folded,
                };
                let name = |key, offset| self.name(key, offset);
                let rows = compare.report(&name, &mut |problem| report.add(problem))?;
                report.live += rows.len() as u64;
                let named: Vec<u64> = rows.iter().map(|(_, entry)| entry.offset).collect();
                checked.hurt.extend(rows);
                garbage(report, walked, &named);
                return Ok(());
            }
            (Standing::Other(progress), _) => {
                report.add(Problem::IndexOther {
                    covers: progress.dat_bytes,
                    bytes: walked.dat_bytes,
                });
            }
            _ => report.add(if walked.commits > 0 {
                Problem::IndexMissing
            } else {
                Problem::NotTakenOver
            }),
        }
        self.nameless(report, walked, folded);
        Ok(())
    }
}

fn count(report: &mut VolumeReport, walked: &Walked, folded: &Folded) {
    report.needles = folded.puts;
    report.live = folded.live;
    report.deleted = folded.deleted;
    report.garbage_bytes = folded.garbage_bytes;
    report.written_by_moongate = walked.commits > 0;
    report.key_max = folded.key_max;
}
