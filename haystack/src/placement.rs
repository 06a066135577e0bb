//! Replica placement: how many more copies of a volume there are, and how far away.

use std::fmt;

/// The code `xyz`: copies in other data centers, in other racks of the same center, on other servers of the same rack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct ReplicaPlacement {
    /// Copies in other data centers.
    pub data_centers: u8,
    /// Copies in other racks of the same data center.
    pub racks: u8,
    /// Copies on other servers of the same rack.
    pub servers: u8,
}

/// The text is not a replica placement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unexpected replication type: {0}")]
pub struct PlacementError(String);

const DIGIT_MAX: u8 = 2;

impl ReplicaPlacement {
    /// Parses `xyz`, each digit 0 to 2; an empty text means `000`, fewer digits are padded on the left.
    pub fn parse(text: &str) -> Result<Self, PlacementError> {
        let bad = || PlacementError(text.chars().take(16).collect());
        if text.len() > 3 {
            return Err(bad());
        }
        let mut digits = [0u8; 3];
        for (slot, c) in digits.iter_mut().rev().zip(text.bytes().rev()) {
            *slot = c
                .checked_sub(b'0')
                .filter(|d| *d <= DIGIT_MAX)
                .ok_or_else(bad)?;
        }
        Ok(Self {
            data_centers: digits[0],
            racks: digits[1],
            servers: digits[2],
        })
    }

    /// From the super block's byte: the decimal number xyz.
    pub const fn from_byte(byte: u8) -> Self {
        Self {
            data_centers: byte / 100,
            racks: byte / 10 % 10,
            servers: byte % 10,
        }
    }

    /// The super block's byte. A placement that was parsed is at most 222.
    pub const fn to_byte(self) -> u8 {
        self.data_centers
            .wrapping_mul(100)
            .wrapping_add(self.racks * 10)
            .wrapping_add(self.servers)
    }

    /// How many copies there are in all, this one included.
    pub const fn copies(self) -> u32 {
        1 + self.data_centers as u32 + self.racks as u32 + self.servers as u32
    }
}

impl fmt::Display for ReplicaPlacement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.data_centers, self.racks, self.servers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes() {
        assert_eq!(ReplicaPlacement::parse("010").unwrap().to_byte(), 10);
        assert_eq!(ReplicaPlacement::parse("200").unwrap().to_byte(), 200);
        assert_eq!(
            ReplicaPlacement::parse("").unwrap(),
            ReplicaPlacement::default()
        );
        assert_eq!(ReplicaPlacement::parse("1").unwrap().to_string(), "001");
        assert_eq!(
            ReplicaPlacement::from_byte(210),
            ReplicaPlacement {
                data_centers: 2,
                racks: 1,
                servers: 0
            }
        );
        for byte in 0..=255 {
            assert_eq!(ReplicaPlacement::from_byte(byte).to_byte(), byte);
        }
    }

    #[test]
    fn refuses_other_texts() {
        for text in ["abc", "999", "0000", "-01", "é0"] {
            assert!(ReplicaPlacement::parse(text).is_err(), "{text}");
        }
    }
}
