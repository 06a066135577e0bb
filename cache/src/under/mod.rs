//! Under stores: what lies behind a mount.

pub mod local;

pub use local::LocalStore;
