//! What a file's own owner, group, mode and access control list allow, as HDFS decides where no policy does.
//!
//! Pure. Source: `FSPermissionChecker` of Hadoop's NameNode.

use crate::identity::Groups;
use crate::policy::FsAction;

/// What a store says of a file or a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions<'a> {
    /// Owner.
    pub owner: &'a str,
    /// Group.
    pub group: &'a str,
    /// POSIX bits, `0o755`; with an ACL the group's bits are the mask.
    pub mode: u16,
    /// Entries of the list beyond the bits.
    pub acl: &'a [Entry<'a>],
}

/// An entry of an access control list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Whom it is about.
    pub of: Of<'a>,
    /// `rwx` bits.
    pub bits: u8,
}

/// Whom an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of<'a> {
    /// A user by name.
    User(&'a str),
    /// A group by name, or the owning one if the name is empty.
    Group(&'a str),
}

/// Who is let through without a look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Superusers {
    /// User names.
    pub users: Vec<String>,
    /// Group names.
    pub groups: Vec<String>,
}

impl Superusers {
    /// Whether somebody is one for certain.
    pub fn include(&self, user: &str, groups: &Groups) -> bool {
        let in_group = |name: &String| groups.names().iter().any(|group| **group == **name);
        self.users.iter().any(|name| name == user) || self.groups.iter().any(in_group)
    }
}

/// Whether the permissions allow it.
///
/// When groups are unknown, it is allowed only if it were for whatever groups the user may have.
pub fn allows(of: &Permissions<'_>, user: &str, groups: &Groups, action: FsAction) -> bool {
    let grants = |bits: u16| bits & u16::from(action.bits()) == u16::from(action.bits());
    let (owner, middle, other) = (of.mode >> 6, of.mode >> 3, of.mode);
    if user == of.owner {
        return grants(owner);
    }
    if of.acl.is_empty() {
        return by_group(groups, &[(of.group, grants(middle))], grants(other));
    }
    // The mask bounds all but owner and other.
    let masked = |bits: u8| grants(u16::from(bits) & middle);
    for entry in of.acl {
        if entry.of == Of::User(user) {
            return masked(entry.bits);
        }
    }
    let entries: Vec<(&str, bool)> = of
        .acl
        .iter()
        .filter_map(|entry| match entry.of {
            Of::Group("") => Some((of.group, masked(entry.bits))),
            Of::Group(name) => Some((name, masked(entry.bits))),
            Of::User(_) => None,
        })
        .collect();
    by_group(groups, &entries, grants(other))
}

/// Any group that grants is enough; if some match but none grants, it is refused; if none matches, others decide.
fn by_group(groups: &Groups, entries: &[(&str, bool)], other: bool) -> bool {
    match groups {
        Groups::Unknown => other && entries.iter().all(|(_, grants)| *grants),
        Groups::Known(groups) => {
            let mine = |name: &str| groups.iter().any(|group| **group == *name);
            let mut matched = entries.iter().filter(|(name, _)| mine(name)).peekable();
            if matched.peek().is_none() {
                return other;
            }
            matched.any(|(_, grants)| *grants)
        }
    }
}

/// Whether somebody may delete or rename what is in a folder with the sticky bit: its owner, or that of the folder.
pub fn sticky_allows(folder: &Permissions<'_>, entry_owner: &str, user: &str) -> bool {
    const STICKY: u16 = 0o1000;
    folder.mode & STICKY == 0 || user == folder.owner || user == entry_owner
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(mode: u16, acl: &[Entry<'_>], user: &str, groups: &[&str], action: FsAction) -> bool {
        let of = Permissions {
            owner: "own",
            group: "grp",
            mode,
            acl,
        };
        allows(&of, user, &Groups::known(groups.iter().copied()), action)
    }

    #[test]
    fn bits() {
        let r = FsAction::READ;
        assert!(may(0o400, &[], "own", &[], r));
        assert!(
            !may(0o077, &[], "own", &["grp"], r),
            "the owner's bits alone decide for the owner"
        );
        assert!(may(0o040, &[], "al", &["grp"], r));
        assert!(
            !may(0o704, &[], "al", &["grp"], r),
            "the group's for the group"
        );
        assert!(may(0o004, &[], "al", &["x"], r));
        assert!(!may(0o004, &[], "al", &["x"], FsAction::READ_WRITE));
    }

    #[test]
    fn lists() {
        let entry = |of, bits| Entry { of, bits };
        let acl = [
            entry(Of::User("al"), 6),
            entry(Of::Group(""), 0),
            entry(Of::Group("dev"), 4),
            entry(Of::Group("ops"), 0),
        ];
        let (r, w) = (FsAction::READ, FsAction::WRITE);
        assert!(may(0o770, &acl, "al", &[], w));
        assert!(!may(0o740, &acl, "al", &[], w), "the mask");
        assert!(
            may(0o770, &acl, "bo", &["ops", "dev"], r),
            "any that grants"
        );
        assert!(
            !may(0o777, &acl, "bo", &["ops"], r),
            "one matched, none grants"
        );
        assert!(may(0o774, &acl, "bo", &["x"], r));
    }

    #[test]
    fn unknown_groups_are_refused_what_a_group_could_deny() {
        let of = |mode| Permissions {
            owner: "own",
            group: "grp",
            mode,
            acl: &[],
        };
        assert!(!allows(&of(0o704), "al", &Groups::Unknown, FsAction::READ));
        assert!(!allows(&of(0o740), "al", &Groups::Unknown, FsAction::READ));
        assert!(allows(&of(0o744), "al", &Groups::Unknown, FsAction::READ));
    }

    #[test]
    fn sticky() {
        let folder = Permissions {
            owner: "own",
            mode: 0o1777,
            ..Permissions::default()
        };
        assert!(sticky_allows(&folder, "al", "al") && sticky_allows(&folder, "al", "own"));
        assert!(!sticky_allows(&folder, "al", "bo"));
    }
}
