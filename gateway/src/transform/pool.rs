//! Where transforms run: a bounded number at once, a bounded number waiting, on threads that may block.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{ImageKind, Outcome, Transform, TransformError, TransformLimits};

/// What a client is told to wait when the queue is full, in seconds.
const RETRY_AFTER_SECS: u32 = 1;

/// Runs transforms on tokio's blocking threads, so that they never hold up the I/O threads; cheap to clone.
#[derive(Debug, Clone)]
pub struct TransformPool {
    /// One permit for each that runs or waits.
    admission: Arc<Semaphore>,
    /// One permit for each that runs.
    running: Arc<Semaphore>,
}

impl TransformPool {
    /// A pool that runs `concurrency` transforms at once (at least 1) and lets `queue_max` more wait.
    pub fn new(concurrency: usize, queue_max: usize) -> Self {
        let running = concurrency.clamp(1, Semaphore::MAX_PERMITS);
        let admitted = running
            .saturating_add(queue_max)
            .min(Semaphore::MAX_PERMITS);
        Self {
            admission: Arc::new(Semaphore::new(admitted)),
            running: Arc::new(Semaphore::new(running)),
        }
    }

    /// [`Transform::apply`], in turn.
    ///
    /// Dropping the future gives up a place in the queue; a transform that has begun runs to its end and keeps its
    /// place until then, so clients that hang up cannot make more of them run than the pool allows.
    ///
    /// # Errors
    /// Those of [`Transform::apply`], and [`TransformError::Busy`] at once when the queue is full, or when the
    /// runtime is shutting down. A decoder that panics is an [`TransformError::Undecodable`].
    pub async fn run(
        &self,
        transform: Transform,
        original: Bytes,
        kind: ImageKind,
        limits: TransformLimits,
    ) -> Result<Outcome, TransformError> {
        self.run_with(move || transform.apply(&original, kind, &limits))
            .await
    }

    async fn run_with<F>(&self, work: F) -> Result<Outcome, TransformError>
    where
        F: FnOnce() -> Result<Outcome, TransformError> + Send + 'static,
    {
        let places = self.enter().await?;
        let task = tokio::task::spawn_blocking(move || {
            let _places = places;
            work()
        });
        task.await.unwrap_or_else(|error| Err(lost(&error)))
    }

    async fn enter(&self) -> Result<[OwnedSemaphorePermit; 2], TransformError> {
        let admitted = Arc::clone(&self.admission)
            .try_acquire_owned()
            .map_err(|_| busy())?;
        // The semaphore is never closed; if it ever is, the process is stopping.
        let running = Arc::clone(&self.running)
            .acquire_owned()
            .await
            .map_err(|_| busy())?;
        Ok([running, admitted])
    }
}

fn busy() -> TransformError {
    TransformError::Busy {
        retry_after_secs: RETRY_AFTER_SECS,
    }
}

fn lost(error: &tokio::task::JoinError) -> TransformError {
    if error.is_panic() {
        TransformError::Undecodable("the decoder gave up on it".to_owned())
    } else {
        busy()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::transform::samples;

    #[tokio::test]
    async fn runs_a_transform() {
        let transform = Transform::from_query(|name| (name == "width").then_some("4"))
            .unwrap()
            .unwrap();
        let pool = TransformPool::new(2, 2);
        let limits = TransformLimits::default();
        let outcome = pool
            .run(transform, samples::png(8, 8).into(), ImageKind::Png, limits)
            .await
            .unwrap();
        assert!(matches!(
            outcome,
            Outcome::Changed {
                mime: "image/png",
                ..
            }
        ));
    }

    #[tokio::test]
    async fn refuses_at_once_when_the_queue_is_full_and_recovers() {
        let pool = TransformPool::new(1, 1);
        let (release, held) = mpsc::channel::<()>();
        let first = tokio::spawn({
            let pool = pool.clone();
            async move {
                pool.run_with(move || held.recv().map(|()| Outcome::Original).map_err(|_| busy()))
                    .await
            }
        });
        let second = tokio::spawn({
            let pool = pool.clone();
            async move { pool.run_with(|| Ok(Outcome::Original)).await }
        });
        while pool.admission.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.run_with(|| Ok(Outcome::Original)).await, Err(busy()));
        release.send(()).unwrap();
        assert_eq!(first.await.unwrap(), Ok(Outcome::Original));
        assert_eq!(second.await.unwrap(), Ok(Outcome::Original));
        assert_eq!(
            pool.run_with(|| Ok(Outcome::Original)).await,
            Ok(Outcome::Original)
        );
    }

    #[tokio::test]
    async fn a_panicking_decoder_is_an_error_and_gives_its_place_back() {
        let pool = TransformPool::new(1, 0);
        for _ in 0..3 {
            let outcome = pool
                .run_with(|| panic!("as a decoder with a bug would"))
                .await;
            assert!(matches!(outcome, Err(TransformError::Undecodable(_))));
        }
    }
}
