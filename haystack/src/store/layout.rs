//! Which volume a new key goes to, and making more volumes when none is left.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{DataDir, Mounted, Store};
use crate::error::HaystackError;
use crate::id::{Cookie, FileId, NeedleKey, VolumeId};
use crate::placement::ReplicaPlacement;
use crate::sequence::Sequence;
use crate::ttl::Ttl;
use crate::volume::files::VolumeFiles;
use crate::volume::open;

/// Volumes that can stand for each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Layout {
    /// Collection, empty for the default one.
    pub collection: String,
    /// Copies.
    pub placement: ReplicaPlacement,
    /// Life of the volume.
    pub ttl: Ttl,
}

/// Where a client wants its keys.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Kind of volume.
    pub layout: Layout,
    /// Only in this data center, if not empty.
    pub data_center: String,
    /// Only in this rack, if not empty.
    pub rack: String,
    /// Keys wanted; at least one is given.
    pub count: u64,
}

/// Keys for a client.
#[derive(Clone, Copy, Debug)]
pub struct Assigned {
    /// The first; the others are `fid_1`, `fid_2`, …
    pub fid: FileId,
    /// How many.
    pub count: u64,
}

/// Why no key is given out.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AssignError {
    /// There is no such data center: ask for one that exists.
    #[error("data center {0} not found in topology")]
    UnknownDataCenter(String),
    /// There is no such rack: ask for one that exists.
    #[error("rack {0} not found in topology")]
    UnknownRack(String),
    /// More copies are asked for than there are servers: add servers, or ask for fewer copies.
    #[error("no writable volumes for replication {placement}: it needs {} servers and this cluster has 1", .placement.copies())]
    TooFewServers {
        /// What was asked.
        placement: ReplicaPlacement,
    },
    /// Every disk has all the volumes it may have: remove collections or add a disk.
    #[error(
        "No writable volumes and no free volumes left: every disk has as many volumes as it may"
    )]
    NoRoom,
    /// Every disk is full: delete, vacuum or add a disk.
    #[error("every disk is full: delete images and vacuum (/vol/vacuum), or add a disk")]
    DisksFull,
    /// More volumes were asked for than there is room for.
    #[error("only {left} volumes left, not enough for {wanted}")]
    TooMany {
        /// Volumes that could be made.
        left: u64,
        /// Volumes asked for.
        wanted: u64,
    },
    /// The disk failed.
    #[error(transparent)]
    Failed(#[from] HaystackError),
}

/// Writable volumes of each kind, by folder. Forgotten whenever volumes come or go.
pub type Layouts = HashMap<Layout, Choice>;

/// A volume takes this share of its size before the next one has its turn: neighbours in time share a commit.
const TURNS_PER_VOLUME: u64 = 8;

/// The volumes of one kind.
#[derive(Debug, Default)]
pub struct Choice {
    by_dir: Vec<Vec<Mounted>>,
    next_dir: usize,
}

impl Choice {
    fn of(store: &Store, layout: &Layout) -> Self {
        let volumes = store.volumes();
        let of_dir = |dir: &Arc<DataDir>| {
            let mut volumes: Vec<Mounted> = volumes
                .values()
                .filter(|m| Arc::ptr_eq(&m.dir, dir) && layout.holds(m))
                .cloned()
                .collect();
            volumes.sort_by_key(|m| m.volume.id());
            volumes
        };
        Self {
            by_dir: store.dirs().iter().map(of_dir).collect(),
            next_dir: 0,
        }
    }

    /// Folders take turns; in a folder, the volume that has had the fewest turns.
    fn pick(&mut self) -> Option<VolumeId> {
        for _ in 0..self.by_dir.len() {
            let at = self.next_dir % self.by_dir.len();
            self.next_dir = at + 1;
            let turn = |m: &Mounted| {
                m.volume.dat_bytes() / (m.dir.volume_bytes_max() / TURNS_PER_VOLUME).max(1)
            };
            let volume = self.by_dir[at]
                .iter()
                .filter(|m| m.takes_new_keys())
                .min_by_key(|m| (turn(m), m.volume.id()));
            if let Some(mounted) = volume {
                return Some(mounted.volume.id());
            }
        }
        None
    }
}

impl Layout {
    fn holds(&self, mounted: &Mounted) -> bool {
        let block = mounted.volume.generation().block;
        mounted.volume.files.collection == self.collection
            && block.placement == self.placement
            && block.ttl == self.ttl
    }
}

impl Store {
    fn check(&self, wish: &Wish) -> Result<(), AssignError> {
        if !wish.data_center.is_empty() && wish.data_center != self.config.data_center {
            return Err(AssignError::UnknownDataCenter(wish.data_center.clone()));
        }
        if !wish.rack.is_empty() && wish.rack != self.config.rack {
            return Err(AssignError::UnknownRack(wish.rack.clone()));
        }
        let placement = wish.layout.placement;
        if placement.copies() > 1 {
            Err(AssignError::TooFewServers { placement })
        } else {
            Ok(())
        }
    }

    /// Hands out keys from memory; `None` if that takes a disk: then call [`Self::assign`] where waiting is allowed.
    pub fn assign_now(&self, wish: &Wish) -> Result<Option<Assigned>, AssignError> {
        let Some(volume) = self.volume_for_now(wish)? else {
            return Ok(None);
        };
        let mut sequence = self.sequence.lock();
        if !sequence.has(wish.count) {
            return Ok(None);
        }
        let first = self.take_keys(&mut sequence, wish.count)?;
        Ok(Some(assigned(volume, first, wish.count)))
    }

