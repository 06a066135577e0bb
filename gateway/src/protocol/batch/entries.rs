//! An upload's entries, whole, one after the other: of a tar or of a form.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::answer::Broken;
use super::form::FormEntries;
use crate::archive::{ArchiveReader, Event, Member, Packing};
use crate::http::arriving::Arriving;
use crate::http::intake::{BudgetPermit, ByteBudget};
use crate::protocol::image::error::ImageError;

/// Files up to this length are paid for by what an upload takes at its start; larger ones are charged on their own.
pub const SMALL_BYTES: u64 = 1 << 20;

/// One entry of an upload.
#[derive(Debug)]
pub enum Item {
    /// A file with all its data.
    File(File),
    /// No file, or one that is not taken.
    Refused {
        /// As it is called in the archive.
        name: String,
        /// Why.
        why: String,
        /// Nothing is lost by it.
        harmless: bool,
    },
}

/// A file in an upload.
#[derive(Debug, Default)]
pub struct File {
    /// As it is called in the archive.
    pub name: String,
    /// When it was last changed, unix seconds, if the archive tells.
    pub mtime_secs: Option<u64>,
    /// Media type, if the archive tells.
    pub mime: Option<String>,
    /// The data are gzip.
    pub gzip: bool,
    /// MD5 of the data in Base64, if the archive tells.
    pub md5: Option<String>,
    /// The data; with their share of the budget if they are large.
    pub data: Bytes,
}

/// What bounds an upload's entries.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Longest file, bytes.
    pub file_bytes_max: u64,
    /// What large files are charged against.
    pub budget: ByteBudget,
}

/// Data with their share of the budget, which they give back when the last slice of them goes.
struct Charged {
    data: Bytes,
    _permit: Vec<BudgetPermit>,
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

/// Data that keep permits with them.
pub fn charged(data: Bytes, permits: Vec<BudgetPermit>) -> Bytes {
    if permits.is_empty() {
        return data;
    }
    Bytes::from_owner(Charged {
        data,
        _permit: permits,
    })
}

/// Where entries come from.
pub enum Entries {
    /// A tar, plain or packed.
    Tar(Box<TarEntries>),
    /// A form.
    Form(Box<FormEntries>),
}

impl Entries {
    /// What the headers announce: a form, or else a tar, packed as `Content-Encoding` or its first bytes say.
    pub fn of(
        headers: &HeaderMap,
        body: Arriving<Incoming>,
        bounds: Bounds,
    ) -> Result<Self, ImageError> {
        let text = |name| {
            headers
                .get(name)
                .and_then(|v: &http::HeaderValue| v.to_str().ok())
        };
        let content_type = text(header::CONTENT_TYPE).unwrap_or_default();
        let encoding = text(header::CONTENT_ENCODING).unwrap_or_default();
        if content_type.trim_start().starts_with("multipart/") {
            return Ok(Self::Form(Box::new(FormEntries::new(
                content_type,
                body,
                bounds,
            )?)));
        }
        let packing = Packing::by_encoding(encoding).ok_or_else(|| {
            ImageError::BadRequest(format!(
                "Content-Encoding {encoding:?} cannot be unpacked: send gzip, zstd or none"
            ))
        })?;
        let declared = Some(packing).filter(|packing| *packing != Packing::Plain);
        Ok(Self::Tar(Box::new(TarEntries::new(declared, body, bounds))))
    }

    /// The next entry; `None` when the upload has ended as it should. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Result<Option<Item>, Broken> {
        match self {
            Self::Tar(tar) => tar.next().await,
            Self::Form(form) => form.next().await,
        }
    }

    /// The next entry if it is here already; `None` for "ask [`Self::next`]".
    pub fn ready(&mut self) -> Result<Option<Item>, Broken> {
        match self {
            Self::Tar(tar) => Ok(match tar.step()? {
                Step::Item(item) => Some(item),
                Step::Pay | Step::Yield | Step::Input | Step::End => None,
            }),
            Self::Form(_) => Ok(None),
        }
    }

    /// The body, for what comes beside its entries.
    pub fn body(&mut self) -> &mut Arriving<Incoming> {
        match self {
            Self::Tar(tar) => &mut tar.body,
            Self::Form(form) => &mut form.body,
        }
    }

    /// Bytes read so far, which bound what slices of them can hold on to.
    pub fn read_bytes(&self) -> u64 {
        match self {
            Self::Tar(tar) => tar.reader.offset(),
            Self::Form(form) => form.body.received_bytes(),
        }
    }
}

/// The files of a tar.
pub struct TarEntries {
    body: Arriving<Incoming>,
    reader: ArchiveReader,
    bounds: Bounds,
    current: Option<Current>,
    finished: bool,
}

