//! x

pub mod cli;
pub mod config;
pub mod transform;
