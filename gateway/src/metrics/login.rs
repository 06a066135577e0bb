//! Logins, by how they were made and how they ended.

use moongate_auth::Method;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::login::caller::method_name;
use crate::login::{Known, Refusal};

const METHODS: [Method; 7] = [
    Method::Anonymous,
    Method::Simple,
    Method::Kerberos,
    Method::DelegationToken,
    Method::Jwt,
    Method::AccessKey,
    Method::Certificate,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabel {
    method: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabel {
    failure: &'static str,
}

/// See the module.
pub(super) struct LoginFigures {
    /// One a method, in the order of its variants, looked up once.
    known: [Counter; METHODS.len()],
    failures: Family<FailureLabel, Counter>,
}

impl LoginFigures {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let known = Family::<MethodLabel, Counter>::default();
        let failures = Family::<FailureLabel, Counter>::default();
        registry.register(
            "logins",
            "Requests of somebody known, by how they showed who they are",
            known.clone(),
        );
        registry.register(
            "login_failures",
            "Requests that were refused before they were looked at, by what was wrong",
            failures.clone(),
        );
        let counter = |method| {
            let method = method_name(method);
            known.get_or_create(&MethodLabel { method }).clone()
        };
        Self {
            known: METHODS.map(counter),
            failures,
        }
    }

    pub(super) fn count(&self, known: &Result<Known, Refusal>) {
        match known {
            Ok(known) => self.count_known(known.identity.method),
            Err(refused) => {
                let failure = refused.failure.label();
                self.failures.get_or_create(&FailureLabel { failure }).inc();
            }
        }
    }

    pub(super) fn count_known(&self, method: Method) {
        if let Some(counter) = self.known.get(method as usize) {
            counter.inc();
        }
    }
}
