//! Hadoop's variable-length numbers and texts (`org.apache.hadoop.io.WritableUtils`, `Text`).

/// Appends a number: one byte from -112 to 127, else a byte that tells sign and length and the bytes after it, the highest first.
pub(super) fn push_vlong(out: &mut Vec<u8>, value: i64) {
    if let Ok(small) = i8::try_from(value)
        && small >= -112
    {
        out.push(small.to_be_bytes()[0]);
        return;
    }
    let (magnitude, base) = if value < 0 {
        (!value, -120_i8)
    } else {
        (value, -112)
    };
    let zeros = (magnitude.leading_zeros() / 8) as usize;
    let bytes = magnitude.to_be_bytes();
    let bytes = bytes.get(zeros..).unwrap_or_default();
    let tag = base - i8::try_from(bytes.len()).unwrap_or(8);
    out.push(tag.to_be_bytes()[0]);
    out.extend_from_slice(bytes);
}

/// Appends bytes behind their length.
pub(super) fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    push_vlong(out, i64::try_from(bytes.len()).unwrap_or(i64::MAX));
    out.extend_from_slice(bytes);
}

/// Bytes being read; every method is `None` at their end, or at what is no such value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn vlong(&mut self) -> Option<i64> {
        let tag = i8::from_be_bytes([self.byte()?]);
        if tag >= -112 {
            return Some(i64::from(tag));
        }
        let (is_negative, len) = if tag < -120 {
            (true, -(i32::from(tag) + 120))
        } else {
            (false, -(i32::from(tag) + 112))
        };
        let mut value = 0_i64;
        for byte in self.take(usize::try_from(len).ok()?)? {
            value = (value << 8) | i64::from(*byte);
        }
        Some(if is_negative { !value } else { value })
    }

    pub(super) fn vint(&mut self) -> Option<i32> {
        i32::try_from(self.vlong()?).ok()
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.vint()?).ok()?;
        self.take(len)
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_as_hadoop_writes_them() {
        for (value, want) in [
            (0, &[0][..]),
            (127, &[0x7f]),
            (-112, &[0x90]),
            (128, &[0x8f, 0x80]),
            (-113, &[0x87, 0x70]),
            (300_000, &[0x8d, 0x04, 0x93, 0xe0]),
        ] {
            let mut out = Vec::new();
            push_vlong(&mut out, value);
            assert_eq!(out, want, "{value}");
        }
    }

    proptest! {
        #[test]
        fn numbers_are_read_back(value in any::<i64>(), shift in 0..64) {
            let value = value >> shift;
            let mut out = Vec::new();
            push_vlong(&mut out, value);
            let mut reader = Reader(&out);
            prop_assert_eq!(reader.vlong(), Some(value));
            prop_assert!(reader.0.is_empty());
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut reader = Reader(&bytes);
            while reader.text().is_some() || reader.vint().is_some() {}
        }
    }
}
