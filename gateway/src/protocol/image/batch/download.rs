//! `POST /batch/get`: many images as one archive.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use hyper::body::Incoming;
use moongate_haystack::HaystackError;
use moongate_haystack::id::FileId;
use moongate_haystack::needle::Needle;
use moongate_haystack::store::Store;

use super::super::error::ImageError;
use super::super::manifest::Manifest;
use super::super::path::ObjectPath;
use super::super::read::load;
use super::image::{MODE, by_fid, entry, plain};
use super::list::{self, List, Wanted};
use super::missing::Missing;
use super::stored::{self, Place};
use crate::archive::names::{self, UniqueNames};
use crate::archive::{Encoder, Entry, Format};
use crate::http::body::FrameSender;
use crate::http::disposition::{self, Disposition};
use crate::http::intake::{BudgetPermit, IntakeError};
use crate::http::query::Query;
use crate::http::{Body, Response};
use crate::metrics::Operation;
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
/// Output is sent on in pieces of about this size.
const PIECE_BYTES: usize = 512 << 10;
/// Data from this length on is sent as it was read, not copied.
const UNCOPIED_BYTES: usize = 128 << 10;
const PIECES_WAITING: usize = 2;
/// Names and directories grow; they are charged in steps.
const GROWTH_BYTES: usize = 4 << 20;
/// Last entry of an archive that lacks something.
const ERRORS_NAME: &str = "MOONGATE-ERRORS.jsonl";
const ERRORS_TRAILER: HeaderName = HeaderName::from_static("moongate-errors");

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
    let permit = gateway.budget.take(share, super::BUDGET_WAIT).await;
    let permit = permit.ok_or(HaystackError::Busy)?;
    if by_place {
        list = sorted(gateway, list).await?;
    }
    let encoder = Encoder::new(format, &format!("moongate-{:032x}", rand::random::<u128>()));
    let (sender, body) = Body::frames(PIECES_WAITING);
    let mut response = Response::new(body);
    let head = response.headers_mut();
    head.insert(header::CONTENT_TYPE, encoder.content_type());
    head.insert(header::TRAILER, HeaderValue::from_static("Moongate-Errors"));
    if let Some(name) = file_name(format) {
        let value = disposition::format(Disposition::Attachment, name);
        head.insert(header::CONTENT_DISPOSITION, value);
    }
    let run = Run {
        gateway: Arc::clone(gateway),
        encoder,
        names: UniqueNames::default(),
        out: Vec::with_capacity(PIECE_BYTES * 2),
        missing: Missing::default(),
        sender,
        sent: Sent::default(),
        permits: vec![permit],
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

const fn file_name(format: Format) -> Option<&'static str> {
    match format {
        Format::Tar => Some("images.tar"),
        Format::Zip => Some("images.zip"),
        Format::Multipart => None,
    }
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

/// Why a download is cut: nobody takes it, or it cannot be made whole.
struct Cut(String);

impl From<HaystackError> for Cut {
    fn from(error: HaystackError) -> Self {
        Self(error.to_string())
    }
}

/// One download.
struct Run {
    gateway: Arc<Gateway>,
    encoder: Encoder,
    names: UniqueNames,
    out: Vec<u8>,
    missing: Missing,
    sender: FrameSender,
    sent: Sent,
    /// The first is for what every download holds, the others for what grows.
    permits: Vec<BudgetPermit>,
}

#[derive(Default)]
struct Sent {
    images: u64,
    bytes: u64,
}

impl Run {
    async fn run(mut self, list: List) {
        let ended = self.send_all(&list).await;
        let metrics = &self.gateway.metrics;
        let failed = self.missing.count;
        metrics.batch(
            Operation::BatchGet,
            self.sent.images,
            failed,
            self.sent.bytes,
        );
        match ended {
            Ok(()) => {
                let trailer = (ERRORS_TRAILER, HeaderValue::from(failed));
                self.sender.finish(HeaderMap::from_iter([trailer]));
            }
            // The sender cuts the body when it goes.
            Err(_) if self.sender.is_closed() => {}
            Err(Cut(reason)) => tracing::warn!(reason, "a download of many images is cut"),
        }
    }

    async fn send_all(&mut self, list: &List) -> Result<(), Cut> {
        // Taken, so that no image gets it.
        self.names.unique(ERRORS_NAME.to_owned());
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
            self.pay_for_growth().await?;
        }
        self.finish().await
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
            Some(bytes) => Some(self.take(bytes).await?),
            None => None,
        };
        let needles = stored::read_all(&self.gateway, fids, places).await;
        for (wanted, needle) in wanted.iter().zip(needles) {
            let sent = match needle {
                Ok(needle) => self.image(wanted, &needle).await?,
                Err(error) => Err(error.into()),
            };
            if let Err(error) = sent {
                self.missing.add(wanted, &error);
            }
        }
        Ok(())
    }

    async fn take(&self, bytes: u64) -> Result<BudgetPermit, Cut> {
        let permit = self.gateway.budget.take(bytes, super::BUDGET_WAIT).await;
        permit.ok_or_else(|| Cut(IntakeError::Busy.to_string()))
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
        let data = match plain(needle).await {
            Ok(data) => data,
            Err(error) => return Ok(Err(error)),
        };
        let name = self.name(wanted, needle);
        let entry = entry(&name, needle, data.len() as u64);
        if data.len() < UNCOPIED_BYTES {
            self.encoder.whole(&entry, &data, &mut self.out);
            self.flush(PIECE_BYTES).await?;
        } else {
            let crc32 = Some(crc32fast::hash(&data));
            self.encoder.begin(&Entry { crc32, ..entry }, &mut self.out);
            self.data(data.clone()).await?;
            self.end_entry()?;
        }
        self.count(data.len() as u64);
        Ok(Ok(()))
    }

    fn count(&mut self, bytes: u64) {
        self.sent.images += 1;
        self.sent.bytes += bytes;
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
        self.encoder
            .begin(&entry(&name, needle, len), &mut self.out);
        for chunk in &manifest.chunks {
            let data = self
                .chunk(&chunk.fid)
                .await
                .map_err(|error| Cut(error.to_string()))?;
            self.data(data).await?;
        }
        self.end_entry()?;
        self.count(len);
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
        plain(&load(&self.gateway, &object, false).await?).await
    }

    fn name(&mut self, wanted: &Wanted, needle: &Needle) -> String {
        let stored = || names::safe(&String::from_utf8_lossy(needle.name()));
        let name = wanted.name.as_deref().map_or_else(stored, str::to_owned);
        let name = if name.is_empty() {
            by_fid(&wanted.fid, needle)
        } else {
            name
        };
        self.names.unique(name)
    }

    fn end_entry(&mut self) -> Result<(), Cut> {
        self.encoder
            .end(&mut self.out)
            .map_err(|error| Cut(error.to_string()))
    }

    /// Sends data of the present entry as it is.
    async fn data(&mut self, data: Bytes) -> Result<(), Cut> {
        self.flush(1).await?;
        self.encoder.data(&data);
        self.send(data).await
    }

    /// Sends what there is of the output, if it is at least so much.
    async fn flush(&mut self, bytes_min: usize) -> Result<(), Cut> {
        if self.out.len() < bytes_min {
            return Ok(());
        }
        let next = Vec::with_capacity(PIECE_BYTES + UNCOPIED_BYTES + (16 << 10));
        let piece = std::mem::replace(&mut self.out, next);
        self.send(piece.into()).await
    }

    async fn send(&self, piece: Bytes) -> Result<(), Cut> {
        let sent = self.sender.send(piece).await;
        sent.map_err(|_| Cut("the client left".to_owned()))
    }

    /// Charges names and the zip's directory as they grow.
    async fn pay_for_growth(&mut self) -> Result<(), Cut> {
        let held =
            self.names.held_bytes() + self.encoder.held_bytes() + self.missing.lines.capacity();
        while held > GROWTH_BYTES * self.permits.len() {
            let permit = self.take(GROWTH_BYTES as u64).await?;
            self.permits.push(permit);
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), Cut> {
        if self.missing.count > 0 {
            self.missing.finish();
            let lines = std::mem::take(&mut self.missing.lines);
            let entry = Entry {
                name: ERRORS_NAME,
                mode: MODE,
                mime: "application/x-ndjson",
                ..Entry::default()
            };
            self.encoder.whole(&entry, &lines, &mut self.out);
        }
        self.encoder.finish(&mut self.out);
        self.flush(1).await
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
