//! The haystack: images as needles in append-only volumes, as in Facebook's Haystack (Beaver et al., OSDI 2010) and SeaweedFS.
//!
//! **Owns:** the volume format, the needle index, group commit, recovery, vacuum, scrubbing, and the store that puts the volumes of
//! several disks together and hands out file ids. **Refuses to own:** HTTP, configuration files, users, directories of images.
//!
//! **Life of a put:** [`store::Store::put`] checks the key and queues an [`volume::writer::Op`] for the thread that writes to the volume's disk.
//! That thread takes what is queued, encodes it into one buffer a volume, closes it with a commit record, writes it with one write,
//! makes it durable with one `fdatasync`, enters it into the index, and answers all who waited.
//!
//! **Life of a get:** [`volume::Volume::locate`] finds the record's place in memory; one positioned read brings the record;
//! [`volume::Generation::decode`] verifies every byte of it.
//!
//! The format, the index, the writer, recovery and vacuum are synchronous and own no clock, thread, socket or randomness, so that
//! `simulation` can run them on a disk that loses, tears and flips. [`store`] is the shell around them: threads, clock, cookies.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod commit;
pub mod error;
pub mod fsck;
pub mod id;
pub mod idx;
pub mod index;
mod mutant;
pub mod needle;
mod one_bit;
pub mod placement;
pub mod scan;
mod seal;
pub mod sequence;
#[cfg(test)]
mod simulation;
pub mod store;
pub mod super_block;
pub mod ttl;
pub mod vif;
pub mod volume;

pub use error::HaystackError;
