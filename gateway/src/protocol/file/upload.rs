//! PUT and POST of content: whole files, forms with many, appends, and bytes in place.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use hyper::body::Incoming;
use moongate_filer::{
    Attributes, Body as FileBody, Content, Entry, FilePath, FilerError, Name, PutOptions,
};
use moongate_haystack::store::now_ns;
use moongate_haystack::ttl::Ttl;
use serde::Serialize;

use super::read::last_modified_secs;
use super::{Ask, change};
use crate::files::store::{self, Stored, Terms};
use crate::files::{FileError, etag};
use crate::http::conditional::{self, Outcome, Validators};
use crate::http::json::json;
use crate::http::{Response, disposition, intake, multipart};
use crate::policy::gatekeeper::Deed;
use crate::policy::own;
use crate::protocol::exchange::declared_len;
use crate::protocol::image::master;
use crate::state::Gateway;

const FILES_PER_FORM_MAX: usize = 10_000;
/// Content that `saveInside` keeps in the row; longer content becomes a needle all the same.
const INLINE_BYTES_MAX: usize = 64 << 10;
/// Headers that are kept and sent again with the file.
const KEPT: [(&str, header::HeaderName); 3] = [
    ("Cache-Control", header::CACHE_CONTROL),
    ("Expires", header::EXPIRES),
    ("Content-Disposition", header::CONTENT_DISPOSITION),
];
const MODE: u32 = 0o660;
/// `Seaweed-*` and other headers that are kept with a file, together.
const EXTENDED_BYTES_MAX: usize = 64 << 10;
/// The longest file, holes counted: lengths stay exact in JSON, and sums of offsets cannot overflow.
const FILE_BYTES_MAX: u64 = 1 << 50;

/// What is said of a stored file.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Said {
    name: String,
    #[serde(skip_serializing_if = "is_zero")]
    size: u64,
    e_tag: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    crc32c: Option<String>,
    #[serde(skip)]
    md5: Option<[u8; 16]>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<Said>,
}

impl Said {
    /// Of a file of another store, which tells no sums.
    pub fn of(name: &str, size: u64, e_tag: &str) -> Self {
        Self {
            name: name.to_owned(),
            size,
            e_tag: e_tag.to_owned(),
            crc32c: None,
            md5: None,
            files: Vec::new(),
        }
    }
}

const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Answers PUT and POST.
pub async fn put(
    gateway: &Arc<Gateway>,
    ask: Ask<'_>,
    body: Incoming,
) -> Result<Response, FileError> {
    let content_type = ask
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok());
    let is_form = content_type.is_some_and(|t| multipart::boundary(Some(t)).is_ok());
    if *ask.method == Method::POST && !is_form {
        let nothing = declared_len(ask.headers).is_none_or(|len| len == 0)
            && !ask.headers.contains_key(header::TRANSFER_ENCODING);
        if nothing && content_type.is_none() {
            return change::make_folder(gateway, ask).await;
        }
    }
    let wish = Wish::of(gateway, &ask)?;
    let said = if is_form {
        form(gateway, ask, &wish, body).await?
    } else {
        let mime = content_type.unwrap_or_default().to_owned();
        let path = place(gateway, &ask, None).await?;
        // Before the body is taken, too.
        own::may(gateway, Deed::Create, path.as_str()).await?;
        vec![raw(gateway, ask, &wish, path, mime, body).await?]
    };
    Ok(created(said))
}

/// How a request wants its files stored.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Of the content.
    pub terms: Terms,
    attributes: Attributes,
    inside: bool,
    how: How,
}

/// What becomes of what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Replace,
    Append,
    At(u64),
}

