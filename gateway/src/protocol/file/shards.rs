//! `GET /folder/?shards=N&shard=I&seed=S[&at=TOKEN]`: a WebDataset tar, made on the fly.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use moongate_filer::{Filer, FilerError};

use super::Ask;
use crate::archive::Format;
use crate::files::FileError;
use crate::files::shards::permutation::Permutation;
use crate::files::shards::pin::Pin;
use crate::files::shards::{ShardsError, range};
use crate::http::Response;
use crate::protocol::batch::export::{Item, Source};
use crate::protocol::batch::gather::{self, Order};
use crate::state::Gateway;

/// Names the listing that was seen, to be given as `at` from then on.
const AT: HeaderName = HeaderName::from_static("moongate-at");
const SAMPLES: HeaderName = HeaderName::from_static("moongate-samples");
const SHARDS_MAX: u64 = 1 << 20;

/// Sends one shard.
pub async fn shard(gateway: &Arc<Gateway>, ask: Ask<'_>) -> Result<Response, FileError> {
    let shards = number(&ask, "shards")?.unwrap_or(1);
    let shard = number(&ask, "shard")?.unwrap_or(0);
    let seed = number(&ask, "seed")?.unwrap_or(0);
    if shards == 0 || shards > SHARDS_MAX || shard >= shards {
        return Err(FileError::BadRequest(format!(
            "shard={shard} of shards={shards}: shards are 1 to {SHARDS_MAX}, shard counts from 0"
        )));
    }
    let (token, pin) = pinned(gateway, &ask).await?;
    let samples = pin.len();
    let source = move |_: &Filer, send: &mut dyn FnMut(Item) -> bool| {
        deal(&pin, range(samples, shards, shard), seed, send)
    };
    let mut response = gather::send(
        gateway,
        Format::Tar,
        &format!("shard-{shard:06}"),
        Order::Asked,
        source,
    )
    .await?;
    let headers = response.headers_mut();
    if let Ok(token) = HeaderValue::try_from(token) {
        headers.insert(AT, token);
    }
    headers.insert(SAMPLES, samples.into());
    Ok(response)
}

fn number(ask: &Ask<'_>, name: &str) -> Result<Option<u64>, FileError> {
    let number = |text: &str| {
        text.parse()
            .map_err(|_| FileError::BadRequest(format!("{name}={text:?} is not a number")))
    };
    ask.query.get_set(name).map(number).transpose()
}

async fn pinned(gateway: &Arc<Gateway>, ask: &Ask<'_>) -> Result<(String, Arc<Pin>), FileError> {
    let (shards, folder) = (Arc::clone(gateway.files.shards()), ask.target.path.clone());
    let at = ask.query.get_set("at").map(str::to_owned);
    let pinned = tokio::task::spawn_blocking(move || match at {
        Some(token) => shards.at(&token).map(|pin| (token, pin)),
        None => shards.pin(&folder),
    });
    match pinned.await {
        Ok(pinned) => Ok(pinned?),
        Err(error) => Err(FilerError::Storage(error.to_string().into()).into()),
    }
}

/// Sends the samples at these places of the shuffled order, each whole.
fn deal(
    pin: &Pin,
    places: std::ops::Range<u64>,
    seed: u64,
    send: &mut dyn FnMut(Item) -> bool,
) -> Result<(), FilerError> {
    let order = Permutation::new(pin.len(), seed);
    for place in places {
        let sample = pin.sample(order.at(place));
        let sample = sample
            .map_err(|error| FilerError::Storage(ShardsError::from(error).to_string().into()))?;
        for file in sample {
            if !send(Item {
                name: Some(file.name),
                source: Source::File(Box::new(file.entry)),
            }) {
                return Ok(());
            }
        }
    }
    Ok(())
}
