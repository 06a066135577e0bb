//! When a policy or a tag counts. Source: `RangerValidityScheduleEvaluator` of Apache Ranger, with its quirks: recurrences go by the clocks
//! of the Java machine's own zone, and only start and end by those of the schedule's.

mod recurrence;
mod zone;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use self::recurrence::Recurring;
pub use self::zone::named as zone_named;
use super::context::Truth;
use super::model::ValiditySchedule;

/// One schedule.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    /// Milliseconds since 1970.
    start_ms: Option<i64>,
    end_ms: Option<i64>,
    recurring: Box<[Option<Recurring>]>,
}

/// Whether a time is in one of the schedules, or there are none.
pub(super) fn covers(schedules: &[Schedule], time_ms: i64, zone: &TimeZone) -> Truth {
    if schedules.is_empty() {
        return Truth::Yes;
    }
    let mut best = Truth::No;
    for schedule in schedules {
        match schedule.covers(time_ms, zone) {
            Truth::Yes => return Truth::Yes,
            Truth::Unknown => best = Truth::Unknown,
            Truth::No => {}
        }
    }
    best
}

impl Schedule {
    /// From its JSON; `own` is the zone of a Java machine, by which texts are read first.
    pub(super) fn new(json: &ValiditySchedule, own: &TimeZone) -> Self {
        let theirs = zone::named(&json.time_zone);
        let theirs = (!json.time_zone.trim().is_empty()).then_some(&theirs);
        Self {
            start_ms: instant(&json.start_time, own, theirs),
            end_ms: instant(&json.end_time, own, theirs),
            recurring: json.recurrences.iter().map(Recurring::new).collect(),
        }
    }

    fn covers(&self, time_ms: i64, zone: &TimeZone) -> Truth {
        if self.start_ms.is_some_and(|start| time_ms < start)
            || self.end_ms.is_some_and(|end| time_ms > end)
        {
            return Truth::No;
        }
        if self.recurring.is_empty() {
            return Truth::Yes;
        }
        let Ok(now) = Timestamp::from_millisecond(time_ms) else {
            return Truth::No;
        };
        let now = now.to_zoned(zone.clone());
        let mut best = Truth::No;
        for recurring in &self.recurring {
            match recurring {
                Some(recurring) if recurring.covers(&now) => return Truth::Yes,
                Some(_) => {}
                // It cannot be read.
                None => best = Truth::Unknown,
            }
        }
        best
    }
}

/// The instant of a text: read by the machine's own clocks, then moved by how far the schedule's zone is from them at that instant.
fn instant(text: &str, own: &TimeZone, theirs: Option<&TimeZone>) -> Option<i64> {
    let read = parse(text)?.to_zoned(own.clone()).ok()?.timestamp();
    let ms = read.as_millisecond();
    // Java takes 1970 and before for no time at all.
    if ms == 0 {
        return None;
    }
    let Some(theirs) = theirs.filter(|_| ms > 0) else {
        return Some(ms);
    };
    let offset = |zone: &TimeZone| i64::from(zone.to_offset(read).seconds()) * 1000;
    Some(ms + offset(own) - offset(theirs))
}

/// `yyyy/MM/dd HH:mm:ss`; numbers beyond their range go on into the next, as Java reads them.
fn parse(text: &str) -> Option<DateTime> {
    let (date, time) = text.trim().split_once(' ')?;
    let mut date = date
        .splitn(3, '/')
        .map(|part| part.trim().parse::<i64>().ok());
    let mut time = time
        .splitn(3, ':')
        .map(|part| part.trim().parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    lenient(year, month.checked_sub(1)?, day, hour, minute)?
        .checked_add(jiff::SignedDuration::from_secs(second))
        .ok()
}

/// A date and time of which each number may be out of its range; months count from 0.
fn lenient(year: i64, month: i64, day: i64, hour: i64, minute: i64) -> Option<DateTime> {
    let year = year.checked_add(month.div_euclid(12))?;
    let month = month.rem_euclid(12) + 1;
    let first = Date::new(year.try_into().ok()?, month.try_into().ok()?, 1).ok()?;
    let minutes = day
        .checked_sub(1)?
        .checked_mul(24)?
        .checked_add(hour)?
        .checked_mul(60)?
        .checked_add(minute)?;
    let seconds = minutes.checked_mul(60)?;
    first
        .to_datetime(jiff::civil::Time::midnight())
        .checked_add(jiff::SignedDuration::from_secs(seconds))
        .ok()
}

#[cfg(test)]
mod tests;
