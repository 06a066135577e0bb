//! One decision. Source: specs of `RangerPolicyEngineImpl` and `RangerDefaultPolicyEvaluator`; where the genuine engine stops too early
//! to see a policy that denies (its quirk Q1), we deny.

use std::borrow::Cow;
use std::sync::Arc;

use super::access::{Access, Asked};
use super::audit_rules::{self, Event, Mode};
use super::context::{Context, Truth};
use super::index::Index;
use super::policy::Policy;
use super::principals::Subject;
use super::snapshot::{Snapshot, Zone};
use super::tagging::Tag;
use super::verdicts::Verdicts;
use super::{glob, model};
use crate::identity::Groups;

/// A question.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Absolute, without a slash at its end but of the root.
    pub path: &'a str,
    /// Whether it is known to be a file.
    pub is_file: bool,
    /// Short name of the user.
    pub user: &'a str,
    /// The user's groups.
    pub groups: &'a Groups,
    /// Owner of the path, if it is known.
    pub owner: Option<&'a str>,
    /// What is asked.
    pub access: Access<'a>,
    /// Name of the operation: `open`, `listStatus`.
    pub action: &'a str,
    /// Address of the client.
    pub client_ip: Option<&'a str>,
    /// Milliseconds since 1970.
    pub time_ms: i64,
    /// Tags beyond those that are known of the path.
    pub tags: &'a [model::Tag],
}

/// What policies say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Yes.
    Allow,
    /// No.
    Deny,
    /// Nothing: the file's own permissions decide.
    Undetermined,
}

impl Outcome {
    /// As Ranger writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "ALLOW",
            Self::Deny => "DENY",
            Self::Undetermined => "NOT_DETERMINED",
        }
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What policies say.
    pub outcome: Outcome,
    /// The policy that says it, if one does.
    pub policy: Option<PolicyRef>,
    /// Whether it is to be audited.
    pub audited: bool,
    /// The zone that the path is in.
    pub zone: Option<Arc<str>>,
}

/// Which policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyRef {
    /// Its number.
    pub id: i64,
    /// Its version.
    pub version: i64,
}

/// What is known while one request is decided.
struct Deciding<'a, W: Watch> {
    snapshot: &'a Snapshot,
    context: Context<'a>,
    asked: Asked,
    /// Whether it is still open if a policy has this audited.
    audit_open: bool,
    audited: bool,
    watch: W,
}

/// Is told of each policy that is asked: to explain a decision, or nothing at all.
pub(super) trait Watch {
    /// Whether all policies are to be told of, even those that cannot matter.
    const ALL: bool;
    /// A policy that means the path.
    fn asked(
        &mut self,
        policy: &Policy,
        tag: Option<&Tag>,
        counts: Truth,
        says: super::policy::Says,
    );
    /// A tag of the path.
    fn tag(&mut self, _tag: &Tag) {}
}

/// Nobody watches.
pub(super) struct Unwatched;

impl Watch for Unwatched {
    const ALL: bool = false;
    fn asked(&mut self, _: &Policy, _: Option<&Tag>, _: Truth, _: super::policy::Says) {}
}

impl Snapshot {
    /// Decides.
    pub fn decide(&self, request: &Request<'_>) -> Decision {
        self.decide_watched(request, Unwatched).0
    }

    pub(super) fn decide_watched<W: Watch>(
        &self,
        request: &Request<'_>,
        watch: W,
    ) -> (Decision, W) {
        let path = if request.path.is_empty() {
            "/"
        } else {
            request.path
        };
        let path = if self.options.fold {
            Cow::Owned(glob::folded(path))
        } else {
            Cow::Borrowed(path)
        };
        let groups = self.groups_of(request);
        let subject = self.principals.subject(request.user, &groups);
        let context = Context {
            path: &path,
            user: request.user,
            owner: request.owner,
            is_file: request.is_file,
            subject: Some(&subject),
            time_ms: request.time_ms,
            client_ip: request.client_ip,
            tag: None,
            fold: self.options.fold,
        };
        let excluded = self.is_excluded(&subject, request);
        let mut deciding = Deciding {
            snapshot: self,
            context,
            asked: self.types.asked(request.access),
            audit_open: self.audit.mode == Mode::Policies && !excluded && !self.audit.nothing_said,
            audited: !excluded
                && match self.audit.mode {
                    Mode::All => true,
                    Mode::Nothing => false,
                    Mode::Policies => self.audit.nothing_said,
                },
            watch,
        };
        let mut decision = deciding.decide(request.tags);
        decision.audited = deciding.audited;
        let event = Event {
            context,
            outcome: decision.outcome,
            access: request.access,
            action: request.action,
        };
        if let Some(audited) = audit_rules::decide(&self.audit.filters, &event) {
            decision.audited = audited;
        }
        (decision, deciding.watch)
    }

    fn is_excluded(&self, subject: &Subject, request: &Request<'_>) -> bool {
        let excluded = &self.audit.excluded;
        !excluded.is_empty()
            && excluded
                .includes(subject, request.user, request.owner)
                .is_certain()
    }

