use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::Frame;
use proptest::prelude::*;

use std::io;

use super::*;

/// A body that sends what it is told, each item after a pause on tokio's clock.
struct Script {
    frames: VecDeque<(Duration, io::Result<Frame<Bytes>>)>,
    pause: Option<Pin<Box<tokio::time::Sleep>>>,
    known_end: bool,
}

impl Script {
    fn of(frames: impl IntoIterator<Item = (u64, io::Result<Frame<Bytes>>)>) -> Self {
        let frames = frames
            .into_iter()
            .map(|(millis, frame)| (Duration::from_millis(millis), frame));
        Self {
            frames: frames.collect(),
            pause: None,
            known_end: false,
        }
    }

    fn data(pieces: &[&'static [u8]]) -> Self {
        Self::of(
            pieces
                .iter()
                .map(|piece| (0, Ok(Frame::data(Bytes::from_static(piece))))),
        )
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some((wait, _)) = self.frames.front() else {
            return Poll::Ready(None);
        };
        let wait = *wait;
        if !wait.is_zero() {
            let pause = self
                .pause
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(wait)));
            std::task::ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        Poll::Ready(self.frames.pop_front().map(|(_, frame)| frame))
    }

    fn is_end_stream(&self) -> bool {
        self.known_end && self.frames.is_empty()
    }
}

fn limits(len_bytes_max: u64) -> IntakeLimits {
    IntakeLimits {
        budget_wait: Duration::ZERO,
        ..IntakeLimits::new(len_bytes_max, Duration::from_secs(10))
    }
}

fn budget() -> ByteBudget {
    ByteBudget::new(1 << 20)
}

async fn collected(body: Script, declared: Option<u64>) -> Result<Bytes, IntakeError> {
    collect(body, declared, &limits(1000), &budget())
        .await
        .map(|collected| collected.bytes)
}

#[tokio::test]
async fn one_frame_is_not_copied() {
    let bytes = Bytes::from(vec![1u8; 700]);
    for (declared, known_end) in [(Some(700), false), (None, true)] {
        let mut body = Script::of([(0, Ok(Frame::data(bytes.clone())))]);
        body.known_end = known_end;
        let budget = budget();
        let whole = collect(body, declared, &limits(1000), &budget)
            .await
            .unwrap();
        assert_eq!(whole.bytes.as_ptr(), bytes.as_ptr());
        assert_eq!(whole.permit.bytes(), 1024);
        assert_eq!(budget.free_bytes(), budget.total_bytes() - 1024);
        drop(whole);
        assert_eq!(budget.free_bytes(), budget.total_bytes());
    }
}

#[tokio::test]
async fn frames_are_joined_and_trailers_dropped() {
    let mut body = Script::data(&[b"ab", b"", b"cd"]);
    body.frames
        .push_back((Duration::ZERO, Ok(Frame::trailers(http::HeaderMap::new()))));
    assert_eq!(collected(body, None).await.unwrap(), "abcd");
    assert_eq!(
        collected(Script::data(&[b"ab", b"cd"]), Some(4))
            .await
            .unwrap(),
        "abcd"
    );
}

