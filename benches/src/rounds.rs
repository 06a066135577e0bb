//! Short rounds in turn, and medians of them: what disturbs the machine then disturbs floor and subject alike.

use std::time::Duration;

use anyhow::Result;

use crate::connection::Source;
use crate::load::{Extent, Round};

/// One thing to measure, again and again.
pub type Measure<'a> = Box<dyn FnMut() -> Result<Round> + 'a>;

/// Lets each of `subjects` measure in turn, `rounds` times, and gives each one's medians.
///
/// # Errors
/// The first that any round meets.
pub fn alternate<const N: usize>(
    rounds: usize,
    mut subjects: [Measure<'_>; N],
) -> Result<[Medians; N]> {
    let mut measured: [Vec<Round>; N] = std::array::from_fn(|_| Vec::with_capacity(rounds));
    for _ in 0..rounds {
        for (subject, into) in subjects.iter_mut().zip(&mut measured) {
            into.push(subject()?);
        }
    }
    Ok(measured.map(|rounds| Medians::of(&rounds)))
}

/// The extent of a measured round: a tenth of the window before it to warm up, a fifth of a second at least.
pub fn timed(window: Duration) -> Extent {
    Extent::Timed {
        warmup: (window / 10).max(Duration::from_millis(200)),
        window,
    }
}

/// One source for each of `connections`.
pub fn sources(
    connections: usize,
    make: impl FnMut(usize) -> Box<dyn Source>,
) -> Vec<Box<dyn Source>> {
    (0..connections).map(make).collect()
}

/// Medians over rounds, each figure by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Medians {
    /// CPU microseconds of the server an operation.
    pub cpu_us: f64,
    /// Operations a second.
    pub per_sec: f64,
    /// Median latency in microseconds.
    pub p50_us: f64,
    /// 99th percentile of latency in microseconds.
    pub p99_us: f64,
}

impl Medians {
    /// Of rounds with at least one operation each; others are left out.
    pub fn of(rounds: &[Round]) -> Self {
        let rounds: Vec<&Round> = rounds.iter().filter(|round| round.operations > 0).collect();
        let of =
            |figure: fn(&Round) -> f64| median(rounds.iter().map(|round| figure(round)).collect());
        Self {
            cpu_us: of(|round| round.server_cpu.as_secs_f64() * 1e6 / round.operations as f64),
            per_sec: of(|round| round.operations as f64 / round.elapsed.as_secs_f64()),
            p50_us: of(|round| round.p50.as_secs_f64() * 1e6),
            p99_us: of(|round| round.p99.as_secs_f64() * 1e6),
        }
    }
}

/// The middle value, or the mean of the two in the middle; not a number for none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn round(operations: u64, cpu_ms: u64) -> Round {
        let second = Duration::from_secs(1);
        Round {
            operations,
            elapsed: second,
            server_cpu: Duration::from_millis(cpu_ms),
            p50: second,
            p99: second,
        }
    }

    #[test]
    fn the_median_ignores_one_outlier() {
        assert_eq!(median(vec![3.0, 1000.0, 1.0]), 3.0);
        assert_eq!(median(vec![4.0, 2.0]), 3.0);
        assert!(median(vec![]).is_nan());
    }

    #[test]
    fn figures_are_per_operation() {
        let medians = Medians::of(&[
            round(1000, 8),
            round(1000, 9),
            round(1000, 100),
            round(0, 5),
        ]);
        assert!((medians.cpu_us - 9.0).abs() < 1e-9);
        assert!((medians.per_sec - 1000.0).abs() < 1e-9);
    }

    #[test]
    fn subjects_take_turns() {
        let order = std::cell::RefCell::new(Vec::new());
        let note = |name: char| {
            let order = &order;
            Box::new(move || {
                order.borrow_mut().push(name);
                Ok(round(1, 1))
            })
        };
        alternate(2, [note('a') as Measure, note('b') as Measure]).unwrap();
        assert_eq!(*order.borrow(), ['a', 'b', 'a', 'b']);
    }
}
