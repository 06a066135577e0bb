//! Who calls, once it is known.

use std::sync::Arc;

/// The groups of a user.
///
/// A lookup that failed is not an empty set: a policy that denies a group must not be passed by a directory server that is down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Groups {
    /// These, and no others.
    Known(Arc<[Arc<str>]>),
    /// They could not be looked up: whatever a group could deny is refused.
    Unknown,
}

impl Groups {
    /// These groups.
    pub fn known<G: Into<Arc<str>>>(groups: impl IntoIterator<Item = G>) -> Self {
        Self::Known(groups.into_iter().map(Into::into).collect())
    }

    /// The groups as far as they are known.
    pub fn names(&self) -> &[Arc<str>] {
        match self {
            Self::Known(groups) => groups,
            Self::Unknown => &[],
        }
    }
}

/// How somebody showed who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Not at all: where the configuration lets everybody in.
    Anonymous,
    /// By saying so (`user.name=`), Hadoop's "simple".
    Simple,
    /// A Kerberos ticket by SPNEGO, or the signed cookie that followed one.
    Kerberos,
    /// A Hadoop delegation token.
    DelegationToken,
    /// A JSON web token of an OIDC issuer.
    Jwt,
    /// An access key and its secret.
    AccessKey,
    /// A TLS client certificate.
    Certificate,
}

/// Who calls: what every way of logging in ends in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Short user name, as policies and file owners have it. With `doas`, the user acted for.
    pub user: Arc<str>,
    /// The full name that was shown: a Kerberos principal, a token's subject. The short name where there is no other.
    pub principal: Arc<str>,
    /// The user's groups.
    pub groups: Groups,
    /// Who acts for the user (`doas`), where somebody does.
    pub real_user: Option<Arc<str>>,
    /// The tenant that the user belongs to.
    pub tenant: Option<Arc<str>>,
    /// How it was shown.
    pub method: Method,
}
