//! Looking at file systems that may hang: on a thread of its own, with a deadline, and few at one path, so that what hangs takes
//! few threads however often it is asked for.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::error::{Error, Result};

/// Nothing that works takes longer.
pub const LOOK_LIMIT: Duration = Duration::from_secs(10);

/// At one path at once.
const LOOKS_MAX: usize = 4;

static LOOKING: Mutex<Option<HashMap<PathBuf, usize>>> = Mutex::new(None);

/// Given back when the look has ended, in time or not.
struct Taken(PathBuf);

impl Drop for Taken {
    fn drop(&mut self) {
        let mut looking = LOOKING.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(paths) = looking.as_mut() else {
            return;
        };
        if let Some(count) = paths.get_mut(&self.0) {
            *count = count.saturating_sub(1);
        }
        paths.retain(|_, count| *count > 0);
    }
}

/// Looks at what a path holds.
///
/// # Errors
/// `Unavailable` where it does not answer in time, where earlier looks still wait, and where it answers with an error.
pub async fn patiently<T: Send + 'static>(
    path: &Path,
    look: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T> {
    patiently_for(LOOK_LIMIT, path, look).await
}

async fn patiently_for<T: Send + 'static>(
    limit: Duration,
    path: &Path,
    look: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T> {
    let hangs = || {
        Error::Unavailable(format!(
            "{} does not answer within {LOOK_LIMIT:?}",
            path.display()
        ))
    };
    let taken = take(path).ok_or_else(hangs)?;
    let looking = tokio::task::spawn_blocking(move || {
        let _taken = taken;
        look()
    });
    let answer = tokio::time::timeout(limit, looking).await;
    let answer = answer.map_err(|_| hangs())?;
    answer
        .map_err(|error| Error::Internal(error.to_string()))?
        .map_err(|error| Error::Unavailable(format!("{}: {error}", path.display())))
}

fn take(path: &Path) -> Option<Taken> {
    let mut looking = LOOKING.lock().unwrap_or_else(PoisonError::into_inner);
    let counts = looking.get_or_insert_with(HashMap::new);
    let count = counts.entry(path.to_owned()).or_default();
    if *count >= LOOKS_MAX {
        return None;
    }
    *count += 1;
    Some(Taken(path.to_owned()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_hangs_takes_few_threads_and_is_asked_again_when_it_is_back() {
        let path = Path::new("/hangs");
        let short = Duration::from_millis(50);
        let mut held = Vec::new();
        for _ in 0..LOOKS_MAX {
            let (release, wait) = std::sync::mpsc::channel::<()>();
            held.push(release);
            let look = patiently_for(short, path, move || {
                let _ = wait.recv();
                Ok(())
            });
            assert!(matches!(look.await, Err(Error::Unavailable(_))));
        }
        let one_more = patiently_for(short, path, || Ok(()));
        assert!(matches!(one_more.await, Err(Error::Unavailable(_))));
        drop(held);
        let started = std::time::Instant::now();
        while patiently(path, || Ok(())).await.is_err() {
            assert!(started.elapsed() < Duration::from_secs(30));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
