//! What a keytab holds: for choosing a default realm, and for telling who is refused why. Letting in is left to the Kerberos library. Format: MIT's `kt_file.c`, version 0x0502.

use std::fmt;

/// A key in a keytab.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// `HTTP/host@REALM`
    pub principal: String,
    /// Number of the key.
    pub version: u32,
    /// Kind of encryption: 18 is AES-256.
    pub kind: i32,
    /// The key.
    pub key: Vec<u8>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} of kind {}",
            self.principal, self.version, self.kind
        )
    }
}

/// What is in the file; `None` for what is no keytab.
pub fn entries(file: &[u8]) -> Option<Vec<Entry>> {
    let mut rest = file.strip_prefix(&[5, 2])?;
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let len = i32::from_be_bytes(take(&mut rest)?);
        let hole = usize::try_from(len.unsigned_abs()).ok()?;
        let (record, after) = rest.split_at_checked(hole)?;
        rest = after;
        // A hole that a deleted key has left; a file may end in nothing but zeros.
        if len > 0 {
            entries.push(entry(record)?);
        }
    }
    Some(entries)
}

fn entry(mut record: &[u8]) -> Option<Entry> {
    let components = u16::from_be_bytes(take(&mut record)?);
    let realm = text(&mut record)?;
    let mut names = Vec::new();
    for _ in 0..components {
        names.push(text(&mut record)?);
    }
    let _name_type: [u8; 4] = take(&mut record)?;
    let _made: [u8; 4] = take(&mut record)?;
    let [short] = take(&mut record)?;
    let kind = i16::from_be_bytes(take(&mut record)?);
    let key_len = u16::from_be_bytes(take(&mut record)?);
    let (key, after) = record.split_at_checked(key_len.into())?;
    let long = after.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
    Some(Entry {
        principal: format!("{}@{realm}", names.join("/")),
        version: long.filter(|&long| long > 0).unwrap_or(short.into()),
        kind: kind.into(),
        key: key.to_vec(),
    })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*taken)
}

fn text(rest: &mut &[u8]) -> Option<String> {
    let len = u16::from_be_bytes(take(rest)?);
    let (taken, after) = rest.split_at_checked(len.into())?;
    *rest = after;
    String::from_utf8(taken.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(version: u8) -> Vec<u8> {
        let mut record = vec![0, 2, 0, 1, b'R', 0, 4];
        record.extend(b"HTTP");
        record.extend([
            0, 1, b'h', 0, 0, 0, 1, 0, 0, 0, 0, version, 0, 18, 0, 2, 9, 9,
        ]);
        record
    }

    #[test]
    fn keys_and_holes() {
        let mut file = vec![5, 2, 0, 0, 0, 29];
        file.extend(record(3));
        file.extend([0xff, 0xff, 0xff, 0xfe, 0, 0, 0, 0, 0, 33]);
        file.extend(record(4));
        file.extend([0, 0, 1, 0]);
        let entry = |version| Entry {
            principal: "HTTP/h@R".into(),
            version,
            kind: 18,
            key: vec![9, 9],
        };
        assert_eq!(entries(&file), Some(vec![entry(3), entry(256)]));
        assert_eq!(entries(&[5, 2]), Some(vec![]));
        assert_eq!(entries(b"x"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            entries(&[&[5, 2], &bytes[..]].concat());
        }
    }
}
