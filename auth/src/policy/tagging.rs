//! Tags, and when they count.

use std::collections::BTreeMap;

use super::context::Truth;
use super::model;
use super::schedule::{Schedule, covers};

/// A tag of a resource.
#[derive(Clone, Debug)]
pub(super) struct Tag {
    /// Its name: `PII`.
    pub kind: Box<str>,
    /// What else is known of it.
    pub attributes: BTreeMap<String, String>,
    schedules: Box<[Schedule]>,
}

impl Tag {
    /// From its JSON; `zone` is that of recurrences.
    pub(super) fn new(tag: &model::Tag, zone: &jiff::tz::TimeZone) -> Self {
        let periods = tag.validity_periods.iter();
        Self {
            kind: tag.kind.as_str().into(),
            attributes: tag.attributes.clone(),
            schedules: periods.map(|period| Schedule::new(period, zone)).collect(),
        }
    }

    /// Whether it counts at a time.
    pub(super) fn counts_at(&self, time_ms: i64, zone: &jiff::tz::TimeZone) -> Truth {
        covers(&self.schedules, time_ms, zone)
    }
}
