//! An archive on its way to a client: entries in, pieces of a body out, and at the end what could not be put in.
//!
//! What is missing never makes an archive silently short: it is named in a last entry, `MOONGATE-ERRORS.jsonl`, and counted in a trailer.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::Serialize;

use super::BUDGET_WAIT;
use crate::archive::names::UniqueNames;
use crate::archive::{Encoder, Entry, Format};
use crate::http::body::FrameSender;
use crate::http::disposition::{self, Disposition};
use crate::http::intake::{BudgetPermit, ByteBudget, IntakeError};
use crate::http::{Body, Response};

/// Output is sent on in pieces of about this size: larger ones would leave the processor's cache before they are sent.
const PIECE_BYTES: usize = 128 << 10;
/// Data from this length on is sent as it was read, not copied.
pub const UNCOPIED_BYTES: usize = 128 << 10;
const PIECES_WAITING: usize = 2;
/// Names and directories grow; they are charged in steps.
const GROWTH_BYTES: usize = 4 << 20;
/// Lines of the entry that names what is missing; beyond it, only their number.
const ERRORS_BYTES_MAX: usize = 16 << 20;
/// Last entry of an archive that lacks something.
pub const ERRORS_NAME: &str = "MOONGATE-ERRORS.jsonl";
const ERRORS_TRAILER: HeaderName = HeaderName::from_static("moongate-errors");
const MODE: u32 = 0o644;

/// Why an archive is cut: nobody takes it, or it cannot be made whole.
#[derive(Debug)]
pub struct Cut(pub String);

/// See the module.
pub struct Outgoing {
    encoder: Encoder,
    names: UniqueNames,
    out: Vec<u8>,
    errors: Errors,
    sender: FrameSender,
    budget: ByteBudget,
    /// The first is for what every archive holds, the others for what grows.
    permits: Vec<BudgetPermit>,
    /// Entries sent.
    pub entries: u64,
    /// Bytes of their data.
    pub bytes: u64,
}

impl Outgoing {
    /// An empty archive, called so where a browser saves it, and the answer that carries it.
    pub fn new(
        format: Format,
        name: &str,
        budget: ByteBudget,
        permit: BudgetPermit,
    ) -> (Self, Response) {
        let encoder = Encoder::new(format, &format!("moongate-{:032x}", rand::random::<u128>()));
        let (sender, body) = Body::frames(PIECES_WAITING);
        let mut response = Response::new(body);
        let head = response.headers_mut();
        head.insert(header::CONTENT_TYPE, encoder.content_type());
        head.insert(header::TRAILER, HeaderValue::from_static("Moongate-Errors"));
        let extension = match format {
            Format::Tar => Some("tar"),
            Format::Zip => Some("zip"),
            Format::Multipart => None,
        };
        if let Some(extension) = extension {
            let value =
                disposition::format(Disposition::Attachment, &format!("{name}.{extension}"));
            head.insert(header::CONTENT_DISPOSITION, value);
        }
        let mut names = UniqueNames::default();
        // Taken, so that no entry gets it.
        names.unique(ERRORS_NAME.to_owned());
        let outgoing = Self {
            encoder,
            names,
            out: Vec::with_capacity(PIECE_BYTES * 2),
            errors: Errors::default(),
            sender,
            budget,
            permits: vec![permit],
            entries: 0,
            bytes: 0,
        };
        (outgoing, response)
    }

    /// A name that no entry has yet.
    pub fn unique(&mut self, name: String) -> String {
        self.names.unique(name)
    }

    /// Entries that are missing so far.
    pub const fn failed(&self) -> u64 {
        self.errors.count
    }

    /// Notes an entry that is missing, and why.
    pub fn missing(&mut self, line: &impl Serialize) {
        self.errors.add(line);
    }

    /// Takes a share of the byte budget for something large.
    ///
    /// # Errors
    /// Too much is in flight.
    pub async fn pay(&self, bytes: u64) -> Result<BudgetPermit, Cut> {
        let permit = self.budget.take(bytes, BUDGET_WAIT).await;
        permit.ok_or_else(|| Cut(IntakeError::Busy.to_string()))
    }

