//! What the segments before a JPEG's pixels tell (ITU-T T.81 annex B): enough to price its decoding and to know
//! whether asking for its orientation is worth another parse of the header.

/// Facts from the segments before the first scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct JpegHead {
    /// The frame is progressive: a decoder holds every coefficient until the last scan.
    pub progressive: bool,
    /// There is an EXIF segment.
    pub has_exif: bool,
}

const MARKER: u8 = 0xFF;
const SOI: u8 = 0xD8;
const SOS: u8 = 0xDA;
const APP1: u8 = 0xE1;
/// SOF2 and its differential and arithmetic-coded kin.
const PROGRESSIVE_FRAMES: [u8; 4] = [0xC2, 0xC6, 0xCA, 0xCE];

impl JpegHead {
    /// Walks the segments up to the first scan; stops quietly where the bytes stop making sense, since the decoder
    /// will say so better.
    pub fn read(bytes: &[u8]) -> Self {
        let mut head = Self::default();
        let Some(mut rest) = bytes.strip_prefix(&[MARKER, SOI]) else {
            return head;
        };
        while let Some((marker, body, after)) = segment(rest) {
            if marker == SOS {
                break;
            }
            head.progressive |= PROGRESSIVE_FRAMES.contains(&marker);
            head.has_exif |= marker == APP1 && body.starts_with(b"Exif\0");
            rest = after;
        }
        head
    }
}

/// The next segment: its marker, its body, and what follows it. Fill bytes before a marker are skipped.
fn segment(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&MARKER, after) = bytes.split_first()? else {
        return None;
    };
    let fill = after.iter().take_while(|&&byte| byte == MARKER).count();
    let (&marker, after) = after.get(fill..)?.split_first()?;
    let length = usize::from(u16::from_be_bytes(*after.first_chunk()?));
    // The length counts its own two bytes.
    Some((marker, after.get(2..length)?, after.get(length..)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::transform::samples;

    #[test]
    fn finds_exif_and_progressive_frames() {
        let plain = samples::jpeg(8, 8);
        assert_eq!(JpegHead::read(&plain), JpegHead::default());
        let turned = samples::with_exif_orientation(&plain, 6);
        assert_eq!(
            JpegHead::read(&turned),
            JpegHead {
                has_exif: true,
                progressive: false
            }
        );
        let progressive = [0xFF, 0xD8, 0xFF, 0xFF, 0xC2, 0, 3, 8, 0xFF, 0xDA, 0, 2];
        assert_eq!(
            JpegHead::read(&progressive),
            JpegHead {
                has_exif: false,
                progressive: true
            }
        );
    }

    proptest! {
        #[test]
        fn random_bytes_are_walked_without_panic(tail in prop::collection::vec(any::<u8>(), 0..300)) {
            JpegHead::read(&tail);
            JpegHead::read(&[&[0xFF, 0xD8, 0xFF][..], &tail].concat());
        }
    }
}
