//! Numbers, texts and checksums as bytes, read without trust in them.

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Written by a later version: use that version of the program.
    #[error(
        "its format is version {0}, and this program reads {VERSION}: use the program that wrote it"
    )]
    Version(u8),
    /// Not what was written.
    #[error("its checksum is wrong")]
    Checksum,
    /// Ends too early.
    #[error("it ends in the middle")]
    Truncated,
    /// More follows than should.
    #[error("{0} bytes follow its end")]
    TrailingBytes(usize),
    /// A number beyond its type.
    #[error("a number is out of range")]
    Number,
    /// A text that is none.
    #[error("a text is not UTF-8")]
    NotUtf8,
    /// Flags that do not exist.
    #[error("its flags are {0:#x}")]
    Flags(u8),
}

/// The version that is written, and read.
pub const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 4;

/// Bytes in the making: the version first, the checksum (CRC-32, little-endian, of all before it) last.
pub struct Writer(Vec<u8>);

impl Writer {
    pub fn new() -> Self {
        Self(vec![VERSION])
    }

    pub fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    /// LEB128: seven bits a byte, the lowest first, the top bit set where more follow.
    pub fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    pub fn fixed(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Length, then bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.fixed(bytes);
    }

    pub fn finish(mut self) -> Vec<u8> {
        let checksum = crc32fast::hash(&self.0);
        self.0.extend_from_slice(&checksum.to_le_bytes());
        self.0
    }
}

/// What is still to be read.
pub struct Reader<'a>(&'a [u8]);

type Result<T> = std::result::Result<T, DecodeError>;

impl<'a> Reader<'a> {
    /// Checks version and checksum.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        match bytes.first() {
            None => return Err(DecodeError::Truncated),
            Some(&VERSION) => {}
            Some(other) => return Err(DecodeError::Version(*other)),
        }
        let (body, checksum) = bytes
            .split_last_chunk::<CHECKSUM_BYTES>()
            .ok_or(DecodeError::Truncated)?;
        if crc32fast::hash(body) != u32::from_le_bytes(*checksum) {
            return Err(DecodeError::Checksum);
        }
        body.get(1..).map(Self).ok_or(DecodeError::Truncated)
    }

    pub fn byte(&mut self) -> Result<u8> {
        let (byte, rest) = self.0.split_first().ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(*byte)
    }

    pub fn number(&mut self) -> Result<u64> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(DecodeError::Number);
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(DecodeError::Number)
    }

    pub fn number_u32(&mut self) -> Result<u32> {
        u32::try_from(self.number()?).map_err(|_| DecodeError::Number)
    }

    /// How many things follow, each of at least one byte.
    pub fn count(&mut self) -> Result<usize> {
        let count = usize::try_from(self.number()?).map_err(|_| DecodeError::Number)?;
        match count <= self.0.len() {
            true => Ok(count),
            false => Err(DecodeError::Truncated),
        }
    }

    pub fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(*bytes)
    }

    pub fn bytes(&mut self) -> Result<&'a [u8]> {
        let len = self.count()?;
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(bytes)
    }

    pub fn text(&mut self) -> Result<String> {
        let text = std::str::from_utf8(self.bytes()?).map_err(|_| DecodeError::NotUtf8)?;
        Ok(text.to_owned())
    }

    pub fn finish(self) -> Result<()> {
        match self.0.len() {
            0 => Ok(()),
            more => Err(DecodeError::TrailingBytes(more)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_later_version_is_named_before_its_checksum_is_looked_at() {
        assert_eq!(Reader::new(&[9, 1, 2]).err(), Some(DecodeError::Version(9)));
        assert_eq!(Reader::new(&[]).err(), Some(DecodeError::Truncated));
        assert_eq!(
            Reader::new(&[VERSION, 0]).err(),
            Some(DecodeError::Truncated)
        );
    }

    #[test]
    fn a_number_beyond_64_bits_is_refused() {
        let read = |bytes: &[u8]| Reader(bytes).number();
        let most = [0xff; 9];
        assert_eq!(read(&[&most[..], &[1]].concat()), Ok(u64::MAX));
        assert_eq!(read(&[&most[..], &[2]].concat()), Err(DecodeError::Number));
        assert_eq!(read(&[0x80; 11]), Err(DecodeError::Number));
        assert_eq!(read(&[0x80; 3]), Err(DecodeError::Truncated));
    }

    proptest! {
        #[test]
        fn numbers_are_read_as_written(number: u64) {
            let mut writer = Writer::new();
            writer.number(number);
            let bytes = writer.finish();
            let mut reader = Reader::new(&bytes).unwrap();
            prop_assert_eq!(reader.number(), Ok(number));
            prop_assert_eq!(reader.finish(), Ok(()));
        }
    }
}
