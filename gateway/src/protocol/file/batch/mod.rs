//! `POST /folder/?batch`: many files in one body, stored under the folder, each in whichever store its path is.

mod mounted;
mod own;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use hyper::body::Incoming;
use md5::{Digest as _, Md5};
use moongate_filer::{FilePath, FilerError};
use parking_lot::Mutex;
use serde::Serialize;

use self::mounted::Mounted;
use self::own::Own;
use super::Ask;
use super::upload::Wish;
use crate::files::FileError;
use crate::http::Response;
use crate::policy::gatekeeper::Deed;
use crate::policy::own as own_policy;
use crate::protocol::batch::answer::Broken;
use crate::protocol::batch::entries::File;
use crate::protocol::batch::upload::{self, Outcome, Sink};
use crate::protocol::image::load::unpack;
use crate::state::Gateway;

/// Stores the entries of a tar or of a form under the folder.
pub async fn upload(
    gateway: &Arc<Gateway>,
    ask: Ask<'_>,
    body: Incoming,
) -> Result<Response, FileError> {
    let wish = Wish::of(gateway, &ask)?;
    let sink = Folder {
        folder: ask.target.path.clone(),
        own: Own {
            gateway: Arc::clone(gateway),
            terms: wish.terms.clone(),
            atomic: ask.query.is_true("atomic"),
            pending: Mutex::default(),
        },
        mounted: Mounted {
            gateway: Arc::clone(gateway),
            caller: ask.caller.clone(),
        },
        wish,
    };
    Ok(upload::run(gateway, ask.headers, body, sink).await?)
}

/// Stores files under paths below a folder.
struct Folder {
    folder: FilePath,
    wish: Wish,
    own: Own,
    mounted: Mounted,
}

/// A file that waits to be stored, by where it goes.
enum Ready {
    Own(own::Ready),
    Mounted(mounted::Ready),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StoredLine<'a> {
    name: &'a str,
    size: u64,
    e_tag: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    crc32c: Option<String>,
}

impl Sink for Folder {
    type Ready = Ready;

    async fn prepare(&self, file: File) -> Result<Ready, String> {
        let path = self.path(&file.name).map_err(|error| error.to_string())?;
        let (gateway, caller) = (&self.mounted.gateway, &self.mounted.caller);
        let may = own_policy::may_as(gateway, Some(caller), Deed::Create, path.as_str()).await;
        may.map_err(|error| error.to_string())?;
        let mut data = file.data;
        if file.gzip {
            let unpacked = tokio::task::spawn_blocking(move || unpack(&data)).await;
            let unpacked = unpacked.map_err(|error| error.to_string())?;
            data = unpacked.map_err(|error| format!("its gzip cannot be unpacked: {error}"))?;
        }
        check_md5(file.md5.as_deref(), &data)?;
        let crc32c = crc32c::crc32c(&data);
        if self.mounted.has(&path) {
            if self.own.atomic {
                return Err("atomic=true is for the gateway's own files, not for mounts".into());
            }
            return Ok(Ready::Mounted(mounted::Ready {
                name: file.name,
                path,
                data,
                crc32c,
            }));
        }
        let mime = file.mime.as_deref().unwrap_or_default();
        let mut attributes = self.wish.attributes(mime);
        if let Some(secs) = file.mtime_secs {
            attributes.mtime_ns = secs.saturating_mul(1_000_000_000);
        }
        Ok(Ready::Own(own::Ready {
            name: file.name,
            path,
            data,
            crc32c,
            attributes,
        }))
    }

    fn held_bytes(ready: &Ready) -> u64 {
        let data = match ready {
            Ready::Own(own) => &own.data,
            Ready::Mounted(mounted) => &mounted.data,
        };
        data.len() as u64
    }

    async fn store(self: Arc<Self>, ready: Vec<Ready>) -> (Vec<Outcome>, Option<Broken>) {
        let order: Vec<bool> = ready.iter().map(|it| matches!(it, Ready::Own(_))).collect();
        let (mut own, mut mounted) = (Vec::new(), Vec::new());
        for one in ready {
            match one {
                Ready::Own(one) => own.push(one),
                Ready::Mounted(one) => mounted.push(one),
            }
        }
        let (own, broken) = self.own.store(own).await;
        let (mounted, no_store) = self.mounted.store(mounted).await;
        let broken = broken.or(no_store);
        let (mut own, mut mounted) = (own.into_iter(), mounted.into_iter());
        let why = || {
            broken
                .as_ref()
                .map_or("", |broken| &broken.error)
                .to_owned()
        };
        let outcomes = order.into_iter().map(|is_own| {
            let outcome = if is_own { own.next() } else { mounted.next() };
            outcome.unwrap_or_else(|| Err(why()))
        });
        (outcomes.collect(), broken)
    }

    fn is_atomic(&self) -> bool {
        self.own.atomic
    }

    async fn complete(self: Arc<Self>) -> Result<(), Broken> {
        self.own.complete().await
    }
}

impl Folder {
    /// Where an entry goes. Archives call their files `./a`, and some `/a`: both are below the folder.
    fn path(&self, name: &str) -> Result<FilePath, FilerError> {
        let mut below = name.trim_start_matches('/');
        while let Some(rest) = below.strip_prefix("./") {
            below = rest.trim_start_matches('/');
        }
        if below.is_empty() || below.ends_with('/') {
            return Err(FilerError::BadName("an entry needs a file name"));
        }
        let folder = self.folder.as_str().trim_end_matches('/');
        FilePath::parse(&format!("{folder}/{below}"))
    }
}

fn check_md5(said: Option<&str>, data: &Bytes) -> Result<(), String> {
    let Some(said) = said else { return Ok(()) };
    let is_right = BASE64
        .decode(said)
        .is_ok_and(|md5| md5 == Md5::digest(data).as_slice());
    if is_right {
        Ok(())
    } else {
        Err("its data does not match its Content-MD5".into())
    }
}

/// The line of a stored file, and its length.
fn line(name: &str, size: u64, e_tag: &str, crc32c: Option<u32>) -> (Vec<u8>, u64) {
    let line = StoredLine {
        name,
        size,
        e_tag,
        crc32c: crc32c.map(|crc| format!("{crc:08x}")),
    };
    (serde_json::to_vec(&line).unwrap_or_default(), size)
}
