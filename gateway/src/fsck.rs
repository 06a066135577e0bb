//! `moongate fsck`: prints what [`moongate_haystack::fsck`] finds, for people or for programs.

use std::io::{self, IsTerminal, Write};

use bytesize::ByteSize;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use moongate_disk::RealDisk;
use moongate_haystack::fsck::{self, FolderReport, Problem, VolumeReport, Watcher};
use serde::Serialize;

use crate::cli::{EXIT_OK, EXIT_PROBLEMS, FsckArgs};

const BAR: &str = "{bar:30} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left {msg}";

/// Checks (and with `--repair` mends) the folder, and prints to standard output. Returns the exit code.
///
/// # Errors
/// When the folder cannot be read or is in use, or standard output takes no more.
pub fn run(args: &FsckArgs) -> anyhow::Result<u8> {
    let mut printer = Printer::new(io::stdout().lock(), args.json, progress_bar());
    let total = fsck::run(&RealDisk::new(), &args.dir, args.repair, &mut printer)?;
    printer.end(&total)?;
    Ok(if total.is_sound() {
        EXIT_OK
    } else {
        EXIT_PROBLEMS
    })
}

/// A bar on standard error where that is a terminal, else nothing.
fn progress_bar() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    match ProgressStyle::with_template(BAR) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Writes reports as they come.
struct Printer<W> {
    out: W,
    json: bool,
    bar: ProgressBar,
    /// The first write that failed; told when all is done.
    failed: Option<io::Error>,
}

/// One JSON line.
#[derive(Serialize)]
struct Line<'a, T> {
    #[serde(rename = "type")]
    kind: &'static str,
    sound: bool,
    #[serde(flatten)]
    report: &'a T,
}

impl<W: Write> Printer<W> {
    const fn new(out: W, json: bool, bar: ProgressBar) -> Self {
        Self {
            out,
            json,
            bar,
            failed: None,
        }
    }

    fn write(&mut self, text: &str) {
        let Self { out, bar, .. } = self;
        let written = bar.suspend(|| writeln!(out, "{text}").and_then(|()| out.flush()));
        if let Err(error) = written {
            self.failed.get_or_insert(error);
        }
    }

    fn end(mut self, total: &FolderReport) -> anyhow::Result<()> {
        self.bar.finish_and_clear();
        let text = if self.json {
            json_line("total", total.is_sound(), total)
        } else {
            total_text(total)
        };
        self.write(&text);
        self.failed.map_or(Ok(()), |error| Err(error.into()))
    }
}

impl<W: Write> Watcher for Printer<W> {
    fn begin(&mut self, bytes: u64) {
        self.bar.set_length(bytes);
    }

    fn walked(&mut self, bytes: u64) {
        // Mending reads a volume more than once.
        if self
            .bar
            .length()
            .is_some_and(|all| self.bar.position() + bytes > all)
        {
            self.bar.inc_length(bytes);
        }
        self.bar.inc(bytes);
    }

    fn volume(&mut self, report: &VolumeReport) {
        let text = if self.json {
            json_line("volume", report.is_sound(), report)
        } else {
            volume_text(report)
        };
        self.write(&text);
    }
}

fn json_line<T: Serialize>(kind: &'static str, sound: bool, report: &T) -> String {
    let line = Line {
        kind,
        sound,
        report,
    };
    serde_json::to_string(&line).unwrap_or_else(|error| {
        serde_json::json!({ "type": kind, "sound": false, "error": error.to_string() }).to_string()
    })
}

fn volume_text(report: &VolumeReport) -> String {
    let collection = if report.collection.is_empty() {
        String::new()
    } else {
        format!(" of {}", report.collection)
    };
    let hurt = report.problems.iter().filter(|p| !p.is_note()).count() as u64;
    let verdict = match hurt + report.problems_left_out {
        0 => "sound".to_owned(),
        1 => "1 problem".to_owned(),
        n => format!("{n} problems"),
    };
    let mut text = format!(
        "volume {}{collection}: {verdict}; {} live needles, {} deleted, {}, {} garbage",
        report.volume,
        report.live,
        report.deleted,
        ByteSize::b(report.bytes),
        ByteSize::b(report.garbage_bytes)
    );
    add_repaired(&mut text, &report.repaired);
    add_problems(&mut text, &report.problems);
    if report.problems_left_out > 0 {
        text += &format!("\n  and {} more problems", report.problems_left_out);
    }
    text
}

