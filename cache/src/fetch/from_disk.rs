//! A page that comes from the disk tier.

use std::sync::Arc;

use super::fill::Fill;
use super::open_file::OpenFile;

/// A page being read from the disk tier. Dropped early, it gives up.
#[derive(Debug)]
pub struct FromDisk {
    pub(crate) open: Arc<OpenFile>,
    pub(crate) page: u64,
    pub(crate) fill: Arc<Fill>,
}

impl FromDisk {
    /// Starts it.
    pub(crate) fn spawn(self) {
        tokio::spawn(async move { self.bring().await });
    }

    async fn bring(self) {
        let (cache, file) = (&self.open.mount.cache, &self.open.file);
        let len = cache.page_len(&file.version, self.page);
        let _charge = cache.buffers.take(len).await;
        let Some(folder) = &file.folder else {
            return;
        };
        if let Some(bytes) = folder.read(file.key(self.page), 0..len).await {
            cache.keep(file, self.page, bytes.clone());
            self.fill.finish(bytes);
        }
    }
}

impl Drop for FromDisk {
    fn drop(&mut self) {
        // Off the list first: who finds that it was given up must not find it again.
        self.open.file.flights.lock().left_disk(self.page);
        self.fill.give_up();
    }
}
