//! Batches: many files in one call, up or down. What images and files have in common.
//!
//! An upload is read by [`entries`], stored by a [`upload::Sink`] many a commit, and told in an [`answer`] of JSON lines. A download is put
//! together by [`gather`], found and read by `stored`, many needles at once, and goes out by [`export`]. A [`list`] of what to [`get`] or to
//! [`delete`] may name images and files, on either port. What one call holds is charged against the gateway's byte
//! budget before it begins, and does not grow with the number of files but for lists and zip directories, which are charged as they grow.

pub mod answer;
pub mod delete;
pub mod entries;
mod errors;
pub mod export;
mod form;
pub mod gather;
pub mod get;
pub mod list;
mod outgoing;
pub mod puts;
mod stored;
pub mod upload;

use std::time::Duration;

/// Where uploads of images go.
pub const UPLOAD_PATH: &str = "/batch";
/// Where lists of what to download go, on both ports.
pub const DOWNLOAD_PATH: &str = "/batch/get";
/// Where lists of what to delete go, on both ports.
pub const DELETE_PATH: &str = "/batch/delete";
/// How long to wait for others to free some of the byte budget.
pub const BUDGET_WAIT: Duration = Duration::from_secs(2);
