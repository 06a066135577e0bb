//! Schedules that return: the latest start before now, found field by field with a borrow from the next greater one, as one subtracts by hand.

use jiff::civil::{Date, DateTime};
use jiff::{ToSpan as _, Zoned};

use super::super::model::Recurrence;
use super::lenient;

/// How far back a day of the month is looked for: a month that has it is never further.
const MONTHS_BACK_MAX: usize = 48;

/// One recurrence.
#[derive(Clone, Debug)]
pub(in super::super) struct Recurring {
    minutes: Field,
    hours: Field,
    days_of_month: Option<Field>,
    days_of_week: Option<Field>,
    months: Field,
    years: Field,
    days: i32,
    hours_long: i32,
    minutes_long: i32,
}

/// Values of one field of a date.
#[derive(Clone, Debug)]
struct Field {
    /// From and to, both included; none: the field is as it is now.
    ranges: Vec<(i64, i64)>,
    minimum: i64,
    maximum: i64,
}

/// A value, and whether one must be taken from the next greater field.
#[derive(Clone, Copy, Debug)]
struct Borrowed {
    value: i64,
    borrow: bool,
}

impl Recurring {
    /// From its JSON; `None` if it cannot be read.
    pub(super) fn new(json: &Recurrence) -> Option<Self> {
        let (schedule, interval) = (&json.schedule, &json.interval);
        let day = |text: &str, minimum, maximum| match text.trim() {
            "" => Some(None),
            _ => Field::new(text, minimum, maximum, 0).map(Some),
        };
        Some(Self {
            minutes: Field::new(&schedule.minute, 0, 59, 0)?,
            hours: Field::new(&schedule.hour, 0, 23, 0)?,
            days_of_month: day(&schedule.day_of_month, 1, 31)?,
            days_of_week: day(&schedule.day_of_week, 1, 7)?,
            months: Field::new(&schedule.month, 0, 11, 1)?,
            years: Field::new(&schedule.year, 2017, 2100, 0)?,
            days: interval.days,
            hours_long: interval.hours,
            minutes_long: interval.minutes,
        })
    }

    fn is_always(&self) -> bool {
        let hours = i64::from(self.days) * 24 + i64::from(self.hours_long);
        hours * 60 + i64::from(self.minutes_long) <= 0
    }

    /// Whether the latest start is at most as long ago as it lasts.
    pub(super) fn covers(&self, now: &Zoned) -> bool {
        self.is_always() || self.has_begun(now).unwrap_or(false)
    }

    fn has_begun(&self, now: &Zoned) -> Option<bool> {
        let start = self.latest_start(now.datetime())?;
        let start = start.to_zoned(now.time_zone().clone()).ok()?;
        let clock = 0
            .hours()
            .try_hours(self.hours_long)
            .and_then(|span| span.try_minutes(self.minutes_long))
            .ok()?;
        let days = 0.days().try_days(self.days).ok()?;
        let end = start.checked_add(clock).ok()?.checked_add(days).ok()?;
        Some(start <= *now && end >= *now)
    }

    fn latest_start(&self, now: DateTime) -> Option<DateTime> {
        let minute = self.minutes.latest(i64::from(now.minute()), false)?;
        let hour = self.hours.latest(i64::from(now.hour()), minute.borrow)?;
        let by_month = match &self.days_of_month {
            Some(days) => Some(self.filled_out(by_day_of_month(days, now, minute, hour)?)?),
            None => None,
        };
        let by_week = match &self.days_of_week {
            Some(days) => Some(self.filled_out(by_day_of_week(days, now, minute, hour)?)?),
            None => None,
        };
        by_month.max(by_week)
    }

    /// The same day and time in the latest month and year that are meant.
    fn filled_out(&self, at: DateTime) -> Option<DateTime> {
        let month = self.months.latest(i64::from(at.month()) - 1, false)?;
        let year = self.years.latest(i64::from(at.year()), month.borrow)?;
        let (day, hour, minute) = (at.day().into(), at.hour().into(), at.minute().into());
        lenient(year.value, month.value, day, hour, minute)
    }
}

fn by_day_of_month(
    days: &Field,
    now: DateTime,
    minute: Borrowed,
    hour: Borrowed,
) -> Option<DateTime> {
    let mut date = now.date();
    // Ranger's quirk Q2: a borrowed day is only taken where that leads into the month before.
    if hour.borrow && date.day() == 1 {
        date = date.yesterday().ok()?;
    }
    for _ in 0..MONTHS_BACK_MAX {
        let last = i64::from(previous_month(date)?.days_in_month());
        let found = days.latest_of(i64::from(date.day()), false, last);
        if let Some(day) = found {
            let month = i64::from(date.month()) - 1 - i64::from(day.borrow);
            let year = i64::from(date.year());
            return lenient(year, month, day.value, hour.value, minute.value);
        }
        date = previous_month(date)?;
    }
    None
}

fn previous_month(date: Date) -> Option<Date> {
    date.checked_sub(1.month()).ok()
}

fn by_day_of_week(
    days: &Field,
    now: DateTime,
    minute: Borrowed,
    hour: Borrowed,
) -> Option<DateTime> {
    let today = i64::from(now.weekday().to_sunday_one_offset());
    let found = days.latest(today, hour.borrow)?;
    let borrowed = i64::from(hour.borrow);
    let back = if !found.borrow {
        today - found.value
    } else if today - found.value == borrowed {
        borrowed
    } else {
        7 + today - found.value
    };
    let day = i64::from(now.day()) - back;
    let (year, month) = (i64::from(now.year()), i64::from(now.month()) - 1);
    lenient(year, month, day, hour.value, minute.value)
}

impl Field {
    /// Reads a list; `from` is what people count the first value as, beyond the calendar's.
    fn new(text: &str, minimum: i64, maximum: i64, from: i64) -> Option<Self> {
        let mut field = Self {
            ranges: Vec::new(),
            minimum,
            maximum,
        };
        if text.trim().is_empty() {
            return Some(field);
        }
        for spec in text.split(',') {
            let (first, last) = spec.split_once('-').unwrap_or((spec, spec));
            if first == "*" || last == "*" {
                field.ranges = vec![(i64::MIN, i64::MAX)];
                break;
            }
            let number = |text: &str| text.trim().parse::<i64>().ok()?.checked_sub(from);
            field.ranges.push((number(first)?, number(last)?));
        }
        Some(field)
    }

    fn latest(&self, now: i64, borrow: bool) -> Option<Borrowed> {
        self.latest_of(now, borrow, self.maximum)
    }

    /// The latest value up to now, or the latest of the round before.
    fn latest_of(&self, now: i64, borrow: bool, maximum: i64) -> Option<Borrowed> {
        let mut value = now - i64::from(borrow);
        if self.ranges.is_empty() {
            if value < self.minimum {
                value = maximum;
            }
            return Some(Borrowed {
                value,
                borrow: false,
            });
        }
        let mut borrow = false;
        for _ in self.minimum..=self.maximum {
            if value < self.minimum {
                value = maximum;
                borrow = true;
            }
            if self.ranges.iter().any(|(a, b)| (a..=b).contains(&&value)) {
                return Some(Borrowed { value, borrow });
            }
            value -= 1;
        }
        None
    }
}
