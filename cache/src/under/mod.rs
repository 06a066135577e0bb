//! Under stores: what lies behind a mount.
