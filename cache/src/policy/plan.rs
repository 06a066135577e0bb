//! What to fetch for a read that wants a part of a page.

use std::ops::Range;

/// The piece of a page that is fetched for a small read.
pub const BLOCK_BYTES: u64 = 64 << 10;
/// A page of at most so many blocks is always fetched whole.
const BLOCKS_WHOLE: u64 = 4;

/// What to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// These bytes of the page, on block borders.
    Blocks(Range<u64>),
    /// All of it.
    Page,
}

/// Plans for bytes `wanted` of a page of `page_len` bytes, of which `blocks_held` blocks were fetched before.
///
/// The first small read of a page fetches the blocks that it touches, a second one all: it will be read again. So no byte is fetched
/// more than twice, and a page that is read once costs little.
pub fn plan(wanted: &Range<u64>, page_len: u64, blocks_held: usize) -> Want {
    let start = wanted.start / BLOCK_BYTES * BLOCK_BYTES;
    let end = (wanted.end.div_ceil(BLOCK_BYTES) * BLOCK_BYTES).min(page_len);
    let is_small = 2 * (end - start.min(end)) < page_len && page_len > BLOCKS_WHOLE * BLOCK_BYTES;
    if is_small && blocks_held == 0 {
        Want::Blocks(start..end)
    } else {
        Want::Page
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_first_small_read_fetches_a_block_and_a_second_the_page() {
        assert_eq!(plan(&(5000..9000), MIB, 0), Want::Blocks(0..BLOCK_BYTES));
        assert_eq!(plan(&(5000..9000), MIB, 1), Want::Page);
        assert_eq!(plan(&(0..600_000), MIB, 0), Want::Page);
    }

    #[test]
    fn what_is_small_is_fetched_whole() {
        assert_eq!(plan(&(0..10), 5000, 0), Want::Page);
        assert_eq!(plan(&(0..10), 4 * BLOCK_BYTES, 0), Want::Page);
    }

    proptest! {
        #[test]
        fn what_is_wanted_is_fetched(start in 0..MIB, len in 1..MIB, page_len in 1..=MIB) {
            let end = (start + len).min(page_len);
            prop_assume!(start < end);
            if let Want::Blocks(blocks) = plan(&(start..end), page_len, 0) {
                prop_assert!(blocks.start <= start && end <= blocks.end && blocks.end <= page_len);
                prop_assert!(blocks.end - blocks.start < (end - start) + 2 * BLOCK_BYTES);
            }
        }
    }
}
