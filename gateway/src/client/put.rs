//! `moongate put`: what goes where, and the streams that carry it.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use form_urlencoded::Serializer;
use tokio::sync::mpsc;

use super::address::{Address, join, name_of, parent_of};
use super::args::PutArgs;
use super::error::ClientError;
use super::expand;
use super::queue::queue;
use super::remote::Remote;
use super::report::{Outcome, Report};
use super::same::{Care, Known};
use super::streams;
use super::unpack;
use super::upload::Upload;
use super::walk::{Found, LocalFile, Stop, walk};
use super::whole_file;

/// Standard input.
const STDIN: &str = "-";
/// So many files are asked for one by one; of more their folder is listed.
const ASKED_MAX: usize = 8;

/// A source here, and the name it has below the base there; empty for a folder that is the base.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Source {
    path: String,
    name: String,
}

/// What goes where.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Plan {
    base: String,
    sources: Vec<Source>,
}

/// Carries out `moongate put`.
///
/// # Errors
/// What concerns all of it; what concerns a file is reported.
pub async fn run(
    args: &PutArgs,
    remote: Remote,
    to: Address,
    report: &Arc<Report>,
) -> Result<(), ClientError> {
    let Some((_, sources)) = args.paths.split_last() else {
        return Ok(());
    };
    let query = query(args);
    if args.unpack {
        return unpack::run(sources, &remote, &to, &query, report).await;
    }
    if sources.iter().any(|source| source == STDIN) {
        return stdin(sources, &remote, &to, &query, report).await;
    }
    let plan = plan(sources, &to, report)?;
    let care = Care::of(args.carrying.fast, args.carrying.again);
    let there = match care {
        // Asked all the same, so that a server that is not there is noticed at once.
        Care::Never => probe(&remote).await.map(|()| HashMap::new())?,
        Care::Checksum | Care::Time => already_there(&remote, &plan).await?,
    };
    let upload = Arc::new(Upload {
        remote,
        report: Arc::clone(report),
        base: plan.base,
        there,
        care,
        query,
    });
    carry(upload, plan.sources, args.carrying.jobs).await
}

fn query(args: &PutArgs) -> String {
    let mut query = Serializer::new(String::new());
    for (name, value) in [("ttl", &args.ttl), ("collection", &args.collection)] {
        if !value.is_empty() {
            query.append_pair(name, value);
        }
    }
    query.finish()
}

async fn stdin(
    sources: &[String],
    remote: &Remote,
    to: &Address,
    query: &str,
    report: &Report,
) -> Result<(), ClientError> {
    if sources.len() > 1 || to.folder_form {
        let text = "put - URL: standard input is one file, and URL its name (no slash at its end)";
        return Err(ClientError::Usage(text.to_owned()));
    }
    report.found_all();
    match whole_file::put_stdin(remote, report, &to.path, query).await {
        Err(error) if error.is_unreachable() => return Err(error),
        Err(error) => report.item(&to.path, &Outcome::Failed(error.to_string())),
        Ok(outcome) => report.item(&to.path, &outcome),
    }
    Ok(())
}

/// Works out the names there. They depend only on how the arguments are written (and on whether SRC is a folder), never on what is
/// there: so that the same command goes on where it was interrupted.
fn plan(sources: &[String], to: &Address, report: &Report) -> Result<Plan, ClientError> {
    let into = to.folder_form
        || sources.len() > 1
        || sources.iter().any(|source| expand::is_pattern(source));
    let mut paths = Vec::new();
    for source in sources {
        match expand::here(source) {
            Ok(found) => paths.extend(found),
            Err(error @ ClientError::Usage(_)) => return Err(error),
            Err(error) => report.item(source, &Outcome::Failed(error.to_string())),
        }
    }
    let named = paths.iter().map(|path| path.to_string_lossy().into_owned());
    if into {
        let sources: Vec<_> = named
            .map(|path| Source {
                name: name_in(&path),
                path,
            })
            .collect();
        check_names(&sources)?;
        return Ok(Plan {
            base: to.path.clone(),
            sources,
        });
    }
    let is_folder = paths.iter().any(|path| path.is_dir());
    let (base, name) = match is_folder {
        true => (to.path.clone(), String::new()),
        false => (parent_of(&to.path).to_owned(), name_of(&to.path).to_owned()),
    };
    let sources = named.map(|path| Source {
        name: name.clone(),
        path,
    });
    Ok(Plan {
        base,
        sources: sources.collect(),
    })
}

/// Two files of one name would be one there, and which of them is left to chance.
fn check_names(sources: &[Source]) -> Result<(), ClientError> {
    let mut seen = HashMap::new();
    for source in sources.iter().filter(|source| !source.name.is_empty()) {
        if let Some(other) = seen.insert(&source.name, &source.path) {
            let text = format!(
                "{other} and {} would both be {}: send them to two folders",
                source.path, source.name
            );
            return Err(ClientError::Usage(text));
        }
    }
    Ok(())
}

/// The name that a path has in the folder it goes into; none for what is in a folder (`photos/`, `.`).
fn name_in(path: &str) -> String {
    match path.ends_with('/') {
        true => String::new(),
        false => Path::new(path)
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
    }
}

async fn probe(remote: &Remote) -> Result<(), ClientError> {
    match remote.stat("/").await {
        Err(error) if error.is_unreachable() => Err(error),
        _ => Ok(()),
    }
}

