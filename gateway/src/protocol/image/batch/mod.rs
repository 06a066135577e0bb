//! Many images in one call: `POST /batch`, `/batch/get`, `/batch/delete` (docs/http-api.md, Batches).
//!
//! All three stream. What one call holds is charged against the gateway's byte budget before it begins, and does not grow with the number
//! of images but for the list that a client sends and the directory at the end of a zip, which are charged as they grow.

mod delete;
mod download;
mod image;
mod list;
mod upload;

pub use self::delete::delete;
pub use self::download::download;
pub use self::upload::upload;

/// Where uploads go.
pub const UPLOAD_PATH: &str = "/batch";
/// Where lists of images to download go.
pub const DOWNLOAD_PATH: &str = "/batch/get";
/// Where lists of images to delete go.
pub const DELETE_PATH: &str = "/batch/delete";
