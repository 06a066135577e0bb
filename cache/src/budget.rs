//! The one budget for bytes under way.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes are counted in units of this: a permit is a 32-bit count.
const UNIT_BYTES: u64 = 4096;

/// A bound on bytes under way; clones share it.
#[derive(Clone, Debug)]
pub struct Budget {
    free: Arc<Semaphore>,
    units: u32,
}

/// Bytes that are under way, given back when dropped.
#[derive(Debug)]
pub struct Charge {
    _units: OwnedSemaphorePermit,
}

impl Budget {
    pub(crate) fn new(bytes: u64) -> Self {
        let units = u32::try_from((bytes / UNIT_BYTES).max(1)).unwrap_or(u32::MAX);
        Self {
            free: Arc::new(Semaphore::new(units as usize)),
            units,
        }
    }

    /// Waits for so many bytes; more than there are at all is taken for all of them.
    pub(crate) async fn take(&self, bytes: u64) -> Option<Charge> {
        let free = Arc::clone(&self.free);
        let units = free.acquire_many_owned(self.units_of(bytes)).await.ok()?;
        Some(Charge { _units: units })
    }

    /// So many bytes, if they are free now.
    pub(crate) fn try_take(&self, bytes: u64) -> Option<Charge> {
        let free = Arc::clone(&self.free);
        let units = free.try_acquire_many_owned(self.units_of(bytes)).ok()?;
        Some(Charge { _units: units })
    }

    fn units_of(&self, bytes: u64) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT_BYTES))
            .unwrap_or(u32::MAX)
            .min(self.units)
    }

    pub(crate) fn used_bytes(&self) -> u64 {
        (u64::from(self.units) - self.free.available_permits() as u64) * UNIT_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_taken_is_bounded_and_comes_back() {
        let budget = Budget::new(10 * UNIT_BYTES);
        let most = budget.take(9 * UNIT_BYTES).await.unwrap();
        assert!(budget.try_take(UNIT_BYTES + 1).is_none());
        let rest = budget.try_take(1).unwrap();
        assert_eq!(budget.used_bytes(), 10 * UNIT_BYTES);
        drop((most, rest));
        assert!(budget.take(u64::MAX).await.is_some());
        assert_eq!(budget.used_bytes(), 0);
    }
}
