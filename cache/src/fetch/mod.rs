//! Bringing pages in: one stream of the under store for all who want them, handed on as it comes.

pub mod blocks;
pub mod fill;
pub mod flights;
pub mod from_disk;
pub mod open_file;
pub mod run;
