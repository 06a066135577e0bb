//! Names of things in the haystack: volume ids, needle keys, cookies, and the file id that joins them.

use std::fmt;
use std::str::FromStr;

/// Number of a volume, unique in a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VolumeId(pub u32);

/// Key of a needle, unique in its volume (and, handed out by us, in the whole cluster).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NeedleKey(pub u64);

/// Random number stored with a needle and named in its fid, so that fids cannot be guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cookie(pub u32);

/// `<vid>,<key hex><cookie 8 hex>`: what a client keeps to find its image again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    /// Volume that holds the needle.
    pub volume: VolumeId,
    /// Key of the needle in the volume.
    pub key: NeedleKey,
    /// Cookie that the needle must carry.
    pub cookie: Cookie,
}

/// Why a text is not a file id; the message goes to the client as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileIdError {
    /// The part before the comma is not a 32-bit number.
    #[error("strconv.ParseUint: parsing {0:?}: invalid syntax")]
    Volume(String),
    /// The part after the comma is not a key and a cookie in hex.
    #[error("Invalid fid: {0}")]
    Key(String),
}

const COOKIE_HEX_DIGITS: usize = 8;
const KEY_AND_COOKIE_HEX_DIGITS_MAX: usize = 24;

impl FileId {
    /// Parses a volume id in decimal.
    pub fn parse_volume(text: &str) -> Result<VolumeId, FileIdError> {
        let digits_only = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        match text.parse() {
            Ok(id) if digits_only => Ok(VolumeId(id)),
            _ => Err(FileIdError::Volume(clip(text))),
        }
    }

    /// Parses key and cookie (`01637037d6`), with an optional `_N` that is added to the key.
    pub fn parse_key(text: &str) -> Result<(NeedleKey, Cookie), FileIdError> {
        let bad = || FileIdError::Key(clip(text));
        let (hex, delta) = match text.split_once('_') {
            Some((hex, n)) if n.bytes().all(|b| b.is_ascii_digit()) => {
                (hex, n.parse::<u64>().map_err(|_| bad())?)
            }
            Some(_) => return Err(bad()),
            None => (text, 0),
        };
        if !(COOKIE_HEX_DIGITS + 1..=KEY_AND_COOKIE_HEX_DIGITS_MAX).contains(&hex.len()) {
            return Err(bad());
        }
        let both = hex.chars().try_fold(0_u128, |word, digit| {
            digit
                .to_digit(16)
                .map(|digit| word << 4 | u128::from(digit))
        });
        // Twenty-four digits are 96 bits: 64 of the key, 32 of the cookie.
        let both = both.ok_or_else(bad)?;
        let (key, cookie) = ((both >> u32::BITS) as u64, both as u32);
        Ok((
            NeedleKey(key.checked_add(delta).ok_or_else(bad)?),
            Cookie(cookie),
        ))
    }

    /// Key and cookie as they stand after the comma: leading zero bytes of the key stripped.
    pub fn key_text(&self) -> String {
        let key = self.key.0.to_be_bytes();
        let skip = key.iter().take_while(|b| **b == 0).count();
        let mut text = String::with_capacity(KEY_AND_COOKIE_HEX_DIGITS_MAX);
        for byte in key[skip..].iter().chain(&self.cookie.0.to_be_bytes()) {
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
            }
        }
        if skip == 8 {
            text.insert_str(0, "00");
        }
        text
    }
}

/// Keeps what a stranger sent short enough for an error message.
fn clip(text: &str) -> String {
    text.chars().take(64).collect()
}

impl FromStr for FileId {
    type Err = FileIdError;

    fn from_str(text: &str) -> Result<Self, FileIdError> {
        let (volume, rest) = text
            .split_once(',')
            .ok_or_else(|| FileIdError::Key(clip(text)))?;
        let volume = Self::parse_volume(volume)?;
        let (key, cookie) = Self::parse_key(rest)?;
        Ok(Self {
            volume,
            key,
            cookie,
        })
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.volume.0, self.key_text())
    }
}

impl fmt::Display for VolumeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_fids() {
        let fid: FileId = "5,01cd6ed4e7".parse().unwrap();
        assert_eq!(
            fid,
            FileId {
                volume: VolumeId(5),
                key: NeedleKey(1),
                cookie: Cookie(0xcd6e_d4e7)
            }
        );
        assert_eq!(fid.to_string(), "5,01cd6ed4e7");
        let top: FileId = "1,FFFFffffffffffffffffffff".parse().unwrap();
        assert_eq!(top.key, NeedleKey(u64::MAX));
        assert_eq!(
            "3,01637037d6_4".parse::<FileId>().unwrap().key,
            NeedleKey(5)
        );
        assert_eq!(
            "3,1637037d6".parse::<FileId>().unwrap().key,
            NeedleKey(1),
            "odd digits are accepted"
        );
        assert_eq!(
            "1,0000000001".parse::<FileId>().unwrap().to_string(),
            "1,0000000001"
        );
    }

    #[test]
    fn refused_fids() {
        for text in [
            "",
            "12",
            "3,",
            "3,12345678",
            "a,01637037d6",
            "+3,01637037d6",
            "3,zz637037d6",
            "3,01637037d6_",
            "3,01637037d6_x",
            "3,ffffffffffffffff00000000_1",
            "3,0123456789012345678901234567",
            "4294967296,01637037d6",
            "3,01637037d6_99999999999999999999",
        ] {
            let parsed = text.parse::<FileId>();
            assert!(parsed.is_err(), "{text} gave {parsed:?}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(volume: u32, key: u64, cookie: u32) {
            let fid = FileId { volume: VolumeId(volume), key: NeedleKey(key), cookie: Cookie(cookie) };
            prop_assert_eq!(fid.to_string().parse::<FileId>(), Ok(fid));
        }

        #[test]
        fn any_text_is_parsed_or_refused(text in ".{0,40}") {
            let _ = text.parse::<FileId>();
        }
    }
}