/// A file whose data comes.
struct Current {
    member: Member,
    /// Empty until a second piece comes: one that is whole is not copied.
    first: Option<Bytes>,
    rest: BytesMut,
    permit: Option<BudgetPermit>,
    too_long: bool,
}

impl TarEntries {
    fn new(declared: Option<Packing>, body: Arriving<Incoming>, bounds: Bounds) -> Self {
        Self {
            body,
            reader: ArchiveReader::new(declared),
            bounds,
            current: None,
            finished: false,
        }
    }

    async fn next(&mut self) -> Result<Option<Item>, Broken> {
        loop {
            match self.step()? {
                Step::Item(item) => return Ok(Some(item)),
                Step::Pay => self.pay().await?,
                Step::Yield => tokio::task::yield_now().await,
                Step::End => return Ok(None),
                Step::Input => match self.body.next().await? {
                    Some(piece) => self.reader.feed(piece),
                    None => {
                        self.reader.finish();
                        self.finished = true;
                    }
                },
            }
        }
    }

    /// Goes on as far as it can without waiting.
    fn step(&mut self) -> Result<Step, Broken> {
        loop {
            if self.current.as_ref().is_some_and(Current::is_unpaid) {
                return Ok(Step::Pay);
            }
            match self.reader.next_event()? {
                Some(Event::Working) => return Ok(Step::Yield),
                Some(event) => {
                    if let Some(item) = self.of_event(event) {
                        return Ok(Step::Item(item));
                    }
                }
                None if self.finished => {
                    self.reader.check_end()?;
                    return Ok(Step::End);
                }
                None => return Ok(Step::Input),
            }
        }
    }

    /// Pays for a large file before its data is kept.
    async fn pay(&mut self) -> Result<(), Broken> {
        let Some(current) = &mut self.current else {
            return Ok(());
        };
        let size = current.member.size_bytes;
        let asked = Instant::now();
        let permit = self.bounds.budget.take(size, super::BUDGET_WAIT).await;
        self.body.forgive(asked);
        current.permit = Some(permit.ok_or_else(Broken::busy)?);
        Ok(())
    }

    fn of_event(&mut self, event: Event) -> Option<Item> {
        match event {
            Event::File(member) => {
                let too_long = member.size_bytes > self.bounds.file_bytes_max;
                self.current = Some(Current {
                    member,
                    first: None,
                    rest: BytesMut::new(),
                    permit: None,
                    too_long,
                });
                None
            }
            Event::Data(piece) => {
                self.current.as_mut()?.push(piece);
                None
            }
            Event::End => Some(self.current.take()?.finish(self.bounds.file_bytes_max)),
            Event::Skipped(skipped) => Some(Item::Refused {
                name: String::from_utf8_lossy(&skipped.name).into_owned(),
                why: format!("a {}: only files are stored", skipped.what),
                harmless: skipped.harmless,
            }),
            Event::Working => None,
        }
    }
}

/// What the reader of a tar needs, or gives.
enum Step {
    Item(Item),
    /// The budget's leave for a large file.
    Pay,
    /// A pause for others.
    Yield,
    Input,
    End,
}

impl Current {
    const fn is_unpaid(&self) -> bool {
        self.member.size_bytes > SMALL_BYTES && !self.too_long && self.permit.is_none()
    }

    fn push(&mut self, piece: Bytes) {
        if self.too_long {
            return;
        }
        if self.first.is_none() && self.rest.is_empty() {
            self.first = Some(piece);
            return;
        }
        if let Some(first) = self.first.take() {
            let size = usize::try_from(self.member.size_bytes).unwrap_or(first.len());
            self.rest.reserve(size);
            self.rest.extend_from_slice(&first);
        }
        self.rest.extend_from_slice(&piece);
    }

    fn finish(self, file_bytes_max: u64) -> Item {
        let name = String::from_utf8_lossy(&self.member.name).into_owned();
        if self.too_long {
            return too_long(name, file_bytes_max);
        }
        let data = self.first.unwrap_or_else(|| self.rest.freeze());
        Item::File(File {
            name,
            mtime_secs: Some(self.member.mtime_secs).filter(|secs| *secs > 0),
            data: charged(data, self.permit.into_iter().collect()),
            ..File::default()
        })
    }
}

/// The refusal of a file above the limit, in SeaweedFS's words.
pub fn too_long(name: String, file_bytes_max: u64) -> Item {
    Item::Refused {
        name,
        why: format!("file over the limited {file_bytes_max} bytes"),
        harmless: false,
    }
}
