//! How far to read ahead of a reader.
//!
//! The window begins at one page and grows by what is taken, so that what was fetched is at most twice what was taken and a page: it
//! doubles for who reads on, and a reader who goes away has cost little. Readers that come back for the next range (as clients with a block cache do) go on with the window they had.

/// Ends of earlier reads that are remembered for a file.
const ENDS_MAX: usize = 16;

/// The window of one reader, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    bytes: u64,
    page_bytes: u64,
    bytes_max: u64,
    /// Whether it goes on where an earlier read ended, so that reading beyond what was asked pays.
    continues: bool,
}

impl Window {
    /// One page.
    pub fn new(page_bytes: u64, bytes_max: u64) -> Self {
        Self {
            bytes: page_bytes,
            page_bytes,
            bytes_max: bytes_max.max(page_bytes),
            continues: false,
        }
    }

    /// So many bytes were taken.
    pub fn grow(&mut self, taken: u64) {
        self.bytes = self.bytes.saturating_add(taken).min(self.bytes_max);
    }

    /// The first byte that is not wanted yet by a reader at `position` who has asked for what is before `end`.
    pub fn reach(&self, position: u64, end: u64, file_bytes: u64) -> u64 {
        let ahead = position.saturating_add(self.bytes);
        let last = if self.continues { file_bytes } else { end };
        // At least the page at the position.
        let page_end = (position / self.page_bytes + 1).saturating_mul(self.page_bytes);
        ahead.max(page_end).min(last.max(end)).min(file_bytes)
    }

    /// Whether it goes on where an earlier read ended.
    pub const fn continues(&self) -> bool {
        self.continues
    }
}

/// Where the last reads of one file ended.
#[derive(Clone, Debug, Default)]
pub struct RecentReads {
    ends: Vec<(u64, Window)>,
}

impl RecentReads {
    /// The window for a read that begins at `start`: that of the read that ended there, else `fresh`.
    pub fn begin(&mut self, start: u64, fresh: Window) -> Window {
        match self.ends.iter().position(|(end, _)| *end == start) {
            Some(at) if start > 0 => {
                let (_, mut window) = self.ends.swap_remove(at);
                window.continues = true;
                window
            }
            _ => fresh,
        }
    }

    /// A read has ended.
    pub fn end(&mut self, end: u64, window: Window) {
        if self.ends.len() == ENDS_MAX {
            self.ends.remove(0);
        }
        self.ends.push((end, window));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: u64 = 100;

    #[test]
    fn the_window_is_never_wider_than_what_was_taken() {
        let mut window = Window::new(PAGE, 1000);
        let mut taken = 0;
        for _ in 0..8 {
            let ahead = window.reach(taken, 10_000, 10_000) - taken;
            assert!(ahead <= taken + PAGE && ahead <= 1000, "{ahead} at {taken}");
            taken += PAGE;
            window.grow(PAGE);
        }
        window.grow(10 * PAGE);
        assert_eq!(window.reach(0, 10_000, 10_000), 1000);
    }

    #[test]
    fn nothing_is_read_beyond_a_first_range() {
        let window = Window::new(PAGE, 1000);
        assert_eq!(window.reach(0, 30, 10_000), 30);
        assert_eq!(window.reach(250, 10_000, 10_000), 350);
        assert_eq!(window.reach(299, 10_000, 10_000), 399);
    }

    #[test]
    fn a_range_that_goes_on_inherits_the_window() {
        let mut reads = RecentReads::default();
        let mut window = Window::new(PAGE, 1000);
        (0..7).for_each(|_| window.grow(PAGE));
        reads.end(500, window);
        let next = reads.begin(500, Window::new(PAGE, 1000));
        assert!(next.continues());
        assert_eq!(next.reach(500, 600, 10_000), 1300);
        assert!(!reads.begin(500, Window::new(PAGE, 1000)).continues());
    }

    #[test]
    fn few_ends_are_remembered() {
        let mut reads = RecentReads::default();
        let window = Window::new(PAGE, 1000);
        (1..100).for_each(|n| reads.end(n, window));
        assert!(reads.ends.len() <= ENDS_MAX);
        assert!(reads.begin(99, window).continues());
        assert!(!reads.begin(1, window).continues());
    }
}
