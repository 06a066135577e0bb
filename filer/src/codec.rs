//! Rows as bytes.
/// The longest encoded entry, in bytes.
pub const ROW_BYTES_MAX: usize = 8 << 20;
