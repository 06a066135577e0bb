//! Policies in force, what was decided by them, and what was written down. All are told as the gatekeeper counts them.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::as_gauge;
use crate::policy::gatekeeper::Gatekeeper;

type Figure = fn(&Gatekeeper) -> i64;

fn of(counter: &AtomicU64) -> i64 {
    as_gauge(counter.load(Ordering::Relaxed))
}

/// Name, help, value.
const FIGURES: [(&str, &str, Figure); 14] = [
    (
        "policy_allowed",
        "Checks that a policy allowed, since the start",
        |g| of(&g.counts().policy_allowed),
    ),
    (
        "policy_denied",
        "Operations that a policy refused, since the start",
        |g| of(&g.counts().policy_denied),
    ),
    (
        "policy_native_allowed",
        "Checks that the file's own permissions allowed, since the start",
        |g| of(&g.counts().native_allowed),
    ),
    (
        "policy_native_denied",
        "Operations that the file's own permissions refused, since the start",
        |g| of(&g.counts().native_denied),
    ),
    (
        "policy_undecided_denied",
        "Operations refused because nothing allowed them, or no policies are in force, since the start",
        |g| of(&g.counts().undecided_denied),
    ),
    (
        "policy_namenode_asked",
        "Checks of which policies said nothing, and that were left to a NameNode asked in the caller's name, since the start",
        |g| of(&g.counts().namenode_asked),
    ),
    (
        "policy_version",
        "Version of the policies in force; -1: none are",
        |g| g.policies().version_and_age().0,
    ),
    (
        "policy_age_seconds",
        "Since when it is not known that the policies in force are the newest; -1: it never was",
        |g| {
            g.policies()
                .version_and_age()
                .1
                .map_or(-1, |age| as_gauge(age.as_secs()))
        },
    ),
    ("policy_count", "Policies in force", |g| {
        g.policies()
            .current()
            .map_or(0, |snapshot| count(snapshot.counts().policies))
    }),
    (
        "policy_unsupported_conditions",
        "Conditions in force that are not decided here, and fail closed",
        |g| {
            g.policies().current().map_or(0, |snapshot| {
                count(snapshot.counts().unsupported_conditions)
            })
        },
    ),
    (
        "audit_written",
        "Audit records written, since the start",
        |g| g.audit().counts().map_or(0, |c| of(&c.written)),
    ),
    (
        "audit_dropped",
        "Audit records lost, since the start",
        |g| g.audit().counts().map_or(0, |c| of(&c.dropped)),
    ),
    (
        "audit_queued",
        "Audit records that wait to be written",
        |g| g.audit().counts().map_or(0, |c| of(&c.queued)),
    ),
    (
        "audit_write_failures",
        "Times that the disk refused audit records, since the start",
        |g| g.audit().counts().map_or(0, |c| of(&c.failures)),
    ),
];

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// See the module.
pub(super) struct PolicyFigures(Vec<(Gauge, Figure)>);

impl PolicyFigures {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let one = |(name, help, figure): (&str, &str, Figure)| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            (gauge, figure)
        };
        Self(FIGURES.map(one).into())
    }

    pub(super) fn set(&self, gatekeeper: &Gatekeeper) {
        for (gauge, figure) in &self.0 {
            gauge.set(figure(gatekeeper));
        }
    }
}
