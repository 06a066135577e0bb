//! What protects a connection after DIGEST-MD5: each message with a number and ten bytes of an HMAC, encrypted where privacy was agreed
//! (RFC 2831, sections 2.3 and 2.4).

use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::{Digest as _, Md5};

use super::des::{BLOCK_BYTES, Chain};
use super::{Layer, forged, malformed};
use crate::{Failure, LoginError};

/// Bytes of a message's HMAC that are sent.
const MAC_BYTES: usize = 10;
/// After the message: its version, and its number.
const VERSION: [u8; 2] = [0, 1];
const TAIL_BYTES: usize = VERSION.len() + 4;

/// See the module.
pub(super) struct Sealed {
    ours: Direction,
    theirs: Direction,
}

struct Direction {
    key: [u8; 16],
    chain: Option<Chain>,
    number: u32,
}

impl Sealed {
    /// As the server has it, with keys made of what both know.
    pub(super) fn new(h_a1: &[u8; 16], is_private: bool) -> Option<Self> {
        let key = |ends: &str, what: &str| -> [u8; 16] {
            let constant = match what {
                "signing" => format!("Digest session key to {ends} signing key magic constant"),
                _ => format!("Digest H(A1) to {ends} sealing key magic constant"),
            };
            Md5::new()
                .chain_update(h_a1)
                .chain_update(constant)
                .finalize()
                .into()
        };
        let direction = |ends: &str, chain: fn(&[u8; 16]) -> Option<Chain>| {
            let chain = if is_private {
                Some(chain(&key(ends, "sealing"))?)
            } else {
                None
            };
            Some(Direction {
                key: key(ends, "signing"),
                chain,
                number: 0,
            })
        };
        Some(Self {
            ours: direction("server-to-client", Chain::seals)?,
            theirs: direction("client-to-server", Chain::opens)?,
        })
    }
}

impl Direction {
    fn mac(&self, message: &[u8]) -> Option<[u8; 16]> {
        let mut mac = Hmac::<Md5>::new_from_slice(&self.key).ok()?;
        mac.update(&self.number.to_be_bytes());
        mac.update(message);
        Some(mac.finalize().into_bytes().into())
    }

    fn seal(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let mac = self.mac(message)?;
        let mut out = Vec::with_capacity(message.len() + MAC_BYTES + BLOCK_BYTES + TAIL_BYTES);
        out.extend_from_slice(message);
        if self.chain.is_some() {
            let padding = BLOCK_BYTES - (message.len() + MAC_BYTES) % BLOCK_BYTES;
            out.resize(out.len() + padding, u8::try_from(padding).ok()?);
        }
        out.extend_from_slice(mac.get(..MAC_BYTES)?);
        if let Some(chain) = &mut self.chain
            && !chain.turn(&mut out)
        {
            return None;
        }
        out.extend_from_slice(&VERSION);
        out.extend_from_slice(&self.number.to_be_bytes());
        self.number = self.number.wrapping_add(1);
        Some(out)
    }

    fn open(&mut self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (body, tail) = sealed.split_at_checked(sealed.len().checked_sub(TAIL_BYTES)?)?;
        let [v0, v1, number @ ..] = *tail.first_chunk::<TAIL_BYTES>()?;
        if [v0, v1] != VERSION || u32::from_be_bytes(number) != self.number {
            return None;
        }
        let mut body = body.to_vec();
        if let Some(chain) = &mut self.chain
            && !chain.turn(&mut body)
        {
            return None;
        }
        let mac = body.split_off(body.len().checked_sub(MAC_BYTES)?);
        if self.chain.is_some() {
            let padding = body.split_off(body.len().checked_sub(padding_of(&body)?)?);
            if padding
                .iter()
                .any(|byte| usize::from(*byte) != padding.len())
            {
                return None;
            }
        }
        let known = self.mac(&body)?;
        let is_right = subtle::ConstantTimeEq::ct_eq(known.get(..MAC_BYTES)?, &mac[..]);
        self.number = self.number.wrapping_add(1);
        bool::from(is_right).then_some(body)
    }
}

/// Bytes of padding at the end: the last one tells.
fn padding_of(body: &[u8]) -> Option<usize> {
    let padding = usize::from(*body.last()?);
    (1..=BLOCK_BYTES).contains(&padding).then_some(padding)
}

impl Layer for Sealed {
    fn wrap(&mut self, message: &[u8]) -> Result<Vec<u8>, LoginError> {
        let failed = || LoginError::new(Failure::Unavailable, "a message could not be sealed");
        self.ours.seal(message).ok_or_else(failed)
    }

    fn unwrap(&mut self, message: &[u8]) -> Result<Vec<u8>, LoginError> {
        if message.len() < MAC_BYTES + TAIL_BYTES {
            return Err(malformed("a sealed message was cut short"));
        }
        let changed = || forged("a sealed message was changed, left out or sent twice");
        self.theirs.open(message).ok_or_else(changed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Both ends.
    fn pair(is_private: bool) -> (Sealed, Sealed) {
        let server = Sealed::new(&[7; 16], is_private).unwrap();
        let mut client = Sealed::new(&[7; 16], is_private).unwrap();
        std::mem::swap(&mut client.ours, &mut client.theirs);
        if is_private {
            let turned = |direction: &mut Direction, ends: &str, seals: bool| {
                let constant = format!("Digest H(A1) to {ends} sealing key magic constant");
                let key: [u8; 16] = Md5::new()
                    .chain_update([7; 16])
                    .chain_update(constant)
                    .finalize()
                    .into();
                direction.chain = if seals {
                    Chain::seals(&key)
                } else {
                    Chain::opens(&key)
                };
            };
            turned(&mut client.ours, "client-to-server", true);
            turned(&mut client.theirs, "server-to-client", false);
        }
        (server, client)
    }

    proptest! {
        #[test]
        fn what_one_end_seals_the_other_opens(messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 1..6), is_private: bool) {
            let (mut server, mut client) = pair(is_private);
            for message in &messages {
                let sealed = server.wrap(message).unwrap();
                prop_assert_eq!(&client.unwrap(&sealed).unwrap(), message);
                let sealed = client.wrap(message).unwrap();
                prop_assert_eq!(&server.unwrap(&sealed).unwrap(), message);
            }
        }

        #[test]
        fn what_was_changed_is_refused(message in prop::collection::vec(any::<u8>(), 0..40), at in any::<prop::sample::Index>(), bit in 0..8, is_private: bool) {
            let (mut server, mut client) = pair(is_private);
            let mut sealed = client.wrap(&message).unwrap();
            let at = at.index(sealed.len());
            sealed[at] ^= 1_u8 << bit;
            prop_assert!(server.unwrap(&sealed).is_err());
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..64), is_private: bool) {
            let (mut server, _) = pair(is_private);
            prop_assert!(server.unwrap(&bytes).is_err());
        }
    }

    #[test]
    fn a_message_is_taken_once_and_in_order() {
        let (mut server, mut client) = pair(false);
        let (first, second) = (client.wrap(b"1").unwrap(), client.wrap(b"2").unwrap());
        assert!(server.unwrap(&second).is_err());
        assert_eq!(server.unwrap(&first).unwrap(), b"1");
        assert!(server.unwrap(&first).is_err());
        assert_eq!(server.unwrap(&second).unwrap(), b"2");
    }
}
