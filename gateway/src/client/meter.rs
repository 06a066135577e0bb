//! How far a request is, told while it is under way.

use std::time::Duration;

use super::body::Moved;
use super::report::Report;

const EVERY: Duration = Duration::from_millis(100);

/// Tells the report what of a body has moved while `work` goes on.
pub async fn metered<T>(report: &Report, moved: &Moved, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    let mut told = 0;
    let mut tell = || {
        let now = moved.bytes();
        report.moved(now - told);
        told = now;
    };
    loop {
        match tokio::time::timeout(EVERY, &mut work).await {
            Err(_) => tell(),
            Ok(done) => {
                tell();
                return done;
            }
        }
    }
}
