//! Several streams at the same work.

use tokio::task::JoinSet;

use super::error::ClientError;

/// Runs `jobs` streams until all have ended, or one has failed for all of them: then the others are stopped.
///
/// # Errors
/// The first one.
pub async fn run<F>(jobs: u16, stream: impl Fn() -> F) -> Result<(), ClientError>
where
    F: Future<Output = Result<(), ClientError>> + Send + 'static,
{
    let mut streams: JoinSet<_> = (0..jobs.max(1)).map(|_| stream()).collect();
    while let Some(ended) = streams.join_next().await {
        ended.map_err(|error| ClientError::Impossible(error.to_string()))??;
    }
    Ok(())
}