impl Wish {
    /// Reads parameters and headers.
    pub fn of(gateway: &Gateway, ask: &Ask<'_>) -> Result<Self, FileError> {
        let query = ask.query;
        let mut wish = master::wish(query)?;
        // The file's life is kept with its name: a needle outlives it until it is swept.
        let ttl = std::mem::replace(&mut wish.layout.ttl, Ttl::NONE);
        if query.get_set("collection").is_none() {
            wish.layout
                .collection
                .clone_from(&gateway.config.file.collection);
        }
        let (now_ns, mode) = (now_ns(), mode(query.get_set("mode"))?);
        let extended = extended(ask.headers);
        check_extended(&extended)?;
        let attributes = Attributes {
            mode,
            mtime_ns: now_ns,
            crtime_ns: now_ns,
            ttl_secs: u32::try_from(ttl.secs()).unwrap_or(u32::MAX),
            extended,
            ..Attributes::default()
        };
        Ok(Self {
            terms: Terms {
                wish,
                chunk_bytes: chunk_bytes(gateway, query.get_set("maxMB"))?,
                mime: Bytes::new(),
            },
            attributes,
            inside: query.is_true("saveInside"),
            how: how(query.get_set("op"), query.get_set("offset"))?,
        })
    }

    /// Attributes of a file of this type.
    pub fn attributes(&self, mime: &str) -> Attributes {
        Attributes {
            mime: mime.to_owned(),
            ..self.attributes.clone()
        }
    }
}

fn mode(given: Option<&str>) -> Result<u32, FileError> {
    let Some(given) = given else { return Ok(MODE) };
    let bits = u32::from_str_radix(given, 8)
        .ok()
        .filter(|bits| *bits <= 0o7777);
    bits.ok_or_else(|| {
        FileError::BadRequest(format!("mode={given:?} is no octal mode such as 0644"))
    })
}

fn chunk_bytes(gateway: &Gateway, max_mib: Option<&str>) -> Result<usize, FileError> {
    let configured = gateway.config.file.chunk_bytes.bytes();
    let wished = match max_mib {
        None => configured,
        Some(mib) => {
            let mib: u64 = mib
                .parse()
                .ok()
                .filter(|mib| (1..=1024).contains(mib))
                .ok_or_else(|| {
                    FileError::BadRequest(format!("maxMB={mib:?} is not a number from 1 to 1024"))
                })?;
            (mib << 20).min(configured)
        }
    };
    Ok(usize::try_from(wished).unwrap_or(usize::MAX).max(1))
}

fn how(op: Option<&str>, offset: Option<&str>) -> Result<How, FileError> {
    match (op, offset) {
        (Some("append"), _) => Ok(How::Append),
        (Some(other), _) => Err(FileError::BadRequest(format!(
            "op={other:?} is not known: only append is"
        ))),
        (None, Some(given)) => match given.parse() {
            Ok(offset) if offset < FILE_BYTES_MAX => Ok(How::At(offset)),
            _ => Err(FileError::BadRequest(format!(
                "offset={given:?} is not a number below {FILE_BYTES_MAX}"
            ))),
        },
        (None, None) => Ok(How::Replace),
    }
}

/// Headers of a request that are kept with the file.
pub fn extended(headers: &HeaderMap) -> BTreeMap<String, Vec<u8>> {
    let kept = KEPT.iter().filter_map(|(name, header)| {
        let value = headers.get(header)?;
        Some(((*name).to_owned(), value.as_bytes().to_vec()))
    });
    let tags = headers.iter().filter_map(|(name, value)| {
        let tag = name.as_str().strip_prefix("seaweed-")?;
        Some((
            format!("Seaweed-{}", title_case(tag)),
            value.as_bytes().to_vec(),
        ))
    });
    kept.chain(tags).collect()
}

/// They come back as headers with each read, and clients take only so much of those.
///
/// # Errors
/// They are too long together.
pub fn check_extended(extended: &BTreeMap<String, Vec<u8>>) -> Result<(), FileError> {
    let bytes: usize = extended
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if bytes > EXTENDED_BYTES_MAX {
        return Err(FileError::BadRequest(format!(
            "the Seaweed-* headers of a file are at most {EXTENDED_BYTES_MAX} bytes together: take some away with DELETE ?tagging=Name"
        )));
    }
    Ok(())
}