fn add_repaired(text: &mut String, repaired: &[String]) {
    for done in repaired {
        *text += &format!("\n  mended: {done}");
    }
}

/// What is to be done is said once for neighbours that need the same.
fn add_problems(text: &mut String, problems: &[Problem]) {
    for (n, problem) in problems.iter().enumerate() {
        let kind = if problem.is_note() { "note" } else { "problem" };
        *text += &format!("\n  {kind}: {problem}");
        let next = problems.get(n + 1).map(Problem::advice);
        if next != Some(problem.advice()) {
            *text += &format!("\n    -> {}", problem.advice());
        }
    }
}

fn total_text(total: &FolderReport) -> String {
    let mut text = format!(
        "{} volumes: {} live needles, {} deleted, {}, {} garbage",
        total.volumes,
        total.live,
        total.deleted,
        ByteSize::b(total.bytes),
        ByteSize::b(total.garbage_bytes)
    );
    add_repaired(&mut text, &total.repaired);
    add_problems(&mut text, &total.problems);
    text + &if total.is_sound() {
        "\nsound".to_owned()
    } else {
        format!(
            "\n{} problems are left, {} needles are damaged, {} volumes are hurt",
            total.problems_left, total.damaged_needles, total.volumes_hurt
        )
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    fn sample() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let from = Path::new("../tests/samples");
        for name in ["plain_1.dat", "plain_1.idx", "plain_1.vif"] {
            std::fs::copy(from.join(name), dir.path().join(name)).unwrap();
        }
        dir
    }

    fn printed(dir: &Path, json: bool) -> (String, bool) {
        let mut out = Vec::new();
        let mut printer = Printer::new(&mut out, json, ProgressBar::hidden());
        let total = fsck::run(&RealDisk::new(), dir, false, &mut printer).unwrap();
        printer.end(&total).unwrap();
        (String::from_utf8(out).unwrap(), total.is_sound())
    }

    fn damage(dir: &Path) {
        let path = dir.join("plain_1.dat");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[8 + 16 + 4] ^= 1;
        std::fs::write(path, bytes).unwrap();
    }

    #[test]
    fn people_are_told_which_images_are_hurt() {
        let dir = sample();
        let (text, sound) = printed(dir.path(), false);
        assert!(sound && text.ends_with("\nsound\n"), "{text}");
        damage(dir.path());
        let (text, sound) = printed(dir.path(), false);
        assert!(!sound);
        assert!(
            text.contains("needle 1,0100000001 at offset 8 is damaged"),
            "{text}"
        );
        assert!(text.contains("-> store it again"), "{text}");
    }

    #[test]
    fn programs_get_one_line_a_volume_and_one_in_all() {
        let dir = sample();
        damage(dir.path());
        let (text, _) = printed(dir.path(), true);
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(
            (&lines[0]["type"], &lines[0]["volume"]),
            (&"volume".into(), &1.into())
        );
        let problem = &lines[0]["problems"][0];
        assert_eq!(problem["problem"], "damaged_needle");
        assert_eq!(
            (&problem["fid"], &problem["offset"]),
            (&"1,0100000001".into(), &8.into())
        );
        assert_eq!(
            (&lines[1]["type"], &lines[1]["sound"]),
            (&"total".into(), &false.into())
        );
        assert_eq!(lines[1]["damaged_needles"], 1);
    }

    #[test]
    fn the_exit_code_tells() {
        let dir = sample();
        let args = |dir: PathBuf| FsckArgs {
            dir,
            repair: false,
            json: true,
        };
        assert_eq!(run(&args(dir.path().into())).unwrap(), EXIT_OK);
        damage(dir.path());
        assert_eq!(run(&args(dir.path().into())).unwrap(), EXIT_PROBLEMS);
        let nowhere = run(&args(dir.path().join("nowhere"))).unwrap_err();
        assert!(nowhere.to_string().contains("nowhere"), "{nowhere}");
    }
}
