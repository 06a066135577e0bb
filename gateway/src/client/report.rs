//! What is told while a command runs, and at its end: a bar on a terminal, plain lines elsewhere, JSON for machines.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex;
use serde_json::json;

/// How often a plain line is written.
const PLAIN_EVERY: Duration = Duration::from_secs(5);
/// How often the bar is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(100);
const BAR: &str = "{spinner} {wide_bar:.cyan/blue} {msg}";

/// What is to be said.
#[derive(Clone, Copy, Debug, Default)]
pub struct Loudness {
    /// Nothing but errors.
    pub quiet: bool,
    /// One line of JSON an item on standard output, and the totals.
    pub json: bool,
}

/// What became of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was carried over: so many bytes.
    Done {
        /// Length of the content.
        bytes: u64,
        /// Its CRC-32C, where it was computed.
        crc32c: Option<u32>,
    },
    /// It was there already: so many bytes were spared.
    Same {
        /// Length of the content.
        bytes: u64,
    },
    /// It failed, and why.
    Failed(String),
}

/// Counts of a command so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Files that were carried over.
    pub done: u64,
    /// Files that were there already.
    pub same: u64,
    /// Files that failed.
    pub failed: u64,
    /// Bytes of files that were carried over.
    pub done_bytes: u64,
    /// Bytes of files that were there already.
    pub same_bytes: u64,
    /// Bytes that have moved, of files that are not complete too.
    pub moved_bytes: u64,
    /// Files that were found so far.
    pub found: u64,
    /// Their bytes.
    pub found_bytes: u64,
    /// Nothing more will be found.
    pub found_all: bool,
}

impl Totals {
    const fn finished(&self) -> u64 {
        self.done + self.same + self.failed
    }

    /// Whether anything was finished.
    pub const fn any(&self) -> bool {
        self.finished() > 0
    }

    /// One line for a person: files, bytes, rate, time left.
    pub fn line(&self, elapsed: Duration) -> String {
        let more = if self.found_all { "" } else { "+" };
        let rate = rate(self.moved_bytes, elapsed);
        let mut line = format!(
            "{} of {}{more} files, {} of {}{more}, {}/s",
            self.finished(),
            self.found,
            ByteSize(self.moved_bytes + self.same_bytes),
            ByteSize(self.found_bytes),
            ByteSize(rate),
        );
        if let Some(left) = self.left(elapsed) {
            line += &format!(", {} left", humantime::format_duration(left));
        }
        line
    }

    /// Time left, where enough is known to tell.
    fn left(&self, elapsed: Duration) -> Option<Duration> {
        let rate = rate(self.moved_bytes, elapsed);
        let moved = self.moved_bytes + self.same_bytes;
        let left_bytes = self.found_bytes.saturating_sub(moved);
        (self.found_all && left_bytes > 0).then_some(())?;
        Some(Duration::from_secs(left_bytes.checked_div(rate)?.max(1)))
    }

    /// The last line for a person; `verb` as "sent" or "fetched".
    pub fn summary(&self, verb: &str, elapsed: Duration) -> String {
        let secs = elapsed.as_secs_f64();
        let rate = ByteSize(rate(self.done_bytes, elapsed));
        let mut line = format!(
            "{} files {verb}, {} in {secs:.1} s, {rate}/s",
            self.done,
            ByteSize(self.done_bytes)
        );
        if self.same > 0 {
            line += &format!(
                "; {} were there already, {}",
                self.same,
                ByteSize(self.same_bytes)
            );
        }
        if self.failed > 0 {
            line += &format!("; {} FAILED", self.failed);
        }
        line
    }
}

fn rate(bytes: u64, elapsed: Duration) -> u64 {
    (bytes as f64 / elapsed.as_secs_f64().max(0.001)) as u64
}

/// Where all parts of a command say what they have done.
#[derive(Debug)]
pub struct Report {
    loudness: Loudness,
    verb: &'static str,
    started: Instant,
    totals: Mutex<Totals>,
    bar: ProgressBar,
}