/// As Go spells headers.
pub fn title_case(name: &str) -> String {
    let mut start = true;
    let spelled = name.chars().map(|character| {
        let spelled = if start {
            character.to_ascii_uppercase()
        } else {
            character.to_ascii_lowercase()
        };
        start = character == '-';
        spelled
    });
    spelled.collect()
}

/// Where a file goes: the path itself, or in it where that is a folder or is written as one.
async fn place(
    gateway: &Arc<Gateway>,
    ask: &Ask<'_>,
    file_name: Option<&str>,
) -> Result<FilePath, FileError> {
    let path = ask.target.path.clone();
    let sought = path.clone();
    let found = gateway
        .files
        .run(move |filer| match filer.find(&sought, now_ns()) {
            Ok(entry) => Ok(entry.is_folder()),
            Err(FilerError::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        });
    let is_folder = path.is_root() || found.await?;
    if !is_folder && !(ask.target.is_folder_form()) {
        return Ok(path);
    }
    let inside = match file_name {
        Some(name) => Some(Name::parse(name)?),
        None => path.name(),
    };
    let inside =
        inside.ok_or_else(|| FileError::BadRequest("name the file: PUT /folder/file".into()))?;
    Ok(path.join(&inside)?)
}

async fn raw(
    gateway: &Arc<Gateway>,
    ask: Ask<'_>,
    wish: &Wish,
    path: FilePath,
    mime: String,
    body: Incoming,
) -> Result<Said, FileError> {
    let terms = Terms {
        mime: Bytes::from(mime.clone()),
        ..wish.terms.clone()
    };
    let stored = store::body(gateway, &terms, body, declared_len(ask.headers)).await?;
    check_md5(ask.headers.get("content-md5"), &stored)?;
    name_it(gateway, &ask, wish, path, &mime, stored, None).await
}

fn check_md5(said: Option<&HeaderValue>, stored: &Stored) -> Result<(), FileError> {
    let Some(said) = said else { return Ok(()) };
    let is_right = BASE64
        .decode(said.as_bytes())
        .is_ok_and(|md5| md5 == stored.md5);
    if is_right {
        Ok(())
    } else {
        Err(FileError::BadRequest(
            "The Content-Md5 you specified did not match what we received.".into(),
        ))
    }
}

/// The files of a form, in memory within the bounds of one upload.
pub struct Form {
    /// At least one.
    pub files: Vec<multipart::Part>,
    _collected: intake::Collected,
}

/// Why a file of a form has no place.
pub const NAMELESS: &str =
    "a file for a folder needs a name: filename=\"a.jpg\" in its part of the form";

impl Form {
    /// Reads a form: its files, or else its first field.
    ///
    /// # Errors
    /// It does not come whole, is none, or holds nothing.
    pub async fn read(
        gateway: &Gateway,
        headers: &HeaderMap,
        body: Incoming,
    ) -> Result<Self, FileError> {
        let content_type = headers
            .get(header::CONTENT_TYPE)
            .and_then(|v| v.to_str().ok());
        let (declared, limits) = (declared_len(headers), &gateway.intake);
        let collected = intake::collect(body, declared, limits, &gateway.budget).await?;
        let bytes = collected.bytes.clone();
        let mut files = multipart::parse(content_type, bytes, FILES_PER_FORM_MAX)?;
        if files.iter().any(|part| part.file_name.is_some()) {
            files.retain(|part| part.file_name.is_some());
        } else {
            files.truncate(1);
        }
        if files.is_empty() {
            return Err(FileError::BadRequest(
                "the form has no file: send it with curl -F file=@name".into(),
            ));
        }
        Ok(Self {
            files,
            _collected: collected,
        })
    }
}

/// Every file of a form; those before one that fails stay, and are named in the error.
async fn form(
    gateway: &Arc<Gateway>,
    ask: Ask<'_>,
    wish: &Wish,
    body: Incoming,
) -> Result<Vec<Said>, FileError> {
    let form = Form::read(gateway, ask.headers, body).await?;
    let parts = &form.files;
    let several = parts.len() > 1;
    let mut said: Vec<Said> = Vec::with_capacity(parts.len());
    for part in parts {
        let name = part.file_name.as_deref().and_then(disposition::strip_path);
        let folder = several || ask.target.is_folder_form();
        let path = match (&name, folder) {
            (Some(name), true) => ask.target.path.join(&Name::parse(name)?)?,
            _ => place(gateway, &ask, name.as_deref()).await?,
        };
        if name.is_none() && path != ask.target.path {
            return Err(FileError::BadRequest(NAMELESS.into()));
        }
        let mime = part
            .content_type
            .clone()
            .filter(|mime| mime != "application/octet-stream")
            .unwrap_or_default();
        let terms = Terms {
            mime: Bytes::from(mime.clone()),
            ..wish.terms.clone()
        };
        let stored = store::bytes(gateway, &terms, part.data.clone()).await?;
        let inline = wish
            .inside
            .then(|| part.data.clone())
            .filter(|data| data.len() <= INLINE_BYTES_MAX);
        said.push(name_it(gateway, &ask, wish, path, &mime, stored, inline).await?);
    }
    Ok(said)
}

/// Lets a name refer to content that is stored.
async fn name_it(
    gateway: &Arc<Gateway>,
    ask: &Ask<'_>,
    wish: &Wish,
    path: FilePath,
    mime: &str,
    stored: Stored,
    inline: Option<Bytes>,
) -> Result<Said, FileError> {
    own::may(gateway, Deed::Create, path.as_str()).await?;
    let naming = Naming {
        content: match &inline {
            Some(bytes) => Content::inline(bytes.to_vec()),
            None => stored.content(),
        },
        attributes: Attributes {
            md5: Some(stored.md5),
            ..wish.attributes(mime)
        },
        how: wish.how,
        method: ask.method.clone(),
        headers: conditions(ask.headers),
        moved: outside(gateway, wish, &path).await?,
    };
    let name = path.name();
    let entry = gateway
        .files
        .change(move |filer| {
            let mut naming = naming;
            let named = filer.put_with(&path, PutOptions::default(), now_ns(), |present| {
                naming.make(present)
            });
            if inline.is_none() {
                stored.after(&named);
            }
            if let Some((_, moved)) = naming.moved {
                moved.after(&named);
            }
            named
        })
        .await?;
    Ok(Said {
        name: name.map(|name| name.to_string()).unwrap_or_default(),
        size: entry.size(),
        e_tag: etag::of_entry(&entry),
        crc32c: entry
            .content()
            .and_then(etag::crc32c_of)
            .map(|crc| format!("{crc:08x}")),
        md5: entry.attributes.md5,
        files: Vec::new(),
    })
}

/// Content in the row itself cannot be appended to: it becomes a needle first.
async fn outside(
    gateway: &Arc<Gateway>,
    wish: &Wish,
    path: &FilePath,
) -> Result<Option<(Vec<u8>, Stored)>, FileError> {
    if wish.how == How::Replace {
        return Ok(None);
    }
    let path = path.clone();
    let inline = gateway
        .files
        .run(move |filer| match filer.find(&path, now_ns()) {
            Ok(entry) => Ok(match entry.content().map(|content| &content.body) {
                Some(FileBody::Inline(bytes)) => Some(bytes.clone()),
                _ => None,
            }),
            Err(FilerError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        });
    match inline.await? {
        Some(bytes) if !bytes.is_empty() => {
            let stored = store::bytes(gateway, &wish.terms, Bytes::from(bytes.clone())).await?;
            Ok(Some((bytes, stored)))
        }
        _ => Ok(None),
    }
}

/// Conditions of a request, to be evaluated where nobody else is in between.
fn conditions(headers: &HeaderMap) -> HeaderMap {
    let names = [
        header::IF_MATCH,
        header::IF_NONE_MATCH,
        header::IF_UNMODIFIED_SINCE,
    ];
    let given = names
        .into_iter()
        .filter_map(|name| Some((name.clone(), headers.get(&name)?.clone())));
    given.collect()
}

/// A name being given.
struct Naming {
    content: Content,
    attributes: Attributes,
    how: How,
    method: Method,
    headers: HeaderMap,
    /// What was in the row when it was looked at, and the same as chunks.
    moved: Option<(Vec<u8>, Stored)>,
}

impl Naming {
    fn make(&mut self, present: Option<&Entry>) -> Result<Entry, FileError> {
        self.check(present)?;
        let content = std::mem::replace(&mut self.content, Content::empty());
        let mut attributes = self.attributes.clone();
        let Some(present) = present.filter(|_| self.how != How::Replace) else {
            let at = if let How::At(offset) = self.how {
                offset
            } else {
                0
            };
            if at > 0 {
                attributes.md5 = None;
            }
            return Ok(Entry::file(attributes, shifted(content, at)));
        };
        let before = self.chunks_of(present)?;
        let at = if let How::At(offset) = self.how {
            offset
        } else {
            present.size()
        };
        let mut all = before;
        let (size, added) = (present.size(), shifted(content, at));
        let end = size.max(added.size);
        if let (FileBody::Chunks(all), FileBody::Chunks(added)) = (&mut all.body, added.body) {
            all.extend(added);
        }
        all.size = end;
        all.drop_unseen();
        let attributes = Attributes {
            md5: None,
            mtime_ns: attributes.mtime_ns,
            ..present.attributes.clone()
        };
        Ok(Entry::file(attributes, all))
    }

    /// What is there, as chunks.
    fn chunks_of(&self, present: &Entry) -> Result<Content, FileError> {
        let content = present.content().cloned().unwrap_or_else(Content::empty);
        match (&content.body, &self.moved) {
            (FileBody::Chunks(_), None) => Ok(content),
            (FileBody::Inline(bytes), None) if bytes.is_empty() => Ok(Content::empty()),
            (FileBody::Inline(bytes), Some((seen, stored))) if bytes == seen => {
                Ok(stored.content())
            }
            _ => Err(FileError::Conflict(
                "the file changed meanwhile: ask again".into(),
            )),
        }
    }

    fn check(&self, present: Option<&Entry>) -> Result<(), FileError> {
        if self.headers.is_empty() {
            return Ok(());
        }
        let tag = present
            .map(|entry| format!("\"{}\"", etag::of_entry(entry)))
            .unwrap_or_default();
        let validators = present.map(|entry| Validators {
            etag: &tag,
            last_modified_secs: Some(last_modified_secs(entry)),
        });
        match conditional::evaluate(&self.method, &self.headers, validators.as_ref()) {
            Outcome::Proceed => Ok(()),
            Outcome::NotModified | Outcome::PreconditionFailed => {
                Err(FileError::PreconditionFailed)
            }
        }
    }
}

/// A content that begins at an offset of its file.
fn shifted(mut content: Content, at: u64) -> Content {
    if let FileBody::Chunks(chunks) = &mut content.body {
        for chunk in chunks {
            chunk.offset = chunk.offset.saturating_add(at);
        }
        content.size = content.size.saturating_add(at);
    }
    content
}

/// The answer to stored files.
pub fn created(mut said: Vec<Said>) -> Response {
    let answer = match said.len() {
        1 => said.remove(0),
        _ => {
            let first = said.first();
            Said {
                name: first.map(|first| first.name.clone()).unwrap_or_default(),
                size: first.map_or(0, |first| first.size),
                e_tag: first.map(|first| first.e_tag.clone()).unwrap_or_default(),
                crc32c: None,
                md5: None,
                files: said,
            }
        }
    };
    let mut response = json(StatusCode::CREATED, &answer, false);
    let headers = response.headers_mut();
    if let Ok(tag) = HeaderValue::try_from(format!("\"{}\"", answer.e_tag)) {
        headers.insert(header::ETAG, tag);
    }
    if let Some(md5) = answer.md5
        && let Ok(value) = HeaderValue::try_from(BASE64.encode(md5))
    {
        headers.insert("content-md5", value);
    }
    response
}
