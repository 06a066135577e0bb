//! `moongate get`: what comes where, and the streams that carry it.

use std::collections::HashSet;
use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::Method;
use tokio::sync::mpsc;
use tokio::task::block_in_place;

use super::address::Address;
use super::args::GetArgs;
use super::download::{Download, Wanted};
use super::entry::Entry;
use super::error::ClientError;
use super::expand;
use super::fetch;
use super::http::Call;
use super::part::{self, Parts};
use super::queue::queue;
use super::remote::{Remote, folder_form};
use super::report::{Outcome, Report};
use super::same::{Care, Known};
use super::streams;

/// Standard output.
const STDOUT: &str = "-";

/// Carries out `moongate get`.
///
/// # Errors
/// What concerns all of it; what concerns a file is reported.
pub async fn run(
    args: &GetArgs,
    remote: Remote,
    from: Vec<Address>,
    report: &Arc<Report>,
) -> Result<(), ClientError> {
    if let Some(file) = &args.tar {
        return archive(&remote, &from, file, report).await;
    }
    let dest = args.paths.last().map_or("", String::as_str);
    if dest == STDOUT {
        return to_stdout(&remote, &from, report).await;
    }
    let care = Care::of(args.carrying.fast, args.carrying.again);
    let download = Arc::new(Download {
        remote,
        report: Arc::clone(report),
        parts: Parts::default(),
        care,
    });
    let (sender, queue) = queue();
    let queue = Arc::new(queue);
    let dest = dest.to_owned();
    let finding = {
        let download = Arc::clone(&download);
        tokio::spawn(async move { find(&download, from, &dest, &sender).await })
    };
    let streamed = streams::run(args.carrying.jobs, || {
        Arc::clone(&download).work(Arc::clone(&queue))
    })
    .await;
    drop(queue);
    streamed?;
    finding
        .await
        .map_err(|error| ClientError::Impossible(error.to_string()))?
}

async fn to_stdout(remote: &Remote, from: &[Address], report: &Report) -> Result<(), ClientError> {
    for address in from {
        let entries = match expand::there(remote, address).await {
            Err(error) if error.is_unreachable() => return Err(error),
            Err(error) => {
                report.item(&address.path, &Outcome::Failed(error.to_string()));
                continue;
            }
            Ok(entries) => entries,
        };
        for entry in entries {
            one_to_stdout(remote, &entry, report).await?;
        }
    }
    Ok(())
}

