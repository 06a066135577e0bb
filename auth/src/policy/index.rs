//! From a path to the few values that may mean it: by what a path begins with, or by a text that it has in it.

use aho_corasick::AhoCorasick;

use super::pattern::Pattern;

/// A text shorter than this is in too many paths to look for.
const FRAGMENT_BYTES_MIN: usize = 2;

/// The values of many owners (policies, zones, resources with tags), by number.
#[derive(Debug, Default)]
pub(super) struct Index {
    entries: Vec<Entry>,
    starts: Trie,
    fragments: Option<AhoCorasick>,
    /// Entries by the number of their fragment.
    by_fragment: Vec<Vec<u32>>,
    /// Entries that could match any path.
    always: Vec<u32>,
    /// Whether the owner of a path says what an entry means.
    pub(super) names_owner: bool,
}

#[derive(Debug)]
struct Entry {
    owner: u32,
    pattern: Pattern,
}

impl Index {
    /// Of patterns and whose they are.
    pub(super) fn new(patterns: impl IntoIterator<Item = (u32, Pattern)>) -> Self {
        let mut index = Self::default();
        let mut fragments: Vec<String> = Vec::new();
        let mut numbers = std::collections::HashMap::new();
        for (owner, pattern) in patterns {
            let entry = u32::try_from(index.entries.len()).unwrap_or(u32::MAX);
            let (start, fragment) = (pattern.start(), pattern.fragment());
            if start.len() > 1 || matches!(pattern, Pattern::Exact(_)) {
                index.starts.insert(start, entry);
            } else if fragment.len() >= FRAGMENT_BYTES_MIN {
                let number = *numbers.entry(fragment.to_owned()).or_insert_with(|| {
                    fragments.push(fragment.to_owned());
                    index.by_fragment.push(Vec::new());
                    fragments.len() - 1
                });
                if let Some(entries) = index.by_fragment.get_mut(number) {
                    entries.push(entry);
                }
            } else if !start.is_empty() {
                index.starts.insert(start, entry);
            } else {
                index.always.push(entry);
            }
            index.names_owner |= pattern.names_owner();
            index.entries.push(Entry { owner, pattern });
        }
        index.look_for(&fragments);
        index
    }

    fn look_for(&mut self, fragments: &[String]) {
        if fragments.is_empty() {
            return;
        }
        match AhoCorasick::new(fragments) {
            Ok(found) => self.fragments = Some(found),
            // Too many to be built: then each is compared.
            Err(_) => self.always.extend(self.by_fragment.drain(..).flatten()),
        }
    }

    /// Calls for each value that may mean the path; one owner may come several times.
    pub(super) fn candidates(&self, path: &str, mut call: impl FnMut(u32, &Pattern)) {
        // Such a path is compared part by part, and may match what it does not begin with. None comes that was made normal.
        if path.contains("//") {
            for entry in &self.entries {
                call(entry.owner, &entry.pattern);
            }
            return;
        }
        let mut each = |entries: &[u32]| {
            for entry in entries {
                if let Some(entry) = self.entries.get(*entry as usize) {
                    call(entry.owner, &entry.pattern);
                }
            }
        };
        each(&self.always);
        self.starts.along(path, &mut each);
        if let Some(fragments) = &self.fragments {
            for found in fragments.find_overlapping_iter(path) {
                if let Some(entries) = self.by_fragment.get(found.pattern().as_usize()) {
                    each(entries);
                }
            }
        }
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// A compressed tree of texts.
#[derive(Debug)]
struct Trie {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    /// What leads here from the parent.
    label: Box<[u8]>,
    /// Children by the first byte of their labels, ascending.
    children: Vec<(u8, u32)>,
    /// Entries whose text ends here.
    here: Vec<u32>,
}

impl Default for Trie {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
        }
    }
}

impl Trie {
    fn insert(&mut self, text: &str, entry: u32) {
        let mut rest = text.as_bytes();
        let mut at = 0;
        while let Some(first) = rest.first() {
            let Some(child) = self.child(at, *first) else {
                at = self.add(at, rest);
                rest = &[];
                break;
            };
            let label = self.nodes.get(child).map_or(&[][..], |node| &node.label);
            let common = label.iter().zip(rest).take_while(|(a, b)| a == b).count();
            if common < label.len() {
                self.split(child, common);
            }
            at = child;
            rest = rest.get(common..).unwrap_or(&[]);
        }
        debug_assert!(rest.is_empty());
        if let Some(node) = self.nodes.get_mut(at) {
            node.here.push(entry);
        }
    }

    fn child(&self, at: usize, first: u8) -> Option<usize> {
        let children = &self.nodes.get(at)?.children;
        let place = children
            .binary_search_by_key(&first, |child| child.0)
            .ok()?;
        children.get(place).map(|child| child.1 as usize)
    }

    fn add(&mut self, at: usize, label: &[u8]) -> usize {
        let number = self.nodes.len();
        self.nodes.push(Node {
            label: label.into(),
            ..Node::default()
        });
        let first = label.first().copied().unwrap_or(0);
        if let Some(node) = self.nodes.get_mut(at) {
            let place = node.children.partition_point(|child| child.0 < first);
            node.children
                .insert(place, (first, u32::try_from(number).unwrap_or(u32::MAX)));
        }
        number
    }

    /// Puts a node in the middle of what leads to another; that one keeps its number.
    fn split(&mut self, at: usize, common: usize) {
        let Some(node) = self.nodes.get_mut(at) else {
            return;
        };
        let label = std::mem::take(&mut node.label);
        let (head, tail) = label.split_at(common);
        node.label = head.into();
        let below = Node {
            label: tail.into(),
            children: std::mem::take(&mut node.children),
            here: std::mem::take(&mut node.here),
        };
        let first = tail.first().copied().unwrap_or(0);
        let number = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        if let Some(node) = self.nodes.get_mut(at) {
            node.children.push((first, number));
        }
        self.nodes.push(below);
    }

    /// Calls with the entries of each text that a path begins with.
    fn along(&self, path: &str, call: &mut impl FnMut(&[u32])) {
        let mut rest = path.as_bytes();
        let mut at = 0;
        while let Some(node) = self.nodes.get(at) {
            let Some(after) = rest.strip_prefix(&*node.label) else {
                return;
            };
            if !node.here.is_empty() {
                call(&node.here);
            }
            let Some(child) = after.first().and_then(|first| self.child(at, *first)) else {
                return;
            };
            (rest, at) = (after, child);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::context::Context;
    use super::super::pattern::{Options, of_resource};
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const OPTIONS: Options = Options {
        wildcards: true,
        fold: false,
    };

    proptest! {
        /// The index leaves out nothing that matches.
        #[test]
        fn finds_all(
            values in prop::collection::vec(("(/?[ab*?]{0,3}){0,3}/?", any::<bool>()), 0..12),
            path in "(/{1,2}[ab]{1,2}){1,4}/?",
        ) {
            let patterns: Vec<_> = values.iter().enumerate().flat_map(|(n, (value, recursive))| {
                let of = of_resource(std::slice::from_ref(value), *recursive, false, OPTIONS);
                of.into_iter().map(move |pattern| (n as u32, pattern))
            }).collect();
            let context = Context { path: &path, ..Context::default() };
            let want: BTreeSet<u32> = patterns.iter()
                .filter(|(_, pattern)| pattern.matches(&context)).map(|(owner, _)| *owner).collect();
            let index = Index::new(patterns);
            let mut found = BTreeSet::new();
            index.candidates(&path, |owner, pattern| {
                if pattern.matches(&context) { found.insert(owner); }
            });
            prop_assert_eq!(found, want);
        }
    }
}