    /// Hands out keys, and makes volumes for them where there are none.
    pub fn assign(&self, wish: &Wish) -> Result<Assigned, AssignError> {
        let volume = self.volume_for(wish)?;
        Ok(assigned(volume, self.keys(wish.count)?, wish.count))
    }

    /// The volume that a new key would go to, if there is one already.
    pub fn volume_for_now(&self, wish: &Wish) -> Result<Option<VolumeId>, AssignError> {
        self.check(wish)?;
        let mut layouts = self.layouts.lock();
        Ok(layouts.get_mut(&wish.layout).and_then(Choice::pick))
    }

    /// The volume that a new key goes to; makes volumes where there are none.
    pub fn volume_for(&self, wish: &Wish) -> Result<VolumeId, AssignError> {
        if let Some(volume) = self.volume_for_now(wish)? {
            return Ok(volume);
        }
        self.find_or_grow(&wish.layout)?;
        self.volume_for_now(wish)?.ok_or_else(|| self.no_room())
    }

    /// Hands out `count` keys in a row, for whichever volumes; the first is returned. May write to a disk.
    pub fn keys(&self, count: u64) -> Result<NeedleKey, HaystackError> {
        self.take_keys(&mut self.sequence.lock(), count)
    }

    fn take_keys(&self, sequence: &mut Sequence, count: u64) -> Result<NeedleKey, HaystackError> {
        let first = sequence.keys(&*self.disk, count)?;
        self.next_key
            .store(sequence.next_key().0, Ordering::Release);
        Ok(first)
    }

    fn find_or_grow(&self, layout: &Layout) -> Result<(), AssignError> {
        let _one_at_a_time = self.growing.lock();
        if self.refresh(layout) {
            return Ok(());
        }
        self.grow_locked(layout, self.config.volumes_per_growth)?;
        if self.refresh(layout) {
            Ok(())
        } else {
            Err(self.no_room())
        }
    }

    /// Looks up the volumes of a kind; whether one of them is writable.
    fn refresh(&self, layout: &Layout) -> bool {
        let mut choice = Choice::of(self, layout);
        let found = choice.pick().is_some();
        self.layouts.lock().insert(layout.clone(), choice);
        found
    }

    /// Why no volume takes another key.
    fn no_room(&self) -> AssignError {
        if self.dirs().iter().all(|dir| dir.is_full()) {
            AssignError::DisksFull
        } else {
            AssignError::NoRoom
        }
    }

    /// Volumes that could still be made.
    pub fn volumes_left(&self) -> u64 {
        let volumes = self.volumes();
        let left = |dir: &Arc<DataDir>| {
            let used = volumes
                .values()
                .filter(|m| Arc::ptr_eq(&m.dir, dir))
                .count() as u64;
            if dir.is_full() {
                0
            } else {
                u64::from(self.config.volumes_max).saturating_sub(used)
            }
        };
        self.dirs().iter().map(left).sum()
    }

    /// Makes `count` volumes of a kind; returns how many there are more.
    pub fn grow(&self, wish: &Wish) -> Result<u64, AssignError> {
        self.check(wish)?;
        let left = self.volumes_left();
        if wish.count > left {
            return Err(AssignError::TooMany {
                left,
                wanted: wish.count,
            });
        }
        let _one_at_a_time = self.growing.lock();
        self.grow_locked(&wish.layout, u32::try_from(wish.count).unwrap_or(u32::MAX))
    }

    fn grow_locked(&self, layout: &Layout, count: u32) -> Result<u64, AssignError> {
        let mut made = 0;
        for _ in 0..count {
            let volumes = self.volumes();
            let used = |dir: &Arc<DataDir>| {
                volumes
                    .values()
                    .filter(|m| Arc::ptr_eq(&m.dir, dir))
                    .count()
            };
            let open = self
                .dirs()
                .iter()
                .filter(|dir| !dir.is_full() && used(dir) < self.config.volumes_max as usize);
            let Some(dir) =
                open.min_by_key(|dir| (used(dir), std::cmp::Reverse(dir.space().free_bytes)))
            else {
                break;
            };
            match self.make_volume(dir, layout) {
                Ok(()) => made += 1,
                Err(error) if made == 0 => return Err(error.into()),
                Err(error) => {
                    tracing::warn!(%error, "fewer volumes made than wanted");
                    break;
                }
            }
        }
        if made == 0 {
            Err(self.no_room())
        } else {
            Ok(made)
        }
    }

    fn make_volume(&self, dir: &Arc<DataDir>, layout: &Layout) -> Result<(), HaystackError> {
        let id = self.sequence.lock().volume(&*self.disk)?;
        let files = VolumeFiles {
            dir: dir.path.clone(),
            collection: layout.collection.clone(),
            id,
        };
        let disk = &*self.disk;
        let made = open::create(disk, &files, layout.placement, layout.ttl).and_then(|()| {
            open::open(disk, &dir.index, files.clone())
                .map_err(|e| HaystackError::Storage(e.to_string().into()))
        });
        let opened = made.inspect_err(|_| drop(open::remove(disk, &files)))?;
        let durability = self.config.durability_of(&layout.collection);
        let mounted = Mounted {
            volume: Arc::clone(&opened.volume),
            dir: Arc::clone(dir),
            durability,
        };
        dir.committer
            .control(move |writers| drop(writers.insert(id, opened.writer)))?;
        self.change_volumes(|volumes| drop(volumes.insert(id, mounted)));
        Ok(())
    }
}

fn assigned(volume: VolumeId, key: NeedleKey, count: u64) -> Assigned {
    Assigned {
        fid: FileId {
            volume,
            key,
            cookie: Cookie(rand::random()),
        },
        count: count.max(1),
    }
}
