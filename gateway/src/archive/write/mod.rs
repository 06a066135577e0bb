//! Archives on their way out: headers and trailers are encoded into the caller's buffer, the data goes between them as it is.

mod multipart;
mod tar;
mod zip;

use http::HeaderValue;

use self::multipart::MultipartEncoder;
use self::tar::TarEncoder;
use self::zip::ZipEncoder;

/// What a client can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// POSIX tar (ustar, with pax headers where a name or size needs one).
    Tar,
    /// Zip, stored, with ZIP64 where it needs it.
    Zip,
    /// `multipart/mixed` (RFC 2046).
    Multipart,
}

impl Format {
    /// By the word in a query: `tar`, `zip`, `multipart`.
    pub fn by_word(word: &str) -> Option<Self> {
        match word {
            "tar" => Some(Self::Tar),
            "zip" => Some(Self::Zip),
            "multipart" => Some(Self::Multipart),
            _ => None,
        }
    }

    /// By the first media type of an `Accept` header that names one of them.
    pub fn by_accept(accept: &str) -> Option<Self> {
        let essence = |part: &str| {
            part.split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase()
        };
        accept
            .split(',')
            .find_map(|part| match essence(part).as_str() {
                "application/x-tar" | "application/tar" => Some(Self::Tar),
                "application/zip" => Some(Self::Zip),
                "multipart/mixed" => Some(Self::Multipart),
                _ => None,
            })
    }
}

/// What is said of an entry.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entry<'a> {
    /// Its path, as [`super::names::safe`] leaves it.
    pub name: &'a str,
    /// Length of its data.
    pub size_bytes: u64,
    /// Unix seconds.
    pub mtime_secs: u64,
    /// Permissions, as in `chmod`: 0o644 for most.
    pub mode: u32,
    /// Media type; only multipart tells it. Empty: not known.
    pub mime: &'a str,
    /// CRC-32 (of zip, not CRC-32C) of the data, where it is known before the data; only zip uses it.
    pub crc32: Option<u32>,
}

/// An entry's data were not as long as it was said: what has been put out cannot be made whole, so cut it off.
#[derive(Debug, thiserror::Error)]
#[error("an entry of {announced_bytes} bytes was given {given_bytes}")]
pub struct WrongLength {
    /// What the entry said.
    pub announced_bytes: u64,
    /// What came.
    pub given_bytes: u64,
}

/// One archive being written.
///
/// An entry is [`begin`](Self::begin), its data, [`end`](Self::end); or all of it [`whole`](Self::whole). The data is put out by the
/// caller, who shows each piece to [`data`](Self::data): so that a large one is not copied.
#[derive(Debug)]
pub struct Encoder {
    form: Form,
    announced_bytes: u64,
    given_bytes: u64,
}

#[derive(Debug)]
enum Form {
    Tar(Box<TarEncoder>),
    Zip(Box<ZipEncoder>),
    Multipart(MultipartEncoder),
}

impl Encoder {
    /// An empty archive. `boundary` is used by multipart: at least 16 random letters or digits, so that no data contains it.
    pub fn new(format: Format, boundary: &str) -> Self {
        let form = match format {
            Format::Tar => Form::Tar(Box::new(TarEncoder::new())),
            Format::Zip => Form::Zip(Box::default()),
            Format::Multipart => Form::Multipart(MultipartEncoder::new(boundary)),
        };
        Self {
            form,
            announced_bytes: 0,
            given_bytes: 0,
        }
    }

    /// Media type of the whole.
    pub fn content_type(&self) -> HeaderValue {
        match &self.form {
            Form::Tar(_) => HeaderValue::from_static("application/x-tar"),
            Form::Zip(_) => HeaderValue::from_static("application/zip"),
            Form::Multipart(multipart) => multipart.content_type(),
        }
    }

    /// Appends what stands before an entry's data.
    pub fn begin(&mut self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        (self.announced_bytes, self.given_bytes) = (entry.size_bytes, 0);
        match &mut self.form {
            Form::Tar(tar) => tar.begin(entry, out),
            Form::Zip(zip) => zip.begin(entry, out),
            Form::Multipart(multipart) => multipart.begin(entry, out),
        }
    }

    /// Takes note of a piece of data, which the caller puts out itself.
    pub fn data(&mut self, piece: &[u8]) {
        self.given_bytes += piece.len() as u64;
        if let Form::Zip(zip) = &mut self.form {
            zip.data(piece);
        }
    }

    /// Appends what stands behind an entry's data.
    pub fn end(&mut self, out: &mut Vec<u8>) -> Result<(), WrongLength> {
        if self.given_bytes != self.announced_bytes {
            return Err(WrongLength {
                announced_bytes: self.announced_bytes,
                given_bytes: self.given_bytes,
            });
        }
        match &mut self.form {
            Form::Tar(_) => tar::pad(self.announced_bytes, out),
            Form::Zip(zip) => zip.end(out),
            Form::Multipart(_) => {}
        }
        Ok(())
    }

    /// Appends a whole entry; its `size_bytes` and `crc32` are those of `data`, whatever it says.
    pub fn whole(&mut self, entry: &Entry<'_>, data: &[u8], out: &mut Vec<u8>) {
        let crc32 = matches!(self.form, Form::Zip(_)).then(|| crc32fast::hash(data));
        let entry = Entry {
            size_bytes: data.len() as u64,
            crc32,
            ..*entry
        };
        self.begin(&entry, out);
        out.extend_from_slice(data);
        match &mut self.form {
            Form::Tar(_) => tar::pad(entry.size_bytes, out),
            // The checksum stood before the data: it need not be computed again.
            Form::Zip(zip) => zip.passed_over(entry.size_bytes),
            Form::Multipart(_) => {}
        }
    }

    /// Appends the end of the archive.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        match &mut self.form {
            Form::Tar(_) => tar::finish(out),
            Form::Zip(zip) => zip.finish(out),
            Form::Multipart(multipart) => multipart.finish(out),
        }
    }

    /// Memory that grows with the entries, in bytes: the directory at the end of a zip.
    pub fn held_bytes(&self) -> usize {
        match &self.form {
            Form::Zip(zip) => zip.held_bytes(),
            Form::Tar(_) | Form::Multipart(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests;
