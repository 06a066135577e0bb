//! What happened in a run, as a hash, and in words when one seed is replayed.

use std::fmt::{self, Write};

/// See the module.
#[derive(Debug)]
pub struct Trace {
    hash: Fnv,
    words: Option<String>,
}

/// FNV-1a (Fowler, Noll, Vo; draft-eastlake-fnv).
#[derive(Debug)]
struct Fnv(u64);

impl Write for Fnv {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.take(text.as_bytes());
        Ok(())
    }
}

impl Fnv {
    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

impl Trace {
    /// An empty one; `aloud` keeps the words as well.
    pub fn new(aloud: bool) -> Self {
        Self {
            hash: Fnv(0xcbf2_9ce4_8422_2325),
            words: aloud.then(String::new),
        }
    }

    /// Takes note of something that happened.
    pub fn note(&mut self, what: fmt::Arguments<'_>) {
        let _ = self.hash.write_fmt(what);
        if let Some(words) = &mut self.words {
            let _ = writeln!(words, "{what}");
        }
    }

    /// Takes bytes into the hash alone.
    pub fn take(&mut self, bytes: &[u8]) {
        self.hash.take(bytes);
    }

    /// Equal for equal runs.
    pub const fn hash(&self) -> u64 {
        self.hash.0
    }

    /// All of it, if it was kept.
    pub fn told(&self) -> String {
        self.words
            .as_ref()
            .map(|words| format!("\n{words}"))
            .unwrap_or_default()
    }
}
