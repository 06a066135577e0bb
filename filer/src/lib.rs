//! Directories of files: names, attributes and references to content, as rows in RocksDB.
//!
//! **Owns:** paths and what may be one ([`FilePath`], [`Name`]); entries ([`Entry`]) and their bytes; the tree: finding, putting,
//! renaming, deleting, listing, walking; when files expire; and the queue of content that nothing refers to any more.
//!
//! **Refuses to own:** content itself (a [`Needle`] is a number to it), HTTP, threads, the clock (every call is told the time),
//! rights, and copying, which needs content. It follows no symbolic links.
//!
//! **Life of a put:** the path was parsed where it came in. [`Filer::put`] shares the structure with all others, walks down to the
//! folder (ids of folders are in memory), locks the stripe of the one row, reads it, and works out one atomic batch: the row, the
//! folders that are missing on the way, and what is released by it. The batch goes to the database's log and can be read
//! from then on; the locks are let go; then the caller waits for the log's sync, which it shares with all who wait.
//!
//! **Life of a deleted folder:** its row goes, and its id is put into the trash, in one batch: gone at once for everyone.
//! [`Filer::sweep`] empties it, [`Filer::released`] hands out what it referred to, and [`Filer::forget`] ends it.
//!
//! **Invariants.** Every needle that was accepted is referred to by an entry (perhaps in the trash), or is in the released queue,
//! exactly once. A folder's id is never used twice. A batch is whole or absent. What was answered (durably) survives a loss of
//! power, and whatever is there, all that was written before it is. The simulation in this crate's tests holds these.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod changes;
mod codec;
mod counter;
mod delete;
pub mod entry;
mod error;
mod filer;
mod keys;
mod lease;
mod list;
mod locks;
mod mutant;
mod options;
mod path;
mod pattern;
mod put;
mod queue;
mod rename;
mod rocks;
pub mod rows;
#[cfg(test)]
mod simulation;
mod sweep;
mod views;
mod walk;
mod wire;

pub use codec::ROW_BYTES_MAX;
pub use entry::{Attributes, Body, Chunk, Content, Entry, Kind, Needle};
pub use error::FilerError;
pub use filer::Filer;
pub use list::Listing;
pub use options::{ListOptions, PutOptions, Released, RenameOptions, Swept, Usage};
pub use path::{DEPTH_MAX, FilePath, NAME_BYTES_MAX, Name, PATH_BYTES_MAX, RESERVED_PREFIX};
pub use pattern::Pattern;
pub use rocks::RocksRows;
pub use views::{Source, View};
pub use walk::Walk;
