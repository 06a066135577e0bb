//! What is decided, without doing it: synchronous, with the time given.

pub mod breaker;
pub mod epochs;
pub mod plan;
pub mod rate;
pub mod read_ahead;
pub mod s3_fifo;
