//! The thread that writes to one disk: it owns the writers of all volumes there.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use moongate_disk::Disk;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{DataDir, StoreConfig, now_ns};
use crate::error::HaystackError;
use crate::id::VolumeId;
use crate::scan::COMMIT_RECORDS_MAX;
use crate::volume::Durability;
use crate::volume::writer::{Op, Outcome, Writer};

/// The writers of a disk's volumes.
pub type Writers = HashMap<VolumeId, Writer>;
type Control = Box<dyn FnOnce(&mut Writers) + Send>;

const TICK: Duration = Duration::from_secs(1);
const CHECKPOINTS_PER_TICK: usize = 4;

struct Queued {
    volume: VolumeId,
    durability: Durability,
    op: Op,
    reply: oneshot::Sender<Outcome>,
    _place: OwnedSemaphorePermit,
}

enum Command {
    Op(Box<Queued>),
    Control(Control),
    Stop,
}

/// Handle to the thread.
#[derive(Debug)]
pub struct Committer {
    sender: Sender<Command>,
    places: Arc<Semaphore>,
    queue_len_max: usize,
    thread: Mutex<Option<std::thread::JoinHandle<Result<(), HaystackError>>>>,
}

fn stopped() -> HaystackError {
    HaystackError::Storage("the writer has stopped".into())
}

impl Committer {
    /// Starts the thread over these writers.
    pub fn start(
        disk: Arc<dyn Disk>,
        dir: Weak<DataDir>,
        writers: Writers,
        config: &StoreConfig,
    ) -> Self {
        let (sender, receiver) = channel();
        let commit_bytes_max = config.commit_bytes_max;
        let run = move || {
            Loop {
                disk,
                dir,
                writers,
                receiver,
                commit_bytes_max,
                last_tick: Instant::now(),
                next_command: None,
            }
            .run()
        };
        let thread = std::thread::Builder::new()
            .name("committer".into())
            .spawn(run);
        let thread = thread
            .inspect_err(|error| tracing::error!(%error, "no thread to write with"))
            .ok();
        Self {
            sender,
            places: Arc::new(Semaphore::new(config.queue_len_max)),
            queue_len_max: config.queue_len_max,
            thread: Mutex::new(thread),
        }
    }

    /// Queues an op and waits until it is done.
    pub async fn submit(&self, volume: VolumeId, durability: Durability, op: Op) -> Outcome {
        let place = Arc::clone(&self.places)
            .acquire_owned()
            .await
            .map_err(|_| HaystackError::Busy)?;
        let (reply, outcome) = oneshot::channel();
        let queued = Box::new(Queued {
            volume,
            durability,
            op,
            reply,
            _place: place,
        });
        self.sender
            .send(Command::Op(queued))
            .map_err(|_| stopped())?;
        outcome.await.map_err(|_| stopped())?
    }

    /// Runs something between two commits and waits for it. Not for async callers.
    pub fn control<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writers) -> T + Send + 'static,
    ) -> Result<T, HaystackError> {
        let (reply, result) = channel();
        let work = Box::new(move |writers: &mut Writers| drop(reply.send(work(writers))));
        self.sender
            .send(Command::Control(work))
            .map_err(|_| stopped())?;
        result.recv().map_err(|_| stopped())
    }

    /// Writes that wait.
    pub fn queue_len(&self) -> usize {
        self.queue_len_max
            .saturating_sub(self.places.available_permits())
    }

    /// Lets the thread finish what is queued and checkpoint its volumes.
    pub fn stop(&self) -> Result<(), HaystackError> {
        let Some(thread) = self.thread.lock().take() else {
            return Ok(());
        };
        let _ = self.sender.send(Command::Stop);
        thread.join().map_err(|_| stopped())?
    }
}

struct Loop {
    disk: Arc<dyn Disk>,
    dir: Weak<DataDir>,
    writers: Writers,
    receiver: Receiver<Command>,
    commit_bytes_max: usize,
    last_tick: Instant,
    /// Met while a batch was gathered; to be done after it.
    next_command: Option<Command>,
}

impl Loop {
    fn run(mut self) -> Result<(), HaystackError> {
        let mut batch = Vec::new();
        loop {
            let command = match self.next_command.take() {
                Some(command) => Ok(command),
                None => self.receiver.recv_timeout(TICK),
            };
            match command {
                Ok(Command::Op(first)) => {
                    self.gather(*first, &mut batch);
                    self.commit(&mut batch);
                }
                Ok(Command::Control(work)) => work(&mut self.writers),
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => return self.close(),
            }
            if self.last_tick.elapsed() >= TICK {
                self.tick();
            }
        }
    }

    /// Takes what is queued, up to one commit's worth.
    fn gather(&mut self, first: Queued, batch: &mut Vec<Queued>) {
        let mut bytes = op_bytes(&first.op);
        batch.push(first);
        while bytes < self.commit_bytes_max && batch.len() < COMMIT_RECORDS_MAX / 2 {
            match self.receiver.try_recv() {
                Ok(Command::Op(queued)) => {
                    bytes += op_bytes(&queued.op);
                    batch.push(*queued);
                }
                Ok(other) => {
                    self.next_command = Some(other);
                    return;
                }
                Err(_) => return,
            }
        }
    }

    /// One commit a volume; those that need no sync first, so that they don't wait for one.
    fn commit(&mut self, batch: &mut Vec<Queued>) {
        let to_sync: HashSet<VolumeId> = batch
            .iter()
            .filter(|queued| queued.durability == Durability::Fsync)
            .map(|queued| queued.volume)
            .collect();
        batch.sort_by_key(|queued| (to_sync.contains(&queued.volume), queued.volume));
        while let Some(volume) = batch.first().map(|first| first.volume) {
            let durability = if to_sync.contains(&volume) {
                Durability::Fsync
            } else {
                Durability::Os
            };
            let end = batch
                .iter()
                .position(|queued| queued.volume != volume)
                .unwrap_or(batch.len());
            let (ops, replies): (Vec<Op>, Vec<_>) = batch
                .drain(..end)
                .map(|q| (q.op, (q.reply, q._place)))
                .unzip();
            let outcomes = match self.writers.get_mut(&volume) {
                Some(writer) => writer.commit(&ops, durability, now_ns()),
                None => ops
                    .iter()
                    .map(|_| Err(HaystackError::VolumeNotFound(volume)))
                    .collect(),
            };
            if let Some(dir) = self.dir.upgrade() {
                dir.measure(&*self.disk);
            }
            for ((reply, _place), outcome) in replies.into_iter().zip(outcomes) {
                // Who asked may have gone.
                let _ = reply.send(outcome);
            }
        }
    }

    fn tick(&mut self) {
        self.last_tick = Instant::now();
        if let Some(dir) = self.dir.upgrade() {
            dir.measure(&*self.disk);
        }
        let dirty = self.writers.values_mut().filter(|writer| writer.is_dirty());
        for (n, writer) in dirty.enumerate() {
            let done = if n < CHECKPOINTS_PER_TICK {
                writer.checkpoint()
            } else {
                writer.flush()
            };
            if let Err(error) = done {
                tracing::warn!(volume = writer.volume().id().0, %error, "checkpoint failed; it is tried again");
            }
        }
    }

    fn close(&mut self) -> Result<(), HaystackError> {
        let mut result = Ok(());
        for writer in self.writers.values_mut() {
            result = result.and(writer.close());
        }
        result
    }
}

fn op_bytes(op: &Op) -> usize {
    match op {
        Op::Put { draft, .. } => draft.data.len() + 128,
        Op::Delete { .. } => 32,
    }
}
