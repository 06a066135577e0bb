//! Audit records in Ranger's schema, one JSON object a line, and the files that they are written to.
//!
//! **Owns:** what a record looks like ([`Record`]), and that none is lost without a word ([`Spool`]). **Refuses to own:** whether something
//! is audited (policies and their filters say so), and what is done with the files: a shipper takes what is rotated.

mod record;
mod spool;

pub use record::{Ids, Info, Record, time_text};
pub use spool::{Spool, SpoolConfig, SpoolCounts};
