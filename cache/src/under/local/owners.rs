//! Names of users and groups, by the numbers that a file system keeps.

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;

/// What `/etc/passwd` and `/etc/group` said when the store was opened. Who is not in them goes by the number.
#[derive(Debug)]
pub(super) struct Owners {
    users: Names,
    groups: Names,
}

#[derive(Debug, Default)]
struct Names {
    by_id: HashMap<u32, Arc<str>>,
    by_name: HashMap<Arc<str>, u32>,
}

impl Owners {
    pub(super) fn read() -> Self {
        let names = |path| Names::parse(&fs::read_to_string(path).unwrap_or_default());
        Self {
            users: names("/etc/passwd"),
            groups: names("/etc/group"),
        }
    }

    pub(super) fn user(&self, id: u32) -> Arc<str> {
        self.users.name(id)
    }

    pub(super) fn group(&self, id: u32) -> Arc<str> {
        self.groups.name(id)
    }

    pub(super) fn user_id(&self, name: &str) -> Option<u32> {
        self.users.id(name)
    }

    pub(super) fn group_id(&self, name: &str) -> Option<u32> {
        self.groups.id(name)
    }
}

impl Names {
    /// Both files have the name first and the number third. The first of several lines counts, as in the C library.
    fn parse(text: &str) -> Self {
        let mut names = Self::default();
        for line in text.lines() {
            let mut fields = line.split(':');
            let (Some(name), Some(Ok(id))) = (fields.next(), fields.nth(1).map(str::parse)) else {
                continue;
            };
            let name: Arc<str> = name.into();
            names.by_id.entry(id).or_insert_with(|| name.clone());
            names.by_name.entry(name).or_insert(id);
        }
        names
    }

    fn name(&self, id: u32) -> Arc<str> {
        let known = self.by_id.get(&id).cloned();
        known.unwrap_or_else(|| id.to_string().into())
    }

    fn id(&self, name: &str) -> Option<u32> {
        let known = self.by_name.get(name).copied();
        known.or_else(|| name.parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn names_are_found_by_number_and_numbers_by_name() {
        let names = Names::parse("root:x:0:0:root:/root:/bin/sh\nbroken\nbob:x:1000:\nrob:x:1000:");
        assert_eq!(&*names.name(0), "root");
        assert_eq!(&*names.name(1000), "bob");
        assert_eq!(&*names.name(7), "7");
        assert_eq!(names.id("rob"), Some(1000));
        assert_eq!(names.id("42"), Some(42));
        assert_eq!(names.id("nobody at all"), None);
    }
}
