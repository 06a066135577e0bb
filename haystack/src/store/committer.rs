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
/// Ops that are gathered for one commit before it is begun; the last entry taken may go beyond it by [`OPS_PER_ENTRY_MAX`].
const OPS_PER_COMMIT: usize = COMMIT_RECORDS_MAX / 2;
/// Ops that one entry of the queue may have.
pub const OPS_PER_ENTRY_MAX: usize = COMMIT_RECORDS_MAX / 4;

struct Queued {
    volume: VolumeId,
    durability: Durability,
    work: Work,
    _place: OwnedSemaphorePermit,
}

/// What one who waits asked for.
enum Work {
    One(Op, oneshot::Sender<Outcome>),
    Many(Vec<Op>, oneshot::Sender<Vec<Outcome>>),
}

/// Who waits for how many outcomes.
enum Reply {
    One(oneshot::Sender<Outcome>),
    Many(usize, oneshot::Sender<Vec<Outcome>>),
}

impl Work {
    const fn ops(&self) -> usize {
        match self {
            Self::One(..) => 1,
            Self::Many(ops, _) => ops.len(),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::One(op, _) => op_bytes(op),
            Self::Many(ops, _) => ops.iter().map(op_bytes).sum(),
        }
    }

    fn split(self, all: &mut Vec<Op>) -> Reply {
        match self {
            Self::One(op, reply) => {
                all.push(op);
                Reply::One(reply)
            }
            Self::Many(mut ops, reply) => {
                let len = ops.len();
                all.append(&mut ops);
                Reply::Many(len, reply)
            }
        }
    }
}

impl Reply {
    /// Answers with the next outcomes. Who asked may have gone.
    fn answer(self, outcomes: &mut impl Iterator<Item = Outcome>) {
        match self {
            Self::One(reply) => drop(outcomes.next().map(|outcome| reply.send(outcome))),
            Self::Many(len, reply) => drop(reply.send(outcomes.take(len).collect())),
        }
    }
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
        let (reply, outcome) = oneshot::channel();
        self.queue(volume, durability, Work::One(op, reply)).await?;
        outcome.await.map_err(|_| stopped())?
    }

    /// Queues several ops of one volume as one entry, which goes into one commit, and waits until it is done. At most
    /// [`OPS_PER_ENTRY_MAX`] of them. The outcomes are in the order of the ops.
    pub async fn submit_many(
        &self,
        volume: VolumeId,
        durability: Durability,
        ops: Vec<Op>,
    ) -> Result<Vec<Outcome>, HaystackError> {
        if ops.len() > OPS_PER_ENTRY_MAX {
            let text = format!("{} writes at once, at most {OPS_PER_ENTRY_MAX}", ops.len());
            return Err(HaystackError::Storage(text.into()));
        }
        let (reply, outcomes) = oneshot::channel();
        self.queue(volume, durability, Work::Many(ops, reply))
            .await?;
        outcomes.await.map_err(|_| stopped())
    }

    async fn queue(
        &self,
        volume: VolumeId,
        durability: Durability,
        work: Work,
    ) -> Result<(), HaystackError> {
        let place = Arc::clone(&self.places)
            .acquire_owned()
            .await
            .map_err(|_| HaystackError::Busy)?;
        let queued = Box::new(Queued {
            volume,
            durability,
            work,
            _place: place,
        });
        self.sender.send(Command::Op(queued)).map_err(|_| stopped())
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
        let (mut bytes, mut ops) = (first.work.bytes(), first.work.ops());
        batch.push(first);
        while bytes < self.commit_bytes_max && ops < OPS_PER_COMMIT {
            match self.receiver.try_recv() {
                Ok(Command::Op(queued)) => {
                    bytes += queued.work.bytes();
                    ops += queued.work.ops();
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
            let mut ops = Vec::with_capacity(end);
            let replies: Vec<_> = batch
                .drain(..end)
                .map(|q| (q.work.split(&mut ops), q._place))
                .collect();
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
            let mut outcomes = outcomes.into_iter();
            for (reply, _place) in replies {
                reply.answer(&mut outcomes);
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
