//! Files on their way to the streams: small ones are taken in batches, large ones one by one.

use std::time::Duration;

use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, timeout_at};

/// Larger files have a request of their own.
pub const SMALL_BYTES_MAX: u64 = 4 << 20;
/// Most files in a batch.
const BATCH_FILES_MAX: usize = 1000;
/// Most bytes in a batch. Each stream holds as much in memory.
const BATCH_BYTES_MAX: u64 = 16 << 20;
/// A batch that has not filled up by then goes as it is.
const FILL_MAX: Duration = Duration::from_millis(200);
/// Files that wait for a stream.
const WAITING_MAX: usize = 4 * BATCH_FILES_MAX;

/// What stands in a queue.
pub trait HasBytes: Send {
    /// Its length.
    fn bytes(&self) -> u64;
}

/// What a stream takes from the queue.
#[derive(Debug)]
pub enum Load<T> {
    /// For one request.
    Batch(Vec<T>),
    /// Has a request of its own.
    Large(T),
}

/// Where the streams take their work from.
#[derive(Debug)]
pub struct Queue<T> {
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    receiver: mpsc::Receiver<T>,
    /// Taken, but did not fit in the batch.
    held: Option<T>,
}

/// A queue and where to fill it.
pub fn queue<T>() -> (mpsc::Sender<T>, Queue<T>) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let state = Mutex::new(State {
        receiver,
        held: None,
    });
    (sender, Queue { state })
}

impl<T: HasBytes> Queue<T> {
    /// The next work; `None` when all is done.
    pub async fn next(&self) -> Option<Load<T>> {
        let mut state = self.state.lock().await;
        let first = match state.held.take() {
            Some(held) => held,
            None => state.receiver.recv().await?,
        };
        if first.bytes() > SMALL_BYTES_MAX {
            return Some(Load::Large(first));
        }
        let mut bytes = first.bytes();
        let mut batch = vec![first];
        let until = Instant::now() + FILL_MAX;
        while batch.len() < BATCH_FILES_MAX {
            let Ok(Some(item)) = timeout_at(until, state.receiver.recv()).await else {
                break;
            };
            bytes += item.bytes();
            if item.bytes() > SMALL_BYTES_MAX || bytes > BATCH_BYTES_MAX {
                state.held = Some(item);
                break;
            }
            batch.push(item);
        }
        Some(Load::Batch(batch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl HasBytes for u64 {
        fn bytes(&self) -> u64 {
            *self
        }
    }

    async fn loads(items: &[u64]) -> Vec<Vec<u64>> {
        let (sender, queue) = queue();
        for item in items {
            sender.send(*item).await.unwrap();
        }
        drop(sender);
        let mut loads = Vec::new();
        while let Some(load) = queue.next().await {
            loads.push(match load {
                Load::Batch(batch) => batch,
                Load::Large(large) => vec![large],
            });
        }
        loads
    }

    #[tokio::test]
    async fn batches_are_bounded_and_large_ones_go_alone() {
        let large = SMALL_BYTES_MAX + 1;
        assert_eq!(
            loads(&[1, 2, large, large, 3]).await,
            [vec![1, 2], vec![large], vec![large], vec![3]]
        );
        let half = SMALL_BYTES_MAX;
        assert_eq!(loads(&[half; 5]).await, [vec![half; 4], vec![half]]);
        let many = loads(&vec![1; BATCH_FILES_MAX + 1]).await;
        assert_eq!(
            many.iter().map(Vec::len).collect::<Vec<_>>(),
            [BATCH_FILES_MAX, 1]
        );
    }

    #[tokio::test]
    async fn a_batch_that_does_not_fill_up_goes_as_it_is() {
        let (sender, queue) = queue::<u64>();
        sender.send(1).await.unwrap();
        assert!(matches!(queue.next().await, Some(Load::Batch(batch)) if batch == [1]));
    }
}
