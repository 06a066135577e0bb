//! What a request is, as its rules see it.

use super::principals::Subject;
use super::tagging::Tag;

/// One request, while it is decided.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Context<'a> {
    /// The path, folded where the service folds.
    pub path: &'a str,
    /// The user's name; empty if there is none.
    pub user: &'a str,
    /// Owner of the path, if it is known.
    pub owner: Option<&'a str>,
    /// Whether the path is known to be of a file.
    pub is_file: bool,
    /// Who asks, in the numbers of the snapshot.
    pub subject: Option<&'a Subject>,
    /// Milliseconds since 1970.
    pub time_ms: i64,
    /// The client's address, if it is known.
    pub client_ip: Option<&'a str>,
    /// The tag whose policies are asked.
    pub tag: Option<&'a Tag>,
    /// Whether letters of either case are the same.
    pub fold: bool,
}

impl<'a> Context<'a> {
    /// The last part of a file's path.
    pub(super) fn file_name(&self) -> Option<&'a str> {
        let path = self.path;
        self.is_file
            .then(|| path.rsplit_once('/').map_or(path, |(_, name)| name))
    }

    /// That, up to its last point.
    pub(super) fn base_file_name(&self) -> Option<&'a str> {
        self.file_name()
            .map(|name| name.rsplit_once('.').map_or(name, |(base, _)| base))
    }
}

/// What is known of a question. Where policies cannot say for certain, what denies counts and what allows does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    /// It holds.
    Yes,
    /// It does not.
    No,
    /// Nobody can say here: a script, or a group when groups could not be looked up.
    Unknown,
}

impl Truth {
    /// Of a plain answer.
    pub(super) const fn of(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }

    /// Both.
    pub(super) const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, Self::Yes) => Self::Yes,
            _ => Self::Unknown,
        }
    }

    /// Whether it holds for certain.
    pub(super) const fn is_certain(self) -> bool {
        matches!(self, Self::Yes)
    }

    /// Whether it may hold.
    pub(super) const fn is_possible(self) -> bool {
        !matches!(self, Self::No)
    }
}
