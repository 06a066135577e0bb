//! Puts and deletes, one or many: what can be told of them at once, and who commits them.

use super::{Mounted, Store};
use crate::commit::COMMIT_KEY;
use crate::error::HaystackError;
use crate::id::{Cookie, FileId, NeedleKey, VolumeId};
use crate::needle::Draft;
use crate::sequence;
use crate::volume::writer::{Done, Op, Outcome, Precondition};

#[cfg(doc)]
use super::OPS_PER_ENTRY_MAX;

impl Store {
    /// Stores a needle. When this returns, it is as durable as its collection asks, or on the disk if `fsync` does.
    pub async fn put(
        &self,
        fid: FileId,
        draft: Draft,
        precondition: Option<Precondition>,
        fsync: bool,
    ) -> Result<Done, HaystackError> {
        let mounted = self.mounted(fid.volume)?;
        let op = self.put_op(&mounted, fid, draft, precondition)?;
        mounted
            .dir
            .committer
            .submit(fid.volume, mounted.durability_of(fsync), op)
            .await
    }

    /// Stores several needles in one volume, in one commit. When this returns, those that were stored are as durable as
    /// [`Self::put`] makes them. Each has its own outcome, in their order; at most [`OPS_PER_ENTRY_MAX`] at once.
    pub async fn put_many(
        &self,
        volume: VolumeId,
        puts: Vec<(NeedleKey, Cookie, Draft)>,
        fsync: bool,
    ) -> Result<Vec<Outcome>, HaystackError> {
        let mounted = self.mounted(volume)?;
        let op = |(key, cookie, draft)| {
            let fid = FileId {
                volume,
                key,
                cookie,
            };
            self.put_op(&mounted, fid, draft, None)
        };
        let ops = puts.into_iter().map(op).collect::<Result<Vec<Op>, _>>()?;
        let durability = mounted.durability_of(fsync);
        mounted
            .dir
            .committer
            .submit_many(volume, durability, ops)
            .await
    }

    /// Checks what can be told of a put before it is queued.
    pub(super) fn put_op(
        &self,
        mounted: &Mounted,
        fid: FileId,
        mut draft: Draft,
        precondition: Option<Precondition>,
    ) -> Result<Op, HaystackError> {
        if mounted.dir.is_full() {
            return Err(HaystackError::NoSpace(fid.volume));
        }
        if fid.key == COMMIT_KEY {
            return Err(HaystackError::KeyNeverAssigned(fid.key));
        }
        // A volume goes with all that is in it: nothing there outlives it.
        let ttl = mounted.volume.generation().block.ttl;
        if draft.ttl.is_none() || (!ttl.is_none() && draft.ttl.secs() > ttl.secs()) {
            draft.ttl = ttl;
        }
        let must_exist = !sequence::is_ours(fid.key) || fid.key >= self.next_key();
        Ok(Op::Put {
            key: fid.key,
            cookie: fid.cookie,
            draft,
            precondition,
            must_exist,
        })
    }

    /// Deletes a needle; durable as a put is.
    pub async fn delete(
        &self,
        fid: FileId,
        precondition: Option<Precondition>,
    ) -> Result<Done, HaystackError> {
        let mounted = self.mounted(fid.volume)?;
        let op = Op::Delete {
            key: fid.key,
            cookie: fid.cookie,
            precondition,
        };
        mounted
            .dir
            .committer
            .submit(fid.volume, mounted.durability, op)
            .await
    }

    /// Deletes several needles of one volume, in one commit; durable as a put is. Each has its own outcome, in their order; at
    /// most [`OPS_PER_ENTRY_MAX`] at once.
    pub async fn delete_many(
        &self,
        volume: VolumeId,
        needles: Vec<(NeedleKey, Cookie)>,
    ) -> Result<Vec<Outcome>, HaystackError> {
        let mounted = self.mounted(volume)?;
        let op = |(key, cookie)| Op::Delete {
            key,
            cookie,
            precondition: None,
        };
        let ops = needles.into_iter().map(op).collect();
        mounted
            .dir
            .committer
            .submit_many(volume, mounted.durability, ops)
            .await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use moongate_disk::RealDisk;

    use super::*;
    use crate::store::layout::{Assigned, Wish};
    use crate::store::{OPS_PER_ENTRY_MAX, StoreConfig};

    fn open(dir: &tempfile::TempDir) -> Arc<Store> {
        let config = StoreConfig {
            volumes_per_growth: 1,
            index_memory_bytes: 8 << 20,
            ..StoreConfig::new(vec![dir.path().to_owned()])
        };
        Store::open(Arc::new(RealDisk), config).unwrap()
    }

    fn draft(n: u64) -> Draft {
        Draft {
            data: Bytes::from(format!("needle {n}")),
            ..Draft::default()
        }
        .with_checksum()
    }

    fn puts(from: Assigned) -> Vec<(NeedleKey, Cookie, Draft)> {
        (0..from.count)
            .map(|n| (NeedleKey(from.fid.key.0 + n), Cookie(n as u32), draft(n)))
            .collect()
    }

    #[tokio::test]
    async fn many_are_stored_in_their_order_and_survive() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir);
        let wish = Wish {
            count: 1000,
            ..Wish::default()
        };
        let assigned = store.assign(&wish).unwrap();
        let volume = assigned.fid.volume;
        let outcomes = store.put_many(volume, puts(assigned), false).await.unwrap();
        let offsets: Vec<u64> = outcomes
            .into_iter()
            .map(|outcome| match outcome.unwrap() {
                Done::Stored { offset } => offset,
                other => panic!("{other:?}"),
            })
            .collect();
        assert!(offsets.len() == 1000 && offsets.is_sorted());
        let key = |n: u64| NeedleKey(assigned.fid.key.0 + n);
        let doomed = vec![
            (key(0), Cookie(0)),
            (key(1), Cookie(99)),
            (key(2), Cookie(2)),
            (key(2), Cookie(2)),
        ];
        let deleted = store.delete_many(volume, doomed).await.unwrap();
        assert!(matches!(deleted[0], Ok(Done::Deleted { .. })));
        assert!(matches!(deleted[1], Err(HaystackError::CookieMismatch(_))));
        assert!(matches!(deleted[2], Ok(Done::Deleted { .. })));
        assert!(matches!(deleted[3], Err(HaystackError::NotFound)));
        store.close().unwrap();
        drop(store);
        let store = open(&dir);
        let volume = store.volume(volume).unwrap();
        for n in 0..1000 {
            match volume.read_for(key(n), Cookie(n as u32), 0) {
                Ok(needle) => assert_eq!(needle.data(), draft(n).data),
                Err(HaystackError::NotFound) => assert!(n == 0 || n == 2),
                Err(error) => panic!("{error}"),
            }
        }
        store.close().unwrap();
    }

    #[tokio::test]
    async fn what_one_entry_of_the_queue_may_not_hold_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir);
        let wish = Wish {
            count: OPS_PER_ENTRY_MAX as u64 + 1,
            ..Wish::default()
        };
        let assigned = store.assign(&wish).unwrap();
        let volume = assigned.fid.volume;
        assert!(store.put_many(volume, puts(assigned), false).await.is_err());
        let never = vec![(
            NeedleKey(assigned.fid.key.0 + 5_000_000),
            Cookie(1),
            draft(1),
        )];
        let outcomes = store.put_many(volume, never, false).await.unwrap();
        assert!(matches!(
            outcomes[0],
            Err(HaystackError::KeyNeverAssigned(_))
        ));
        assert!(
            store
                .put_many(VolumeId(999), Vec::new(), false)
                .await
                .is_err()
        );
        store.close().unwrap();
    }
}
