//! Who asks, and all that a decision about it needs.

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

/// Who asks. Every operation takes one: a backend that lets its own store decide asks it in this name. A clone costs one count.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caller(Arc<Who>);

/// What is known of a caller. It is reached through [`Caller`], as a smart pointer's inside is: `caller.user`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Who {
    /// Short user name, as HDFS has it. With `doas`, the user acted for.
    pub user: Arc<str>,
    /// The user's groups; `None` when they could not be looked up, which is not the same as none.
    pub groups: Option<Arc<[Arc<str>]>>,
    /// Who acts for the user (`doas`), where somebody does.
    pub real_user: Option<Arc<str>>,
    /// The tenant that the user belongs to.
    pub tenant: Option<Arc<str>>,
    /// Where the request came from; `None` for the gateway itself.
    pub address: Option<IpAddr>,
    /// What the protocol calls the operation (`OPEN`, `LISTSTATUS`, `file-read`): for the audit record.
    pub operation: &'static str,
    /// How the caller showed who they are (`kerberos`, `jwt`, …): for the audit record.
    pub method: &'static str,
}

impl Caller {
    /// A caller of this name, of whom nothing else is known but that no groups are.
    pub fn new(user: impl Into<Arc<str>>) -> Self {
        Who::new(user).into()
    }

    /// The same caller, for another operation.
    #[must_use]
    pub fn doing(&self, operation: &'static str) -> Self {
        Who {
            operation,
            ..Who::clone(self)
        }
        .into()
    }
}

impl Who {
    /// As [`Caller::new`].
    pub fn new(user: impl Into<Arc<str>>) -> Self {
        Self {
            user: user.into(),
            groups: Some(Arc::default()),
            real_user: None,
            tenant: None,
            address: None,
            operation: "",
            method: "",
        }
    }
}

impl From<Who> for Caller {
    fn from(who: Who) -> Self {
        Self(Arc::new(who))
    }
}

impl Deref for Caller {
    type Target = Who;

    fn deref(&self) -> &Who {
        let Self(who) = self;
        who
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_operation_is_the_same_caller() {
        let alice = Caller::new("alice");
        let opens = alice.doing("OPEN");
        assert_eq!((&*opens.user, opens.operation), ("alice", "OPEN"));
        assert_eq!(opens.doing(""), alice);
    }
}
