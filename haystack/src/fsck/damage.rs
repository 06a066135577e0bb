//! What is damaged in a `.dat` itself, and whom it hurts.

use super::VolumeReport;
use super::fold::Folded;
use super::problem::{Fault, Problem};
use super::volume::Subject;
use super::walk::Walked;
use crate::index::{Change, Entry};
use crate::needle::NeedleError;

impl Subject<'_> {
    /// Reports everything but records whose key is not known; notes the needles that are hurt.
    pub(super) fn damage(
        &self,
        report: &mut VolumeReport,
        walked: &Walked,
        folded: &Folded,
        hurt: &mut Vec<Change>,
    ) {
        for (key, state) in folded.keys().filter(|(_, s)| !s.deleted) {
            let Some(fault) = state.damaged else { continue };
            report.add(Problem::DamagedNeedle {
                needle: self.name(key, state.offset),
                offset: state.offset,
                fault,
            });
            let entry = Entry {
                offset: state.offset,
                size: state.size,
                deleted: false,
            };
            hurt.push((key, entry));
        }
        for touch in &walked.touches {
            let live = folded
                .get(touch.key)
                .is_some_and(|s| !s.deleted && s.offset == touch.offset);
            if let (Some(fault @ Fault::Record(_)), false) = (touch.damaged, live) {
                report.add(Problem::DamagedGarbage {
                    offset: touch.offset,
                    fault,
                });
            }
        }
        for (offset, end) in &walked.unreadable {
            report.add(Problem::Unreadable {
                offset: *offset,
                end: *end,
            });
        }
        for commit in &walked.broken_commits {
            if !walked.explains(*commit) {
                report.add(Problem::BrokenCommit {
                    offset: commit.0,
                    end: commit.1,
                });
            }
        }
        if walked.settled_to < walked.dat_bytes {
            report.add(Problem::TornTail {
                offset: walked.settled_to,
                bytes: walked.dat_bytes - walked.settled_to,
                whole_needles: walked.whole_in_tail,
            });
        }
    }

    /// Records whose key neither `.idx` nor index knows: their own header is the best guess.
    pub(super) fn nameless(&self, report: &mut VolumeReport, walked: &Walked, folded: &Folded) {
        for found in &walked.nameless {
            let (key, offset) = (found.header.key, found.offset);
            let elsewhere = folded.get(key).is_some();
            // Where the key has a whole record of its own, nobody can tell whose this was.
            report.add(if elsewhere || found.header.size == 0 {
                Problem::Unreadable {
                    offset,
                    end: found.end(self.block.version),
                }
            } else {
                Problem::DamagedNeedle {
                    needle: self.name(key, offset),
                    offset,
                    fault: Fault::Record(NeedleError::Seal),
                }
            });
        }
    }
}

/// Records whose key only the index could know, and that it does not have: they were replaced.
pub(super) fn garbage(report: &mut VolumeReport, walked: &Walked, named: &[u64]) {
    let nameless = walked.nameless.iter();
    for found in nameless.filter(|f| !named.contains(&f.offset)) {
        report.add(Problem::DamagedGarbage {
            offset: found.offset,
            fault: Fault::Record(NeedleError::Seal),
        });
    }
}
