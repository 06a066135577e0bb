//! `moongate put --unpack`: a tar goes to the server as it is, which stores what is in it.

use std::path::Path;

use super::address::{Address, join};
use super::answers::{self, Line};
use super::entry::parse_crc32c;
use super::error::ClientError;
use super::put;
use super::remote::{Remote, folder_form};
use super::report::{Outcome, Report};
use super::upload::batch_call;
use super::whole_file::Stream;

/// Sends each archive; one that could not be sent as a whole is a failure, and what is in it may be stored in part.
///
/// # Errors
/// [`ClientError::Unreachable`].
pub async fn run(
    sources: &[String],
    remote: &Remote,
    to: &Address,
    query: &str,
    report: &Report,
) -> Result<(), ClientError> {
    for source in sources {
        match one(source, remote, to, query, report).await {
            Err(error) if error.is_unreachable() => return Err(error),
            Err(error) => report.item(source, &Outcome::Failed(error.to_string())),
            Ok(()) => {}
        }
    }
    Ok(())
}

/// One archive; a file is sent again where the connection breaks before anything was stored. Standard input cannot be.
async fn one(
    source: &str,
    remote: &Remote,
    to: &Address,
    query: &str,
    report: &Report,
) -> Result<(), ClientError> {
    if source == "-" {
        return send(
            Stream::begin(std::io::stdin(), None),
            source,
            remote,
            to,
            query,
            report,
        )
        .await;
    }
    let done_before = report.totals().done;
    let mut patience = remote.patience();
    loop {
        let file = put::open(source)?;
        let bytes = file
            .metadata()
            .map_err(|error| ClientError::local(source.as_ref(), error))?
            .len();
        let stream = Stream::begin(file, Some(bytes));
        match send(stream, source, remote, to, query, report).await {
            Ok(()) => return Ok(()),
            Err(error) if report.totals().done > done_before => return Err(error),
            Err(error) => remote.pause(&mut patience, error).await?,
        }
    }
}

async fn send(
    stream: Stream,
    source: &str,
    remote: &Remote,
    to: &Address,
    query: &str,
    report: &Report,
) -> Result<(), ClientError> {
    let (body, reader) = stream.split();
    let moved = body.moved();
    let folder = folder_form(&to.path);
    let sending = async {
        let answer = remote
            .http
            .send_any(batch_call(&folder, query, body))
            .await?;
        let tell = |line: Line| {
            report.item(&join(&to.path, &line.name), &outcome(&line));
        };
        answers::read(answer.lines_or_refusal().await?, tell).await
    };
    let sent = super::meter::metered(report, &moved, sending).await;
    if sent.is_err()
        && reader.is_finished()
        && let Ok(Err(error)) = reader.await
    {
        return Err(ClientError::local(Path::new(source), error));
    }
    sent
}

fn outcome(line: &Line) -> Outcome {
    match &line.error {
        Some(error) => Outcome::Failed(error.clone()),
        None => Outcome::Done {
            bytes: line.size,
            crc32c: line.crc32c.as_deref().and_then(parse_crc32c),
        },
    }
}
