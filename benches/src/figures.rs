//! What a benchmark hands to the report: figures, and verdicts on them.

use std::fmt;
use std::time::Duration;

use crate::rounds::Medians;

/// One target of the product and whether it was reached.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What was done.
    pub work: String,
    /// What it took, with its unit.
    pub measured: String,
    /// What the floor took, with its unit; `-` where there is none.
    pub floor: String,
    /// What the target is about: a ratio, or the figure itself.
    pub compared: f64,
    /// What `compared` must be.
    pub limit: Limit,
    /// Unit of the two: `x` for a ratio.
    pub unit: &'static str,
}

/// What a figure must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

impl fmt::Display for Limit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(limit) => write!(out, "at most {limit}"),
            Self::AtLeast(limit) => write!(out, "at least {limit}"),
        }
    }
}

impl Verdict {
    /// On CPU time an operation, as a ratio to the floor's.
    pub fn cpu(work: impl Into<String>, cpu_us: f64, floor_us: f64, limit: f64) -> Self {
        Self {
            work: work.into(),
            measured: format!("{cpu_us:.1} us CPU"),
            floor: format!("{floor_us:.1} us CPU"),
            // No work costs nothing: a zero was not measured.
            compared: if cpu_us > 0.0 {
                cpu_us / floor_us
            } else {
                f64::NAN
            },
            limit: Limit::AtMost(limit),
            unit: "x",
        }
    }

    /// On a rate, as a ratio to another; both in `unit` a second.
    pub fn rate(
        work: impl Into<String>,
        per_sec: f64,
        floor_per_sec: f64,
        unit: &str,
        at_least: f64,
    ) -> Self {
        let text = |per_sec: f64| format!("{} {unit}/s", rounded(per_sec));
        Self {
            work: work.into(),
            measured: text(per_sec),
            floor: text(floor_per_sec),
            compared: per_sec / floor_per_sec,
            limit: Limit::AtLeast(at_least),
            unit: "x",
        }
    }

    /// On a figure that has no floor.
    pub fn absolute(
        work: impl Into<String>,
        measured: f64,
        limit: f64,
        unit: &'static str,
    ) -> Self {
        let measured_text = format!("{} {unit}", rounded(measured));
        Self {
            work: work.into(),
            measured: measured_text,
            floor: "-".to_owned(),
            compared: measured,
            limit: Limit::AtMost(limit),
            unit,
        }
    }

    /// Whether the target was reached; what could not be measured was not.
    pub fn is_reached(&self) -> bool {
        match self.limit {
            Limit::AtMost(limit) => self.compared <= limit,
            Limit::AtLeast(limit) => self.compared >= limit,
        }
    }
}

/// A table of the report.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Column titles.
    pub head: Vec<&'static str>,
    /// Rows as long as the head.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub fn new(head: &[&'static str]) -> Self {
        Self {
            head: head.to_vec(),
            rows: Vec::new(),
        }
    }

    /// A table for servers under load.
    pub fn of_load() -> Self {
        Self::new(&["", "CPU us/op", "op/s", "p50 us", "p99 us"])
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Adds a row to a table for servers under load.
    pub fn load_row(&mut self, name: impl Into<String>, figures: &Medians) {
        let Medians {
            cpu_us,
            per_sec,
            p50_us,
            p99_us,
        } = figures;
        self.row([
            name.into(),
            format!("{cpu_us:.1}"),
            format!("{per_sec:.0}"),
            format!("{p50_us:.0}"),
            format!("{p99_us:.0}"),
        ]);
    }
}

/// What one benchmark found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Section {
    /// Its title.
    pub title: &'static str,
    /// How it was measured.
    pub about: String,
    /// Its figures.
    pub table: Table,
    /// Its targets.
    pub verdicts: Vec<Verdict>,
}

/// A number with as many digits as it needs to be read.
pub fn rounded(value: f64) -> String {
    if value.abs() >= 100.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

/// Seconds with a unit.
pub fn secs(duration: Duration) -> String {
    format!("{} s", rounded(duration.as_secs_f64()))
}

/// Bytes as MiB.
pub fn mib(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_reached_up_to_its_limit() {
        assert!(Verdict::cpu("get", 12.0, 8.0, 1.5).is_reached());
        assert!(!Verdict::cpu("get", 12.1, 8.0, 1.5).is_reached());
        assert!(!Verdict::cpu("get", 12.0, 0.0, 1.5).is_reached());
        assert!(!Verdict::cpu("get", 0.0, 8.0, 1.5).is_reached());
        assert!(Verdict::rate("up", 20.0, 2.0, "images", 10.0).is_reached());
        assert!(!Verdict::rate("up", 19.9, 2.0, "images", 10.0).is_reached());
        assert!(!Verdict::rate("up", 0.0, 0.0, "images", 10.0).is_reached());
        assert!(!Verdict::absolute("p99", f64::NAN, 10.0, "ms").is_reached());
    }
}
