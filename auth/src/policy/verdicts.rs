//! What policies say so far, and what wins: the highest priority, and there a deny.

use super::access::Asked;
use super::decide::Outcome;
use super::policy::{Policy, Says};

/// The best word so far on one kind of access.
#[derive(Clone, Copy, Debug)]
pub(super) struct Best {
    pub priority: i32,
    pub deny: bool,
    pub rank: u32,
    pub policy: u32,
}

/// Kinds of access in one request: read, write, execute.
const KINDS_MAX: usize = 3;

/// Words on each kind of access.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Verdicts {
    bits: [u64; KINDS_MAX],
    best: [Option<Best>; KINDS_MAX],
}

impl Verdicts {
    pub(super) fn new(asked: Asked) -> Self {
        let mut verdicts = Self::default();
        let mut rest = asked.kinds;
        for bit in &mut verdicts.bits {
            *bit = rest & rest.wrapping_neg();
            rest &= !*bit;
        }
        verdicts
    }

    /// Takes what one policy says: of the highest priority, and there rather what denies, and there what is first.
    pub(super) fn take(&mut self, policy: &Policy, number: u32, says: Says) {
        for (bit, best) in self.bits.iter().zip(&mut self.best) {
            let deny = says.deny & bit != 0;
            if !deny && says.allow & bit == 0 {
                continue;
            }
            let word = Best {
                priority: policy.priority,
                deny,
                rank: policy.rank,
                policy: number,
            };
            let key = |best: &Best| (-i64::from(best.priority), !best.deny, best.rank);
            if best.as_ref().is_none_or(|best| key(&word) < key(best)) {
                *best = Some(word);
            }
        }
    }

    /// Whether a policy of this priority cannot change anything.
    pub(super) fn are_above(&self, priority: i32) -> bool {
        let mut used = self
            .bits
            .iter()
            .zip(&self.best)
            .filter(|(bit, _)| **bit != 0);
        used.all(|(_, best)| best.is_some_and(|best| best.priority > priority))
    }

    /// Words on paths after words on tags: they replace an allow if they deny at the same or a higher priority, and anything if higher.
    pub(super) fn then(mut self, later: &Self) -> Self {
        for (best, later) in self.best.iter_mut().zip(&later.best) {
            *best = match (*best, *later) {
                (None, later) => later,
                (Some(first), Some(later))
                    if later.priority > first.priority
                        || (later.deny && !first.deny && later.priority == first.priority) =>
                {
                    Some(later)
                }
                (first, _) => first,
            };
        }
        self
    }

    /// Any kind denied denies; all allowed allow; what is optional may stay undecided.
    pub(super) fn outcome(&self, asked: Asked) -> (Outcome, Option<Best>) {
        let used = || {
            self.bits
                .iter()
                .zip(&self.best)
                .filter(|(bit, _)| **bit != 0)
        };
        let denied = used().filter_map(|(_, best)| *best).find(|best| best.deny);
        if let Some(best) = denied {
            return (Outcome::Deny, Some(best));
        }
        let missing = used().find(|(bit, best)| best.is_none() && **bit & asked.optional == 0);
        if missing.is_some() {
            return (Outcome::Undetermined, None);
        }
        let word = used().find_map(|(_, best)| *best);
        (Outcome::Allow, word)
    }
}
