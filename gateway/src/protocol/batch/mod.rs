//! Batches: many files in one call, up or down. What images and files have in common.
//!
//! An upload is read by [`entries`], stored by a [`upload::Sink`] many a commit, and told in an [`answer`] of JSON lines. A download finds and
//! reads what it sends by [`stored`], many at once, and goes out as [`outgoing`]. What one call holds is charged against the gateway's byte
//! budget before it begins, and does not grow with the number of files but for lists and zip directories, which are charged as they grow.

pub mod answer;
pub mod entries;
mod errors;
mod form;
pub mod outgoing;
pub mod puts;
pub mod stored;
pub mod upload;

use std::time::Duration;

/// How long to wait for others to free some of the byte budget.
pub const BUDGET_WAIT: Duration = Duration::from_secs(2);