/// What is below the base already, of what may be the same as something here.
async fn already_there(
    remote: &Remote,
    plan: &Plan,
) -> Result<HashMap<String, Known>, ClientError> {
    let mut there = HashMap::new();
    let (folders, files): (Vec<_>, Vec<_>) = plan
        .sources
        .iter()
        .partition(|source| Path::new(&source.path).is_dir());
    for source in folders {
        let folder = if source.name.is_empty() {
            plan.base.clone()
        } else {
            join(&plan.base, &source.name)
        };
        list_into(remote, &plan.base, &folder, true, &mut there).await?;
    }
    if files.len() > ASKED_MAX {
        list_into(remote, &plan.base, &plan.base, false, &mut there).await?;
        return Ok(there);
    }
    for source in files {
        match remote.stat(&join(&plan.base, &source.name)).await {
            Ok(entry) if !entry.is_folder() => {
                there.insert(source.name.clone(), Known::from(&entry));
            }
            Ok(_) => {}
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(there)
}

async fn list_into(
    remote: &Remote,
    base: &str,
    folder: &str,
    recursive: bool,
    there: &mut HashMap<String, Known>,
) -> Result<(), ClientError> {
    let mut listing = remote.list(folder, recursive);
    loop {
        match listing.next().await {
            Ok(Some(entry)) if entry.is_folder() => {}
            Ok(Some(entry)) => {
                let name = entry
                    .full_path
                    .strip_prefix(base)
                    .unwrap_or(&entry.full_path);
                there.insert(name.trim_start_matches('/').to_owned(), Known::from(&entry));
            }
            Ok(None) => return Ok(()),
            Err(error) if error.is_missing() => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// Walks the sources in a thread, and sends what is found over `jobs` streams.
async fn carry(upload: Arc<Upload>, sources: Vec<Source>, jobs: u16) -> Result<(), ClientError> {
    let (sender, queue) = queue();
    let (folders, empty) = mpsc::unbounded_channel();
    let report = Arc::clone(&upload.report);
    let base = upload.base.clone();
    let walking =
        tokio::task::spawn_blocking(move || find(&sources, &base, &report, &sender, &folders));
    let queue = Arc::new(queue);
    streams::run(jobs, || Arc::clone(&upload).work(Arc::clone(&queue))).await?;
    // It has ended: the streams only do when it has.
    walking
        .await
        .map_err(|error| ClientError::Impossible(error.to_string()))?;
    make_folders(&upload, empty).await
}

fn find(
    sources: &[Source],
    base: &str,
    report: &Report,
    files: &mpsc::Sender<LocalFile>,
    folders: &mpsc::UnboundedSender<String>,
) {
    let mut tell = |found| {
        match found {
            Found::File(file) => {
                report.found(file.bytes);
                return files.blocking_send(file).map_err(|_| Stop);
            }
            Found::EmptyFolder(name) => folders.send(join(base, &name)).map_err(|_| Stop)?,
            Found::Failed(path, reason) => {
                report.item(&path.to_string_lossy(), &Outcome::Failed(reason))
            }
        }
        Ok(())
    };
    for source in sources {
        if walk(Path::new(&source.path), &source.name, &mut tell).is_err() {
            return;
        }
    }
    report.found_all();
}

/// Folders with nothing in them: the others are made by what is put into them.
async fn make_folders(
    upload: &Upload,
    mut empty: mpsc::UnboundedReceiver<String>,
) -> Result<(), ClientError> {
    while let Some(path) = empty.recv().await {
        match upload.remote.make_folder(&path).await {
            Ok(()) => {}
            Err(error) if error.is_unreachable() => return Err(error),
            Err(error) => upload
                .report
                .item(&path, &Outcome::Failed(error.to_string())),
        }
    }
    Ok(())
}

/// Opens a file to send.
pub fn open(path: &str) -> Result<File, ClientError> {
    File::open(path).map_err(|error| ClientError::local(path.as_ref(), error))
}

#[cfg(test)]
mod tests {
    use super::super::address::Server;
    use super::super::report::Loudness;
    use super::*;

    fn planned(sources: &[&str], to: &str) -> (String, Vec<String>) {
        let server = Server::parse("h").unwrap();
        let to = Address::parse(to, &server).unwrap();
        let sources: Vec<String> = sources.iter().map(|source| (*source).to_owned()).collect();
        let report = Report::begin(
            Loudness {
                quiet: true,
                json: false,
            },
            "sent",
        );
        let plan = plan(&sources, &to, &report).unwrap();
        (
            plan.base,
            plan.sources.into_iter().map(|source| source.name).collect(),
        )
    }

    #[test]
    fn two_sources_of_one_name_are_refused() {
        let source = |path: &str| Source {
            name: name_in(path),
            path: path.to_owned(),
        };
        assert!(check_names(&["a/x", "b/x"].map(source)).is_err());
        assert!(check_names(&["a/x", "b/y", "a/", "b/"].map(source)).is_ok());
    }

    #[test]
    fn names_there_follow_from_how_the_arguments_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let photos = folder.path().join("photos");
        std::fs::create_dir(&photos).unwrap();
        let photos = photos.to_str().unwrap();
        let slashed = format!("{photos}/");
        for (sources, to, base, names) in [
            (&["a/cat.jpg"][..], "/p/", "/p", &["cat.jpg"][..]),
            (&["cat.jpg"], "/p/dog.jpg", "/p", &["dog.jpg"]),
            (&["cat.jpg"], "/dog.jpg", "/", &["dog.jpg"]),
            (
                &["cat.jpg", "b/dog.jpg"],
                "/p",
                "/p",
                &["cat.jpg", "dog.jpg"],
            ),
            (&[photos], "/p/", "/p", &["photos"]),
            (&[photos], "/p", "/p", &[""]),
            (&[&slashed], "/p/", "/p", &[""]),
            (&["."], "/p/", "/p", &[""]),
        ] {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(
                planned(sources, to),
                (base.to_owned(), names),
                "{sources:?} {to}"
            );
        }
    }
}
