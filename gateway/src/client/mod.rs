//! The commands that talk to a server: to its file port `put`, `get`, `ls`, `stat`, `rm`, `cp`, `mv`, `du`; to its admin port `mount`, `load`,
//! `free`, `pin`, `unpin`, `cache`.
//!
//! **Owns:** what the user of a file server expects of a client: folders and globs, many streams, progress, resuming, retries, exit
//! codes. **Refuses to own:** anything of the server: it knows its HTTP calls only.
//!
//! **Life of a `put`:** [`put`] works out which name each source has there and lists what is there; a thread walks the sources
//! ([`walk`]) into a [`queue`]; a few streams ([`upload`]) take files from it, leave out what is the same ([`same`]), and send small
//! ones as a tar, large ones alone ([`whole_file`]); every answer is compared with what was sent. A `get` is the same the other way
//! ([`get`], [`download`], [`fetch`], [`part`]). What happens to each file is told to the [`report`].

pub mod access;
mod across;
pub mod address;
mod answers;
pub mod args;
mod body;
mod cache;
mod change;
pub mod delegation;
mod download;
mod entry;
mod error;
mod expand;
mod failures;
mod fetch;
mod get;
mod http;
mod lines;
#[cfg(test)]
mod manual;
mod meter;
mod mounts;
mod part;
mod policy;
mod put;
mod queue;
mod remote;
mod report;
mod retry;
mod same;
mod show;
mod streams;
mod unpack;
mod unpacking;
mod upload;
mod walk;
pub mod whoami;
mod whole_file;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use self::address::{Address, Server};
use self::args::{Carrying, Connection, EXIT_INTERRUPTED, EXIT_UNREACHABLE, GetArgs, PutArgs};
use self::change::Verb;
use self::error::ClientError;
use self::failures::Failures;
use self::http::Http;
use self::remote::Remote;
use self::report::{Loudness, Report};
use crate::cli::{Command, EXIT_OK, EXIT_PROBLEMS, EXIT_USAGE};
use crate::token::{TokenArgs, TokenCommand};

/// Files that were begun are removed within this time when the command is stopped.
const SHUTDOWN_MAX: Duration = Duration::from_secs(2);

/// How a command ended.
type Ended = Result<bool, ClientError>;

