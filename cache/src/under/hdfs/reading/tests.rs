//! Every way in which a file can change between any two steps of a read: what is shown is of the version that was opened, whole.

use std::sync::atomic::AtomicUsize;

use futures::stream;
use parking_lot::Mutex;

use super::*;

/// What a file may become while it is read, at one of its steps.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Change {
    None,
    /// Another file, as long, takes its place. The old blocks can still be read.
    Replaced,
    /// It is cut, and grows again to its length with other bytes in the same blocks.
    CutAndGrown,
    /// The holders of its blocks fail once.
    HoldersFail,
    /// They fail, and meanwhile another file has taken its place.
    ReplacedAndHoldersFail,
}

const CHANGES: [Change; 5] = [
    Change::None,
    Change::Replaced,
    Change::CutAndGrown,
    Change::HoldersFail,
    Change::ReplacedAndHoldersFail,
];

/// A file whose bytes are all the number of what was written: 0 at first.
#[derive(Debug)]
struct Fake {
    /// What is at the path: which file, and what is in its blocks.
    now: Mutex<(usize, Vec<Arc<Mutex<u8>>>)>,
    version: AtomicUsize,
    steps: AtomicUsize,
    checks: AtomicUsize,
    /// At which step what happens.
    planned: (usize, Change),
    fails: AtomicBool,
    checked: Mutex<Option<(usize, Arc<AtomicBool>)>>,
    truncates: bool,
}

impl Fake {
    fn new(planned: (usize, Change), truncates: bool) -> Arc<Self> {
        Arc::new(Self {
            now: Mutex::new((0, vec![Arc::default()])),
            version: AtomicUsize::new(0),
            steps: AtomicUsize::new(0),
            checks: AtomicUsize::new(0),
            planned,
            fails: AtomicBool::new(false),
            checked: Mutex::new(None),
            truncates,
        })
    }

    /// Others come to their turn before a step, and it may be now that it happens.
    async fn step(&self) {
        tokio::task::yield_now().await;
        if self.steps.fetch_add(1, Ordering::SeqCst) != self.planned.0 {
            return;
        }
        let mut now = self.now.lock();
        let mut replace = || {
            now.0 += 1;
            now.1.push(Arc::new(Mutex::new(1)));
        };
        match self.planned.1 {
            Change::None => return,
            Change::HoldersFail => return self.fails.store(true, Ordering::SeqCst),
            Change::Replaced => replace(),
            Change::ReplacedAndHoldersFail => {
                replace();
                self.fails.store(true, Ordering::SeqCst);
            }
            Change::CutAndGrown => *now.1[0].lock() = 1,
        }
        self.version.fetch_add(1, Ordering::SeqCst);
    }
}

impl Remote for Arc<Fake> {
    fn path(&self) -> &str {
        "/file"
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn may_be_cut(&self) -> bool {
        self.truncates
    }

    async fn check(&self) -> Result<(), BackendError> {
        self.checks.fetch_add(1, Ordering::SeqCst);
        self.step().await;
        let is_same = self.version.load(Ordering::SeqCst) == 0;
        self.step().await;
        let changed = || BackendError::new(ErrorKind::Changed, "changed");
        is_same.then_some(()).ok_or_else(changed)
    }

    async fn blocks(
        &self,
        range: Range<u64>,
        _page_bytes: u64,
    ) -> Result<(Blocks, Arc<AtomicBool>), BackendError> {
        self.step().await;
        let known = self.checked.lock().clone();
        let (which, checked) = known.unwrap_or_else(|| (self.now.lock().0, Arc::default()));
        *self.checked.lock() = Some((which, Arc::clone(&checked)));
        let block = Arc::clone(&self.now.lock().1[which]);
        let fake = Arc::clone(self);
        let pieces = stream::unfold(range, move |rest| {
            let (fake, block) = (Arc::clone(&fake), Arc::clone(&block));
            async move {
                if rest.is_empty() {
                    return None;
                }
                fake.step().await;
                if fake.fails.swap(false, Ordering::SeqCst) {
                    let gone = BackendError::new(ErrorKind::Unavailable, "gone");
                    return Some((Err(gone), rest.end..rest.end));
                }
                let end = rest.end.min(rest.start + SHORT_BYTES);
                let piece = vec![*block.lock(); (end - rest.start) as usize];
                Some((Ok(piece.into()), end..rest.end))
            }
        });
        Ok((pieces.boxed(), checked))
    }

    fn forget(&self) {
        *self.checked.lock() = None;
    }
}

/// Reads a file of this length; how many bytes came, whether all were the old ones, and how it ended.
fn read(fake: &Arc<Fake>, len: u64) -> ((u64, bool), Result<(), BackendError>) {
    let mut shown = (0, true);
    let file = Arc::new(Arc::clone(fake));
    let reading = async {
        let mut reading = Reading::begin(file, 0..len, len, ()).await?;
        while let Some(piece) = reading.next().await? {
            shown.0 += piece.len() as u64;
            shown.1 &= piece.iter().all(|byte| *byte == 0);
        }
        Ok(())
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let ended = runtime.unwrap().block_on(reading);
    (shown, ended)
}

const LENGTHS: [u64; 4] = [1, SHORT_BYTES, SHORT_BYTES + 1, 4 * SHORT_BYTES];

#[test]
fn nothing_but_the_version_that_was_opened_is_shown() {
    for truncates in [true, false] {
        for len in LENGTHS {
            for change in CHANGES {
                for step in 0..24 {
                    if change == Change::CutAndGrown && !truncates {
                        continue;
                    }
                    let fake = Fake::new((step, change), truncates);
                    // The one that was opened is known before its blocks are located.
                    let ((shown, is_old), ended) = read(&fake, len);
                    let case = format!("{truncates} {len} {change:?} at {step}: {ended:?}");
                    // The end of a long read vouches for its middle; a short one is shown whole or not at all.
                    let vouched = ended.is_ok() || len <= SHORT_BYTES;
                    let cut = change == Change::CutAndGrown;
                    assert!(is_old || (cut && !vouched), "{case}");
                    match ended {
                        Ok(()) => assert_eq!(shown, len, "{case}"),
                        Err(error) => {
                            assert_eq!(error.kind, ErrorKind::Changed, "{case}");
                            assert!(shown < len, "{case}");
                            assert_ne!(change, Change::None, "{case}");
                        }
                    }
                    // What was good for this one is not so for ever.
                    let was_changed = fake.version.load(Ordering::SeqCst) > 0;
                    let (_, ended) = read(&fake, len);
                    if was_changed && truncates {
                        assert_eq!(ended.unwrap_err().kind, ErrorKind::Changed, "{case}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_short_read_asks_once_and_a_long_one_twice() {
    for (truncates, len, first, second) in [
        (true, 1, 1, 1),
        (true, 4 * SHORT_BYTES, 2, 1),
        (false, 1, 1, 0),
        (false, 4 * SHORT_BYTES, 1, 0),
    ] {
        let fake = Fake::new((0, Change::None), truncates);
        for want in [first, second] {
            let before = fake.checks.load(Ordering::SeqCst);
            read(&fake, len).1.unwrap();
            let asked = fake.checks.load(Ordering::SeqCst) - before;
            assert_eq!(asked, want, "{truncates} {len}");
        }
    }
}
