//! Which answers about names are too old to be believed, because something was changed since they were asked for.
//!
//! Each question draws a ticket before it is asked. A change draws one when it is done, and marks what it may have touched: an answer whose
//! ticket is older than the mark of its path is not believed. So a read that races with a write never leaves the old as the new, whatever
//! the order in which their answers come.

use std::collections::VecDeque;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

/// Paths share marks: a mark of another path only costs a question.
const STRIPES: usize = 4096;
/// Marks of whole trees that are kept apart; older ones are taken together as a mark of everything.
const TREES_MAX: usize = 64;

/// Tickets and marks.
#[derive(Clone, Debug)]
pub struct Epochs {
    last: u64,
    marks: Vec<u64>,
    trees: VecDeque<(String, u64)>,
    everything: u64,
}

impl Default for Epochs {
    fn default() -> Self {
        Self {
            last: 0,
            marks: vec![0; STRIPES],
            trees: VecDeque::new(),
            everything: 0,
        }
    }
}

impl Epochs {
    /// A ticket later than all before.
    pub const fn ticket(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// What was asked of this path before now is not to be believed.
    pub fn mark(&mut self, path: &str) {
        let ticket = self.ticket();
        if let Some(mark) = self.marks.get_mut(stripe(path)) {
            *mark = ticket;
        }
    }

    /// Likewise of a path and all that is below it.
    pub fn mark_tree(&mut self, path: &str) {
        let ticket = self.ticket();
        if self.trees.len() == TREES_MAX
            && let Some((_, oldest)) = self.trees.pop_front()
        {
            self.everything = oldest;
        }
        self.trees.push_back((path.to_owned(), ticket));
    }

    /// Whether an answer about `path` that was asked for with `ticket` may be believed.
    pub fn is_current(&self, path: &str, ticket: u64) -> bool {
        let mark = self.marks.get(stripe(path)).copied().unwrap_or(u64::MAX);
        let later = self.trees.iter().rev().take_while(|(_, at)| *at > ticket);
        ticket > mark
            && ticket > self.everything
            && !later.into_iter().any(|(tree, _)| is_within(path, tree))
    }
}

fn stripe(path: &str) -> usize {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish() as usize % STRIPES
}

/// Whether `path` is `tree` or below it.
pub fn is_within(path: &str, tree: &str) -> bool {
    match path.strip_prefix(tree) {
        Some(rest) => rest.is_empty() || rest.starts_with('/') || tree == "/",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn within_means_by_whole_segments() {
        assert!(is_within("/a/b", "/a") && is_within("/a", "/a") && is_within("/a", "/"));
        assert!(!is_within("/ab", "/a") && !is_within("/", "/a"));
    }

    #[test]
    fn an_answer_asked_for_before_a_change_is_not_believed() {
        let mut epochs = Epochs::default();
        let before = epochs.ticket();
        assert!(epochs.is_current("/a/b", before));
        epochs.mark("/a/b");
        assert!(!epochs.is_current("/a/b", before));
        let after = epochs.ticket();
        assert!(epochs.is_current("/a/b", after));
        epochs.mark_tree("/a");
        assert!(!epochs.is_current("/a/b", after) && epochs.is_current("/c", after));
    }

    #[test]
    fn many_trees_still_count() {
        let mut epochs = Epochs::default();
        let before = epochs.ticket();
        epochs.mark_tree("/first");
        for n in 0..2 * TREES_MAX {
            epochs.mark_tree(&format!("/{n}"));
        }
        assert!(!epochs.is_current("/first/x", before));
        let after = epochs.ticket();
        assert!(epochs.is_current("/first/x", after));
    }
}