    /// Sends an entry whose data is in memory.
    ///
    /// # Errors
    /// The client has gone.
    pub async fn whole(&mut self, entry: &Entry<'_>, data: Bytes) -> Result<(), Cut> {
        if data.len() < UNCOPIED_BYTES {
            self.encoder.whole(entry, &data, &mut self.out);
            self.flush(PIECE_BYTES).await?;
        } else {
            let crc32 = Some(crc32fast::hash(&data));
            self.encoder
                .begin(&Entry { crc32, ..*entry }, &mut self.out);
            self.piece(data).await?;
            self.end_entry()?;
        }
        self.count(entry.size_bytes);
        Ok(())
    }

    /// Begins an entry whose data comes in pieces.
    pub fn begin(&mut self, entry: &Entry<'_>) {
        self.encoder.begin(entry, &mut self.out);
    }

    /// Sends data of the present entry as it is.
    ///
    /// # Errors
    /// The client has gone.
    pub async fn piece(&mut self, data: Bytes) -> Result<(), Cut> {
        self.flush(1).await?;
        self.encoder.data(&data);
        self.send(data).await
    }

    /// Ends an entry that was begun.
    ///
    /// # Errors
    /// Its data were not as long as was said.
    pub fn end(&mut self, bytes: u64) -> Result<(), Cut> {
        self.end_entry()?;
        self.count(bytes);
        Ok(())
    }

    fn end_entry(&mut self) -> Result<(), Cut> {
        self.encoder
            .end(&mut self.out)
            .map_err(|error| Cut(error.to_string()))
    }

    const fn count(&mut self, bytes: u64) {
        self.entries += 1;
        self.bytes += bytes;
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

    /// Charges names, the zip's directory and the list of what is missing as they grow.
    ///
    /// # Errors
    /// Too much is in flight.
    pub async fn pay_for_growth(&mut self) -> Result<(), Cut> {
        let held =
            self.names.held_bytes() + self.encoder.held_bytes() + self.errors.lines.capacity();
        while held > GROWTH_BYTES * self.permits.len() {
            let permit = self.pay(GROWTH_BYTES as u64).await?;
            self.permits.push(permit);
        }
        Ok(())
    }

    /// Sends the last entries and the end of the archive.
    ///
    /// # Errors
    /// The client has gone.
    async fn complete(&mut self) -> Result<(), Cut> {
        if self.errors.count > 0 {
            let lines = self.errors.finish();
            let entry = Entry {
                name: ERRORS_NAME,
                size_bytes: lines.len() as u64,
                mode: MODE,
                mime: "application/x-ndjson",
                ..Entry::default()
            };
            self.encoder.whole(&entry, &lines, &mut self.out);
        }
        self.encoder.finish(&mut self.out);
        self.flush(1).await
    }

    /// Ends the archive, or cuts it if what should have been sent broke off.
    pub async fn end_with(mut self, sent: Result<(), Cut>) {
        let ended = match sent {
            Ok(()) => self.complete().await,
            cut => cut,
        };
        match ended {
            Ok(()) => {
                let trailer = (ERRORS_TRAILER, HeaderValue::from(self.errors.count));
                self.sender.finish(HeaderMap::from_iter([trailer]));
            }
            // The sender cuts the body when it goes.
            Err(_) if self.sender.is_closed() => {}
            Err(Cut(reason)) => tracing::warn!(reason, "an archive is cut"),
        }
    }
}

/// What is missing, and why.
#[derive(Default)]
struct Errors {
    count: u64,
    lines: Vec<u8>,
    unlisted: u64,
}

impl Errors {
    fn add(&mut self, line: &impl Serialize) {
        self.count += 1;
        if self.lines.len() >= ERRORS_BYTES_MAX {
            self.unlisted += 1;
        } else {
            self.line(line);
        }
    }

    fn line(&mut self, line: &impl Serialize) {
        if let Err(error) = serde_json::to_writer(&mut self.lines, line) {
            tracing::error!(%error, "a line about a missing entry could not be written");
        }
        self.lines.push(b'\n');
    }

    fn finish(&mut self) -> Vec<u8> {
        if self.unlisted > 0 {
            let text = format!("{} more are missing and not listed", self.unlisted);
            self.line(&serde_json::json!({ "error": text }));
        }
        std::mem::take(&mut self.lines)
    }
}
