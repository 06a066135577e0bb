//! For how long the gateway's own Kerberos tickets are good: those that mounts and the downloads of policies ask with.

use std::collections::BTreeSet;

use moongate_auth::kerberos::Initiator;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::as_gauge;
use crate::state::Gateway;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PrincipalLabel {
    principal: String,
}

/// Seconds left, by principal.
pub type Tickets = Vec<(String, u64)>;

/// Looks at the tickets. It may read files, on a thread that may.
pub async fn tickets(gateway: &Gateway) -> Tickets {
    let mut keytabs = BTreeSet::new();
    for mount in gateway.namespace.table().all() {
        let config = &mount.config;
        keytabs.insert((config.principal.clone(), config.keytab.clone()));
    }
    let config = &gateway.config.policy;
    keytabs.insert((config.principal.clone(), config.keytab.clone()));
    // Mounts without a principal ask with what kinit got, if anything.
    let initiators = keytabs.into_iter().map(|(principal, keytab)| {
        if principal.is_empty() {
            Initiator::of_tickets()
        } else {
            Initiator::of_keytab(&keytab, &principal)
        }
    });
    let initiators: Vec<_> = initiators.collect();
    let looked = tokio::task::spawn_blocking(move || {
        let found = initiators.iter().filter_map(Initiator::tickets);
        found.map(|(name, left)| (name, left.as_secs())).collect()
    });
    looked.await.unwrap_or_default()
}

/// See the module.
pub(super) struct TicketFigures {
    left: Family<PrincipalLabel, Gauge>,
}

impl TicketFigures {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let left = Family::<PrincipalLabel, Gauge>::default();
        registry.register(
            "kerberos_ticket_seconds",
            "Seconds for which the gateway's own Kerberos tickets are good, by principal; 0: they are over. Those of a keytab are renewed when they are used",
            left.clone(),
        );
        Self { left }
    }

    pub(super) fn set(&self, tickets: &Tickets) {
        // What was unmounted goes.
        self.left.clear();
        for (principal, left) in tickets {
            let label = PrincipalLabel {
                principal: principal.clone(),
            };
            self.left.get_or_create(&label).set(as_gauge(*left));
        }
    }
}
