//! One policy, compiled: what it says of a request.

use jiff::tz::TimeZone;

use super::condition::{self, Condition};
use super::context::{Context, Truth};
use super::principals::{Reach, Who};
use super::schedule::{Schedule, covers};

/// A policy.
#[derive(Debug)]
pub(super) struct Policy {
    pub id: i64,
    pub version: i64,
    pub name: Box<str>,
    pub zone: Box<str>,
    pub priority: i32,
    /// Place in the order of its list: the lowest one of those that say the same is named.
    pub rank: u32,
    pub audited: bool,
    pub deny_all_else: bool,
    pub schedules: Box<[Schedule]>,
    pub conditions: Box<[Condition]>,
    pub allow: Box<[Item]>,
    pub allow_except: Box<[Item]>,
    pub deny: Box<[Item]>,
    pub deny_except: Box<[Item]>,
    /// Whom it may be about.
    pub reach: Reach,
    /// The kinds of access that it names, or all.
    pub bits: u64,
}

/// Who, what, under which conditions.
#[derive(Debug)]
pub(super) struct Item {
    pub who: Who,
    pub bits: u64,
    pub conditions: Box<[Condition]>,
}

/// What a policy says, by kinds of access.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Says {
    pub allow: u64,
    pub deny: u64,
}

impl Policy {
    /// Whether it counts now and its conditions hold. Not asked: whether it means the path.
    pub(super) fn counts(&self, context: &Context<'_>, zone: &TimeZone) -> Truth {
        if self.schedules.is_empty() && self.conditions.is_empty() {
            return Truth::Yes;
        }
        covers(&self.schedules, context.time_ms, zone)
            .and(condition::all(&self.conditions, context))
    }

    /// What it says of these kinds of access, if it counts.
    pub(super) fn says(&self, counts: Truth, context: &Context<'_>, asked: u64) -> Says {
        let denied = possible(&self.deny, context, asked);
        let deny = denied & !certain(&self.deny_except, context, denied);
        let allowed = certain(&self.allow, context, asked & !deny);
        let allow = allowed & !possible(&self.allow_except, context, allowed);
        let allow = if counts.is_certain() { allow } else { 0 };
        let else_denied = if self.deny_all_else {
            asked & !allow
        } else {
            0
        };
        Says {
            allow,
            deny: deny | else_denied,
        }
    }

    /// Conditions that cannot be decided, its items' among them.
    pub(super) fn unsupported(&self) -> usize {
        let lists = [
            &self.allow,
            &self.allow_except,
            &self.deny,
            &self.deny_except,
        ];
        let items = lists
            .into_iter()
            .flatten()
            .flat_map(|item| &item.conditions);
        items
            .chain(&self.conditions)
            .filter(|condition| condition.is_unsupported())
            .count()
    }
}

/// Kinds of access of the items that mean the request for certain.
fn certain(items: &[Item], context: &Context<'_>, asked: u64) -> u64 {
    bits(items, context, asked, Truth::is_certain)
}

/// Of those that may.
fn possible(items: &[Item], context: &Context<'_>, asked: u64) -> u64 {
    bits(items, context, asked, Truth::is_possible)
}

fn bits(items: &[Item], context: &Context<'_>, asked: u64, counts: fn(Truth) -> bool) -> u64 {
    let mut found = 0;
    for item in items {
        let more = item.bits & asked & !found;
        if more != 0 && counts(item.means(context)) {
            found |= more;
        }
    }
    found
}

impl Item {
    /// Whether the caller is meant and the conditions hold.
    pub(super) fn means(&self, context: &Context<'_>) -> Truth {
        let who = context.subject.map_or(Truth::No, |subject| {
            self.who.includes(subject, context.user, context.owner)
        });
        if who == Truth::No || self.conditions.is_empty() {
            return who;
        }
        who.and(condition::all(&self.conditions, context))
    }
}
