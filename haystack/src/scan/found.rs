//! One record, as a walk finds it.

use bytes::Bytes;

use crate::needle::{Header, Needle, NeedleError, Version, record_bytes};

/// A record that was walked over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it starts.
    pub offset: u64,
    /// Its header.
    pub header: Header,
    /// When it was appended, unix nanoseconds; 0 before version 3.
    pub appended_at_ns: u64,
    /// When its own TTL ends, unix seconds, if it has one and is sound.
    pub expires_secs: Option<u64>,
    /// CRC field of a record without body: 0 in an empty object of SeaweedFS.
    pub checksum: u32,
    /// Whether its fields fill its body.
    pub adds_up: bool,
    /// What is wrong with it, if anything.
    pub fault: Option<NeedleError>,
    /// Whether its seal holds: we wrote it for this place, and its header is right, though its data may be damaged.
    pub sealed: bool,
    /// The seal is long enough that it does not hold by chance.
    pub surely_sealed: bool,
    /// Whether what follows the place of its seal is what we fill padding with: nobody else does.
    pub filled: bool,
    /// Its header as we wrote it, where the seal does not hold but it is known which bit flipped. In a volume that we never wrote to it
    /// means nothing: once in millions of records chance makes it so.
    pub mended: Option<Header>,
}

impl Found {
    /// Offset behind it.
    pub const fn end(&self, version: Version) -> u64 {
        self.offset + record_bytes(self.header.size, version)
    }

    /// Takes a record for ours: where its seal does not hold it is damaged, and its header is the mended one if there is one.
    pub fn take_for_ours(&mut self) {
        if !self.sealed {
            self.fault = self.fault.or(Some(NeedleError::Seal));
            self.header = self.mended.unwrap_or(self.header);
        }
    }

    /// Whether the header of a record of ours is what we wrote, though the record may be damaged.
    pub const fn is_header_known(&self) -> bool {
        self.sealed || self.mended.is_some()
    }
}

pub(super) fn inspect(record: &Bytes, header: Header, version: Version, offset: u64) -> Found {
    let sealed = Needle::decode(record.clone(), version, Some(offset));
    let (fault, sealed, needle) = match sealed {
        Ok(needle) => (None, true, Some(needle)),
        Err(NeedleError::Seal) => (
            None,
            false,
            Needle::decode(record.clone(), version, None).ok(),
        ),
        Err(fault) => {
            let sealed = Needle::header_holds(record.clone(), version, offset);
            (Some(fault), sealed, None)
        }
    };
    let adds_up = needle.as_ref().is_some_and(|needle| needle.adds_up);
    let expires_secs = needle.as_ref().and_then(Needle::expires_secs);
    let (checksum, appended_at_ns) = needle.map_or((0, 0), |n| (n.checksum, n.appended_at_ns));
    let mended = if sealed {
        None
    } else {
        Needle::mended_header(record.clone(), version, offset)
    };
    Found {
        offset,
        header,
        appended_at_ns,
        expires_secs,
        checksum,
        adds_up,
        fault,
        sealed,
        surely_sealed: sealed && Needle::is_surely_sealed(record.clone(), version, offset),
        filled: Needle::is_filled(record, version),
        mended,
    }
}
