//! An upload's entries from a form (`multipart/form-data`, RFC 7578): every part with a file name.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_TYPE};
use http_body::Frame;
use http_body_util::BodyDataStream;
use hyper::body::Incoming;
use multer::{Field, Multipart};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::answer::Broken;
use super::entries::{Bounds, File, Item, SMALL_BYTES, charged, too_long};
use crate::http::arriving::Arriving;
use crate::http::intake::BudgetPermit;
use crate::http::multipart::boundary;
use crate::http::parameters;
use crate::protocol::image::error::ImageError;

/// Most that may come before a part's headers are complete: they are held until then.
const HEADERS_BYTES_MAX: u64 = 256 << 10;
/// Most that may stand between two parts that are files.
const FIELDS_BETWEEN_MAX: u32 = 1000;

/// What the parser reads: the pieces that it is given.
struct Fed {
    receiver: mpsc::Receiver<Bytes>,
}

impl http_body::Body for Fed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.receiver.poll_recv(cx);
        piece.map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

/// See the module.
pub struct FormEntries {
    /// Where the form comes from.
    pub body: Arriving<Incoming>,
    parser: Multipart<'static>,
    /// `None` once the body has ended.
    feed: Option<mpsc::Sender<Bytes>>,
    bounds: Bounds,
    current: Option<Current>,
    fields_passed: u32,
}

/// A part whose data comes.
struct Current {
    field: Field<'static>,
    file: File,
    data: BytesMut,
    permits: Vec<BudgetPermit>,
    too_long: bool,
}

impl FormEntries {
    /// A form with the boundary of this Content-Type.
    pub fn new(
        content_type: &str,
        body: Arriving<Incoming>,
        bounds: Bounds,
    ) -> Result<Self, ImageError> {
        let (sender, receiver) = mpsc::channel(1);
        let boundary = boundary(Some(content_type))?;
        Ok(Self {
            body,
            parser: Multipart::new(BodyDataStream::new(Fed { receiver }), boundary),
            feed: Some(sender),
            bounds,
            current: None,
            fields_passed: 0,
        })
    }

    /// The next part that is a file.
    pub async fn next(&mut self) -> Result<Option<Item>, Broken> {
        loop {
            if self.current.is_none() && !self.next_part().await? {
                return Ok(None);
            }
            if let Some(item) = self.data().await? {
                return Ok(Some(item));
            }
        }
    }

    /// Goes on to the next file; false at the end of the form.
    async fn next_part(&mut self) -> Result<bool, Broken> {
        let from = self.body.received_bytes();
        loop {
            let field = tokio::select! {
                biased;
                field = self.parser.next_field() => field,
                fed = feed(&mut self.body, &mut self.feed) => {
                    fed?;
                    if self.body.received_bytes() - from > HEADERS_BYTES_MAX {
                        return Err(self.error("the headers of a part do not end"));
                    }
                    continue;
                }
            };
            let Some(field) = field.map_err(|error| self.error(&error.to_string()))? else {
                return Ok(false);
            };
            if let Some(current) = Current::of(field) {
                self.current = Some(current);
                self.fields_passed = 0;
                return Ok(true);
            }
            self.fields_passed += 1;
            if self.fields_passed > FIELDS_BETWEEN_MAX {
                return Err(self.error("too many fields of the form are no files"));
            }
        }
    }

    /// Takes what there is of the present file; an item once it is whole.
    async fn data(&mut self) -> Result<Option<Item>, Broken> {
        let Some(current) = &mut self.current else {
            return Ok(None);
        };
        current.pay(&mut self.body, &self.bounds).await?;
        let piece = tokio::select! {
            biased;
            piece = current.field.chunk() => piece,
            fed = feed(&mut self.body, &mut self.feed) => return fed.map(|()| None),
        };
        match piece.map_err(|error| self.error(&error.to_string()))? {
            Some(piece) => {
                if let Some(current) = &mut self.current {
                    current.push(&piece, self.bounds.file_bytes_max);
                }
                Ok(None)
            }
            None => Ok(self
                .current
                .take()
                .map(|it| it.finish(self.bounds.file_bytes_max))),
        }
    }

    fn error(&self, reason: &str) -> Broken {
        let offset = self.body.received_bytes();
        Broken::bad(
            format!("the form is damaged or truncated before byte {offset}: {reason}"),
            Some(offset),
        )
    }
}

/// Gives the parser the next piece of the body, or its end. Called when it has used up all it was given.
async fn feed(
    body: &mut Arriving<Incoming>,
    feed: &mut Option<mpsc::Sender<Bytes>>,
) -> Result<(), Broken> {
    let Some(sender) = feed else {
        // The parser knows that it has all: its own future is the one that ends.
        return std::future::pending().await;
    };
    // Room first, so that no piece is lost when this future is dropped.
    let Ok(place) = sender.reserve().await else {
        return std::future::pending().await;
    };
    match body.next().await? {
        Some(piece) => place.send(piece),
        None => {
            drop(place);
            *feed = None;
        }
    }
    Ok(())
}

impl Current {
    /// `None` for a part that is no file.
    fn of(field: Field<'static>) -> Option<Self> {
        let headers = field.headers();
        let disposition = headers.get(CONTENT_DISPOSITION)?;
        let name = parameters::find(disposition.as_bytes(), "filename")?;
        let gzip = text(headers, CONTENT_ENCODING.as_str());
        let file = File {
            name,
            mtime_secs: None,
            mime: text(headers, CONTENT_TYPE.as_str())
                .filter(|it| it != "application/octet-stream"),
            gzip: gzip.is_some_and(|it| it.eq_ignore_ascii_case("gzip")),
            md5: text(headers, "content-md5"),
            data: Bytes::new(),
        };
        Some(Self {
            field,
            file,
            data: BytesMut::new(),
            permits: Vec::new(),
            too_long: false,
        })
    }

    /// Pays for what a large file takes, each MiB before it comes.
    async fn pay(&mut self, body: &mut Arriving<Incoming>, bounds: &Bounds) -> Result<(), Broken> {
        let paid = SMALL_BYTES * (1 + self.permits.len() as u64);
        if self.too_long || (self.data.len() as u64) < paid {
            return Ok(());
        }
        let asked = Instant::now();
        // The buffer doubles as it grows.
        let permit = bounds
            .budget
            .take(2 * SMALL_BYTES, super::BUDGET_WAIT)
            .await;
        body.forgive(asked);
        self.permits.push(permit.ok_or_else(Broken::busy)?);
        Ok(())
    }

    fn push(&mut self, piece: &[u8], file_bytes_max: u64) {
        if (self.data.len() + piece.len()) as u64 > file_bytes_max {
            self.too_long = true;
            self.data = BytesMut::new();
            self.permits.clear();
        }
        if !self.too_long {
            self.data.extend_from_slice(piece);
        }
    }

    fn finish(self, file_bytes_max: u64) -> Item {
        if self.too_long {
            return too_long(self.file.name, file_bytes_max);
        }
        Item::File(File {
            data: charged(self.data.freeze(), self.permits),
            ..self.file
        })
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?.trim();
    (!value.is_empty()).then(|| value.to_owned())
}
