//! One file being written: its blocks, one behind the other, and the store's writer that takes their bytes.

use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use moongate_cache::{BackendError, BackendWriter, ErrorKind};
use parking_lot::Mutex;

use super::Holder;

const NOT_YET: &str = "org.apache.hadoop.hdfs.server.namenode.NotReplicatedYetException";

/// How a file is begun.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Where.
    pub path: String,
    /// Whose.
    pub holder: Holder,
    /// Of the holder.
    pub tenant: Option<Arc<str>>,
    /// As the client wants them.
    pub block_bytes: u64,
    /// Length of the file before the first new byte.
    pub at: u64,
}

/// See the module.
#[derive(Debug)]
pub struct OpenFile {
    /// Told to the client, which names the file by it.
    pub id: u64,
    /// Whose.
    pub holder: Holder,
    /// Of the holder.
    pub tenant: Option<Arc<str>>,
    /// Most bytes of a block.
    pub block_bytes: u64,
    path: Mutex<String>,
    state: tokio::sync::Mutex<State>,
}

#[derive(Debug)]
struct State {
    writer: Option<Box<dyn BackendWriter>>,
    /// Why the store did not take it.
    failed: Option<BackendError>,
    at: u64,
    blocks: Vec<Placed>,
    /// Something has come since the last sync.
    is_dirty: bool,
    /// The client has asked for what it wrote to be kept: then each answer promises that.
    flushes: bool,
}

/// A block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Its number.
    pub id: u64,
    /// What its number was made of.
    pub salt: u64,
    /// First byte in the file.
    pub start: u64,
    /// Bytes that have come.
    pub len: u64,
    /// Somebody writes it, or has.
    is_begun: bool,
}

/// Bytes of a block.
#[derive(Clone, Debug)]
pub struct Arriving {
    /// Where in the block.
    pub offset: u64,
    /// The bytes.
    pub data: Bytes,
    /// They must be durable before the answer.
    pub is_synced: bool,
    /// More are here already, so nobody waits for the answer to these.
    pub has_more: bool,
}

impl OpenFile {
    /// Nothing can be written until [`OpenFile::writes_to`].
    pub fn new(opened: Opened) -> Self {
        Self {
            id: (rand::random::<u64>() >> 2) | 1,
            holder: opened.holder,
            tenant: opened.tenant,
            block_bytes: opened.block_bytes,
            path: Mutex::new(opened.path),
            state: tokio::sync::Mutex::new(State {
                writer: None,
                failed: None,
                at: opened.at,
                blocks: Vec::new(),
                is_dirty: false,
                flushes: false,
            }),
        }
    }

    /// Where it is now.
    pub fn path(&self) -> String {
        self.path.lock().clone()
    }

    pub(super) fn set_path(&self, path: String) {
        *self.path.lock() = path;
    }

    /// The store has begun it.
    pub async fn writes_to(&self, writer: Box<dyn BackendWriter>) {
        self.state.lock().await.writer = Some(writer);
    }

    /// The next block, behind `previous`, whose number and length the client tells. `number` makes its number.
    ///
    /// # Errors
    /// The store has failed, or the client's last block is not ours.
    pub async fn add_block(
        &self,
        previous: Option<(u64, u64)>,
        number: impl Fn(u64) -> u64,
    ) -> Result<Placed, BackendError> {
        let mut state = self.state.lock().await;
        state.check()?;
        if let [before @ .., last] = &state.blocks[..] {
            let before = before.last().map(|block| (block.id, block.len));
            // The answer to the same question was lost.
            if !last.is_begun && previous == before {
                return Ok(*last);
            }
        }
        state.agree(previous, &self.path())?;
        let (start, salt) = (state.end(), rand::random());
        let block = Placed {
            id: number(salt),
            salt,
            start,
            len: 0,
            is_begun: false,
        };
        state.blocks.push(block);
        Ok(block)
    }