    /// The caller's groups, with those of Ranger's user store where the service wants them.
    fn groups_of<'g>(&self, request: &Request<'g>) -> Cow<'g, Groups> {
        let from_ranger = self.groups_of.by_user.get(request.user);
        if self.groups_of.only {
            return Cow::Owned(Groups::known(from_ranger.into_iter().flatten().cloned()));
        }
        match (from_ranger, request.groups) {
            (Some(more), Groups::Known(own)) => {
                Cow::Owned(Groups::known(own.iter().chain(more).cloned()))
            }
            _ => Cow::Borrowed(request.groups),
        }
    }

    /// The only zone of a path.
    pub(super) fn zone_of(&self, context: &Context<'_>) -> Option<&Zone> {
        if self.zone_index.is_empty() {
            return None;
        }
        let mut found: Option<u32> = None;
        let mut several = false;
        self.zone_index.candidates(context.path, |zone, pattern| {
            if found != Some(zone) && pattern.matches(context) {
                several |= found.is_some();
                found = Some(zone);
            }
        });
        found
            .filter(|_| !several)
            .and_then(|zone| self.zones.get(zone as usize))
    }
}

impl<W: Watch> Deciding<'_, W> {
    fn decide(&mut self, more_tags: &[model::Tag]) -> Decision {
        let snapshot = self.snapshot;
        let zone = snapshot.zone_of(&self.context);
        let on_tags = self.on_tags(zone, more_tags);
        let index = zone.map_or(&snapshot.unzoned, |zone| &zone.policies);
        let on_paths = self.on_paths(index, &on_tags);
        let (mut outcome, mut best) = on_tags.then(&on_paths).outcome(self.asked);
        if self.is_superuser() {
            (outcome, best) = (Outcome::Allow, None);
        }
        let policy = best.and_then(|best| snapshot.policies.get(best.policy as usize));
        Decision {
            outcome,
            policy: policy.map(|policy| PolicyRef {
                id: policy.id,
                version: policy.version,
            }),
            audited: false,
            zone: zone.map(|zone| Arc::clone(&zone.name)),
        }
    }

    fn is_superuser(&self) -> bool {
        let (who, context) = (&self.snapshot.super_users, &self.context);
        !who.is_empty()
            && context.subject.is_some_and(|subject| {
                who.includes(subject, context.user, context.owner)
                    .is_certain()
            })
    }

    fn on_paths(&mut self, index: &Index, on_tags: &Verdicts) -> Verdicts {
        let mut verdicts = Verdicts::new(self.asked);
        let (snapshot, context) = (self.snapshot, self.context);
        index.candidates(context.path, |number, pattern| {
            let Some(policy) = snapshot.policies.get(number as usize) else {
                return;
            };
            let idle = verdicts.are_above(policy.priority) || on_tags.are_above(policy.priority);
            if self.may_skip(policy, idle) || !pattern.matches(&context) {
                return;
            }
            self.ask(policy, number, &context, &mut verdicts);
        });
        verdicts
    }

    /// Whether a policy changes neither the answer nor that it is audited.
    fn may_skip(&self, policy: &Policy, idle: bool) -> bool {
        if W::ALL || (self.audit_open && !self.audited && policy.audited) {
            return false;
        }
        let about = self
            .context
            .subject
            .is_some_and(|subject| policy.reach.may_include(subject));
        idle || !about || policy.bits & self.asked.bits == 0
    }

    fn ask(&mut self, policy: &Policy, number: u32, context: &Context<'_>, into: &mut Verdicts) {
        let counts = policy.counts(context, &self.snapshot.clock_zone);
        if counts == Truth::No {
            return;
        }
        self.audited |= self.audit_open && policy.audited;
        let says = policy.says(counts, context, self.asked.bits);
        self.watch.asked(policy, context.tag, counts, says);
        into.take(policy, number, self.asked.of_kinds(says));
    }

    fn on_tags(&mut self, zone: Option<&Zone>, more: &[model::Tag]) -> Verdicts {
        let mut verdicts = Verdicts::new(self.asked);
        let snapshot = self.snapshot;
        if snapshot.tag_policies.is_empty() && !W::ALL {
            return verdicts;
        }
        let zone = zone
            .filter(|zone| zone.has_tags)
            .map_or("", |zone| &zone.name);
        let context = self.context;
        snapshot
            .tagged_index
            .candidates(context.path, |number, pattern| {
                if !pattern.matches(&context) {
                    return;
                }
                for of in snapshot.tagged.get(number as usize).into_iter().flatten() {
                    if let Some(tag) = snapshot.tags.get(of.tag) {
                        self.on_tag(tag, of.policies.iter().copied(), zone, &mut verdicts);
                    }
                }
            });
        for tag in more {
            let tag = Tag::new(tag, &snapshot.clock_zone);
            let policies = super::compile::naming(&snapshot.tag_policies, &tag.kind);
            self.on_tag(&tag, policies, zone, &mut verdicts);
        }
        verdicts
    }

    fn on_tag(
        &mut self,
        tag: &Tag,
        policies: impl Iterator<Item = u32>,
        zone: &str,
        into: &mut Verdicts,
    ) {
        if tag.counts_at(self.context.time_ms, &self.snapshot.clock_zone) == Truth::No {
            return;
        }
        self.watch.tag(tag);
        let context = Context {
            tag: Some(tag),
            ..self.context
        };
        for number in policies {
            let Some(policy) = self.snapshot.policies.get(number as usize) else {
                continue;
            };
            if *policy.zone == *zone && !self.may_skip(policy, into.are_above(policy.priority)) {
                self.ask(policy, number, &context, into);
            }
        }
    }
}
