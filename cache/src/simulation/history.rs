//! What was at a path, and when.

use std::time::Duration;

use bytes::Bytes;

/// The contents of a path, in order, with the time from which on each was there; `None`: nothing was there.
#[derive(Clone, Debug)]
pub struct History {
    past: Vec<(Duration, Option<Bytes>)>,
    /// The latest that was shown, or written through the cache.
    shown: usize,
}

impl Default for History {
    fn default() -> Self {
        Self {
            past: vec![(Duration::ZERO, None)],
            shown: 0,
        }
    }
}

impl History {
    pub fn now(&self) -> Option<Bytes> {
        self.past.last().and_then(|(_, content)| content.clone())
    }

    /// Something else is there.
    pub fn put(&mut self, at: Duration, content: Option<Bytes>) {
        if content != self.now() {
            self.past.push((at, content));
        }
    }

    /// What is there now has been shown.
    pub fn show(&mut self) {
        self.shown = self.past.len() - 1;
    }

    /// Checks what was read, with `cut` to the range that was asked for.
    pub fn check(
        &mut self,
        got: Option<&Bytes>,
        cut: impl Fn(&Bytes) -> Bytes,
        now: Duration,
        ttl: Duration,
    ) -> Result<(), String> {
        let matches = |content: &Option<Bytes>| content.as_ref().map(&cut).as_ref() == got;
        let found = (0..self.past.len()).rev().find(|at| {
            let ended = self.past.get(at + 1).map(|(time, _)| *time);
            let is_fresh = ended.is_none_or(|ended| now - ended < ttl);
            is_fresh && matches(&self.past[*at].1)
        });
        match found {
            Some(at) if at >= self.shown => {
                // Only what tells its version apart shows it: an empty range fits many.
                let is_telling = (0..self.past.len())
                    .filter(|at| matches(&self.past[*at].1))
                    .count()
                    == 1;
                if is_telling {
                    self.shown = at;
                }
                Ok(())
            }
            Some(at) => Err(format!(
                "version {at} was read, but {} was shown before",
                self.shown
            )),
            None => match self.past.iter().position(|(_, content)| matches(content)) {
                Some(at) => Err(format!(
                    "version {at} of {} was read, which is too old",
                    self.past.len() - 1
                )),
                None => Err("what was read is no version of the file".to_owned()),
            },
        }
    }
}