#[tokio::test]
async fn empty_bodies() {
    assert!(collected(Script::data(&[]), None).await.unwrap().is_empty());
    assert!(
        collected(Script::data(&[]), Some(0))
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        collected(Script::data(&[b"", b""]), None)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_short_body_is_truncated() {
    for pieces in [&[][..], &[&b"ab"[..]], &[b"ab", b"c"]] {
        let error = collected(Script::data(pieces), Some(5)).await.unwrap_err();
        assert!(matches!(error, IntakeError::Truncated), "{error}");
    }
}

#[tokio::test]
async fn a_long_body_is_a_protocol_error() {
    for pieces in [&[&b"abc"[..]][..], &[b"a", b"bc"]] {
        let error = collected(Script::data(pieces), Some(2)).await.unwrap_err();
        assert!(matches!(error, IntakeError::Protocol(_)), "{error}");
    }
}

#[tokio::test]
async fn too_large_by_word_or_by_deed() {
    let by_word = collected(Script::data(&[]), Some(1001)).await.unwrap_err();
    assert!(matches!(
        by_word,
        IntakeError::TooLarge { limit_bytes: 1000 }
    ));
    let frames = |count| Script::data(&vec![&[7u8; 500][..]; count]);
    assert_eq!(collected(frames(2), None).await.unwrap().len(), 1000);
    let by_deed = collected(frames(3), None).await.unwrap_err();
    assert!(matches!(
        by_deed,
        IntakeError::TooLarge { limit_bytes: 1000 }
    ));
}

#[tokio::test]
async fn errors_of_the_connection() {
    let broken = |kind: io::ErrorKind| Script::of([(0, Err(io::Error::from(kind)))]);
    let early = collected(broken(io::ErrorKind::UnexpectedEof), Some(5))
        .await
        .unwrap_err();
    assert!(matches!(early, IntakeError::Truncated));
    let bad = collected(broken(io::ErrorKind::InvalidData), None)
        .await
        .unwrap_err();
    assert!(matches!(bad, IntakeError::Protocol(_)));
}

#[tokio::test]
async fn a_body_that_stops_is_cut() {
    let limits = IntakeLimits {
        stall_timeout: Duration::from_millis(60),
        ..limits(10)
    };
    let frames = [(0, "ab"), (3_600_000, "c")];
    let body = Script::of(frames.map(|(millis, text)| (millis, Ok(Frame::data(text.into())))));
    let started = Instant::now();
    let error = collect(body, Some(3), &limits, &budget())
        .await
        .unwrap_err();
    assert!(matches!(error, IntakeError::Stalled { .. }), "{error}");
    assert!(started.elapsed() >= limits.stall_timeout);
}

#[tokio::test]
async fn a_body_that_drips_is_cut_after_its_grace() {
    let limits = IntakeLimits {
        rate_grace: Duration::from_millis(60),
        ..limits(1_000_000)
    };
    let drops = (0..1_000_000).map(|_| (2, Ok(Frame::data(Bytes::from_static(b"x")))));
    let started = Instant::now();
    let error = collect(Script::of(drops), None, &limits, &budget())
        .await
        .unwrap_err();
    assert!(matches!(error, IntakeError::Stalled { .. }), "{error}");
    assert!(started.elapsed() >= limits.rate_grace);
}

#[tokio::test]
async fn a_full_budget_is_busy_and_a_failed_body_gives_back() {
    let budget = ByteBudget::new(64 * 1024);
    let held = budget.try_take(64 * 1024 - 1023).unwrap();
    assert_eq!(budget.free_bytes(), 0);
    let error = collect(Script::data(&[b"ab"]), Some(2), &limits(10), &budget)
        .await
        .unwrap_err();
    assert!(matches!(error, IntakeError::Busy));
    drop(held);
    collect(Script::data(&[b"a", b"b"]), Some(3), &limits(10), &budget)
        .await
        .unwrap_err();
    assert_eq!(budget.free_bytes(), 64 * 1024);
}

#[tokio::test]
async fn a_lying_content_length_costs_little() {
    let budget = ByteBudget::new(1 << 40);
    let limits = limits(1 << 39);
    let mut body = Script::data(&[&[0; 10_000], &[0; 10_000]]);
    body.frames
        .push_back((Duration::from_secs(3600), Ok(Frame::data(Bytes::new()))));
    let mut reading = Box::pin(collect(body, Some(1 << 39), &limits, &budget));
    assert!(timeout(Duration::ZERO, &mut reading).await.is_err());
    let charged = budget.total_bytes() - budget.free_bytes();
    assert!(
        (20_000..=FIRST_BUFFER_BYTES).contains(&charged),
        "{charged}"
    );
}

#[tokio::test]
async fn waiting_for_the_budget_ends_when_others_give_back() {
    let budget = ByteBudget::new(2048);
    let held = budget.try_take(2048).unwrap();
    let waiting = tokio::spawn({
        let budget = budget.clone();
        async move {
            budget
                .take(1, Duration::from_secs(60))
                .await
                .map(|permit| permit.bytes())
        }
    });
    tokio::task::yield_now().await;
    drop(held);
    assert_eq!(waiting.await.unwrap(), Some(1024));
}

#[tokio::test]
async fn waiting_for_the_budget_is_bounded() {
    let budget = ByteBudget::new(2048);
    let _held = budget.try_take(1).unwrap();
    assert!(budget.take(2048, Duration::from_millis(20)).await.is_none());
    // What can never be had is not waited for: this would take an hour.
    assert!(budget.take(2049, Duration::from_secs(3600)).await.is_none());
    assert!(budget.try_take(u64::MAX).is_none());
}

#[test]
fn capacities_are_steps_to_the_declared_length() {
    let whole = 256 << 20;
    let mut capacity = 0;
    let mut steps = vec![];
    while capacity < whole {
        capacity = capacity_for(capacity + 1, Some(whole), whole);
        steps.push(capacity >> 10);
    }
    assert_eq!(steps, [64, 256, 1024, 4096, 16384, 65536, 262_144]);
    assert_eq!(capacity_for(8192, Some(9000), whole), 9000);
    assert_eq!(capacity_for(1, None, whole), FIRST_BUFFER_BYTES);
    assert_eq!(capacity_for(100_000, None, 150_000), 150_000);
}

proptest! {
    #[test]
    fn capacities_are_enough_and_not_much_more(len in 1u64..1 << 40, more in 0u64..1 << 40) {
        let capacity = capacity_for(len, Some(len + more), u64::MAX);
        prop_assert!(capacity >= len && capacity <= (len + more).max(len));
        prop_assert!(capacity <= (GROWTH * len).max(FIRST_BUFFER_BYTES) + GROWTH);
    }

    #[test]
    fn any_cut_of_a_body_gives_the_same_bytes(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50_000), 0..12), declare: bool) {
        let whole = pieces.concat();
        let declared = declare.then_some(whole.len() as u64);
        let body = Script::of(pieces.into_iter().map(|piece| (0, Ok(Frame::data(piece.into())))));
        let budget = ByteBudget::new(8 << 20);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let read = runtime.block_on(collect(body, declared, &limits(1 << 20), &budget)).unwrap();
        prop_assert_eq!(&read.bytes[..], &whole[..]);
        prop_assert!(read.permit.bytes() >= whole.len() as u64);
    }
}
