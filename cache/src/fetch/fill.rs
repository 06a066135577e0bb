//! A page on its way: whoever waits for it gets its bytes as they come.

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::backend::BackendError;

/// A page, or a part of one, that is being brought in.
#[derive(Debug, Default)]
pub struct Fill {
    state: Mutex<State>,
    more: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// As they came, with where each ends.
    pieces: Vec<(usize, Bytes)>,
    outcome: Option<Outcome>,
}

#[derive(Clone, Debug)]
enum Outcome {
    Whole(Bytes),
    Failed(BackendError),
    Given,
}

/// What a reader gets of a page on its way.
#[derive(Clone, Debug)]
pub enum Piece {
    /// The bytes that follow, one at least.
    Bytes(Bytes),
    /// Nobody brings it any more, for no fault of its own: look for it anew.
    GivenUp,
}

impl Fill {
    /// Bytes have come.
    pub(crate) fn push(&self, bytes: Bytes) {
        let mut state = self.state.lock();
        let end = state.have() + bytes.len();
        state.pieces.push((end, bytes));
        drop(state);
        self.more.notify_waiters();
    }

    /// All bytes have come; this is the page, and the pieces are let go.
    pub(crate) fn finish(&self, page: Bytes) {
        self.end(Outcome::Whole(page));
    }

    /// It cannot be had.
    pub(crate) fn fail(&self, error: BackendError) {
        self.end(Outcome::Failed(error));
    }

    /// See [`Piece::GivenUp`].
    pub(crate) fn give_up(&self) {
        self.end(Outcome::Given);
    }

    fn end(&self, outcome: Outcome) {
        let mut state = self.state.lock();
        if state.outcome.is_none() {
            if matches!(outcome, Outcome::Whole(_)) {
                state.pieces = Vec::new();
            }
            state.outcome = Some(outcome);
        }
        drop(state);
        self.more.notify_waiters();
    }

    /// Waits for the bytes from `at` on, which must be before the end.
    pub(crate) async fn piece(&self, at: usize) -> Result<Piece, BackendError> {
        loop {
            let more = self.more.notified();
            tokio::pin!(more);
            // Before looking: what comes between the look and the wait must wake us.
            more.as_mut().enable();
            if let Some(piece) = self.state.lock().piece(at) {
                return piece;
            }
            more.await;
        }
    }
}

impl Fill {
    /// Waits until nothing of it changes any more. Its last bytes are given out a moment before; only now is it where it is kept.
    pub(crate) async fn ended(&self) {
        loop {
            let more = self.more.notified();
            tokio::pin!(more);
            more.as_mut().enable();
            if self.state.lock().outcome.is_some() {
                return;
            }
            more.await;
        }
    }
}

impl State {
    fn have(&self) -> usize {
        self.pieces.last().map_or(0, |(end, _)| *end)
    }

    fn piece(&self, at: usize) -> Option<Result<Piece, BackendError>> {
        if let Some(Outcome::Whole(page)) = &self.outcome {
            return Some(Ok(Piece::Bytes(page.slice(at.min(page.len())..))));
        }
        let index = self.pieces.partition_point(|(end, _)| *end <= at);
        if let Some((end, bytes)) = self.pieces.get(index) {
            let skip = bytes.len() - (end - at);
            return Some(Ok(Piece::Bytes(bytes.slice(skip..))));
        }
        match self.outcome.as_ref()? {
            Outcome::Failed(error) => Some(Err(error.clone())),
            Outcome::Whole(_) | Outcome::Given => Some(Ok(Piece::GivenUp)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::ErrorKind;
    use std::sync::Arc;

    async fn bytes(fill: &Fill, at: usize) -> Bytes {
        match fill.piece(at).await.unwrap() {
            Piece::Bytes(bytes) => bytes,
            Piece::GivenUp => panic!("given up"),
        }
    }

    #[tokio::test]
    async fn bytes_go_out_as_they_come_and_from_anywhere() {
        let fill = Arc::new(Fill::default());
        let reader = tokio::spawn({
            let fill = Arc::clone(&fill);
            async move { bytes(&fill, 3).await }
        });
        fill.push(Bytes::from_static(b"abc"));
        fill.push(Bytes::from_static(b"def"));
        assert_eq!(reader.await.unwrap(), "def");
        assert_eq!(bytes(&fill, 1).await, "bc");
        fill.finish(Bytes::from_static(b"abcdef"));
        assert_eq!(bytes(&fill, 1).await, "bcdef");
    }

    #[tokio::test]
    async fn its_last_bytes_are_not_its_end() {
        let fill = Fill::default();
        fill.push(Bytes::from_static(b"abc"));
        assert_eq!(bytes(&fill, 0).await, "abc");
        let ended = fill.ended();
        tokio::pin!(ended);
        assert!(futures::poll!(ended.as_mut()).is_pending());
        fill.finish(Bytes::from_static(b"abc"));
        ended.await;
    }

    #[tokio::test]
    async fn what_had_come_is_given_before_the_error() {
        let fill = Fill::default();
        fill.push(Bytes::from_static(b"abc"));
        fill.fail(BackendError::new(ErrorKind::Changed, "changed"));
        assert_eq!(bytes(&fill, 0).await, "abc");
        assert_eq!(fill.piece(3).await.unwrap_err().kind, ErrorKind::Changed);
        let fill = Fill::default();
        fill.give_up();
        assert!(matches!(fill.piece(0).await, Ok(Piece::GivenUp)));
    }
}
