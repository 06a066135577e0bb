//! Archives as they stream: tar, zip and multipart out, tar (plain, gzip or zstd) in.
//!
//! **Owns:** the bytes of the formats, and what in them is damaged, truncated or not supported. **Refuses to own:** sockets, threads,
//! the clock, and what the entries are stored as: the image port and the file port both use it. Everything here is given bytes and gives
//! bytes back, so that no reader or writer ever waits inside of it and nothing is held but one block, one name and (of a zip) the
//! directory at its end.

pub mod names;
mod pax;
pub mod read;
pub mod write;

pub use read::{ArchiveError, ArchiveReader, Event, Fault, Member, Packing, Skipped};
pub use write::{Encoder, Entry, Format};

/// Longest name of an entry, bytes. Longer ones are refused on the way in and cut on the way out.
pub const NAME_BYTES_MAX: usize = 4096;
