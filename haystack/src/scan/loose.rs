//! Whose are the records that belong to no commit: SeaweedFS's, or ours from a commit that tore or decayed.
//!
//! Bytes that SeaweedFS appended carry no seal, and neither does a record of ours whose seal is broken. An `.idx` that names them, or an
//! index that knows since where all is ours, tells them apart. Without both this decides, and where it cannot be told the record
//! is SeaweedFS's: serving it with a flipped bit of metadata is the smaller harm than cutting off what somebody stored.

use super::Found;
use crate::commit::COMMIT_KEY;
use crate::id::NeedleKey;

/// Whose a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Author {
    /// Ours, damaged or not.
    Us,
    /// Ours, if its one byte of seal does not hold by chance: that tells nothing of what follows.
    UsPerhaps,
    /// SeaweedFS's.
    Others,
}

/// Asked record by record, in the order of the file.
#[derive(Debug, Default)]
pub struct LooseRecords {
    /// From here on all is ours; `None` where no index says.
    sealed_from: Option<u64>,
    /// We wrote to this volume before this point.
    commits_seen: bool,
    /// Of the record before, if no commit and no damage came since: whether it is surely ours, and whether the `.idx` names it.
    previous: Option<(bool, bool)>,
}

impl LooseRecords {
    /// Where an index knows since where all records are ours.
    pub fn sealed_from(sealed_from: Option<u64>) -> Self {
        Self {
            sealed_from,
            ..Self::default()
        }
    }

    /// A commit record was walked over.
    pub const fn commit(&mut self) {
        self.commits_seen = true;
        self.previous = None;
    }

    /// Bytes were walked over that are no records.
    pub const fn damage(&mut self) {
        self.previous = None;
    }

    /// Whether a commit came before.
    pub const fn commits_seen(&self) -> bool {
        self.commits_seen
    }

    /// Whose the next record is. `named` is the key that the `.idx` gives for it.
    pub fn author(&mut self, found: &Found, named: Option<NeedleKey>) -> Author {
        let among_ours = self
            .previous
            .is_some_and(|(ours, before_named)| ours && (before_named || named.is_none()));
        let since = self.sealed_from.is_some_and(|from| found.offset >= from);
        // SeaweedFS hands out no key 0.
        let was_commit = named.unwrap_or(found.header.key) == COMMIT_KEY && found.header.size == 0;
        let explained = found.mended.is_some() || found.filled;
        let decayed = self.commits_seen && named.is_none() && explained;
        let surely = found.surely_sealed || among_ours || since || was_commit || decayed;
        self.previous = Some((surely, named.is_some()));
        match (surely, found.sealed) {
            (true, _) => Author::Us,
            (false, true) => Author::UsPerhaps,
            (false, false) => Author::Others,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Cookie;
    use crate::needle::Header;

    fn found(key: u64) -> Found {
        Found {
            offset: 800,
            header: Header {
                cookie: Cookie(1),
                key: NeedleKey(key),
                size: 30,
            },
            appended_at_ns: 9,
            expires_secs: None,
            checksum: 0,
            adds_up: true,
            fault: None,
            sealed: false,
            surely_sealed: false,
            filled: false,
            mended: None,
        }
    }

    fn decayed(key: u64) -> Found {
        let found = found(key);
        Found {
            mended: Some(found.header),
            ..found
        }
    }

    #[test]
    fn what_seaweedfs_appended_is_not_ours() {
        let mut loose = LooseRecords::default();
        assert_eq!(loose.author(&found(5), None), Author::Others);
        loose.commit();
        assert_eq!(loose.author(&found(6), None), Author::Others);
        let named = Some(NeedleKey(7));
        assert_eq!(loose.author(&found(7), named), Author::Others);
    }

    #[test]
    fn a_broken_seal_that_one_bit_explains_is_ours_where_we_wrote() {
        let mut loose = LooseRecords::default();
        assert_eq!(loose.author(&decayed(5), None), Author::Others, "by chance");
        loose.commit();
        assert_eq!(loose.author(&decayed(5), None), Author::Us);
        assert_eq!(loose.author(&found(6), None), Author::Us, "in its commit");
        loose.damage();
        let named = Some(NeedleKey(7));
        assert_eq!(loose.author(&decayed(7), named), Author::Others, "named");
    }

    #[test]
    fn a_broken_seal_with_our_filler_is_ours_where_we_wrote() {
        let filled = Found {
            filled: true,
            ..found(5)
        };
        let mut loose = LooseRecords::default();
        assert_eq!(loose.author(&filled, None), Author::Others);
        loose.commit();
        assert_eq!(loose.author(&filled, None), Author::Us);
        let named = Some(NeedleKey(5));
        assert_eq!(loose.author(&filled, named), Author::Others, "named");
    }

    #[test]
    fn a_seal_that_may_hold_by_chance_makes_nothing_else_ours() {
        let by_chance = Found {
            sealed: true,
            ..found(5)
        };
        let surely = Found {
            surely_sealed: true,
            ..by_chance
        };
        let mut loose = LooseRecords::default();
        assert_eq!(loose.author(&by_chance, None), Author::UsPerhaps);
        assert_eq!(loose.author(&found(6), None), Author::Others);
        assert_eq!(loose.author(&surely, None), Author::Us);
        assert_eq!(loose.author(&by_chance, None), Author::Us);
        assert_eq!(loose.author(&found(6), None), Author::Us);
    }

    #[test]
    fn all_is_ours_behind_what_an_index_says() {
        let mut loose = LooseRecords::sealed_from(Some(800));
        assert_eq!(loose.author(&found(5), None), Author::Us);
        let mut loose = LooseRecords::sealed_from(Some(808));
        assert_eq!(loose.author(&found(5), None), Author::Others);
    }

    #[test]
    fn key_0_is_a_commit_record_of_ours() {
        let mut commit = found(0);
        commit.header.size = 0;
        let mut loose = LooseRecords::default();
        assert_eq!(loose.author(&commit, None), Author::Us);
    }
}