async fn one_to_stdout(remote: &Remote, entry: &Entry, report: &Report) -> Result<(), ClientError> {
    if entry.is_folder() {
        let text = "is a folder: --tar - writes it to standard output as a tar";
        report.item(&entry.full_path, &Outcome::Failed(text.to_owned()));
        return Ok(());
    }
    report.found(entry.file_size);
    match fetch::to_stdout(remote, report, &entry.full_path).await {
        Ok(outcome) => report.item(&entry.full_path, &outcome),
        // Half of it is out: what follows would be taken for the rest.
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Where a source goes: into DEST, or it is DEST.
fn goes_into(dest: &str, sources: usize, address: &Address, entry: &Entry) -> bool {
    let folder_form =
        dest.ends_with('/') || Path::new(dest).file_name().is_none() || dest.ends_with("/.");
    let many = sources > 1 || expand::is_pattern(&address.path);
    folder_form || many || (!entry.is_folder() && Path::new(dest).is_dir())
}

/// Finds what is to be fetched and puts it into the queue.
async fn find(
    download: &Download,
    from: Vec<Address>,
    dest: &str,
    files: &mpsc::Sender<Wanted>,
) -> Result<(), ClientError> {
    let mut taken = HashSet::new();
    for address in &from {
        let goes = |entry: &Entry| goes_into(dest, from.len(), address, entry);
        match find_from(download, address, dest, goes, &mut taken, files).await {
            Err(error) if error.is_unreachable() => return Err(error),
            Err(error) => download
                .report
                .item(&address.path, &Outcome::Failed(error.to_string())),
            Ok(()) => {}
        }
    }
    download.report.found_all();
    Ok(())
}

async fn find_from(
    download: &Download,
    address: &Address,
    dest: &str,
    goes_into: impl Fn(&Entry) -> bool,
    taken: &mut HashSet<PathBuf>,
    files: &mpsc::Sender<Wanted>,
) -> Result<(), ClientError> {
    for entry in expand::there(&download.remote, address).await? {
        let contents = entry.is_folder() && (address.folder_form || entry.name().is_empty());
        let target = match goes_into(&entry) && !contents {
            true => {
                part::below(Path::new(dest), entry.name()).ok_or_else(|| unsafe_name(&entry))?
            }
            false => PathBuf::from(dest),
        };
        if !contents && !taken.insert(target.clone()) {
            let text = format!(
                "{} is what another of this name is fetched to: use two folders",
                target.display()
            );
            download
                .report
                .item(&entry.full_path, &Outcome::Failed(text));
            continue;
        }
        match entry.is_folder() {
            true => find_below(download, &entry.full_path, &target, files).await?,
            false => want(download, &entry, target, files).await,
        }
    }
    Ok(())
}

fn unsafe_name(entry: &Entry) -> ClientError {
    ClientError::Impossible(format!(
        "{}: its name cannot be a file's here",
        entry.full_path
    ))
}

async fn find_below(
    download: &Download,
    folder: &str,
    target: &Path,
    files: &mpsc::Sender<Wanted>,
) -> Result<(), ClientError> {
    make_folder(download, folder, target);
    let prefix = folder_form(folder);
    let mut listing = download.remote.list(folder, true);
    while let Some(entry) = listing.next().await? {
        let name = entry.full_path.strip_prefix(&prefix);
        let Some(path) = name.and_then(|name| part::below(target, name)) else {
            download.report.item(
                &entry.full_path,
                &Outcome::Failed(unsafe_name(&entry).to_string()),
            );
            continue;
        };
        match entry.is_folder() {
            true => make_folder(download, &entry.full_path, &path),
            false => want(download, &entry, path, files).await,
        }
        if files.is_closed() {
            return Ok(());
        }
    }
    Ok(())
}

fn make_folder(download: &Download, name: &str, path: &Path) {
    if let Err(error) = block_in_place(|| std::fs::create_dir_all(path)) {
        let error = ClientError::local(path, error);
        download
            .report
            .item(name, &Outcome::Failed(error.to_string()));
    }
}

async fn want(download: &Download, entry: &Entry, target: PathBuf, files: &mpsc::Sender<Wanted>) {
    if !entry.symlink_target.is_empty() {
        let text = "is a link: links are not fetched".to_owned();
        return download
            .report
            .item(&entry.full_path, &Outcome::Failed(text));
    }
    download.report.found(entry.file_size);
    let wanted = Wanted {
        path: entry.full_path.clone(),
        target,
        known: Known::from(entry),
    };
    // It is closed when the streams have failed, which is told by them.
    let _ = files.send(wanted).await;
}

/// Saves a folder as a tar.
async fn archive(
    remote: &Remote,
    from: &[Address],
    file: &Path,
    report: &Report,
) -> Result<(), ClientError> {
    let [address] = from else {
        return Err(ClientError::Usage(
            "--tar FILE URL: one folder, and no DEST".to_owned(),
        ));
    };
    let path = folder_form(&address.path);
    if file == Path::new(STDOUT) {
        if io::stdout().is_terminal() {
            return Err(ClientError::Usage(
                "--tar -: not to a terminal; send it to a file or a program".to_owned(),
            ));
        }
        let outcome = save(remote, &path, &mut io::stdout(), report).await?;
        report.item(&address.path, &outcome);
        return Ok(());
    }
    let local = |error| ClientError::local(file, error);
    let mut part = Parts::default().begin(file).map_err(local)?;
    let outcome = save(remote, &path, &mut part.file, report).await?;
    part.finish(0).map_err(local)?;
    report.item(&address.path, &outcome);
    Ok(())
}

/// Writes the archive as it comes. It cannot be gone on with: where it breaks, it is begun again by whoever asked.
async fn save(
    remote: &Remote,
    path: &str,
    out: &mut (dyn Write + Send),
    report: &Report,
) -> Result<Outcome, ClientError> {
    let call = Call::new(Method::GET, path).query("archive=tar");
    let mut answer = remote.http.send(call).await?;
    let mut bytes = 0;
    let local = |error| ClientError::local("--tar".as_ref(), error);
    while let Some(piece) = answer.piece().await? {
        block_in_place(|| out.write_all(&piece)).map_err(local)?;
        bytes += piece.len() as u64;
        report.moved(piece.len() as u64);
    }
    out.flush().map_err(local)?;
    let missing = answer
        .header("moongate-errors")
        .and_then(|count| count.parse().ok())
        .unwrap_or(0);
    if missing > 0 {
        report.failed_elsewhere(missing);
        report.complain(&format!("{path}: {missing} files could not be read; MOONGATE-ERRORS.jsonl in the archive names them"));
    }
    Ok(Outcome::Done {
        bytes,
        crc32c: None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::address::Server;
    use super::*;

    fn into(dest: &str, sources: usize, address: &str, folder: bool) -> bool {
        let address = Address::parse(address, &Server::parse("h").unwrap()).unwrap();
        let mode = if folder { 1 << 31 } else { 0 };
        let entry = Entry {
            mode,
            full_path: address.path.clone(),
            ..Entry::default()
        };
        goes_into(dest, sources, &address, &entry)
    }

    #[test]
    fn a_slash_many_sources_or_a_pattern_mean_into() {
        let here = tempfile::tempdir().unwrap();
        let here = here.path().to_str().unwrap();
        for dest in ["new/", ".", "..", "/", "a/."] {
            assert!(into(dest, 1, "/a", true), "{dest}");
        }
        assert!(into("new", 2, "/a", false));
        assert!(into("new", 1, "/a*", false));
        assert!(into(here, 1, "/a", false));
        assert!(
            !into(here, 1, "/a", true),
            "so that it goes on in the folder that it has begun"
        );
        assert!(!into("new", 1, "/a", false));
    }
}
