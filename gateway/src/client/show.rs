//! `moongate ls`, `stat` and `du`: what is there.

use std::io::{self, BufWriter, Write};
use std::time::{Duration, UNIX_EPOCH};

use bytesize::ByteSize;
use serde_json::json;

use super::address::Address;
use super::args::{DuArgs, LsArgs, StatArgs};
use super::entry::Entry;
use super::error::ClientError;
use super::expand;
use super::failures::Failures;
use super::remote::{Remote, folder_form};

/// Carries out `moongate ls`.
///
/// # Errors
/// [`ClientError::Unreachable`], or that standard output is gone; the rest is counted.
pub async fn ls(
    args: &LsArgs,
    remote: &Remote,
    at: &[Address],
    failures: &mut Failures,
) -> Result<(), ClientError> {
    let mut out = BufWriter::new(io::stdout());
    for address in at {
        let listed = ls_one(args, remote, address, &mut out).await;
        failures.take(&address.path, listed)?;
    }
    out.flush().map_err(gone)
}

async fn ls_one(
    args: &LsArgs,
    remote: &Remote,
    address: &Address,
    out: &mut (dyn Write + Send),
) -> Result<(), ClientError> {
    let is_pattern = expand::is_pattern(&address.path);
    for entry in expand::there(remote, address).await? {
        // As a shell's ls of a folder, and not of all that a pattern gives, which would be long.
        if entry.is_folder() && (args.recursive || !is_pattern) {
            ls_folder(args, remote, &entry.full_path, out).await?;
        } else {
            let name = if is_pattern {
                entry.full_path.as_str()
            } else {
                entry.name()
            };
            line(args, &entry, name, out).map_err(gone)?;
        }
    }
    Ok(())
}

async fn ls_folder(
    args: &LsArgs,
    remote: &Remote,
    folder: &str,
    out: &mut (dyn Write + Send),
) -> Result<(), ClientError> {
    let prefix = folder_form(folder);
    let mut listing = remote.list(folder, args.recursive);
    while let Some(entry) = listing.next().await? {
        let name = entry
            .full_path
            .strip_prefix(&prefix)
            .unwrap_or(&entry.full_path);
        line(args, &entry, name, out).map_err(gone)?;
    }
    Ok(())
}

fn line(args: &LsArgs, entry: &Entry, name: &str, out: &mut (dyn Write + Send)) -> io::Result<()> {
    if args.json {
        return writeln!(out, "{}", to_json(entry));
    }
    let slash = if entry.is_folder() { "/" } else { "" };
    if args.long {
        let (mode, size, time) = (
            mode_text(entry),
            size(entry.file_size, args.human),
            time(entry),
        );
        write!(out, "{mode} {size:>12} {time} ")?;
    }
    writeln!(out, "{name}{slash}")
}

/// An entry for a machine: under the server's names for its parts.
fn to_json(entry: &Entry) -> serde_json::Value {
    json!({
        "FullPath": entry.full_path,
        "Mtime": entry.mtime,
        "Mode": entry.mode,
        "Mime": entry.mime,
        "FileSize": entry.file_size,
        "Crc32c": entry.crc32c,
        "IsDirectory": entry.is_folder(),
    })
}

/// As `ls -l` has it: `drwxr-x---`.
fn mode_text(entry: &Entry) -> String {
    let kind = if entry.is_folder() { 'd' } else { '-' };
    let letters = "rwxrwxrwx".chars().enumerate();
    let bits = letters.map(|(n, letter)| {
        if entry.mode & (1 << (8 - n)) == 0 {
            '-'
        } else {
            letter
        }
    });
    std::iter::once(kind).chain(bits).collect()
}

fn size(bytes: u64, human: bool) -> String {
    match human {
        true => ByteSize(bytes).to_string(),
        false => bytes.to_string(),
    }
}

fn time(entry: &Entry) -> String {
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(entry.mtime_secs()));
    time.map_or_else(String::new, |time| {
        humantime::format_rfc3339_seconds(time).to_string()
    })
}

/// Nobody reads what is written: `moongate ls | head` ends like this.
fn gone(error: io::Error) -> ClientError {
    ClientError::local("standard output".as_ref(), error)
}

/// Carries out `moongate stat`.
///
/// # Errors
/// As [`ls`].
pub async fn stat(
    args: &StatArgs,
    remote: &Remote,
    at: &[Address],
    failures: &mut Failures,
) -> Result<(), ClientError> {
    let mut out = io::stdout();
    for address in at {
        let shown = stat_one(args, remote, address, &mut out).await;
        failures.take(&address.path, shown)?;
    }
    Ok(())
}

