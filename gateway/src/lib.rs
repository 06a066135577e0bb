//! x

pub mod transform;
