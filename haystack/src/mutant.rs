//! Known ways to break the engine, which the simulation must catch. Outside this crate's tests none can be switched on.

/// One deliberate mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code))]
pub enum Mutant {
    /// Acknowledges without `fdatasync`.
    SkipDataSync,
    /// Writes the index before the data is durable.
    IndexBeforeData,
    /// Takes every record of a torn tail for written.
    TrustTail,
    /// Goes on writing to a volume after a failed `fdatasync`.
    IgnoreFailedSync,
    /// Makes files without syncing their folder.
    SkipFolderSync,
    /// Forgets that a delete must be in the `.dat` too.
    DeleteInIndexOnly,
    /// Renames a vacuumed file before its bytes are durable.
    RenameBeforeSync,
    /// Hands out keys without reserving them first.
    ReuseKeys,
    /// Lets a payload pass for a commit record of this volume.
    AcceptForgedCommits,
    /// Loses what was written while a vacuum was under way.
    ForgetWritesDuringVacuum,
    /// Trusts bytes after a failed sync without writing them again.
    SkipTailRewrite,
    /// Serves records without looking at their seals.
    SkipSeal,
    /// Serves records without looking at their data's checksum.
    SkipChecksum,
    /// Takes a whole commit for a proof of everything before it, though it did not wait for it.
    TrustOverlappingCommits,
    /// Notes a checkpoint without syncing the `.idx`.
    SkipIdxSync,
    /// Goes on at the next commit record after damage, not at the next record.
    SkipNeighbours,
    /// Leaves seals of one byte where no more is free, as earlier versions did. Damage of several bits is missed once in 256 times: too
    /// seldom for [`Self::ALL`].
    ShortSeals,
}

#[cfg(test)]
impl Mutant {
    /// All that are to be caught.
    pub const ALL: [Self; 16] = [
        Self::SkipDataSync,
        Self::IndexBeforeData,
        Self::TrustTail,
        Self::IgnoreFailedSync,
        Self::SkipFolderSync,
        Self::DeleteInIndexOnly,
        Self::RenameBeforeSync,
        Self::ReuseKeys,
        Self::AcceptForgedCommits,
        Self::ForgetWritesDuringVacuum,
        Self::SkipTailRewrite,
        Self::SkipSeal,
        Self::SkipChecksum,
        Self::TrustOverlappingCommits,
        Self::SkipIdxSync,
        Self::SkipNeighbours,
    ];
}

#[cfg(test)]
thread_local! {
    static ACTIVE: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Runs `work` with a mistake built in.
#[cfg(test)]
pub fn with<T>(mutant: Option<Mutant>, work: impl FnOnce() -> T) -> T {
    ACTIVE.set(mutant);
    let result = work();
    ACTIVE.set(None);
    result
}

/// Whether the engine should make this mistake now.
#[cfg(test)]
pub fn is(mutant: Mutant) -> bool {
    ACTIVE.get() == Some(mutant)
}

/// Whether the engine should make this mistake now: never, outside tests.
#[cfg(not(test))]
pub const fn is(_: Mutant) -> bool {
    false
}
