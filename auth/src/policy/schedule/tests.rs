use super::super::model::{Recurrence, RecurrenceInterval, RecurrenceSchedule};
use super::*;
use proptest::prelude::*;

fn ms(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_millisecond()
}

fn schedule(start: &str, end: &str, zone: &str) -> ValiditySchedule {
    ValiditySchedule {
        start_time: start.into(),
        end_time: end.into(),
        time_zone: zone.into(),
        recurrences: Vec::new(),
    }
}

fn weekly(hour: &str, day: &str, hours: i32) -> Recurrence {
    Recurrence {
        schedule: RecurrenceSchedule {
            minute: "0".into(),
            hour: hour.into(),
            day_of_week: day.into(),
            month: "1-12".into(),
            year: "2025".into(),
            ..RecurrenceSchedule::default()
        },
        interval: RecurrenceInterval {
            hours,
            ..RecurrenceInterval::default()
        },
    }
}

fn covered(json: &ValiditySchedule, at: &str) -> Truth {
    Schedule::new(json, &TimeZone::UTC).covers(ms(at), &TimeZone::UTC)
}

#[test]
fn start_and_end_are_included() {
    let json = schedule(
        "2025/06/01 08:00:00",
        "2025/06/02 08:00:00",
        "Asia/Shanghai",
    );
    for (at, want) in [
        ("2025-05-31T23:59:59Z", Truth::No),
        ("2025-06-01T00:00:00Z", Truth::Yes),
        ("2025-06-02T00:00:00Z", Truth::Yes),
        ("2025-06-02T00:00:01Z", Truth::No),
    ] {
        assert_eq!(covered(&json, at), want, "{at}");
    }
}

#[test]
fn zones_as_java_names_them() {
    let offset = |name: &str| zone_named(name).to_offset(Timestamp::UNIX_EPOCH).seconds() / 60;
    for (name, minutes) in [
        ("GMT+8", 480),
        ("GMT-08:30", -510),
        ("GMT+0530", 330),
        ("PST", -480),
        ("no such", 0),
        ("", 0),
        ("GMT", 0),
    ] {
        assert_eq!(offset(name), minutes, "{name}");
    }
}

#[test]
fn recurrences() {
    // Mondays (2) from 9 o'clock, three hours.
    let mut json = schedule("", "", "");
    json.recurrences = vec![weekly("9", "2", 3)];
    for (at, want) in [
        ("2025-06-09T08:59:00Z", Truth::No),
        ("2025-06-09T09:00:00Z", Truth::Yes),
        ("2025-06-09T12:00:00Z", Truth::Yes),
        ("2025-06-09T12:01:00Z", Truth::No),
        ("2025-06-10T10:00:00Z", Truth::No),
    ] {
        assert_eq!(covered(&json, at), want, "{at}");
    }
    json.recurrences = vec![weekly("nine", "2", 3)];
    assert_eq!(covered(&json, "2025-06-09T10:00:00Z"), Truth::Unknown);
}

proptest! {
    /// Whatever stands in the fields, there is an answer.
    #[test]
    fn never_panics(
        fields in prop::array::uniform6("[0-9*,-]{0,6}"),
        start in "[0-9/: ]{0,20}",
        days in any::<i32>(), hours in any::<i32>(), minutes in any::<i32>(),
        at in any::<i64>(),
    ) {
        let [minute, hour, day_of_month, day_of_week, month, year] = fields;
        let mut json = schedule(&start, "", "PST");
        json.recurrences = vec![Recurrence {
            schedule: RecurrenceSchedule { minute, hour, day_of_month, day_of_week, month, year },
            interval: RecurrenceInterval { days, hours, minutes },
        }];
        Schedule::new(&json, &TimeZone::UTC).covers(at, &TimeZone::UTC);
    }
}