impl Report {
    /// Of a command that begins now; `verb` as "sent".
    pub fn begin(loudness: Loudness, verb: &'static str) -> Arc<Self> {
        let on_terminal = io::stderr().is_terminal() && !loudness.quiet;
        let target = match on_terminal {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        if let Ok(style) = ProgressStyle::with_template(BAR) {
            bar.set_style(style);
        }
        let report = Arc::new(Self {
            loudness,
            verb,
            started: Instant::now(),
            totals: Mutex::default(),
            bar,
        });
        if !loudness.quiet {
            tokio::spawn(tell(Arc::downgrade(&report), on_terminal));
        }
        report
    }

    /// A file of so many bytes is to be carried over.
    pub fn found(&self, bytes: u64) {
        let mut totals = self.totals.lock();
        totals.found += 1;
        totals.found_bytes += bytes;
    }

    /// Nothing more will be found.
    pub fn found_all(&self) {
        self.totals.lock().found_all = true;
    }

    /// Bytes of a file have moved.
    pub fn moved(&self, bytes: u64) {
        self.totals.lock().moved_bytes += bytes;
    }

    /// Bytes that had moved are to move again.
    pub fn moved_in_vain(&self, bytes: u64) {
        let mut totals = self.totals.lock();
        totals.moved_bytes = totals.moved_bytes.saturating_sub(bytes);
    }

    /// A file is finished; `name`: what to call it to the user.
    pub fn item(&self, name: &str, outcome: &Outcome) {
        {
            let mut totals = self.totals.lock();
            match outcome {
                Outcome::Done { bytes, .. } => {
                    totals.done += 1;
                    totals.done_bytes += bytes;
                }
                Outcome::Same { bytes } => {
                    totals.same += 1;
                    totals.same_bytes += bytes;
                }
                Outcome::Failed(_) => totals.failed += 1,
            }
        }
        if let Outcome::Failed(reason) = outcome {
            self.complain(&format!("{name}: {reason}"));
        }
        if self.loudness.json {
            print_line(&outcome_json(name, outcome).to_string());
        }
    }

    /// Failures that the server names elsewhere.
    pub fn failed_elsewhere(&self, count: u64) {
        self.totals.lock().failed += count;
    }

    /// One line on standard error.
    pub fn complain(&self, text: &str) {
        self.bar.suspend(|| eprintln!("moongate: {text}"));
    }

    /// Counts so far.
    pub fn totals(&self) -> Totals {
        *self.totals.lock()
    }

    /// Says the totals.
    pub fn end(&self) {
        self.bar.finish_and_clear();
        let (totals, elapsed) = (self.totals(), self.started.elapsed());
        if self.loudness.json {
            print_line(&totals_json(&totals, elapsed).to_string());
        } else if !self.loudness.quiet {
            eprintln!("{}", totals.summary(self.verb, elapsed));
        }
    }

    fn draw(&self, on_terminal: bool) {
        let (totals, elapsed) = (self.totals(), self.started.elapsed());
        if on_terminal {
            self.bar.set_length(totals.found_bytes);
            self.bar
                .set_position(totals.moved_bytes + totals.same_bytes);
            self.bar.set_message(totals.line(elapsed));
        } else {
            eprintln!("{} {}", self.verb, totals.line(elapsed));
        }
    }
}

async fn tell(report: std::sync::Weak<Report>, on_terminal: bool) {
    let every = if on_terminal { DRAW_EVERY } else { PLAIN_EVERY };
    loop {
        tokio::time::sleep(every).await;
        let Some(report) = report.upgrade() else {
            return;
        };
        if report.bar.is_finished() {
            return;
        }
        report.draw(on_terminal);
    }
}

fn outcome_json(name: &str, outcome: &Outcome) -> serde_json::Value {
    match outcome {
        Outcome::Done { bytes, crc32c } => {
            let crc32c = crc32c.map(|crc| format!("{crc:08x}"));
            json!({ "name": name, "result": "done", "size": bytes, "crc32c": crc32c })
        }
        Outcome::Same { bytes } => json!({ "name": name, "result": "same", "size": bytes }),
        Outcome::Failed(error) => json!({ "name": name, "result": "failed", "error": error }),
    }
}

fn totals_json(totals: &Totals, elapsed: Duration) -> serde_json::Value {
    json!({
        "done": totals.done,
        "same": totals.same,
        "failed": totals.failed,
        "bytes": totals.done_bytes,
        "same_bytes": totals.same_bytes,
        "seconds": (elapsed.as_secs_f64() * 1000.0).round() / 1000.0,
    })
}

/// A line on standard output. When its reader has left there is nobody to tell.
pub fn print_line(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn halfway() -> Totals {
        Totals {
            done: 3,
            same: 1,
            found: 10,
            moved_bytes: 2 << 20,
            same_bytes: 1 << 20,
            found_bytes: 5 << 20,
            done_bytes: 2 << 20,
            ..Totals::default()
        }
    }

    #[test]
    fn a_line_says_files_bytes_rate_and_what_is_left() {
        let mut totals = halfway();
        let second = Duration::from_secs(1);
        let looking = "4 of 10+ files, 3.0 MiB of 5.0 MiB+, 2.0 MiB/s";
        assert_eq!(totals.line(second), looking);
        totals.found_all = true;
        let sure = "4 of 10 files, 3.0 MiB of 5.0 MiB, 2.0 MiB/s, 1s left";
        assert_eq!(totals.line(second), sure);
        assert_eq!(
            Totals::default().line(Duration::ZERO),
            "0 of 0+ files, 0 B of 0 B+, 0 B/s"
        );
    }

    #[test]
    fn the_summary_names_what_failed_only_if_something_did() {
        let mut totals = halfway();
        let text = totals.summary("sent", Duration::from_secs(2));
        assert_eq!(
            text,
            "3 files sent, 2.0 MiB in 2.0 s, 1.0 MiB/s; 1 were there already, 1.0 MiB"
        );
        totals.failed = 2;
        assert!(
            totals
                .summary("sent", Duration::from_secs(2))
                .ends_with("; 2 FAILED")
        );
    }

    #[test]
    fn a_machine_reads_the_same() {
        let done = Outcome::Done {
            bytes: 5,
            crc32c: Some(0xab),
        };
        let line = outcome_json("/a", &done).to_string();
        assert_eq!(
            line,
            r#"{"crc32c":"000000ab","name":"/a","result":"done","size":5}"#
        );
        let totals = totals_json(&halfway(), Duration::from_secs(2));
        assert_eq!(
            (totals["done"].as_u64(), totals["same"].as_u64()),
            (Some(3), Some(1))
        );
    }

    #[tokio::test]
    async fn items_are_counted() {
        let report = Report::begin(
            Loudness {
                quiet: true,
                json: false,
            },
            "sent",
        );
        report.found(7);
        report.item(
            "a",
            &Outcome::Done {
                bytes: 7,
                crc32c: None,
            },
        );
        report.item("b", &Outcome::Same { bytes: 2 });
        report.item("c", &Outcome::Failed("no".to_owned()));
        let totals = report.totals();
        assert_eq!((totals.done, totals.same, totals.failed), (1, 1, 1));
        assert_eq!(
            (totals.done_bytes, totals.same_bytes, totals.found_bytes),
            (7, 2, 7)
        );
    }
}
