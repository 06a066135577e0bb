//! One operation a volume at a time: the second is told to ask again, as CSI wants it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};

/// What is being worked on.
#[derive(Debug, Default, Clone)]
pub struct Busy(Arc<Mutex<HashSet<String>>>);

/// Holds a name until it is dropped.
#[derive(Debug)]
pub struct Held {
    of: Busy,
    name: String,
}

impl Busy {
    /// Takes a name.
    ///
    /// # Errors
    /// `Busy` while another has it.
    pub fn hold(&self, name: &str) -> Result<Held> {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !names.insert(name.to_owned()) {
            return Err(Error::Busy(format!(
                "another operation on {name} is under way: ask again when it has ended"
            )));
        }
        Ok(Held {
            of: self.clone(),
            name: name.to_owned(),
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut names = self.of.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.remove(&self.name);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_held_once_and_given_back() {
        let busy = Busy::default();
        let held = busy.hold("a").unwrap();
        assert!(matches!(busy.hold("a"), Err(Error::Busy(_))));
        let other = busy.hold("b").unwrap();
        drop((held, other));
        assert!(busy.hold("a").is_ok());
    }
}