async fn stat_one(
    args: &StatArgs,
    remote: &Remote,
    address: &Address,
    out: &mut (dyn Write + Send),
) -> Result<(), ClientError> {
    for entry in expand::there(remote, address).await? {
        if args.json {
            let (_, bytes) = remote.stat_json(&entry.full_path).await?;
            out.write_all(bytes.trim_ascii_end())
                .and_then(|()| writeln!(out))
                .map_err(gone)?;
        } else {
            write!(out, "{}", stat_text(&entry)).map_err(gone)?;
        }
    }
    Ok(())
}

fn stat_text(entry: &Entry) -> String {
    let kind = if entry.is_folder() { "folder" } else { "file" };
    let mut text = format!("{}\n  kind:   {kind}\n", entry.full_path);
    if !entry.is_folder() {
        text += &format!(
            "  size:   {} ({})\n",
            entry.file_size,
            ByteSize(entry.file_size)
        );
        text += &format!("  type:   {}\n", entry.mime);
        text += &format!(
            "  crc32c: {}\n",
            entry.crc32c.as_deref().unwrap_or("not known")
        );
    }
    text + &format!(
        "  time:   {}\n  mode:   {}\n",
        time(entry),
        mode_text(entry)
    )
}

/// Carries out `moongate du`.
///
/// # Errors
/// As [`ls`].
pub async fn du(
    args: &DuArgs,
    remote: &Remote,
    at: &[Address],
    failures: &mut Failures,
) -> Result<(), ClientError> {
    let mut out = io::stdout();
    for address in at {
        let shown = du_one(args, remote, address, &mut out).await;
        failures.take(&address.path, shown)?;
    }
    Ok(())
}

async fn du_one(
    args: &DuArgs,
    remote: &Remote,
    address: &Address,
    out: &mut (dyn Write + Send),
) -> Result<(), ClientError> {
    for entry in expand::there(remote, address).await? {
        let (files, folders, bytes) = match entry.is_folder() {
            false => (1, 0, entry.file_size),
            true => {
                let usage = remote.usage(&entry.full_path).await?;
                (usage.files, usage.folders, usage.bytes)
            }
        };
        let path = &entry.full_path;
        let line = match args.json {
            true => json!({ "path": path, "files": files, "folders": folders, "bytes": bytes })
                .to_string(),
            false => format!("{:>12}  {files:>9} files  {path}", size(bytes, args.human)),
        };
        writeln!(out, "{line}").map_err(gone)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(mode: u32) -> Entry {
        Entry {
            full_path: "/p/a.jpg".to_owned(),
            mtime: "2026-11-22T10:00:00.5Z".to_owned(),
            mode,
            file_size: 5222,
            ..Entry::default()
        }
    }

    fn listed(flags: &[&str], entry: &Entry) -> String {
        use clap::Parser as _;
        let line = ["moongate", "ls"].iter().chain(flags);
        let Ok(crate::cli::Command::Ls(args)) =
            crate::cli::Cli::try_parse_from(line).map(|cli| cli.command)
        else {
            panic!("not parsed")
        };
        let mut out = Vec::new();
        line_of(&args, entry, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn line_of(args: &LsArgs, entry: &Entry, out: &mut Vec<u8>) {
        line(args, entry, "a.jpg", out).unwrap();
    }

    #[test]
    fn a_line_is_as_ls_has_it() {
        let file = entry(0o640);
        assert_eq!(listed(&[], &file), "a.jpg\n");
        assert_eq!(
            listed(&["-l"], &file),
            "-rw-r-----         5222 2026-11-22T10:00:00Z a.jpg\n"
        );
        assert_eq!(
            listed(&["-lh"], &file),
            "-rw-r-----      5.1 KiB 2026-11-22T10:00:00Z a.jpg\n"
        );
        assert_eq!(listed(&[], &entry(0o770 | 1 << 31)), "a.jpg/\n");
        let json: serde_json::Value = serde_json::from_str(&listed(&["--json"], &file)).unwrap();
        assert_eq!(
            (json["FileSize"].as_u64(), json["IsDirectory"].as_bool()),
            (Some(5222), Some(false))
        );
    }

    #[test]
    fn stat_says_what_is_not_known() {
        let text = stat_text(&entry(0o640));
        assert!(
            text.contains("5222 (5.1 KiB)") && text.contains("crc32c: not known"),
            "{text}"
        );
    }
}
