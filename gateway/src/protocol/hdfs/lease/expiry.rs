//! Files whose writers are not heard of any more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::{Leases, OpenFile};
use crate::protocol::hdfs::server::told;

/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long files may take to be closed when the gateway stops.
const STOP_WAIT: Duration = Duration::from_secs(20);

impl Leases {
    /// Closes a file in its writer's stead, with all that has come.
    pub async fn recover(&self, file: &Arc<OpenFile>) {
        if let Err(error) = file.close().await {
            tracing::warn!(path = file.path(), %error, "a file whose writer is gone could not be closed");
        }
        self.end(file);
    }

    /// Ends what nobody writes any more, until the gateway stops.
    pub async fn watch(&self, mut stopped: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                () = told(&mut stopped) => return,
                () = sleep(LOOK_EVERY) => {}
            }
            for file in self.left_behind() {
                tracing::info!(
                    path = file.path(),
                    client = file.holder.client,
                    "its writer is gone: the file is closed"
                );
                self.recover(&file).await;
            }
        }
    }

    fn left_behind(&self) -> Vec<Arc<OpenFile>> {
        let table = self.table.lock();
        let now = Instant::now();
        let is_left = |file: &&Arc<OpenFile>| {
            let heard = table.holders.get(&file.holder);
            heard.is_none_or(|(heard, _)| now.saturating_duration_since(*heard) > self.hard)
        };
        table.by_id.values().filter(is_left).cloned().collect()
    }

    /// Closes all: the gateway stops, and with it what it knows of them.
    pub async fn close_all(&self) {
        let all = self.below("/");
        let closing = all.iter().map(|file| self.recover(file));
        if timeout(STOP_WAIT, join_all(closing)).await.is_err() {
            tracing::warn!("files that were being written could not all be closed");
        }
    }
}
