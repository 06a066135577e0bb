//! Why a decision is what it is: for `moongate policy explain`.

use serde::Serialize;

use super::context::Truth;
use super::decide::{Decision, Request, Watch};
use super::policy::{Policy, Says};
use super::tagging::Tag;
use super::{Access, Snapshot};

/// Why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The only zone of the path.
    pub zone: Option<String>,
    /// Tags of the path that count now.
    pub tags: Vec<String>,
    /// Each policy that means the path and counts now, those on tags first.
    pub candidates: Vec<Candidate>,
    /// `ALLOW`, `DENY` or `NOT_DETERMINED`
    pub outcome: String,
    /// The policy that decides.
    pub policy: Option<i64>,
    /// Whether it is audited.
    pub audited: bool,
    /// Version of the policies.
    pub version: i64,
}

/// A policy that was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// 0 normal, 1 override.
    pub priority: i32,
    /// The tag that it was asked for, if it is a policy on tags.
    pub tag: Option<String>,
    /// Kinds of access that it allows the caller.
    pub allows: Vec<String>,
    /// Kinds that it denies.
    pub denies: Vec<String>,
    /// Whether something could not be decided, and was taken the safe way.
    pub unsure: bool,
}

/// Collects what is asked.
struct Collect<'s> {
    kinds: Vec<(&'s str, u64)>,
    tags: Vec<String>,
    candidates: Vec<Candidate>,
}

impl Watch for Collect<'_> {
    const ALL: bool = true;

    fn asked(&mut self, policy: &Policy, tag: Option<&Tag>, counts: Truth, says: Says) {
        let names = |bits: u64| -> Vec<String> {
            let named = self.kinds.iter().filter(|(_, bit)| bits & bit != 0);
            named.map(|(name, _)| (*name).to_owned()).collect()
        };
        self.candidates.push(Candidate {
            id: policy.id,
            name: policy.name.to_string(),
            priority: policy.priority,
            tag: tag.map(|tag| tag.kind.to_string()),
            allows: names(says.allow),
            denies: names(says.deny),
            unsure: counts == Truth::Unknown,
        });
    }

    fn tag(&mut self, tag: &Tag) {
        self.tags.push(tag.kind.to_string());
    }
}

impl Snapshot {
    /// Decides, and tells why.
    pub fn explain(&self, request: &Request<'_>) -> (Decision, Explanation) {
        let names: Vec<&str> = match request.access {
            Access::Fs(action) => action.types().collect(),
            Access::Named(name) => vec![name],
            Access::Any => vec!["read", "write", "execute"],
        };
        let bit = |name: &&str| self.types.asked(Access::Named(name)).bits;
        let collect = Collect {
            kinds: names.iter().map(|name| (*name, bit(name))).collect(),
            tags: Vec::new(),
            candidates: Vec::new(),
        };
        let (decision, mut found) = self.decide_watched(request, collect);
        // A policy is asked once for each of its values that means the path.
        let mut seen = std::collections::BTreeSet::new();
        found
            .candidates
            .retain(|one| seen.insert((one.id, one.tag.clone())));
        let explanation = Explanation {
            zone: decision.zone.as_deref().map(str::to_owned),
            tags: found.tags,
            candidates: found.candidates,
            outcome: decision.outcome.name().to_owned(),
            policy: decision.policy.map(|policy| policy.id),
            audited: decision.audited,
            version: self.version(),
        };
        (decision, explanation)
    }
}
