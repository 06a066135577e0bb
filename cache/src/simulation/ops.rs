//! The operations of a run, and what each must answer.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use bytes::Bytes;

use super::world::{Held, PAGE, PATHS, TTL, World, collect};
use crate::backend::{Backend, BackendError, CreateOptions, ErrorKind, Freshness, RenameMode};
use crate::names::parents;
use crate::testing::caller;

impl World {
    pub async fn op(&mut self) -> Result<(), String> {
        let path = self.rng.below(PATHS.len() as u64) as usize;
        let op = self.rng.below(24);
        self.tell(format!(
            "{} at {:?}: op {op} on {}",
            self.steps, self.now, PATHS[path]
        ));
        match op {
            0..=5 => self.read_some(path, Freshness::Cached).await,
            6 | 7 => self.read_some(path, Freshness::Now).await,
            8..=10 => self.change_behind(path),
            11 | 12 => self.write(path).await,
            13 => self.rename(path).await,
            14 => self.delete(path).await,
            15 => self.hold(path).await,
            16 | 17 => self.read_held().await,
            18 => self.status(path).await,
            19 => self.list(path).await,
            20 => self.write_and_read(path).await,
            21 => self.read_when_it_fails(path).await,
            22 if self.rng.one_in(3) => {
                self.tell("it is killed".to_owned());
                self.crash().await.map_err(|e| e.to_string())
            }
            22 => {
                let flips = self.rng.below(4);
                self.restart(flips).await;
                Ok(())
            }
            _ => {
                let seconds = self.rng.below(20);
                self.pass(Duration::from_secs(seconds));
                self.upkeep(path).await;
                Ok(())
            }
        }
    }

    fn range(&mut self) -> Range<u64> {
        match self.rng.below(3) {
            0 => 0..u64::MAX,
            1 => {
                let from = self.rng.below(7 * PAGE);
                from..from + 1 + self.rng.below(5000)
            }
            _ => {
                let from = self.rng.below(2) * PAGE;
                from..from + self.rng.below(3 * PAGE)
            }
        }
    }

    async fn read_some(&mut self, path: usize, freshness: Freshness) -> Result<(), String> {
        let range = self.range();
        let got = self.read(path, range.clone(), freshness).await;
        let ttl = match freshness {
            Freshness::Cached => TTL,
            Freshness::Now => Duration::ZERO,
        };
        if got
            .as_ref()
            .is_err_and(|error| error.kind == ErrorKind::Changed)
            && freshness == Freshness::Cached
        {
            // It was opened as it was known; now that the change was seen, it must be as it is.
            let got = self.read(path, range.clone(), freshness).await;
            return self.check(path, &range, got, Duration::ZERO);
        }
        self.check(path, &range, got, ttl)
    }

    fn check(
        &mut self,
        path: usize,
        range: &Range<u64>,
        got: Result<Bytes, BackendError>,
        ttl: Duration,
    ) -> Result<(), String> {
        let got = match got {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind == ErrorKind::NotFound => None,
            Err(error) => return Err(format!("{}: {error:?}", PATHS[path])),
        };
        let now = self.now;
        let checked =
            self.history(path)
                .check(got.as_ref(), |content| cut(content, range), now, ttl);
        checked.map_err(|what| format!("{}: {what}", PATHS[path]))
    }

    fn change_behind(&mut self, path: usize) -> Result<(), String> {
        let now = self.now;
        if self.rng.one_in(4) {
            self.store.remove(PATHS[path]);
            self.history(path).put(now, None);
        } else {
            let content = self.content();
            self.store.put(PATHS[path], content.clone());
            self.history(path).put(now, Some(content));
        }
        Ok(())
    }

    /// A change through the cache is seen by all who come after it.
    fn changed_through(&mut self, path: usize, content: Option<Bytes>) {
        let now = self.now;
        let history = self.history(path);
        history.put(now, content);
        history.show();
    }

    async fn write(&mut self, path: usize) -> Result<(), String> {
        let content = self.content();
        self.write_content(path, content.clone())
            .await
            .map_err(|e| e.message)?;
        self.changed_through(path, Some(content));
        Ok(())
    }

    async fn write_content(&self, path: usize, content: Bytes) -> Result<(), BackendError> {
        let options = CreateOptions {
            overwrite: true,
            ..CreateOptions::default()
        };
        let mut writer = self.mount.create(&caller(), PATHS[path], &options).await?;
        writer.write(content).await?;
        writer.finish().await
    }

    /// Of a file over another, or of a folder; the time stays, so that the two may seem to be one version.
    async fn rename(&mut self, path: usize) -> Result<(), String> {
        let to = self.rng.below(PATHS.len() as u64) as usize;
        if to == path {
            return Ok(());
        }
        if let (Some(_), Some(other)) = (self.history(path).now(), self.history(to).now()) {
            self.written += 1;
            let twin = crate::testing::pattern(self.written, other.len());
            let (time, now) = (
                self.store.content(PATHS[to]).map_or(0, |c| c.modified_ms),
                self.now,
            );
            self.store.put(PATHS[path], twin.clone());
            self.store.set_time(PATHS[path], time);
            self.history(path).put(now, Some(twin));
        }
        let Some(content) = self.history(path).now() else {
            return Ok(());
        };
        self.tell(format!("to {}", PATHS[to]));
        let ann = caller();
        let renamed = self
            .mount
            .rename(&ann, PATHS[path], PATHS[to], RenameMode::Replace);
        renamed.await.map_err(|e| e.message)?;
        self.changed_through(path, None);
        self.changed_through(to, Some(content));
        Ok(())
    }

