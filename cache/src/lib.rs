//! Under stores, and the read cache in front of them.
//!
//! **Owns:** the one trait through which every tree of files is used ([`backend`]), its implementations for remote stores ([`under`]: HDFS,
//! S3, a local folder), and the cache, which is itself a backend over another one. **Refuses to own:** HTTP and any other protocol, who a
//! caller is, what a caller may do, and where a store is mounted: those are the gateway's.
//!
//! The life of a read: a protocol asks a mount's [`Backend`] for the status of a path and opens it; the cache answers from pages that belong
//! to exactly that version of the file, in memory or on its disk, and fetches what is missing from the under store, once for all who wait.
//!
//! The way through the files: `cached/` is the mount as a backend, `mount` and `names/` what is known of names (asked once by
//! `single_flight`, through `gate`), `files` which versions there are, `reader` one read, `ram` and `tier/` the two tiers, `fetch/` what is
//! on its way, `policy/` every decision that needs no doing. `simulation/` holds it.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod backend;
mod budget;
mod cache;
mod cached;
pub mod clock;
mod config;
mod fetch;
mod files;
mod gate;
mod mount;
mod mutant;
mod names;
mod page_buffer;
mod policy;
mod ram;
mod ram_shares;
mod reader;
mod share;
#[cfg(test)]
mod simulation;
mod single_flight;
mod stats;
#[cfg(test)]
mod testing;
mod tier;
pub mod under;

pub use backend::{
    AclEntry, AclStatus, Backend, BackendError, BackendFile, BackendWriter, ByteStream, Caller,
    Change, Checksum, CreateOptions, ErrorKind, FileKind, Freshness, Listing, Location, Pieces,
    RenameMode, Status, Summary, Version, Who,
};
pub use cache::Cache;
pub use cached::{CachedBackend, LoadOptions, LoadProgress, Residency};
pub use config::{CacheConfig, MountTerms};
pub use share::{Owner, Owners, SHARES_PERCENT_MAX, Share, ShareStats};
pub use stats::CacheStats;
