//! Directories of files: names, attributes and references to content, as rows in RocksDB.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod codec;
pub mod entry;
mod error;
mod filer;
mod path;
mod pattern;
pub mod rows;
mod views;

pub use entry::{Attributes, Body, Chunk, Content, Entry, Kind, Needle};
pub use error::FilerError;
pub use filer::{Filer, ListOptions, PutOptions, Released, RenameOptions, Swept, Usage};
pub use path::{DEPTH_MAX, FilePath, NAME_BYTES_MAX, Name, PATH_BYTES_MAX, RESERVED_PREFIX};
pub use pattern::Pattern;
pub use views::{Source, View};