    async fn delete(&mut self, path: usize) -> Result<(), String> {
        let tree = match self.rng.below(2) {
            0 => PATHS[path].to_owned(),
            _ => parents(PATHS[path]).next().unwrap_or("/").to_owned(),
        };
        if tree == "/" {
            return Ok(());
        }
        let ann = caller();
        let deleted = self.mount.delete(&ann, &tree, true);
        deleted.await.map_err(|e| e.message)?;
        for (path, name) in PATHS.iter().enumerate() {
            if crate::policy::epochs::is_within(name, &tree) {
                self.changed_through(path, None);
            }
        }
        Ok(())
    }

    async fn hold(&mut self, path: usize) -> Result<(), String> {
        let Ok(file) = self
            .mount
            .open(&caller(), PATHS[path], Freshness::Now)
            .await
        else {
            return Ok(());
        };
        let content = self
            .history(path)
            .now()
            .ok_or("opened, but nothing is there")?;
        self.held.push(Held {
            path,
            file,
            content,
        });
        if self.held.len() > 3 {
            self.held.remove(0);
        }
        Ok(())
    }

    /// An old handle gives the bytes of its version, or says that it has changed.
    async fn read_held(&mut self) -> Result<(), String> {
        let range = self.range();
        let Some(held) = self.held.pop() else {
            return Ok(());
        };
        let got = collect(&*held.file, range.clone()).await;
        let is_right = match &got {
            Ok(bytes) => *bytes == cut(&held.content, &range),
            Err(error) => error.kind == ErrorKind::Changed,
        };
        if !is_right {
            return Err(format!(
                "{}: an open file has given other bytes, or {:?}",
                PATHS[held.path],
                got.err()
            ));
        }
        self.held.push(held);
        Ok(())
    }

    async fn status(&mut self, path: usize) -> Result<(), String> {
        let got = self
            .mount
            .status(&caller(), PATHS[path], Freshness::Now)
            .await;
        let len = self.history(path).now().map(|content| content.len() as u64);
        if got.as_ref().ok().map(|status| status.len) != len {
            return Err(format!("{}: {got:?} instead of {len:?} bytes", PATHS[path]));
        }
        self.history(path).show();
        Ok(())
    }

    async fn list(&mut self, path: usize) -> Result<(), String> {
        let folder = parents(PATHS[path]).next().unwrap_or("/");
        if folder == "/" {
            return Ok(());
        }
        let listed = self
            .mount
            .list(&caller(), folder, None, 100, Freshness::Now)
            .await;
        let names: Vec<String> = match listed {
            Ok(listing) => listing
                .entries
                .iter()
                .map(|e| format!("{folder}/{}", e.name))
                .collect(),
            Err(error) if error.kind == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error.message),
        };
        for (path, name) in PATHS.iter().enumerate() {
            if parents(name).next() == Some(folder) {
                let is_there = self.history(path).now().is_some();
                if names.iter().any(|n| n == name) != is_there {
                    return Err(format!(
                        "{name} is in the listing, or not, and should not, or should"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Reads while a write goes on may show either side of it; later ones only the new.
    async fn write_and_read(&mut self, path: usize) -> Result<(), String> {
        let content = self.content();
        let range = self.range();
        let mount = Arc::clone(&self.mount);
        let reads = async {
            for _ in 0..3 {
                if let Ok(file) = mount.open(&caller(), PATHS[path], Freshness::Now).await {
                    // Old or new or changed: what matters is what is kept of it.
                    let _ = collect(&*file, range.clone()).await;
                }
            }
        };
        let (written, ()) = tokio::join!(self.write_content(path, content.clone()), reads);
        written.map_err(|e| e.message)?;
        self.changed_through(path, Some(content));
        self.read_some(path, Freshness::Cached).await
    }

    async fn read_when_it_fails(&mut self, path: usize) -> Result<(), String> {
        let (range, failing) = (self.range(), 1 + self.rng.below(3));
        self.store.failing.store(failing, SeqCst);
        let got = self.read(path, range.clone(), Freshness::Cached).await;
        self.store.failing.store(0, SeqCst);
        match got {
            Err(error) if error.is_transient() || error.kind == ErrorKind::Changed => Ok(()),
            got => self.check(path, &range, got, TTL),
        }
    }

    async fn upkeep(&mut self, path: usize) {
        match self.rng.below(8) {
            0 => self.mount.invalidate(PATHS[path]),
            1 => drop(self.mount.free(PATHS[path]).await),
            2 => drop(self.mount.pin(PATHS[path]).await),
            3 => drop(self.mount.unpin(PATHS[path]).await),
            _ => {}
        }
    }
}

fn cut(content: &Bytes, range: &Range<u64>) -> Bytes {
    let end = (content.len() as u64).min(range.end);
    let start = range.start.min(end);
    content.slice(start as usize..end as usize)
}
