//! Who a connection of the lane has shown to be, and what they may do: found out once a second, and not once a request.
//!
//! What a request shows is compared, byte by byte, with what the one before it on the same connection showed. If it is the same, and the second is not over
//! in which that was found good, nothing is asked again but whether the policies are still those. So whatever ends a credential is noticed as it is
//! on the long way, at most a second later: its own time, a file of keys that has changed, groups, the keys of an issuer. A connection remembers one.

use std::sync::Arc;
use std::time::Instant;

use http::request::Parts;
use http::{HeaderValue, Request, header};
use moongate_auth::Identity;
use moongate_auth::policy::FsAction;
use moongate_auth::tenants::Tenant;
use moongate_auth::tls::ClientCertificate;

use crate::http::lane::Shown;
use crate::http::server::PeerInfo;
use crate::login;
use crate::login::remembered::{is_same, second};
use crate::metrics::Operation;
use crate::policy::gatekeeper::Leave;
use crate::policy::own;
use crate::state::Gateway;

/// Collections that a connection remembers its leave for. Another one takes the place of all of them.
const LEAVES_MAX: usize = 16;

/// A connection of the lane.
#[derive(Debug)]
pub struct Visit {
    peer: PeerInfo,
    certificate: Option<Arc<ClientCertificate>>,
    visitor: Option<Visitor>,
}

/// Somebody who is known for the rest of a second.
#[derive(Debug)]
struct Visitor {
    authorization: Option<Box<str>>,
    cookie: Option<Box<str>>,
    second: u64,
    identity: Identity,
    tenant: Option<Arc<Tenant>>,
    leaves: Vec<Granted>,
}

/// That something may be done to the images of a collection.
#[derive(Debug)]
struct Granted {
    collection: Box<str>,
    operation: Operation,
    /// What policies say, where something is governed.
    leave: Option<Leave>,
}

/// Leave for one request.
#[derive(Debug)]
pub struct Pass<'v> {
    visitor: &'v Visitor,
    granted: &'v Granted,
}

impl Visit {
    /// Nobody is known yet.
    pub const fn new(peer: PeerInfo, certificate: Option<Arc<ClientCertificate>>) -> Self {
        Self {
            peer,
            certificate,
            visitor: None,
        }
    }

    /// Whether who shows this may do that to images of a collection. `None` is no refusal: it is asked again on the long way, so nothing is counted.
    pub async fn pass(
        &mut self,
        gateway: &Arc<Gateway>,
        shown: Shown<'_>,
        collection: &str,
        operation: Operation,
    ) -> Option<Pass<'_>> {
        let second = second();
        let is_known = self
            .visitor
            .as_ref()
            .is_some_and(|visitor| visitor.second == second && visitor.showed(shown));
        if !is_known {
            // Not left in place: who cannot be known now is not known.
            self.visitor = None;
            self.visitor = Some(self.look(gateway, shown, second).await?);
        }
        let (visitor, peer) = (self.visitor.as_mut()?, self.peer);
        let place = visitor.grant(gateway, peer, collection, operation)?;
        let visitor = &*visitor;
        let granted = visitor.leaves.get(place)?;
        Some(Pass { visitor, granted })
    }

    async fn look(&self, gateway: &Arc<Gateway>, shown: Shown<'_>, second: u64) -> Option<Visitor> {
        let parts = self.parts(shown)?;
        let identity = login::recognize(gateway, &parts, self.peer).await?;
        let tenant = identity.tenant.as_deref();
        let tenant = tenant.and_then(|name| gateway.tenants.named(name)).cloned();
        Some(Visitor {
            authorization: shown.authorization.map(Into::into),
            cookie: shown.cookie.map(Into::into),
            second,
            identity,
            tenant,
            leaves: Vec::new(),
        })
    }

    /// A request that shows this and nothing else.
    fn parts(&self, shown: Shown<'_>) -> Option<Parts> {
        let (mut parts, ()) = Request::new(()).into_parts();
        for (name, value) in [
            (header::AUTHORIZATION, shown.authorization),
            (header::COOKIE, shown.cookie),
        ] {
            if let Some(value) = value {
                parts
                    .headers
                    .insert(name, HeaderValue::from_str(value).ok()?);
            }
        }
        if let Some(certificate) = &self.certificate {
            parts.extensions.insert(Arc::clone(certificate));
        }
        Some(parts)
    }
}

impl Visitor {
    fn showed(&self, shown: Shown<'_>) -> bool {
        is_same(self.authorization.as_deref(), shown.authorization)
            && is_same(self.cookie.as_deref(), shown.cookie)
    }

    /// The place of a grant: one that still holds, or a new one.
    fn grant(
        &mut self,
        gateway: &Gateway,
        peer: PeerInfo,
        collection: &str,
        operation: Operation,
    ) -> Option<usize> {
        let gatekeeper = gateway.namespace.gatekeeper();
        let is_it = |granted: &Granted| {
            granted.operation as usize == operation as usize && *granted.collection == *collection
        };
        if let Some(place) = self.leaves.iter().position(is_it) {
            let leave = self.leaves.get(place)?.leave.as_ref();
            if leave.is_none_or(|leave| gatekeeper.holds(leave)) {
                return Some(place);
            }
            self.leaves.clear();
        }
        let tenant = self.identity.tenant.as_deref();
        gateway.tenants.may_use(tenant, collection).ok()?;
        let leave = if gatekeeper.governs_own() {
            let caller = login::caller::of(&self.identity, peer, operation.name());
            let path = own::name_of(collection);
            Some(gatekeeper.leave(&caller, &path, action_of(operation))?)
        } else {
            None
        };
        if self.leaves.len() >= LEAVES_MAX {
            self.leaves.clear();
        }
        self.leaves.push(Granted {
            collection: collection.into(),
            operation,
            leave,
        });
        Some(self.leaves.len() - 1)
    }
}

impl Pass<'_> {
    /// Whether more may be stored without a count of what is there: a tenant's quota is held on the long way.
    pub fn may_store(&self) -> bool {
        let tenant = self.visitor.tenant.as_ref();
        tenant.is_none_or(|tenant| !tenant.has_quota())
    }

    /// Whether the tenant's rates allow one more request now; it counts as made.
    pub fn is_within_rates(&self, now: Instant) -> bool {
        let tenant = self.visitor.tenant.as_ref();
        tenant.is_none_or(|tenant| tenant.may_pass(now))
    }

    /// Counts the request and writes it down; so many bytes have moved, and this much was stored.
    pub fn used(&self, gateway: &Gateway, now: Instant, bytes: u64, stored_bytes: Option<u64>) {
        gateway.metrics.login_again(self.visitor.identity.method);
        if let Some(tenant) = &self.visitor.tenant {
            tenant.charge(bytes, now);
            if let Some(stored) = stored_bytes {
                // Without a quota there is always room.
                let _ = tenant.make_room(stored, u64::from(stored > 0));
            }
        }
        if let Some(leave) = &self.granted.leave {
            gateway.namespace.gatekeeper().used(leave);
        }
    }
}

/// What policies are asked.
const fn action_of(operation: Operation) -> FsAction {
    match operation {
        Operation::Read => FsAction::READ,
        _ => FsAction::WRITE,
    }
}
