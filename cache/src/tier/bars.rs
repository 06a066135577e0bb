//! Paths that are being changed through us: what the disk holds of them is not to be found until it has been dropped.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::policy::epochs::is_within;

/// A path that is barred, for as long as this lives.
#[derive(Debug)]
pub struct Bar {
    pub mount: Arc<str>,
    pub path: Arc<str>,
    /// With all that is below it.
    pub is_tree: bool,
    number: u64,
    home: Arc<Bars>,
}

/// The bars of one disk.
#[derive(Debug, Default)]
pub struct Bars {
    set: Mutex<Set>,
}

#[derive(Debug, Default)]
struct Set {
    last: u64,
    bars: Vec<(u64, Arc<str>, Arc<str>, bool)>,
}

impl Bars {
    pub fn bar(self: &Arc<Self>, mount: &Arc<str>, path: &Arc<str>, is_tree: bool) -> Bar {
        let mut set = self.set.lock();
        set.last += 1;
        let number = set.last;
        set.bars
            .push((number, Arc::clone(mount), Arc::clone(path), is_tree));
        Bar {
            mount: Arc::clone(mount),
            path: Arc::clone(path),
            is_tree,
            number,
            home: Arc::clone(self),
        }
    }

    pub fn has(&self, mount: &str, path: &str) -> bool {
        let set = self.set.lock();
        set.bars.iter().any(|(_, of, at, is_tree)| {
            &**of == mount && (&**at == path || (*is_tree && is_within(path, at)))
        })
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        let mut set = self.home.set.lock();
        set.bars.retain(|(number, ..)| *number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_holds_as_long_as_it_lives() {
        let bars = Arc::new(Bars::default());
        let tree = bars.bar(&"m".into(), &"/a".into(), true);
        let file = bars.bar(&"m".into(), &"/b".into(), false);
        assert!(bars.has("m", "/a/x") && bars.has("m", "/b"));
        assert!(!bars.has("m", "/b/x") && !bars.has("n", "/a"));
        drop((tree, file));
        assert!(!bars.has("m", "/a/x") && !bars.has("m", "/b"));
    }
}
