//! Known ways to break the filer, which the simulation must catch. Outside this crate's tests none can be switched on.

/// One deliberate mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code))]
pub enum Mutant {
    /// Answers before a change is durable.
    SkipSync,
    /// Hands out released content before its release is durable.
    HandOutBeforeSync,
    /// Forgets content that nothing refers to any more.
    SkipRelease,
    /// Releases content that was only moved from one row to another.
    ReleaseWhatMoves,
    /// Releases in a batch of its own.
    ReleaseApart,
    /// Forgets the folder that was deleted with what is in it.
    SkipTrash,
    /// Hands out numbers again after a restart.
    ReuseNumbers,
    /// Goes on finding a folder where it was before it was renamed.
    KeepCachedFolder,
    /// Hands out what a hold keeps.
    IgnoreHolds,
    /// Finds files whose life is over.
    SeeExpired,
    /// Does not note when a file's life ends.
    SkipExpiry,
    /// Lists the name again that it was to begin behind.
    ListTheLastAgain,
    /// Takes a folder with something in it for empty.
    DeleteAnyFolder,
    /// Lets a folder be moved into itself.
    MoveIntoItself,
}

#[cfg(test)]
impl Mutant {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::SkipSync,
        Self::HandOutBeforeSync,
        Self::SkipRelease,
        Self::ReleaseWhatMoves,
        Self::ReleaseApart,
        Self::SkipTrash,
        Self::ReuseNumbers,
        Self::KeepCachedFolder,
        Self::IgnoreHolds,
        Self::SeeExpired,
        Self::SkipExpiry,
        Self::ListTheLastAgain,
        Self::DeleteAnyFolder,
        Self::MoveIntoItself,
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

/// Whether the filer should make this mistake now.
#[cfg(test)]
pub fn is(mutant: Mutant) -> bool {
    ACTIVE.get() == Some(mutant)
}

/// Whether the filer should make this mistake now: never, outside tests.
#[cfg(not(test))]
pub const fn is(_: Mutant) -> bool {
    false
}