    /// Takes back a block of which nothing has come.
    ///
    /// # Errors
    /// Something has come: what is in the store cannot be taken back.
    pub async fn abandon(&self, block: u64) -> Result<(), BackendError> {
        let mut state = self.state.lock().await;
        match state.blocks.last() {
            Some(last) if last.id == block && last.len > 0 => {
                let text = format!(
                    "{}: {} bytes of the block are stored and cannot be taken back: write the file anew",
                    self.path(),
                    last.len
                );
                Err(BackendError::of_class(
                    ErrorKind::Failed,
                    "java.io.IOException",
                    text,
                ))
            }
            Some(last) if last.id == block => {
                state.blocks.pop();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Somebody comes to write a block.
    ///
    /// # Errors
    /// It is not the last one, or has its writer.
    pub async fn begin_block(&self, block: u64) -> Result<(), BackendError> {
        let mut state = self.state.lock().await;
        state.check()?;
        match state.blocks.last_mut() {
            Some(last) if last.id == block && !last.is_begun => {
                last.is_begun = true;
                Ok(())
            }
            _ => {
                let text = format!("{}: the block has its writer already", self.path());
                Err(BackendError::new(ErrorKind::AlreadyExists, text))
            }
        }
    }

    /// Takes bytes of the last block; those that have come before are not taken twice.
    ///
    /// # Errors
    /// The store's; bytes before these are missing, or there are too many. The file is then of no more use.
    pub async fn take(&self, block: u64, arriving: Arriving) -> Result<(), BackendError> {
        let mut state = self.state.lock().await;
        state.check()?;
        let mut data = arriving.data;
        let last = state.blocks.last_mut().filter(|last| last.id == block);
        let last = last.ok_or_else(|| wrong("the file has gone on to another block".to_owned()))?;
        let known = last.len.checked_sub(arriving.offset).ok_or_else(|| {
            let (offset, len) = (arriving.offset, last.len);
            wrong(format!("bytes from {offset} of a block that has {len}"))
        })?;
        data.advance(usize::try_from(known).unwrap_or(usize::MAX).min(data.len()));
        let len = last.len + data.len() as u64;
        if len > self.block_bytes {
            let most = self.block_bytes;
            return Err(wrong(format!("{len} bytes in a block of {most}")));
        }
        last.len = len;
        if !data.is_empty() {
            state.write(data).await?;
        }
        state.flushes |= arriving.is_synced;
        if arriving.is_synced || (state.flushes && !arriving.has_more) {
            state.sync().await?;
        }
        Ok(())
    }

    /// Makes durable and visible what has come, as far as the store can.
    ///
    /// # Errors
    /// The store's.
    pub async fn sync(&self) -> Result<(), BackendError> {
        let mut state = self.state.lock().await;
        state.check()?;
        state.flushes = true;
        state.sync().await
    }

    /// Closes the file after a last block, whose number and length the client tells.
    ///
    /// # Errors
    /// The store's; or not all has come that was written.
    pub async fn complete(&self, last: Option<(u64, u64)>) -> Result<(), BackendError> {
        let mut state = self.state.lock().await;
        state.check()?;
        state.agree(last, &self.path())?;
        state.finish().await
    }

    /// Closes the file with what has come.
    ///
    /// # Errors
    /// The store's.
    pub async fn close(&self) -> Result<(), BackendError> {
        self.state.lock().await.finish().await
    }

    /// Whether nothing more can be written.
    pub async fn is_over(&self) -> bool {
        self.state.lock().await.writer.is_none()
    }

    /// The store has taken the file away: nothing more is written, and nothing is undone.
    pub async fn drop_writer(&self) {
        let mut state = self.state.lock().await;
        state.failed = Some(gone());
        state.writer = None;
    }

    /// It cannot be had: what was written is given up, as far as it was not synced.
    pub async fn fail(&self, error: &BackendError) {
        self.state.lock().await.fail(error).await;
    }
}

impl State {
    fn check(&self) -> Result<(), BackendError> {
        match (&self.failed, &self.writer) {
            (Some(error), _) => Err(error.clone()),
            (None, None) => Err(gone()),
            (None, Some(_)) => Ok(()),
        }
    }

    fn end(&self) -> u64 {
        let last = self.blocks.last();
        last.map_or(self.at, |last| last.start + last.len)
    }

    /// Whether the client has written what we have.
    fn agree(&self, told: Option<(u64, u64)>, path: &str) -> Result<(), BackendError> {
        let ours = self.blocks.last().map(|last| (last.id, last.len));
        match (told, ours) {
            (told, ours) if told == ours => Ok(()),
            // A block that was asked for, and never written.
            (told, Some((_, 0))) if told == self.before_last() => Ok(()),
            (Some((told, len)), Some((ours, had))) if told == ours && had < len => {
                let text = format!("{path}: {had} of {len} bytes of the last block have come");
                Err(BackendError::of_class(ErrorKind::Failed, NOT_YET, text))
            }
            (told, ours) => {
                let text = format!(
                    "{path}: the client's last block (number and length: {told:?}) is not the one that is here ({ours:?})"
                );
                Err(wrong(text))
            }
        }
    }

    fn before_last(&self) -> Option<(u64, u64)> {
        let before = self.blocks.iter().rev().nth(1);
        before.map(|block| (block.id, block.len))
    }

    async fn write(&mut self, data: Bytes) -> Result<(), BackendError> {
        let Some(writer) = &mut self.writer else {
            return Err(gone());
        };
        self.is_dirty = true;
        if let Err(error) = writer.write(data).await {
            self.fail(&error).await;
            return Err(error);
        }
        Ok(())
    }

    async fn sync(&mut self) -> Result<(), BackendError> {
        let Some(writer) = self.writer.as_mut().filter(|_| self.is_dirty) else {
            return Ok(());
        };
        if let Err(error) = writer.sync().await {
            self.fail(&error).await;
            return Err(error);
        }
        self.is_dirty = false;
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), BackendError> {
        let Some(writer) = self.writer.take() else {
            return self.failed.clone().map_or(Ok(()), Err);
        };
        let finished = writer.finish().await;
        if let Err(error) = &finished {
            self.failed = Some(error.clone());
        }
        finished
    }

    async fn fail(&mut self, error: &BackendError) {
        self.failed.get_or_insert_with(|| error.clone());
        if let Some(writer) = self.writer.take() {
            writer.abort().await;
        }
    }
}

fn wrong(text: String) -> BackendError {
    BackendError::of_class(ErrorKind::Failed, "java.io.IOException", text)
}

fn gone() -> BackendError {
    wrong(
        "the file is not open for writing any more: it was closed, deleted or replaced".to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;

    /// What a store was told.
    #[derive(Clone, Debug, Default)]
    struct Store(Arc<Mutex<Vec<String>>>);

    impl Store {
        fn tell(&self, text: impl Into<String>) {
            self.0.lock().push(text.into());
        }

        fn told(&self) -> Vec<String> {
            self.0.lock().drain(..).collect()
        }
    }

    #[async_trait]
    impl BackendWriter for Store {
        async fn write(&mut self, bytes: Bytes) -> Result<(), BackendError> {
            if bytes == b"full"[..] {
                return Err(BackendError::new(ErrorKind::NoSpace, "full"));
            }
            self.tell(String::from_utf8_lossy(&bytes));
            Ok(())
        }

        async fn sync(&mut self) -> Result<(), BackendError> {
            self.tell("sync");
            Ok(())
        }

        async fn finish(self: Box<Self>) -> Result<(), BackendError> {
            self.tell("finish");
            Ok(())
        }

        async fn abort(self: Box<Self>) {
            self.tell("abort");
        }
    }

    async fn begun() -> (Store, OpenFile, Placed) {
        let store = Store::default();
        let file = OpenFile::new(Opened {
            path: "/a".to_owned(),
            holder: Holder {
                user: "alice".into(),
                client: "one".to_owned(),
            },
            tenant: None,
            block_bytes: 8,
            at: 100,
        });
        file.writes_to(Box::new(store.clone())).await;
        let block = file.add_block(None, |random| random).await.unwrap();
        file.begin_block(block.id).await.unwrap();
        (store, file, block)
    }

    fn bytes(offset: u64, data: &'static [u8]) -> Arriving {
        Arriving {
            offset,
            data: Bytes::from_static(data),
            is_synced: false,
            has_more: false,
        }
    }

    #[tokio::test]
    async fn blocks_follow_each_other() {
        let (store, file, one) = begun().await;
        assert!(file.begin_block(one.id).await.is_err());
        file.take(one.id, bytes(0, b"abcdef")).await.unwrap();
        // Sent again, as after a flush in the middle of a chunk.
        file.take(one.id, bytes(4, b"efgh")).await.unwrap();
        assert!(file.take(one.id, bytes(9, b"z")).await.is_err());
        assert!(file.take(one.id, bytes(8, b"z")).await.is_err());
        let refused = file.add_block(None, |random| random).await.unwrap_err();
        assert_eq!(refused.class.as_deref(), Some("java.io.IOException"));
        let last = Some((one.id, 8));
        let two = file.add_block(last, |random| random).await.unwrap();
        assert_eq!((two.start, two.len), (108, 0));
        assert_eq!(file.add_block(last, |random| random).await.unwrap(), two);
        file.begin_block(two.id).await.unwrap();
        assert!(file.take(one.id, bytes(8, b"z")).await.is_err());
        file.take(two.id, bytes(0, b"i")).await.unwrap();
        let early = file.complete(Some((two.id, 2))).await.unwrap_err();
        assert_eq!(early.class.as_deref(), Some(NOT_YET));
        file.complete(Some((two.id, 1))).await.unwrap();
        assert_eq!(store.told(), ["abcdef", "gh", "i", "finish"]);
        assert!(file.take(two.id, bytes(1, b"j")).await.is_err());
    }

    #[tokio::test]
    async fn a_block_without_bytes_can_be_abandoned() {
        let (_, file, one) = begun().await;
        file.abandon(one.id).await.unwrap();
        let two = file.add_block(None, |random| random).await.unwrap();
        file.begin_block(two.id).await.unwrap();
        file.take(two.id, bytes(0, b"a")).await.unwrap();
        assert!(file.abandon(two.id).await.is_err());
        file.complete(Some((two.id, 1))).await.unwrap();
    }

    #[tokio::test]
    async fn who_flushes_once_is_promised_it_from_then_on() {
        let (store, file, one) = begun().await;
        file.take(one.id, bytes(0, b"a")).await.unwrap();
        file.sync().await.unwrap();
        file.sync().await.unwrap();
        let more = Arriving {
            has_more: true,
            ..bytes(1, b"b")
        };
        file.take(one.id, more).await.unwrap();
        file.take(one.id, bytes(2, b"c")).await.unwrap();
        file.close().await.unwrap();
        assert_eq!(store.told(), ["a", "sync", "b", "c", "sync", "finish"]);
    }

    #[tokio::test]
    async fn what_the_store_does_not_take_is_told_until_the_end() {
        let (store, file, one) = begun().await;
        let full = file.take(one.id, bytes(0, b"full")).await.unwrap_err();
        assert_eq!(full.kind, ErrorKind::NoSpace);
        let again = file.complete(Some((one.id, 4))).await.unwrap_err();
        assert_eq!(again.kind, ErrorKind::NoSpace);
        assert_eq!(store.told(), ["abort"]);
    }
}
