//! Stored images, resized and cropped when they are read (`?width=50&mode=fit`).
//!
//! Owns: what a query asks for, the geometry, decoding, resizing, encoding, and the bounds on all of it.
//! Refuses to own: HTTP. The caller finds the object, maps [`TransformError`] to a status, and makes the
//! variant's own `ETag` from the object's and [`Transform::canonical`].
//!
//! Life of one: [`ImageKind::detect`] says whether the object is an image at all, [`Transform::from_query`] what
//! is asked, and [`TransformPool::run`] does it on a blocking thread: the header is read, the output's size is
//! planned, the plan is held against [`TransformLimits`], and only then is a pixel decoded. What would change
//! nothing is answered with [`Outcome::Original`] without decoding.
//!
//! Sizes and corners are those of the image *as shown*: where a JPEG's EXIF orientation turns it, they are
//! counted after the turn, and the turn is made in the output, which carries no EXIF.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod jpeg_head;
mod kind;
mod pixels;
mod plan;
mod pool;
mod query;
#[cfg(test)]
mod samples;

pub use kind::ImageKind;
pub use pool::TransformPool;
pub use query::{Crop, Mode, Transform};

/// What one transform may cost; checked against the image's header, before any pixel is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransformLimits {
    /// Most pixels of the stored image, and of the output.
    pub pixels_max: u64,
    /// Most memory for the decoded image and everything made from it, in bytes. Holds for one transform:
    /// a pool of N uses up to N times as much.
    pub memory_bytes_max: u64,
}

impl Default for TransformLimits {
    fn default() -> Self {
        Self {
            pixels_max: 100_000_000,
            memory_bytes_max: 512 << 20,
        }
    }
}

/// What came of a transform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The stored bytes are the answer, with their own type and `ETag`: the image is already small enough, or
    /// the crop reaches outside it.
    Original,
    /// New bytes.
    Changed {
        /// The encoded image.
        bytes: Vec<u8>,
        /// Its `Content-Type`; not always the stored one (WebP comes out as PNG).
        mime: &'static str,
    },
}

/// Why there is no transformed image. None of these is answered with the original: a client that asked for a
/// thumbnail and silently gets 20 MB is worse off than one that is told why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransformError {
    /// The query asks for what no image could satisfy: answer 400 with this text.
    #[error("{name}={value:?} cannot be used: {accepted}")]
    Parameter {
        /// The query parameter.
        name: &'static str,
        /// What it said.
        value: String,
        /// What it may say.
        accepted: &'static str,
    },
    /// The stored image, or the asked one, has too many pixels: answer 422 with this text.
    #[error(
        "the image has {pixels} pixels, and at most {limit} are transformed; read it without width, height and crop"
    )]
    TooLarge {
        /// Pixels of the stored image, or of the output.
        pixels: u64,
        /// [`TransformLimits::pixels_max`].
        limit: u64,
    },
    /// Decoding would take too much memory: answer 422 with this text.
    #[error(
        "transforming this image takes {needed_bytes} bytes of memory, and at most {limit_bytes} are given to one"
    )]
    TooMuchMemory {
        /// What it would take, in bytes.
        needed_bytes: u64,
        /// [`TransformLimits::memory_bytes_max`].
        limit_bytes: u64,
    },
    /// The stored bytes are no image, or a damaged one: answer 422 with this text. The object itself can still be
    /// read without parameters.
    #[error("the stored bytes cannot be decoded as an image: {0}")]
    Undecodable(String),
    /// All workers are taken and the queue is full, or the process is stopping: answer 503 with `Retry-After`.
    #[error("too many images are being transformed; try again in {retry_after_secs} s")]
    Busy {
        /// For `Retry-After`, in seconds.
        retry_after_secs: u32,
    },
}
