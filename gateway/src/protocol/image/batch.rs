//! `POST /batch`: many images in one body, many needles a commit, one line an image once it is durable.

use std::sync::Arc;

use hyper::body::Incoming;
use moongate_haystack::id::FileId;
use moongate_haystack::needle::{Draft, NAME_BYTES_MAX};
use moongate_haystack::store::layout::Wish;
use serde::Serialize;

use super::error::ImageError;
use super::master;
use super::prepare::{self, Stored, Terms, Upload};
use super::write::WriteRequest;
use crate::archive::names;
use crate::http::Response;
use crate::http::disposition;
use crate::protocol::batch::answer::Broken;
use crate::protocol::batch::entries::File;
use crate::protocol::batch::puts::put_all;
use crate::protocol::batch::upload::{self, Outcome, Sink};
use crate::state::Gateway;

/// Stores the entries of a tar or of a form.
pub async fn upload(
    gateway: &Arc<Gateway>,
    request: WriteRequest<'_>,
    body: Incoming,
) -> Result<Response, ImageError> {
    let terms = Terms::of(&request)?;
    if terms.chunk_manifest {
        return Err(ImageError::BadRequest(
            "a batch takes no chunk manifests: PUT them one by one".into(),
        ));
    }
    let sink = Images {
        gateway: Arc::clone(gateway),
        terms,
        wish: master::wish(request.query)?,
    };
    upload::run(gateway, request.headers, body, sink).await
}

/// Stores images under file ids of their own.
struct Images {
    gateway: Arc<Gateway>,
    terms: Terms,
    wish: Wish,
}

/// A stored image's line.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StoredLine<'a> {
    name: &'a str,
    fid: String,
    size: u64,
    e_tag: &'a str,
}

impl Sink for Images {
    type Ready = (Stored, Draft);

    async fn prepare(&self, file: File) -> Result<Self::Ready, String> {
        let stored_name = stored_name(&file.name);
        let upload = Upload {
            mime: file
                .mime
                .unwrap_or_else(|| prepare::mime_by_name(&stored_name)),
            name: stored_name,
            data: file.data,
            gzip: file.gzip,
            md5: file.md5,
        };
        let prepared = prepare::prepare(upload, &self.terms, file.mtime_secs).await;
        let (draft, mut stored) = prepared.map_err(|error| error.to_string())?;
        stored.name = file.name;
        Ok((stored, draft))
    }

    fn held_bytes((_, draft): &Self::Ready) -> u64 {
        draft.data.len() as u64
    }

    async fn store(self: Arc<Self>, ready: Vec<Self::Ready>) -> (Vec<Outcome>, Option<Broken>) {
        let (stored, drafts): (Vec<Stored>, Vec<Draft>) = ready.into_iter().unzip();
        let (fids, broken) = put_all(&self.gateway, &self.wish, drafts, self.terms.fsync).await;
        let outcomes = stored
            .iter()
            .zip(fids)
            .map(|(stored, fid)| Ok(line(stored, &fid?)));
        (outcomes.collect(), broken)
    }
}

fn line(stored: &Stored, fid: &FileId) -> (Vec<u8>, u64) {
    let line = StoredLine {
        name: &stored.name,
        fid: fid.to_string(),
        size: stored.size,
        e_tag: &stored.e_tag,
    };
    (serde_json::to_vec(&line).unwrap_or_default(), stored.size)
}

/// The name that is kept: with its folders if it fits into a needle, else without.
fn stored_name(name: &str) -> String {
    let path = names::safe(name);
    if path.len() <= NAME_BYTES_MAX {
        return path;
    }
    disposition::strip_path(&path).unwrap_or_default()
}
