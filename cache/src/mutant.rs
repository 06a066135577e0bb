//! Known ways to break the cache, which the simulation must catch. Outside this crate's tests none can be switched on.

/// One deliberate mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code))]
pub enum Mutant {
    /// Believes an answer about names for ever.
    NeverTooOld,
    /// Answers from what is known when it was asked to look.
    IgnoreNow,
    /// Goes on finding the pages of a version when another was seen.
    MixVersions,
    /// Takes the under store's file for the version that was opened, whatever it is.
    TrustTheOpenFile,
    /// Keeps what was known when a write through it ends.
    KeepAfterWrite,
    /// Keeps what the disks hold of a path when a write through it ends.
    KeepOnDiskAfterWrite,
    /// Keeps the pages of trees in memory when they are renamed or deleted.
    KeepTrees,
    /// Believes an answer that was asked for before a change through us.
    BelieveRaces,
    /// Hands out what a cache disk says without checking it.
    SkipSums,
}

#[cfg(test)]
impl Mutant {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::NeverTooOld,
        Self::IgnoreNow,
        Self::MixVersions,
        Self::TrustTheOpenFile,
        Self::KeepAfterWrite,
        Self::KeepOnDiskAfterWrite,
        Self::KeepTrees,
        Self::BelieveRaces,
        Self::SkipSums,
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

/// Whether the cache should make this mistake now.
#[cfg(test)]
pub fn is(mutant: Mutant) -> bool {
    ACTIVE.get() == Some(mutant)
}

/// Whether the cache should make this mistake now: never, outside tests.
#[cfg(not(test))]
pub const fn is(_: Mutant) -> bool {
    false
}
