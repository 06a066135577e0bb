//! Lines of JSON, out of an answer as it comes.

use bytes::{Bytes, BytesMut};
use serde::de::DeserializeOwned;

use super::error::ClientError;
use super::http::Answer;

/// The longest line that is taken: an entry with a very long list of chunks is far below it.
const LINE_BYTES_MAX: usize = 64 << 20;

/// Cuts pieces into lines.
#[derive(Debug, Default)]
struct Cutter {
    rest: BytesMut,
    /// Up to here there is no end of a line in `rest`.
    looked: usize,
}

impl Cutter {
    fn feed(&mut self, piece: &[u8]) {
        self.rest.extend_from_slice(piece);
    }

    fn next_line(&mut self) -> Option<Bytes> {
        let ahead = self.rest.get(self.looked..)?;
        match ahead.iter().position(|byte| *byte == b'\n') {
            Some(at) => {
                let line = self.rest.split_to(self.looked + at + 1);
                self.looked = 0;
                Some(line.freeze())
            }
            None => {
                self.looked = self.rest.len();
                None
            }
        }
    }
}

/// The lines of an answer.
#[derive(Debug)]
pub struct Lines {
    answer: Answer,
    cutter: Cutter,
}

impl Lines {
    /// Of this answer.
    pub fn of(answer: Answer) -> Self {
        let cutter = Cutter::default();
        Self { answer, cutter }
    }

    /// The next line that is not empty; `None` at the end.
    ///
    /// # Errors
    /// As [`Answer::piece`]; [`ClientError::Answer`] for a line that is none.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ClientError> {
        loop {
            while let Some(line) = self.cutter.next_line() {
                if !line.trim_ascii().is_empty() {
                    return parsed(&line).map(Some);
                }
            }
            if self.cutter.rest.len() > LINE_BYTES_MAX {
                return Err(ClientError::Answer("a line does not end".to_owned()));
            }
            let Some(piece) = self.answer.piece().await? else {
                let rest = self.cutter.rest.split();
                return (!rest.trim_ascii().is_empty())
                    .then(|| parsed(&rest))
                    .transpose();
            };
            self.cutter.feed(&piece);
        }
    }
}

fn parsed<T: DeserializeOwned>(line: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(line).map_err(|error| {
        let start = String::from_utf8_lossy(line.get(..line.len().min(80)).unwrap_or_default());
        ClientError::Answer(format!("{error} in {start:?}"))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn however_it_is_cut_the_lines_are_the_same(text in "[ab\n]{0,60}", step in 1usize..7) {
            let mut cutter = Cutter::default();
            let mut got = String::new();
            for piece in text.as_bytes().chunks(step) {
                cutter.feed(piece);
                while let Some(line) = cutter.next_line() {
                    prop_assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
                    got.push_str(std::str::from_utf8(&line).unwrap());
                }
            }
            got.push_str(std::str::from_utf8(&cutter.rest).unwrap());
            prop_assert_eq!(got, text);
        }
    }
}
