//! The groups of a user: from a file, a directory server (LDAP), the operating system, or Ranger's user store, in the order that is
//! configured; the first that knows the user tells.
//!
//! A lookup that fails is [`Groups::Unknown`], never an empty set, and what comes after it in the order is not asked: who the missing
//! source would have told of is not known. A user whom no source knows, and all could be asked, has no groups.
//!
//! Answers are kept (300 s; 30 s for failures and for users whom nobody knows) and asked for again behind a request when three quarters
//! of that have passed.

mod cached;
mod ldap;
mod os;
mod table;

use std::sync::Arc;

use crate::Groups;

pub use cached::{CachedGroups, Lifetimes};
pub use ldap::{Ldap, LdapConfig};
pub use table::GroupFile;

/// What a source says of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The user has these groups.
    Groups(Vec<String>),
    /// It does not know the user.
    Nobody,
    /// It could not be asked, for this reason.
    Failed(String),
}

/// A map that somebody else keeps: Ranger's user store.
pub type Lookup = Arc<dyn Fn(&str) -> Found + Send + Sync>;

/// Where groups come from.
pub enum Source {
    /// A file that is read again when it changes.
    File(GroupFile),
    /// A directory server.
    Ldap(Box<Ldap>),
    /// `getgrouplist` of this machine.
    Os,
    /// Somebody else's map.
    Map(Lookup),
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::File(_) => "File",
            Self::Ldap(_) => "Ldap",
            Self::Os => "Os",
            Self::Map(_) => "Map",
        })
    }
}

impl Source {
    async fn find(&self, user: &str) -> Found {
        match self {
            Self::File(file) => file.find(user),
            Self::Ldap(ldap) => ldap.find(user).await,
            Self::Os => os::find(user).await,
            Self::Map(lookup) => lookup(user),
        }
    }
}

/// Asks the sources in their order.
async fn look_up(sources: &[Source], user: &str) -> (Groups, bool) {
    for source in sources {
        match source.find(user).await {
            Found::Groups(groups) => return (Groups::known(groups), true),
            Found::Nobody => {}
            Found::Failed(reason) => {
                tracing::warn!(
                    ?source,
                    user,
                    reason,
                    "the groups of a user are unknown: what a group could deny is refused"
                );
                return (Groups::Unknown, false);
            }
        }
    }
    (Groups::known(Vec::<String>::new()), false)
}
