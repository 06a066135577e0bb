//! Groups in a file: a line a user, `USER: GROUP, GROUP …`; `#` begins a comment.

use std::collections::HashMap;
use std::path::PathBuf;

use super::Found;
use crate::watched::{FileError, Watched};

type Table = HashMap<String, Vec<String>>;

/// A file of users and their groups, as it is now.
#[derive(Debug)]
pub struct GroupFile {
    table: Watched<Table>,
}

impl GroupFile {
    /// Reads it.
    ///
    /// # Errors
    /// It cannot be read, or a line is none.
    pub fn open(path: PathBuf) -> Result<Self, FileError> {
        let name = path.clone();
        let table = Watched::open(vec![path], move |files| {
            let text = files.first().map(Vec::as_slice).unwrap_or_default();
            parse(text).map_err(|reason| FileError::new(&name, reason))
        })?;
        Ok(Self { table })
    }

    pub(super) fn find(&self, user: &str) -> Found {
        let groups = self.table.get().get(user).cloned();
        groups.map_or(Found::Nobody, Found::Groups)
    }

    /// Looks at the file now.
    pub fn refresh(&self) {
        self.table.refresh();
    }
}

fn parse(text: &[u8]) -> Result<Table, String> {
    let text = std::str::from_utf8(text).map_err(|_| "it is not UTF-8".to_owned())?;
    let mut table = Table::new();
    for (line, text) in text.lines().enumerate() {
        let text = text.split('#').next().unwrap_or_default().trim();
        if text.is_empty() {
            continue;
        }
        let (user, groups) = text
            .split_once(':')
            .ok_or_else(|| format!("line {}: write USER: GROUP, GROUP", line + 1))?;
        let user = user.trim().to_owned();
        let groups = groups
            .split([',', ' ', '\t'])
            .filter(|name| !name.is_empty());
        let groups = groups.map(str::to_owned).collect();
        if user.is_empty() || table.insert(user, groups).is_some() {
            return Err(format!(
                "line {}: no user, or one that is there already",
                line + 1
            ));
        }
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_is_a_user_and_groups() {
        let table = parse(b"# us\nann: a, b c # x\n\nbob:\n").unwrap();
        assert_eq!(table["ann"], ["a", "b", "c"]);
        assert!(table["bob"].is_empty() && table.len() == 2);
        for wrong in ["ann", ": a", "ann: a\nann: b"] {
            assert!(parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse(&bytes);
        }
    }
}
