//! One volume against a plain map: random batches, vacuums and restarts without faults, everything compared after each step.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use moongate_disk::{Disk, SimDisk};
use moongate_haystack::id::{Cookie, NeedleKey, VolumeId};
use moongate_haystack::index::hot::HotIndex;
use moongate_haystack::index::mem::MemIndex;
use moongate_haystack::needle::Draft;
use moongate_haystack::placement::ReplicaPlacement;
use moongate_haystack::ttl::Ttl;
use moongate_haystack::volume::Durability;
use moongate_haystack::volume::files::VolumeFiles;
use moongate_haystack::volume::open::{self, Opened};
use moongate_haystack::volume::vacuum::Vacuum;
use moongate_haystack::volume::writer::Op;
use proptest::prelude::*;

const KEYS: [u64; 5] = [1, 2, 2048, 70_000, (1 << 48) + 1];
const COOKIE: Cookie = Cookie(0xc00c);

#[derive(Clone, Debug)]
enum Step {
    Batch(Vec<(usize, Option<(u8, usize)>)>, bool),
    Flush,
    Vacuum(Vec<(usize, Option<(u8, usize)>)>),
    Restart { forget_index: bool },
}

type Model = BTreeMap<u64, Vec<u8>>;

fn any_batch() -> impl Strategy<Value = Vec<(usize, Option<(u8, usize)>)>> {
    let len = prop_oneof![0usize..20, 500usize..520, 4090usize..4100];
    let change = proptest::option::weighted(0.7, (any::<u8>(), len));
    proptest::collection::vec((0..KEYS.len(), change), 1..6)
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any_batch(), any::<bool>()).prop_map(|(batch, synced)| Step::Batch(batch, synced)),
        1 => Just(Step::Flush),
        1 => any_batch().prop_map(Step::Vacuum),
        1 => any::<bool>().prop_map(|forget_index| Step::Restart { forget_index }),
    ]
}

struct Volume {
    disk: SimDisk,
    index: Arc<HotIndex>,
    opened: Opened,
    model: Model,
    now_ns: u64,
}

fn files() -> VolumeFiles {
    VolumeFiles {
        dir: "/d".into(),
        collection: "c".into(),
        id: VolumeId(3),
    }
}

fn new_index() -> Arc<HotIndex> {
    Arc::new(HotIndex::new(Arc::new(MemIndex::new()), 0))
}

impl Volume {
    fn new() -> Self {
        let (disk, index) = (SimDisk::new(1), new_index());
        disk.create_dir_all(Path::new("/d")).unwrap();
        open::create(&disk, &files(), ReplicaPlacement::from_byte(0), Ttl::NONE).unwrap();
        let opened = open::open(&disk, &index, files()).unwrap();
        Self {
            disk,
            index,
            opened,
            model: Model::new(),
            now_ns: 1 << 60,
        }
    }

    fn commit(&mut self, batch: &[(usize, Option<(u8, usize)>)], durability: Durability) {
        let ops: Vec<Op> = batch
            .iter()
            .map(|(key, data)| op(KEYS[*key], *data))
            .collect();
        self.now_ns += 1_000_000_000;
        let outcomes = self.opened.writer.commit(&ops, durability, self.now_ns);
        for ((key, data), outcome) in batch.iter().zip(outcomes) {
            let before = match data {
                Some((byte, len)) => {
                    let _ = self.model.insert(KEYS[*key], vec![*byte; *len]);
                    true
                }
                None => self.model.remove(&KEYS[*key]).is_some(),
            };
            assert_eq!(outcome.is_ok(), before, "{outcome:?}");
        }
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Batch(batch, true) => self.commit(batch, Durability::Fsync),
            Step::Batch(batch, false) => self.commit(batch, Durability::Os),
            Step::Flush => self.opened.writer.flush().unwrap(),
            Step::Vacuum(meanwhile) => self.vacuum(meanwhile),
            Step::Restart { forget_index } => self.restart(*forget_index),
        }
    }

    fn vacuum(&mut self, meanwhile: &[(usize, Option<(u8, usize)>)]) {
        self.opened.writer.flush().unwrap();
        let mut vacuum = Vacuum::begin(&self.disk, &self.opened.volume, 0).unwrap();
        vacuum.step(1000).unwrap();
        self.commit(meanwhile, Durability::Os);
        while vacuum.step(1000).unwrap() > 0 {}
        vacuum.catch_up().unwrap();
        self.commit(meanwhile, Durability::Fsync);
        vacuum.finish(&self.disk, &mut self.opened.writer).unwrap();
    }

    fn restart(&mut self, forget_index: bool) {
        self.opened.writer.close().unwrap();
        if forget_index {
            self.index = new_index();
        }
        self.opened = open::open(&self.disk, &self.index, files()).unwrap();
        let read_all = self.opened.recovery.walked_bytes > 0;
        assert!(forget_index || !read_all, "a clean stop needs no recovery");
    }

    fn check(&self) {
        for key in KEYS {
            let stored = self.opened.volume.read(NeedleKey(key)).ok();
            let data = stored.map(|needle| needle.data().to_vec());
            assert_eq!(data.as_ref(), self.model.get(&key), "key {key}");
        }
    }
}

fn op(key: u64, data: Option<(u8, usize)>) -> Op {
    let (key, cookie) = (NeedleKey(key), COOKIE);
    match data {
        Some((byte, len)) => Op::Put {
            key,
            cookie,
            draft: Draft {
                data: vec![byte; len].into(),
                ..Draft::default()
            }
            .with_checksum(),
            precondition: None,
            must_exist: false,
        },
        None => Op::Delete {
            key,
            cookie,
            precondition: None,
        },
    }
}

proptest! {
    #[test]
    fn a_volume_is_a_map(steps in proptest::collection::vec(any_step(), 1..40)) {
        let mut volume = Volume::new();
        for step in &steps {
            volume.apply(step);
            volume.check();
        }
    }
}
