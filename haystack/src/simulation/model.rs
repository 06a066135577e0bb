//! What a volume may answer: for each key, the states it went through since the last that is sure.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::id::Cookie;
use crate::needle::{Draft, Needle};

/// A stored needle, as a client would compare it.
#[derive(Debug)]
pub struct Value {
    pub cookie: Cookie,
    pub draft: Draft,
    /// When it was stored.
    pub born_secs: u64,
}

impl Value {
    /// Byte for byte, with all metadata.
    pub fn is(&self, needle: &Needle) -> bool {
        needle.header.cookie == self.cookie
            && needle.data() == self.draft.data
            && needle.name() == &self.draft.name[..]
            && needle.mime() == &self.draft.mime[..]
            && needle.pairs() == &self.draft.pairs[..]
            && needle.last_modified_secs == self.draft.last_modified_secs
            && needle.ttl == self.draft.ttl
            && needle.is_gzip() == self.draft.gzip
            && needle.is_chunk_manifest() == self.draft.chunk_manifest
            && needle.checksum == self.draft.checksum
            && needle.appended_at_ns / 1_000_000_000 == self.born_secs
    }

    /// Whether vacuum may drop it at `now_secs`.
    pub fn expired(&self, now_secs: u64) -> bool {
        self.draft.last_modified_secs.is_some() && self.draft.ttl.expired(self.born_secs, now_secs)
    }
}

/// Stored, or not there.
pub type State = Option<Arc<Value>>;

/// One key.
#[derive(Clone, Debug)]
pub struct History {
    /// In the order in which they were written; all but the first may be lost at a power cut.
    states: Vec<State>,
    /// The last that was acknowledged: what the running process answers. Later ones failed, or had no answer.
    acked: usize,
    /// What was durable before: a damaged record may uncover it.
    older: Vec<State>,
}

impl Default for History {
    fn default() -> Self {
        Self {
            states: vec![None],
            acked: 0,
            older: Vec::new(),
        }
    }
}

impl History {
    /// What the running process answers.
    pub fn live(&self) -> &State {
        &self.states[self.acked]
    }

    /// Written, but nobody said that it counts.
    pub fn attempt(&mut self, state: State) {
        self.states.push(state);
    }

    /// Written and acknowledged.
    pub fn acknowledge(&mut self, state: State) {
        self.states.push(state);
        self.acked = self.states.len() - 1;
    }

    /// What is live is durable too; what failed after it may still lie behind the end of the file.
    pub fn is_flushed(&mut self) {
        self.older.extend(self.states.drain(..self.acked));
        self.acked = 0;
    }

    /// What is live is durable too, and nothing else is left.
    pub fn is_durable(&mut self) {
        self.is(self.live().clone());
    }

    /// This is what it is, after a crash or an expiry.
    pub fn is(&mut self, state: State) {
        self.older.append(&mut self.states);
        self.states = vec![state];
        self.acked = 0;
    }

    /// This is what it is, as long as what was attempted lies behind the end of a volume that could not be cut.
    pub fn is_for_now(&mut self, state: State) {
        self.states.insert(0, state);
        self.acked = 0;
    }

    /// What may be found after a crash.
    pub fn possible(&self, power_was_lost: bool) -> &[State] {
        if power_was_lost {
            &self.states
        } else {
            &self.states[self.acked..]
        }
    }

    /// Everything it ever was.
    pub fn ever(&self) -> impl Iterator<Item = &State> {
        self.older.iter().chain(&self.states)
    }
}

/// All keys of a volume that were ever touched.
pub type Model = BTreeMap<u64, History>;
