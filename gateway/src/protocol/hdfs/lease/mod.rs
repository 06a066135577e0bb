//! Who is writing what: one writer a file, for as long as it says that it is still there.
//!
//! A client says so by `renewLease`, every 30 s. After `hdfs.lease_soft_limit` of silence whoever else wants the file may have it; after
//! `hdfs.lease_hard_limit` the gateway ends it. Either way the file is closed with all bytes that had come.

mod expiry;
mod open_file;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::sync::Cache;
use moongate_cache::{BackendError, ErrorKind};
use parking_lot::Mutex;

pub use self::open_file::{Arriving, OpenFile, Opened, Placed};

/// Most files that are written at once.
const FILES_MAX: usize = 20_000;
/// Files that were closed, for a client that asks for it again because it lost the answer.
const CLOSED_MAX: u64 = 20_000;
const CLOSED_FOR: Duration = Duration::from_secs(600);

const LEASE_EXPIRED: &str = "org.apache.hadoop.hdfs.server.namenode.LeaseExpiredException";
const BEING_CREATED: &str = "org.apache.hadoop.hdfs.protocol.AlreadyBeingCreatedException";

/// A client: the user is proven, the name is what it says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Holder {
    /// Who writes.
    pub user: Arc<str>,
    /// `DFSClient_NONMAPREDUCE_…`
    pub client: String,
}

#[derive(Debug, Default)]
struct Table {
    by_id: HashMap<u64, Arc<OpenFile>>,
    by_path: HashMap<String, u64>,
    by_block: HashMap<u64, u64>,
    blocks: HashMap<u64, Vec<u64>>,
    /// When each holder was last heard of, and how many files it has.
    holders: HashMap<Holder, (Instant, usize)>,
}

impl Table {
    fn at(&self, path: &str) -> Option<Arc<OpenFile>> {
        let id = self.by_path.get(path)?;
        self.by_id.get(id).cloned()
    }
}

/// See the module.
#[derive(Debug)]
pub struct Leases {
    table: Mutex<Table>,
    closed: Cache<u64, ()>,
    soft: Duration,
    hard: Duration,
}

impl Leases {
    /// With the limits of the configuration.
    pub fn new(soft: Duration, hard: Duration) -> Self {
        let closed = Cache::builder()
            .max_capacity(CLOSED_MAX)
            .time_to_live(CLOSED_FOR)
            .build();
        Self {
            table: Mutex::default(),
            closed,
            soft,
            hard,
        }
    }

    /// The file that is being written at a path.
    pub fn at(&self, path: &str) -> Option<Arc<OpenFile>> {
        self.table.lock().at(path)
    }

    /// The file that a block belongs to.
    pub fn of_block(&self, block: u64) -> Option<Arc<OpenFile>> {
        let table = self.table.lock();
        let id = table.by_block.get(&block)?;
        table.by_id.get(id).cloned()
    }

    /// Remembers whose block it is.
    pub fn place(&self, file: &OpenFile, block: u64) {
        let mut table = self.table.lock();
        if table.by_id.contains_key(&file.id) {
            table.by_block.insert(block, file.id);
            table.blocks.entry(file.id).or_default().push(block);
        }
    }

    /// Takes a file for its writer.
    ///
    /// # Errors
    /// Somebody has it, or too many are being written.
    pub fn begin(&self, file: OpenFile) -> Result<Arc<OpenFile>, BackendError> {
        let path = file.path();
        let mut table = self.table.lock();
        if let Some(other) = table.at(&path) {
            return Err(being_created(&path, &file.holder, &other.holder));
        }
        if table.by_id.len() >= FILES_MAX {
            let text =
                format!("{path}: {FILES_MAX} files are being written already; try again later");
            return Err(BackendError::new(ErrorKind::Unavailable, text));
        }
        let file = Arc::new(file);
        table.by_path.insert(path, file.id);
        table.by_id.insert(file.id, Arc::clone(&file));
        let holder = table.holders.entry(file.holder.clone());
        let (heard, files) = holder.or_insert((Instant::now(), 0));
        *heard = Instant::now();
        *files += 1;
        Ok(file)
    }

    /// The file that a writer writes, by its number, or by its path where the client tells none.
    ///
    /// # Errors
    /// It does not write it, or not any more.
    pub fn of(&self, holder: &Holder, path: &str, id: u64) -> Result<Arc<OpenFile>, BackendError> {
        let by_id = self.table.lock().by_id.get(&id).cloned();
        let found = if id == 0 { self.at(path) } else { by_id };
        found
            .filter(|file| file.holder == *holder)
            .ok_or_else(|| expired(path, holder))
    }

    /// Lets go of a file, which was closed or is of no use.
    pub fn end(&self, file: &OpenFile) {
        let mut table = self.table.lock();
        let Some(file) = table.by_id.remove(&file.id) else {
            return;
        };
        let path = file.path();
        if table.by_path.get(&path) == Some(&file.id) {
            table.by_path.remove(&path);
        }
        for block in table.blocks.remove(&file.id).unwrap_or_default() {
            table.by_block.remove(&block);
        }
        if let Some((_, files)) = table.holders.get_mut(&file.holder) {
            *files -= 1;
            if *files == 0 {
                table.holders.remove(&file.holder);
            }
        }
    }

