//! What an archive lacks: the lines of its last entry.

use serde::Serialize;

use super::list::Wanted;

/// Lines that are kept; beyond it, only their number.
const LINES_BYTES_MAX: usize = 16 << 20;

/// What is missing, and why.
#[derive(Default)]
pub struct Missing {
    /// How many.
    pub count: u64,
    /// A line each, up to a bound.
    pub lines: Vec<u8>,
    unlisted: u64,
}

#[derive(Serialize)]
struct ErrorLine<'a> {
    fid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    error: String,
}

impl Missing {
    /// Notes an image and what is wrong with it.
    pub fn add(&mut self, wanted: &Wanted, error: &dyn std::fmt::Display) {
        self.count += 1;
        if self.lines.len() >= LINES_BYTES_MAX {
            self.unlisted += 1;
            return;
        }
        self.line(&ErrorLine {
            fid: wanted.fid.to_string(),
            name: wanted.name.as_deref(),
            error: error.to_string(),
        });
    }

    fn line(&mut self, line: &impl Serialize) {
        if let Err(error) = serde_json::to_writer(&mut self.lines, line) {
            tracing::error!(%error, "a line about a missing image could not be written");
        }
        self.lines.push(b'\n');
    }

    /// Says how many have no line.
    pub fn finish(&mut self) {
        if self.unlisted > 0 {
            let text = format!("{} more are missing and not listed", self.unlisted);
            self.line(&serde_json::json!({ "error": text }));
        }
    }
}
