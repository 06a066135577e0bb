//! The gateway: protocols over the haystack.

pub mod cli;
pub mod config;
pub mod fsck;
pub mod http;
pub mod transform;
