//! Which bytes of which chunk are seen where: chunks may overlap, leave holes, and lie beyond the file's end.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::entry::{Body, Chunk, Content};

/// Where a stretch of a file comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    /// From a chunk's needle, beginning `from` bytes into it.
    Chunk {
        /// Which.
        chunk: &'a Chunk,
        /// Bytes of the needle to leave out before.
        from: u64,
    },
    /// From the row itself.
    Inline(&'a [u8]),
    /// Nothing was ever written there: zeros.
    Hole,
}

/// A stretch of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View<'a> {
    /// Where in the file it begins.
    pub at: u64,
    /// How many bytes; never 0.
    pub bytes: u64,
    /// Where they are.
    pub source: Source<'a>,
}

/// Stretches that are seen, by where they begin: their end and the place of their chunk in the list. They do not overlap.
type Seen = BTreeMap<u64, (u64, usize)>;

impl Content {
    /// The stretches that make up a range of the file, in order and without gaps. What of the range is beyond the file's
    /// end is left out.
    pub fn views(&self, range: Range<u64>) -> Vec<View<'_>> {
        let range = range.start..range.end.min(self.size);
        if range.is_empty() {
            return Vec::new();
        }
        match &self.body {
            Body::Inline(bytes) => views_of_inline(bytes, &range),
            Body::Chunks(chunks) => views_of_chunks(chunks, &range),
        }
    }

    /// Drops the chunks of which nothing is seen any more. (What an entry no longer refers to is released when the entry is
    /// stored.)
    pub fn drop_unseen(&mut self) {
        let size = self.size;
        let Body::Chunks(chunks) = &mut self.body else {
            return;
        };
        let seen = seen_in(chunks, &(0..size));
        let mut keep = vec![false; chunks.len()];
        for (_, index) in seen.values() {
            if let Some(keep) = keep.get_mut(*index) {
                *keep = true;
            }
        }
        let mut kept = keep.into_iter();
        chunks.retain(|_| kept.next().unwrap_or(true));
    }

    /// Cuts the file to `size` bytes, or lengthens it with zeros. Bytes that are cut off do not come back when it is
    /// lengthened again.
    pub fn resize(&mut self, size: u64) {
        match &mut self.body {
            Body::Inline(bytes) => {
                bytes.truncate(usize::try_from(size).unwrap_or(usize::MAX));
            }
            Body::Chunks(chunks) => {
                for chunk in chunks.iter_mut() {
                    let left = size.saturating_sub(chunk.offset);
                    if left < chunk.bytes {
                        (chunk.bytes, chunk.md5, chunk.crc32c) = (left, None, None);
                    }
                }
                chunks.retain(|chunk| chunk.bytes > 0);
            }
        }
        self.size = size;
    }
}

fn views_of_inline<'a>(bytes: &'a [u8], range: &Range<u64>) -> Vec<View<'a>> {
    let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    let held = bytes
        .get(index(range.start)..index(range.end))
        .unwrap_or(&[]);
    let mut views = Vec::new();
    if !held.is_empty() {
        views.push(View {
            at: range.start,
            bytes: held.len() as u64,
            source: Source::Inline(held),
        });
    }
    push_hole(&mut views, range.start + held.len() as u64, range.end);
    views
}

fn views_of_chunks<'a>(chunks: &'a [Chunk], range: &Range<u64>) -> Vec<View<'a>> {
    let (mut views, mut at) = (Vec::new(), range.start);
    for (start, (end, index)) in seen_in(chunks, range) {
        push_hole(&mut views, at, start);
        if let Some(chunk) = chunks.get(index) {
            let from = start - chunk.offset;
            views.push(View {
                at: start,
                bytes: end - start,
                source: Source::Chunk { chunk, from },
            });
        }
        at = end;
    }
    push_hole(&mut views, at, range.end);
    views
}

fn push_hole(views: &mut Vec<View<'_>>, from: u64, to: u64) {
    if from < to {
        views.push(View {
            at: from,
            bytes: to - from,
            source: Source::Hole,
        });
    }
}

/// Lays the chunks over each other in the order in which they were written.
fn seen_in(chunks: &[Chunk], range: &Range<u64>) -> Seen {
    let mut order: Vec<usize> = (0..chunks.len()).collect();
    order.sort_by_key(|index| chunks.get(*index).map(|chunk| chunk.modified_ns));
    let mut seen = Seen::new();
    for index in order {
        let Some(chunk) = chunks.get(index) else {
            continue;
        };
        let start = chunk.offset.max(range.start);
        let end = chunk.offset.saturating_add(chunk.bytes).min(range.end);
        if start < end {
            lay(&mut seen, start, end, index);
        }
    }
    seen
}

