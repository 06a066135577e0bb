//! Files of mounts deleted by their paths, some side by side: each costs a round trip to its store.

use std::collections::HashSet;

use futures::{StreamExt as _, stream};
use moongate_cache::{Backend as _, BackendError, Freshness};
use moongate_filer::FilePath;

use super::Deletes;
use crate::namespace::{Namespace, path as names};

/// Calls to stores at once.
const AT_ONCE: usize = 16;

/// Parts the paths of mounts, and those that lead to mounts, from the filer's, each in their order.
pub(super) fn apart(
    namespace: &Namespace,
    paths: impl Iterator<Item = FilePath>,
) -> (Vec<FilePath>, Vec<FilePath>) {
    let table = namespace.table();
    paths.partition(|path| {
        let path = path.as_str();
        table.resolve(path).is_some() || table.below(path).next().is_some()
    })
}

impl Deletes {
    /// Deletes, in the order of the list as far as it matters: what is in a folder that is named too is not deleted beside it.
    pub(super) async fn named(&self, paths: &[FilePath]) -> Vec<Result<u64, String>> {
        let mut outcomes = Vec::with_capacity(paths.len());
        for paths in paths.chunks(AT_ONCE) {
            let at_once = if are_apart(paths) { AT_ONCE } else { 1 };
            let deletes: Vec<_> = paths.iter().map(|path| self.one(path)).collect();
            let done = stream::iter(deletes).buffered(at_once);
            outcomes.extend(done.collect::<Vec<_>>().await);
        }
        outcomes
    }

    async fn one(&self, path: &FilePath) -> Result<u64, String> {
        let deleted = self.delete(path.as_str()).await;
        deleted.map_err(|error| error.to_string())
    }

    async fn delete(&self, path: &str) -> Result<u64, BackendError> {
        let namespace = &self.gateway.namespace;
        let status = namespace
            .status(&self.caller, path, Freshness::Cached)
            .await?;
        match namespace.delete(&self.caller, path, self.recursive).await? {
            true => Ok(status.len),
            false => Err(BackendError::not_found(path)),
        }
    }
}

/// Whether none of the paths is in another, or the same.
fn are_apart(paths: &[FilePath]) -> bool {
    let all: HashSet<&str> = paths.iter().map(FilePath::as_str).collect();
    let has_parent = |path: &FilePath| {
        let mut above = path.as_str();
        while above.len() > 1 {
            above = names::parent(above);
            if all.contains(above) {
                return true;
            }
        }
        false
    };
    all.len() == paths.len() && !paths.iter().any(has_parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_another_waits_for_its_turn() {
        let apart = |paths: &[&str]| {
            let paths: Vec<FilePath> = paths.iter().map(|p| FilePath::parse(p).unwrap()).collect();
            are_apart(&paths)
        };
        assert!(apart(&["/a/b", "/a/c", "/ab"]));
        assert!(!apart(&["/a/b/c", "/x", "/a"]));
        assert!(!apart(&["/a", "/a"]));
    }
}
