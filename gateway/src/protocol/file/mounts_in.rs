//! Mounts in the gateway's own folders: they show as folders among the entries.

use std::iter::Peekable;

use moongate_filer::{Attributes, Entry, FilerError, ListOptions, Name};

use crate::namespace::Namespace;

const MODE: u32 = 0o755;

/// An entry of a folder.
pub type Item = Result<(Name, Entry), FilerError>;

/// Whether mounts are below a path.
pub fn are_below(namespace: &Namespace, path: &str) -> bool {
    namespace.table().below(path).next().is_some()
}

/// The mounts in a folder, and the folders that lead to some, as far as they are wished.
pub fn wished(namespace: &Namespace, folder: &str, wish: &ListOptions) -> Vec<(Name, Entry)> {
    let table = namespace.table();
    let since_ms = table.below(folder).map(|mount| mount.since_ms).max();
    let attributes = Attributes {
        mode: MODE,
        mtime_ns: since_ms.unwrap_or(0).saturating_mul(1_000_000),
        crtime_ns: since_ms.unwrap_or(0).saturating_mul(1_000_000),
        ..Attributes::default()
    };
    let wanted = |name: &Name| {
        let text = name.as_str();
        wish.after.as_ref().is_none_or(|after| name > after)
            && text.starts_with(&wish.prefix)
            && wish
                .pattern
                .as_ref()
                .is_none_or(|pattern| pattern.matches(text))
            && !wish
                .exclude
                .as_ref()
                .is_some_and(|pattern| pattern.matches(text))
    };
    let names = table
        .names_in(folder)
        .into_iter()
        .filter_map(|name| Name::parse(name).ok());
    names
        .filter(wanted)
        .map(|name| (name, Entry::folder(attributes.clone())))
        .collect()
}

/// Entries and mounts in order of their names. A mount hides what has its name.
pub struct Merged<I: Iterator<Item = Item>> {
    entries: Peekable<I>,
    mounts: Peekable<std::vec::IntoIter<(Name, Entry)>>,
}

impl<I: Iterator<Item = Item>> Merged<I> {
    /// Both must be in order.
    pub fn new(entries: I, mounts: Vec<(Name, Entry)>) -> Self {
        Self {
            entries: entries.peekable(),
            mounts: mounts.into_iter().peekable(),
        }
    }
}

impl<I: Iterator<Item = Item>> Iterator for Merged<I> {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        let Some((mount, _)) = self.mounts.peek() else {
            return self.entries.next();
        };
        match self.entries.peek() {
            Some(Err(_)) => self.entries.next(),
            Some(Ok((name, _))) if name < mount => self.entries.next(),
            Some(Ok((name, _))) if name == mount => {
                self.entries.next();
                self.mounts.next().map(Ok)
            }
            _ => self.mounts.next().map(Ok),
        }
    }
}

#[cfg(test)]
mod tests {
    use moongate_filer::Content;

    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    #[test]
    fn in_order_and_once() {
        let file = || Entry::file(Attributes::default(), Content::empty());
        let entries = ["a", "c", "e"].map(|text| Ok((name(text), file())));
        let mounts = ["b", "c", "f"].map(|text| (name(text), Entry::folder(Attributes::default())));
        let merged = Merged::new(entries.into_iter(), mounts.into());
        let shown: Vec<String> = merged
            .map(|item| {
                let (name, entry) = item.unwrap();
                format!("{name}{}", if entry.is_folder() { "/" } else { "" })
            })
            .collect();
        assert_eq!(shown, ["a", "b/", "c/", "e", "f/"]);
    }
}
