//! What batches of images and batches of files have in common.

pub mod outgoing;