/// Carries out a command that talks to a server; all that goes wrong is told on standard error. `None` for other commands.
///
/// # Errors
/// That no threads can be had.
pub fn run(command: &Command) -> std::io::Result<Option<ExitCode>> {
    if matches!(
        command,
        Command::Serve(_) | Command::CheckConfig(_) | Command::Fsck(_) | Command::Version(_)
    ) {
        return Ok(None);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let code = runtime.block_on(async { exit_code(carry_out(command).await) });
    // A thread that waits for standard input is not waited for.
    runtime.shutdown_timeout(SHUTDOWN_MAX);
    Ok(Some(ExitCode::from(code)))
}

/// `Ok(true)`: all was done; `Ok(false)`: some of it, and what was not has been told.
fn exit_code(ended: Result<Ended, Interrupted>) -> u8 {
    match ended {
        Err(Interrupted) => EXIT_INTERRUPTED,
        Ok(Ok(true)) => EXIT_OK,
        Ok(Ok(false)) => EXIT_PROBLEMS,
        Ok(Err(ClientError::Local { error, .. }))
            if error.kind() == std::io::ErrorKind::BrokenPipe =>
        {
            EXIT_PROBLEMS
        }
        Ok(Err(error)) => {
            eprintln!("moongate: {error}");
            match error {
                ClientError::Usage(_) => EXIT_USAGE,
                ClientError::Unreachable { .. } => EXIT_UNREACHABLE,
                _ => EXIT_PROBLEMS,
            }
        }
    }
}

/// A signal came.
#[derive(Debug)]
struct Interrupted;

async fn carry_out(command: &Command) -> Result<Ended, Interrupted> {
    let carrying = match command {
        Command::Put(args) => {
            return put_or_get(&args.carrying, "sent", |report| put(args, report)).await;
        }
        Command::Get(args) => {
            return put_or_get(&args.carrying, "fetched", |report| get(args, report)).await;
        }
        command => ask(command),
    };
    tokio::select! {
        ended = carrying => Ok(ended),
        () = stopped() => Err(Interrupted),
    }
}

async fn put_or_get<F: Future<Output = Result<(), ClientError>>>(
    carrying: &Carrying,
    verb: &'static str,
    work: impl FnOnce(Arc<Report>) -> F,
) -> Result<Ended, Interrupted> {
    let report = Report::begin(
        Loudness {
            quiet: carrying.quiet,
            json: carrying.json,
        },
        verb,
    );
    tokio::select! {
        ended = work(Arc::clone(&report)) => {
            // Where nothing was begun there is nothing to sum up.
            if ended.is_ok() || report.totals().any() {
                report.end();
            }
            Ok(ended.map(|()| report.totals().failed == 0))
        }
        () = stopped() => {
            report.end();
            report.complain("stopped: run the same command again to go on, what is there will not be carried again");
            Err(Interrupted)
        }
    }
}

async fn stopped() {
    let signals = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    );
    let (Ok(mut interrupt), Ok(mut terminate)) = signals else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

async fn put(args: &PutArgs, report: Arc<Report>) -> Result<(), ClientError> {
    let connection = &args.carrying.connection;
    let url = args.paths.last().map_or("", String::as_str);
    let to = Address::parse(url, &connection.server)?;
    let remote = connect(connection, &to.server)?;
    put::run(args, remote, to, &report).await
}

async fn get(args: &GetArgs, report: Arc<Report>) -> Result<(), ClientError> {
    let connection = &args.carrying.connection;
    let urls = match (&args.tar, args.paths.split_last()) {
        (None, Some((_, []))) => {
            return Err(ClientError::Usage(
                "get URL... DEST: DEST is missing; . is the folder here, - standard output"
                    .to_owned(),
            ));
        }
        (None, Some((dest, _))) if dest == "-" && args.carrying.json => {
            return Err(ClientError::Usage(
                "get URL -: --json would mix with the contents".to_owned(),
            ));
        }
        (None, Some((_, urls))) => urls,
        _ => &args.paths,
    };
    let (remote, from) = addresses(connection, urls)?;
    get::run(args, remote, from, &report).await
}

async fn ask(command: &Command) -> Ended {
    match command {
        Command::Mount(args) => return mounts::run(args).await.map(|()| true),
        Command::Policy(args) => return policy::run(args).await.map(|()| true),
        Command::Load(args) => return cache::load(args).await,
        Command::Free(args) => return cache::change("free", args).await.map(|()| true),
        Command::Pin(args) => return cache::change("pin", args).await.map(|()| true),
        Command::Unpin(args) => return cache::change("unpin", args).await.map(|()| true),
        Command::Cache(args) => return cache::stat(args).await.map(|()| true),
        Command::Whoami(args) => return whoami::run(args).await.map(|()| true),
        Command::Token(args) => return token(args).await.map(|()| true),
        _ => {}
    }
    let mut failures = Failures::default();
    let (connection, urls) = match command {
        Command::Ls(args) => (&args.connection, &args.urls),
        Command::Stat(args) => (&args.connection, &args.urls),
        Command::Du(args) => (&args.connection, &args.urls),
        Command::Rm(args) => (&args.connection, &args.urls),
        Command::Cp(args) | Command::Mv(args) => (&args.connection, &args.urls),
        _ => return Ok(true),
    };
    let (remote, at) = addresses(connection, urls)?;
    match command {
        Command::Ls(args) => show::ls(args, &remote, &at, &mut failures).await?,
        Command::Stat(args) => show::stat(args, &remote, &at, &mut failures).await?,
        Command::Du(args) => show::du(args, &remote, &at, &mut failures).await?,
        Command::Rm(args) => change::rm(args, &remote, &at, &mut failures).await?,
        Command::Cp(args) => {
            change::transfer(Verb::Copy, args, &remote, &at, &mut failures).await?
        }
        Command::Mv(args) => {
            change::transfer(Verb::Move, args, &remote, &at, &mut failures).await?
        }
        _ => {}
    }
    Ok(!failures.any())
}

/// Delegation tokens; the others are made without a server.
async fn token(args: &TokenArgs) -> Result<(), ClientError> {
    match &args.what {
        TokenCommand::Get { desk, renewer } => {
            let token = desk.get(renewer.as_deref()).await?;
            delegation::tell(&token)
        }
        TokenCommand::Renew { desk, held } => {
            let until_ms = desk.renew(held).await?;
            delegation::tell(&crate::token::time(until_ms))
        }
        TokenCommand::Cancel { desk, held } => desk.cancel(held).await,
        TokenCommand::Key { .. }
        | TokenCommand::Hash
        | TokenCommand::Show
        | TokenCommand::Fid { .. } => Ok(()),
    }
}

fn connect(connection: &Connection, server: &Server) -> Result<Remote, ClientError> {
    let http = Http::open(server.clone(), &connection.access)?;
    Ok(Remote::new(http, connection.retries))
}

/// All addresses of a command, which are on one server.
fn addresses(
    connection: &Connection,
    urls: &[String],
) -> Result<(Remote, Vec<Address>), ClientError> {
    let addresses = urls
        .iter()
        .map(|url| Address::parse(url, &connection.server));
    let addresses = addresses.collect::<Result<Vec<_>, _>>()?;
    let server = addresses
        .first()
        .map_or(&connection.server, |address| &address.server);
    if let Some(other) = addresses.iter().find(|address| address.server != *server) {
        let text = format!("{other}: is on another server than {server}: one command talks to one");
        return Err(ClientError::Usage(text));
    }
    let remote = connect(connection, server)?;
    Ok((remote, addresses))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::Cli;

    fn code(line: &str) -> u8 {
        let command = Cli::try_parse_from(line.split(' ')).unwrap().command;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async { exit_code(carry_out(&command).await) })
    }

    #[test]
    fn exit_codes_tell_usage_from_a_server_that_is_not_there() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let nobody = format!("--server {}", free.local_addr().unwrap());
        drop(free);
        for line in [
            "ls relative",
            "cp /a photos",
            "get /a",
            "stat https://h:/a",
            "rm mg:/a http://h/b",
            "put a b",
            "get --tar - /a /b",
        ] {
            assert_eq!(
                code(&format!("moongate {line} {nobody}")),
                EXIT_USAGE,
                "{line}"
            );
        }
        for line in [
            "ls /",
            "put Cargo.toml /",
            "put --again Cargo.toml /",
            "get -q /a .",
            "get -q /a -",
            "du",
            "mv /a /b",
        ] {
            assert_eq!(
                code(&format!("moongate {line} {nobody}")),
                EXIT_UNREACHABLE,
                "{line}"
            );
        }
    }
}
