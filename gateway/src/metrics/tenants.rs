//! What each tenant has asked for and stored.

use std::sync::atomic::Ordering;

use moongate_auth::tenants::{Tenant, Tenants};
use moongate_cache::ShareStats;
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

type ShareFigure = fn(&ShareStats) -> u64;

/// The same, of the tenants that have a share of the cache.
const SHARE_FIGURES: [(&str, &str, ShareFigure); 4] = [
    (
        "tenant_cache_ram_bytes",
        "Bytes that a tenant's share of the cache holds in memory",
        |s| s.ram_bytes,
    ),
    (
        "tenant_cache_disk_bytes",
        "Bytes that a tenant's share of the cache holds on disks",
        |s| s.disk_bytes,
    ),
    (
        "tenant_cache_ram_evictions",
        "Pages of a tenant that its share of the memory let go for others of its own, since the start",
        |s| s.ram_evictions,
    ),
    (
        "tenant_cache_disk_evictions",
        "Pages of a tenant that cache disks let go, since the disk was opened",
        |s| s.disk_evictions,
    ),
];

/// See the module.
pub(super) struct TenantFigures {
    families: Vec<(Family<TenantLabel, Gauge>, Figure)>,
    of_shares: Vec<(Family<TenantLabel, Gauge>, ShareFigure)>,
}

impl TenantFigures {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let mut register = |name, help| {
            let family = Family::<TenantLabel, Gauge>::default();
            registry.register(name, help, family.clone());
            family
        };
        let families = FIGURES.map(|(name, help, figure)| (register(name, help), figure));
        let of_shares = SHARE_FIGURES.map(|(name, help, figure)| (register(name, help), figure));
        Self {
            families: families.into(),
            of_shares: of_shares.into(),
        }
    }

    pub(super) fn set(&self, tenants: &Tenants, shares: &[ShareStats]) {
        for share in shares {
            let label = TenantLabel {
                tenant: share.name.clone(),
            };
            for (family, figure) in &self.of_shares {
                family.get_or_create(&label).set(as_gauge(figure(share)));
            }
        }
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
