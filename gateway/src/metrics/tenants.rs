//! What each tenant has asked for and stored.

use std::sync::atomic::Ordering;

use moongate_auth::tenants::{Tenant, Tenants};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::as_gauge;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TenantLabel {
    tenant: String,
}

type Figure = fn(&Tenant) -> u64;

/// Name, help, value.
const FIGURES: [(&str, &str, Figure); 5] = [
    (
        "tenant_requests",
        "Requests of a tenant that were let in, since the start",
        |t| t.admitted.load(Ordering::Relaxed),
    ),
    (
        "tenant_refused",
        "Requests of a tenant that were over a rate or a quota, since the start",
        |t| t.refused.load(Ordering::Relaxed),
    ),
    (
        "tenant_moved_bytes",
        "Bytes that a tenant sent and received, as far as their number was known beforehand, since the start",
        |t| t.moved_bytes.load(Ordering::Relaxed),
    ),
    (
        "tenant_stored_bytes",
        "Bytes that a tenant has stored, at the last count",
        |t| t.stored().0,
    ),
    (
        "tenant_stored_objects",
        "Images and files that a tenant has stored, at the last count",
        |t| t.stored().1,
    ),
];

/// See the module.
pub(super) struct TenantFigures {
    families: Vec<(Family<TenantLabel, Gauge>, Figure)>,
}

impl TenantFigures {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let register = |(name, help, figure): (&str, &str, Figure)| {
            let family = Family::<TenantLabel, Gauge>::default();
            registry.register(name, help, family.clone());
            (family, figure)
        };
        Self {
            families: FIGURES.map(register).into(),
        }
    }

    pub(super) fn set(&self, tenants: &Tenants) {
        for tenant in tenants.all() {
            let label = TenantLabel {
                tenant: tenant.settings.name.clone(),
            };
            for (family, figure) in &self.families {
                family.get_or_create(&label).set(as_gauge(figure(tenant)));
            }
        }
    }
}
