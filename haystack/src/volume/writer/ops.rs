//! What is asked of a volume's writer, and what it answers.

use crate::error::HaystackError;
use crate::id::{Cookie, NeedleKey};
use crate::needle::{Draft, Needle};

/// What a request wants of the needle that is there before it writes: given the present one, whether to go on.
pub type Precondition = Box<dyn Fn(Option<&Needle>) -> bool + Send>;

/// One change asked of a volume.
pub enum Op {
    /// Store a needle.
    Put {
        /// Its key.
        key: NeedleKey,
        /// Its cookie; must be that of an existing needle of this key.
        cookie: Cookie,
        /// What to store.
        draft: Draft,
        /// Checked against what is there, at the moment of writing.
        precondition: Option<Precondition>,
        /// The key was never handed out: it may only replace what is there.
        must_exist: bool,
    },
    /// Delete a needle.
    Delete {
        /// Its key.
        key: NeedleKey,
        /// Must be its cookie.
        cookie: Cookie,
        /// Checked against what is there.
        precondition: Option<Precondition>,
    },
}

/// What became of an [`Op`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// Stored, and as durable as the volume promises.
    Stored {
        /// Where the record stands.
        offset: u64,
    },
    /// The same bytes were there already under the same cookie; nothing was written.
    Unchanged,
    /// Deleted.
    Deleted {
        /// Size field of the deleted record, as SeaweedFS answers it.
        size: u32,
    },
}

/// Result of one op.
pub type Outcome = Result<Done, HaystackError>;
