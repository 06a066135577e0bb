//! `GET /folder/?shards=N&shard=I&seed=S[&at=TOKEN]`: a WebDataset tar, made on the fly.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use moongate_cache::{Backend as _, Caller, Freshness};
use moongate_filer::{Entry, FilePath, Filer, FilerError, ListOptions, Name};
use moongate_haystack::store::now_ns;
use tokio::runtime::Handle;

use super::mounted::entry_of;
use super::mounts_in::Merged;
use super::{Ask, mounts_in};
use crate::archive::Format;
use crate::files::FileError;
use crate::files::shards::permutation::Permutation;
use crate::files::shards::pin::{Listed, Pin};
use crate::files::shards::{Folders, ShardsError, range};
use crate::http::Response;
use crate::namespace::path as paths;
use crate::namespace::table::Table;
use crate::protocol::batch::export::{Item, Named, Source};
use crate::protocol::batch::gather::{self, Order};
use crate::state::Gateway;

/// Names the listing that was seen, to be given as `at` from then on.
const AT: HeaderName = HeaderName::from_static("moongate-at");
const SAMPLES: HeaderName = HeaderName::from_static("moongate-samples");
const SHARDS_MAX: u64 = 1 << 20;
/// Entries that are asked of a mount's store at once.
const PAGE_LEN: usize = 10_000;

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
    let caller = ask.caller.clone();
    let (token, pin) = pinned(gateway, &ask, &caller).await?;
    let samples = pin.len();
    let sender = Sender {
        folder: ask.target.path.clone(),
        mounts: gateway.namespace.table(),
        caller,
    };
    let source = move |_: &Filer, send: &mut dyn FnMut(Item) -> bool| {
        sender.deal(&pin, range(samples, shards, shard), seed, send)
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

async fn pinned(
    gateway: &Arc<Gateway>,
    ask: &Ask<'_>,
    caller: &Caller,
) -> Result<(String, Arc<Pin>), FileError> {
    let (shards, folder) = (Arc::clone(gateway.files.shards()), ask.target.path.clone());
    let folders = Spanning {
        gateway: Arc::clone(gateway),
        caller: caller.clone(),
        runtime: Handle::current(),
    };
    let at = ask.query.get_set("at").map(str::to_owned);
    let pinned = tokio::task::spawn_blocking(move || match at {
        Some(token) => shards.at(&token).map(|pin| (token, pin)),
        None => shards.pin(&folders, &folder),
    });
    match pinned.await {
        Ok(pinned) => Ok(pinned?),
        Err(error) => Err(FilerError::Storage(error.to_string().into()).into()),
    }
}

/// Folders of the namespace, in whichever store each is. For a thread that may wait.
struct Spanning {
    gateway: Arc<Gateway>,
    caller: Caller,
    runtime: Handle,
}

impl Folders for Spanning {
    fn each(
        &self,
        folder: &FilePath,
        take: &mut dyn FnMut(Name, Entry) -> Result<(), ShardsError>,
    ) -> Result<(), ShardsError> {
        let (namespace, wish) = (&self.gateway.namespace, ListOptions::default());
        if namespace.is_mounted(folder.as_str()) {
            return self.mounted(folder, take);
        }
        let mounts = mounts_in::wished(namespace, folder.as_str(), &wish);
        let listing = match self.gateway.files.filer().list(folder, wish, now_ns()) {
            Err(FilerError::NotFound(_)) if !mounts.is_empty() => None,
            listing => Some(listing?),
        };
        for item in Merged::new(listing.into_iter().flatten(), mounts) {
            let (name, entry) = item?;
            take(name, entry)?;
        }
        Ok(())
    }
}

impl Spanning {
    fn mounted(
        &self,
        folder: &FilePath,
        take: &mut dyn FnMut(Name, Entry) -> Result<(), ShardsError>,
    ) -> Result<(), ShardsError> {
        let mut after: Option<String> = None;
        loop {
            let (namespace, path) = (&self.gateway.namespace, folder.as_str());
            let page = namespace.list(
                &self.caller,
                path,
                after.as_deref(),
                PAGE_LEN,
                Freshness::Now,
            );
            let page = self.runtime.block_on(page)?;
            for status in page.entries.iter() {
                if status.name.is_empty() {
                    return Err(FilerError::NotAFolder(folder.clone()).into());
                }
                take(Name::parse(&status.name)?, entry_of(status))?;
            }
            after = page.entries.last().map(|last| last.name.clone());
            if !page.more || after.is_none() {
                return Ok(());
            }
        }
    }
}

/// Sends samples of a folder.
struct Sender {
    folder: FilePath,
    mounts: Arc<Table>,
    caller: Caller,
}

impl Sender {
    /// Sends the samples at these places of the shuffled order, each whole.
    fn deal(
        &self,
        pin: &Pin,
        places: std::ops::Range<u64>,
        seed: u64,
        send: &mut dyn FnMut(Item) -> bool,
    ) -> Result<(), FilerError> {
        let order = Permutation::new(pin.len(), seed);
        for place in places {
            let sample = pin.sample(order.at(place));
            let sample = sample.map_err(|error| {
                FilerError::Storage(ShardsError::from(error).to_string().into())
            })?;
            for file in sample {
                if !send(self.item(file)) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Of the gateway's own files the contents are pinned, of mounts the names.
    fn item(&self, file: Listed) -> Item {
        let path = paths::join(self.folder.as_str(), &file.name);
        let source = match self.mounts.resolve(&path) {
            None => Source::File(Box::new(file.entry)),
            Some(_) => Source::Named(Arc::new(Named {
                path,
                caller: self.caller.clone(),
            })),
        };
        Item {
            name: Some(file.name),
            source,
        }
    }
}