fn lay(seen: &mut Seen, start: u64, end: u64, index: usize) {
    // What reaches into the new stretch from before is cut, and split if it reaches beyond.
    if let Some((_, (before_end, before))) = seen.range_mut(..start).next_back() {
        let (old_end, old) = (*before_end, *before);
        *before_end = old_end.min(start);
        if old_end > end {
            seen.insert(end, (old_end, old));
        }
    }
    // What begins in it goes, but for what reaches beyond.
    while let Some((old_start, (old_end, old))) =
        seen.range(start..end).next().map(|(k, v)| (*k, *v))
    {
        seen.remove(&old_start);
        if old_end > end {
            seen.insert(end, (old_end, old));
        }
    }
    seen.insert(start, (end, index));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::entry::Needle;

    fn chunk(key: u64, offset: u64, bytes: u64, modified_ns: u64) -> Chunk {
        let needle = Needle {
            volume: 1,
            key,
            cookie: 7,
        };
        Chunk {
            needle,
            offset,
            bytes,
            modified_ns,
            md5: None,
            crc32c: None,
        }
    }

    /// Byte `n` of needle `key`.
    fn byte(key: u64, n: u64) -> u8 {
        (key * 31 + n + 1) as u8 | 1
    }

    fn read(content: &Content, range: Range<u64>) -> Vec<u8> {
        let (mut out, mut at) = (Vec::new(), range.start);
        for view in content.views(range) {
            assert_eq!(view.at, at, "views follow each other");
            assert!(view.bytes > 0);
            at += view.bytes;
            match view.source {
                Source::Hole => out.extend((0..view.bytes).map(|_| 0)),
                Source::Inline(bytes) => out.extend(bytes),
                Source::Chunk { chunk, from } => {
                    out.extend((from..from + view.bytes).map(|n| byte(chunk.needle.key, n)));
                }
            }
        }
        out
    }

    fn plain(chunks: &[Chunk]) -> Vec<u8> {
        let mut file = Vec::new();
        let mut order: Vec<&Chunk> = chunks.iter().collect();
        order.sort_by_key(|chunk| chunk.modified_ns);
        for chunk in order {
            let end = (chunk.offset + chunk.bytes) as usize;
            if chunk.bytes > 0 && file.len() < end {
                file.resize(end, 0);
            }
            for n in 0..chunk.bytes {
                file[(chunk.offset + n) as usize] = byte(chunk.needle.key, n);
            }
        }
        file
    }

    fn chunks() -> impl Strategy<Value = Vec<Chunk>> {
        prop::collection::vec((0..40_u64, 0..20_u64, 0..4_u64), 0..8).prop_map(|list| {
            let numbered = list.into_iter().enumerate();
            numbered
                .map(|(key, (at, len, time))| chunk(key as u64, at, len, time))
                .collect()
        })
    }

    #[test]
    fn inline_bytes_end_in_zeros_if_the_file_is_longer() {
        let mut content = Content::inline(vec![1, 2, 3]);
        content.resize(5);
        assert_eq!(read(&content, 1..9), [2, 3, 0, 0]);
        assert_eq!(read(&content, 4..5), [0]);
        content.resize(2);
        assert_eq!(read(&content, 0..9), [1, 2]);
        assert!(content.views(7..9).is_empty());
    }

    #[test]
    fn offsets_at_the_end_of_the_number_range_do_not_overflow() {
        let content = Content::chunks(vec![chunk(1, u64::MAX - 2, 9, 1), chunk(2, 0, 1, 1)]);
        assert_eq!(content.size, u64::MAX);
        assert_eq!(content.views(0..u64::MAX).len(), 3);
    }

    proptest! {
        #[test]
        fn views_read_as_the_plain_bytes(chunks in chunks(), from in 0..70_u64, len in 0..70_u64) {
            let plain = plain(&chunks);
            let last = chunks.iter().filter(|c| c.bytes > 0).map(|c| c.offset + c.bytes).max().unwrap_or(0);
            let content = Content { size: last, body: Body::Chunks(chunks) };
            let end = (from + len).min(plain.len() as u64);
            let wanted = plain.get(from as usize..end as usize).unwrap_or(&[]);
            prop_assert_eq!(read(&content, from..from + len), wanted);
        }

        #[test]
        fn dropping_what_is_unseen_changes_nothing_that_is_seen(chunks in chunks(), size in 0..70_u64) {
            let mut content = Content { size, body: Body::Chunks(chunks) };
            let before = read(&content, 0..size);
            content.drop_unseen();
            prop_assert_eq!(read(&content, 0..size), before);
            let seen = content.views(0..size);
            for needle in content.needles() {
                let is_seen = seen.iter().any(|view| matches!(view.source, Source::Chunk { chunk, .. } if chunk.needle == needle));
                prop_assert!(is_seen);
            }
        }

        #[test]
        fn what_is_cut_off_does_not_come_back(chunks in chunks(), cut in 0..60_u64, size in 0..70_u64) {
            let mut plain = plain(&chunks);
            let mut content = Content { size: plain.len() as u64, body: Body::Chunks(chunks) };
            content.resize(cut);
            content.resize(size);
            plain.resize(cut as usize, 0);
            plain.resize(size as usize, 0);
            prop_assert_eq!(read(&content, 0..size), plain);
        }
    }
}
