//! `POST /batch/get`: many images as one archive.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, header};
use hyper::body::Incoming;
use moongate_haystack::HaystackError;
use moongate_haystack::id::FileId;
use moongate_haystack::needle::Needle;
use moongate_haystack::store::Store;
use serde::Serialize;

use super::super::error::ImageError;
use super::super::manifest::Manifest;
use super::super::path::ObjectPath;
use super::super::read::{load, unpacked};
use super::image::{by_fid, entry};
use super::list::{self, List, Wanted};
use crate::archive::{Format, names};
use crate::http::Response;
use crate::http::query::Query;
use crate::metrics::Operation;
use crate::protocol::batch::BUDGET_WAIT;
use crate::protocol::batch::outgoing::{Cut, Outgoing};
use crate::protocol::batch::stored::{self, Place};
use crate::state::Gateway;

/// Images that are looked up at once.
const WINDOW_LEN: usize = 512;
/// Records that are read at once.
const WINDOW_BYTES: u64 = 4 << 20;
/// A record that is read alone, and charged on its own.
const LARGE_BYTES: u64 = WINDOW_BYTES;
/// What a download may hold but for large images and what grows with the list: a window with what stands between its records, and what
/// waits to be sent.
const HELD_BYTES: u64 = 16 << 20;

/// Sends the images of a list as `format=tar|zip|multipart` (or what `Accept` says, or a tar), in the order asked or as they are stored.
pub async fn download(
    gateway: &Arc<Gateway>,
    headers: &HeaderMap,
    query: &Query<'_>,
    body: Incoming,
) -> Result<Response, ImageError> {
    let format = format(headers, query)?;
    let by_place = match query.get("order") {
        None | Some("" | "asked") => false,
        Some("stored") => true,
        Some(other) => {
            let text = format!("order={other:?} is neither asked nor stored");
            return Err(ImageError::BadRequest(text));
        }
    };
    let mut list = list::read(gateway, headers, body).await?;
    let share = HELD_BYTES.min(gateway.budget.total_bytes() / 4);
    let permit = gateway.budget.take(share, BUDGET_WAIT).await;
    let permit = permit.ok_or(HaystackError::Busy)?;
    if by_place {
        list = sorted(gateway, list).await?;
    }
    let (outgoing, response) = Outgoing::new(format, "images", gateway.budget.clone(), permit);
    let run = Run {
        gateway: Arc::clone(gateway),
        outgoing,
    };
    tokio::spawn(run.run(list));
    Ok(response)
}

fn format(headers: &HeaderMap, query: &Query<'_>) -> Result<Format, ImageError> {
    if let Some(word) = query.get_set("format") {
        return Format::by_word(word).ok_or_else(|| {
            ImageError::BadRequest(format!("format={word:?} is none of tar, zip, multipart"))
        });
    }
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok());
    Ok(accept.and_then(Format::by_accept).unwrap_or(Format::Tar))
}

/// The list in the order of the volumes and of the places in them; what is not found comes first.
async fn sorted(gateway: &Arc<Gateway>, mut list: List) -> Result<List, ImageError> {
    let store = Arc::clone(&gateway.store);
    let sorted = tokio::task::spawn_blocking(move || {
        list.wanted
            .sort_by_cached_key(|wanted| place_key(&store, &wanted.fid));
        list
    });
    Ok(sorted
        .await
        .map_err(|e| HaystackError::Storage(e.to_string().into()))?)
}

fn place_key(store: &Store, fid: &FileId) -> (u32, u64) {
    let place = stored::locate_slow(store, fid);
    place.map_or((0, 0), |(_, entry)| (fid.volume.0, entry.offset))
}

/// One download.
struct Run {
    gateway: Arc<Gateway>,
    outgoing: Outgoing,
}

#[derive(Serialize)]
struct ErrorLine<'a> {
    fid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    error: String,
}

impl Run {
    async fn run(mut self, list: List) {
        let sent = self.send_all(&list).await;
        let (images, failed) = (self.outgoing.entries, self.outgoing.failed());
        let metrics = &self.gateway.metrics;
        metrics.batch(Operation::BatchGet, images, failed, self.outgoing.bytes);
        self.outgoing.end_with(sent).await;
    }

    async fn send_all(&mut self, list: &List) -> Result<(), Cut> {
        for wanted in list.wanted.chunks(WINDOW_LEN) {
            let fids: Vec<FileId> = wanted.iter().map(|wanted| wanted.fid).collect();
            let places = stored::locate_all(&self.gateway, &fids).await;
            let (mut wanted, mut fids, mut places) = (wanted, &fids[..], &places[..]);
            while !wanted.is_empty() {
                let len = window(places);
                self.window(&wanted[..len], &fids[..len], &places[..len])
                    .await?;
                (wanted, fids, places) = (&wanted[len..], &fids[len..], &places[len..]);
            }
            self.outgoing.pay_for_growth().await?;
        }
        Ok(())
    }