    /// Remembers that a file was closed as its writer asked.
    pub fn closed(&self, file: &OpenFile) {
        self.closed.insert(file.id, ());
    }

    /// Whether it was closed a while ago.
    pub fn was_closed(&self, id: u64) -> bool {
        self.closed.contains_key(&id)
    }

    /// A writer is still there.
    pub fn renew(&self, holder: &Holder) {
        if let Some((heard, _)) = self.table.lock().holders.get_mut(holder) {
            *heard = Instant::now();
        }
    }

    /// Whether others may have what a holder writes.
    pub fn is_late(&self, holder: &Holder) -> bool {
        self.silent_for(holder) > self.soft
    }

    fn silent_for(&self, holder: &Holder) -> Duration {
        let table = self.table.lock();
        let heard = table.holders.get(holder);
        heard.map_or(Duration::MAX, |(heard, _)| heard.elapsed())
    }

    /// What is being written at a path and below it.
    pub fn below(&self, path: &str) -> Vec<Arc<OpenFile>> {
        let table = self.table.lock();
        let all = table.by_id.values();
        all.filter(|file| is_in(&file.path(), path))
            .cloned()
            .collect()
    }

    /// A file or a folder has another path now.
    pub fn moved(&self, from: &str, to: &str) {
        for file in self.below(from) {
            let old = file.path();
            let new = format!("{to}{}", old.strip_prefix(from).unwrap_or_default());
            let mut table = self.table.lock();
            table.by_path.remove(&old);
            table.by_path.insert(new.clone(), file.id);
            drop(table);
            file.set_path(new);
        }
    }
}

/// Whether a path is another one or below it.
fn is_in(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder.trim_end_matches('/'))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Somebody else writes it.
pub fn being_created(path: &str, wants: &Holder, has: &Holder) -> BackendError {
    let text = format!(
        "Failed to write {path} for {}: this file lease is currently owned by {}",
        wants.client, has.client
    );
    BackendError::of_class(ErrorKind::AlreadyExists, BEING_CREATED, text)
}

fn expired(path: &str, holder: &Holder) -> BackendError {
    let text = format!(
        "No lease on {path}: File is not open for writing by {}",
        holder.client
    );
    BackendError::of_class(ErrorKind::Failed, LEASE_EXPIRED, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(client: &str) -> Holder {
        Holder {
            user: "alice".into(),
            client: client.to_owned(),
        }
    }

    fn begin(leases: &Leases, path: &str, client: &str) -> Result<Arc<OpenFile>, BackendError> {
        leases.begin(OpenFile::new(Opened {
            path: path.to_owned(),
            holder: holder(client),
            tenant: None,
            block_bytes: 1024,
            at: 0,
        }))
    }

    fn leases(soft: Duration) -> Leases {
        Leases::new(soft, Duration::from_secs(1000))
    }

    #[test]
    fn one_writer_has_a_file() {
        let leases = leases(Duration::from_secs(1000));
        let file = begin(&leases, "/a/b", "one").unwrap();
        let refused = begin(&leases, "/a/b", "two").unwrap_err();
        assert_eq!(refused.class.as_deref(), Some(BEING_CREATED));
        assert!(leases.of(&holder("one"), "/a/b", file.id).is_ok());
        assert!(leases.of(&holder("one"), "/a/b", 0).is_ok());
        for (client, id) in [("two", file.id), ("two", 0), ("one", file.id + 1)] {
            let refused = leases.of(&holder(client), "/a/b", id).unwrap_err();
            assert_eq!(refused.class.as_deref(), Some(LEASE_EXPIRED));
        }
        leases.place(&file, 7);
        assert_eq!(leases.of_block(7).unwrap().id, file.id);
        leases.end(&file);
        leases.end(&file);
        assert!(leases.at("/a/b").is_none() && leases.of_block(7).is_none());
        assert!(begin(&leases, "/a/b", "two").is_ok());
    }

    #[test]
    fn whoever_is_silent_is_late() {
        let leases = leases(Duration::from_millis(20));
        let file = begin(&leases, "/a", "one").unwrap();
        assert!(!leases.is_late(&file.holder) || leases.silent_for(&file.holder) > leases.soft);
        std::thread::sleep(Duration::from_millis(25));
        assert!(leases.is_late(&file.holder));
        let before = leases.silent_for(&file.holder);
        leases.renew(&file.holder);
        assert!(leases.silent_for(&file.holder) < before);
    }

    #[test]
    fn folders_take_their_files_along() {
        let leases = leases(Duration::from_secs(1000));
        let file = begin(&leases, "/a/b/c", "one").unwrap();
        begin(&leases, "/a/bc", "one").unwrap();
        let below = |path: &str| leases.below(path).len();
        assert_eq!(
            ["/", "/a", "/a/b", "/a/b/c", "/a/b/c/d"].map(below),
            [2, 2, 1, 1, 0]
        );
        leases.moved("/a/b", "/x");
        assert_eq!(file.path(), "/x/c");
        assert!(leases.at("/x/c").is_some() && leases.at("/a/b/c").is_none());
        assert!(leases.at("/a/bc").is_some());
    }
}