    /// Reads and sends images that fit into memory together.
    async fn window(
        &mut self,
        wanted: &[Wanted],
        fids: &[FileId],
        places: &[Place],
    ) -> Result<(), Cut> {
        let large = places
            .iter()
            .map(record_bytes)
            .max()
            .filter(|bytes| *bytes > LARGE_BYTES);
        let _permit = match large {
            Some(bytes) => Some(self.outgoing.pay(bytes).await?),
            None => None,
        };
        let needles = stored::read_all(&self.gateway, fids, places).await;
        for (wanted, needle) in wanted.iter().zip(needles) {
            let sent = match needle {
                Ok(needle) => self.image(wanted, &needle).await?,
                Err(error) => Err(error.into()),
            };
            if let Err(error) = sent {
                self.missing(wanted, &error);
            }
        }
        Ok(())
    }

    fn missing(&mut self, wanted: &Wanted, error: &ImageError) {
        self.outgoing.missing(&ErrorLine {
            fid: wanted.fid.to_string(),
            name: wanted.name.as_deref(),
            error: error.to_string(),
        });
    }

    /// Adds an image to the archive, or says why it cannot be.
    async fn image(
        &mut self,
        wanted: &Wanted,
        needle: &Needle,
    ) -> Result<Result<(), ImageError>, Cut> {
        if needle.is_chunk_manifest() {
            return self.chunked(wanted, needle).await;
        }
        let data = match unpacked(needle).await {
            Ok(data) => data,
            Err(error) => return Ok(Err(error.into())),
        };
        let name = self.name(wanted, needle);
        let entry = entry(&name, needle, data.len() as u64);
        self.outgoing.whole(&entry, data).await?;
        Ok(Ok(()))
    }

    /// A large object in chunks. All are verified before its entry begins: afterwards there is no way to leave it out.
    async fn chunked(
        &mut self,
        wanted: &Wanted,
        needle: &Needle,
    ) -> Result<Result<(), ImageError>, Cut> {
        let manifest = match self.verified(needle).await {
            Ok(manifest) => manifest,
            Err(error) => return Ok(Err(error)),
        };
        let name = self.name(wanted, needle);
        let len = manifest.len_bytes();
        self.outgoing.begin(&entry(&name, needle, len));
        for chunk in &manifest.chunks {
            let data = self
                .chunk(&chunk.fid)
                .await
                .map_err(|error| Cut(error.to_string()))?;
            self.outgoing.piece(data).await?;
        }
        self.outgoing.end(len)?;
        Ok(Ok(()))
    }

    /// A manifest whose chunks are all there, sound, and follow each other without a gap.
    async fn verified(&self, needle: &Needle) -> Result<Manifest, ImageError> {
        let manifest = Manifest::of(needle)?;
        let mut at = 0;
        for chunk in &manifest.chunks {
            let len = self.chunk(&chunk.fid).await?.len() as u64;
            if chunk.offset != at || chunk.size != len {
                let text = format!("the chunk manifest does not fit its chunks at offset {at}");
                return Err(HaystackError::Storage(text.into()).into());
            }
            at += len;
        }
        if at == manifest.len_bytes() {
            return Ok(manifest);
        }
        let text = format!(
            "the chunk manifest says {} bytes, its chunks have {at}",
            manifest.len_bytes()
        );
        Err(HaystackError::Storage(text.into()).into())
    }

    async fn chunk(&self, fid: &str) -> Result<Bytes, ImageError> {
        let object = ObjectPath {
            fid: fid.parse().map_err(|_| HaystackError::NotFound)?,
            ext: "",
            file_name: None,
            last_segment: "",
        };
        Ok(unpacked(&load(&self.gateway, &object, false).await?).await?)
    }

    fn name(&mut self, wanted: &Wanted, needle: &Needle) -> String {
        let stored = || names::safe(&String::from_utf8_lossy(needle.name()));
        let name = wanted.name.as_deref().map_or_else(stored, str::to_owned);
        let name = if name.is_empty() {
            by_fid(&wanted.fid, needle)
        } else {
            name
        };
        self.outgoing.unique(name)
    }
}

/// How many of these places are read at once: at least one, and a large one alone.
fn window(places: &[Place]) -> usize {
    let mut bytes = 0;
    let fits = places.iter().take_while(|place| {
        bytes += record_bytes(place);
        bytes <= WINDOW_BYTES
    });
    fits.count().max(1)
}

fn record_bytes(place: &Place) -> u64 {
    place
        .as_ref()
        .map_or(0, |(generation, entry)| generation.record_bytes(entry))
}
