//! What the query of a read asks of an image: `width`, `height`, `mode`, `crop_x1` … `crop_y2`.

use std::fmt::Write as _;

use super::TransformError;

/// How both a width and a height are met (the `mode` parameter).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// No `mode`: a square is a thumbnail cut from the centre, anything else is stretched to exactly w × h.
    #[default]
    Exact,
    /// `mode=fit`: as large as goes inside w × h, with its ratio kept.
    Fit,
    /// `mode=fill`: exactly w × h, with its ratio kept and what stands over cut off evenly on both sides.
    Fill,
}

/// A rectangle to cut out before resizing, in pixels of the image as shown; `x2` and `y2` are just outside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Crop {
    /// Left edge.
    pub x1: u32,
    /// Top edge.
    pub y1: u32,
    /// One past the right edge; more than `x1`.
    pub x2: u32,
    /// One past the bottom edge; more than `y1`.
    pub y2: u32,
}

/// What is asked of an image. At least one of its parts is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Transform {
    /// Asked width in pixels, more than 0.
    pub width: Option<u32>,
    /// Asked height in pixels, more than 0.
    pub height: Option<u32>,
    /// How both are met.
    pub mode: Mode,
    /// What to cut out first.
    pub crop: Option<Crop>,
}

impl Transform {
    /// Reads the parameters through `get`, which answers a parameter's decoded value.
    ///
    /// Absent, empty and `0` are the same: not asked. `Ok(None)`: nothing is asked, send the stored bytes.
    ///
    /// # Errors
    /// [`TransformError::Parameter`] for what can be known wrong without the image: a number that is none, an
    /// unknown mode, a crop without `crop_x2` and `crop_y2` or with its corners the wrong way round. Ask
    /// [`ImageKind::detect`](super::ImageKind::detect) first: on other objects these parameters mean nothing.
    pub fn from_query<V: AsRef<str>>(
        get: impl Fn(&str) -> Option<V>,
    ) -> Result<Option<Self>, TransformError> {
        let width = number(&get, "width")?;
        let height = number(&get, "height")?;
        let crop = crop(&get)?;
        if width.is_none() && height.is_none() && crop.is_none() {
            return Ok(None);
        }
        Ok(Some(Self {
            width,
            height,
            mode: mode(&get)?,
            crop,
        }))
    }

    /// A short stable name of this transform, such as `w50h20-fit-c0.0.10.10`: two that differ have different
    /// ones, so `original ETag + canonical` names the variant's bytes.
    pub fn canonical(&self) -> String {
        let mut tag = String::new();
        // Writing to a String cannot fail.
        if let Some(width) = self.width {
            let _ = write!(tag, "w{width}");
        }
        if let Some(height) = self.height {
            let _ = write!(tag, "h{height}");
        }
        tag.push_str(match self.mode {
            Mode::Exact => "",
            Mode::Fit => "-fit",
            Mode::Fill => "-fill",
        });
        if let Some(Crop { x1, y1, x2, y2 }) = self.crop {
            let _ = write!(tag, "-c{x1}.{y1}.{x2}.{y2}");
        }
        tag
    }
}

fn number<V: AsRef<str>>(
    get: impl Fn(&str) -> Option<V>,
    name: &'static str,
) -> Result<Option<u32>, TransformError> {
    let Some(value) = get(name) else {
        return Ok(None);
    };
    let value = value.as_ref();
    if value.is_empty() {
        return Ok(None);
    }
    // `u32::from_str` takes a leading '+', which in a query is nearly always a mangled space.
    match value.parse::<u32>() {
        Ok(number) if !value.starts_with('+') => Ok(Some(number).filter(|&n| n > 0)),
        _ => Err(parameter(
            name,
            value,
            "write a whole number of pixels, such as 200",
        )),
    }
}

fn mode<V: AsRef<str>>(get: impl Fn(&str) -> Option<V>) -> Result<Mode, TransformError> {
    match get("mode").as_ref().map_or("", AsRef::as_ref) {
        "" => Ok(Mode::Exact),
        "fit" => Ok(Mode::Fit),
        "fill" => Ok(Mode::Fill),
        other => Err(parameter(
            "mode",
            other,
            "write fit or fill, or leave it out",
        )),
    }
}

fn crop<V: AsRef<str>>(get: impl Fn(&str) -> Option<V>) -> Result<Option<Crop>, TransformError> {
    let mut corners = [None; 4];
    for (corner, name) in corners
        .iter_mut()
        .zip(["crop_x1", "crop_y1", "crop_x2", "crop_y2"])
    {
        if get(name).is_some_and(|value| value.as_ref().starts_with('-')) {
            return Ok(None);
        }
        *corner = number(&get, name)?;
    }
    if corners.iter().all(Option::is_none) {
        return Ok(None);
    }
    let [x1, y1, x2, y2] = corners.map(Option::unwrap_or_default);
    let corners = Crop { x1, y1, x2, y2 };
    // Corners the wrong way round, as those left of or above the image, lie outside every image, which SeaweedFS answers with the whole.
    Ok(Some(corners).filter(|crop| crop.x2 > crop.x1 && crop.y2 > crop.y1))
}

pub(super) fn parameter(name: &'static str, value: &str, accepted: &'static str) -> TransformError {
    // A value comes from the network and goes into an answer and perhaps a log line: keep it short.
    TransformError::Parameter {
        name,
        value: value.chars().take(40).collect(),
        accepted,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<Option<Transform>, TransformError> {
        let map: HashMap<&str, &str> = pairs.iter().copied().collect();
        Transform::from_query(|name| map.get(name).copied())
    }

    #[test]
    fn nothing_asked_is_none() {
        assert_eq!(parse(&[]), Ok(None));
        assert_eq!(
            parse(&[("width", ""), ("height", "0"), ("mode", "fit")]),
            Ok(None)
        );
        assert_eq!(
            parse(&[("mode", "whatever another feature means by it")]),
            Ok(None)
        );
        assert_eq!(parse(&[("crop_x1", "0"), ("crop_x2", "")]), Ok(None));
    }

    #[test]
    fn canonical_names_every_part() {
        let tag = |pairs| parse(pairs).unwrap().unwrap().canonical();
        assert_eq!(tag(&[("width", "50")]), "w50");
        assert_eq!(tag(&[("height", "050"), ("mode", "fill")]), "h50-fill");
        assert_eq!(
            tag(&[("width", "5"), ("height", "6"), ("mode", "fit")]),
            "w5h6-fit"
        );
        assert_eq!(
            tag(&[("crop_x2", "9"), ("crop_y1", "1"), ("crop_y2", "8")]),
            "-c0.1.9.8"
        );
    }

    #[test]
    fn mistakes_name_the_parameter() {
        for (pairs, at_fault) in [
            (&[("width", "ten")][..], "width"),
            (&[("height", "-1")], "height"),
            (&[("width", "+5")], "width"),
            (&[("width", "4294967296")], "width"),
            (&[("width", "5"), ("mode", "Fit")], "mode"),
            (&[("crop_x2", "five")], "crop_x2"),
        ] {
            let error = parse(pairs).unwrap_err();
            assert!(
                matches!(error, TransformError::Parameter { name, .. } if name == at_fault),
                "{pairs:?}: {error}"
            );
        }
    }

    #[test]
    fn a_crop_outside_of_every_image_is_none() {
        for pairs in [
            &[("crop_x1", "5")][..],
            &[("crop_x2", "5"), ("crop_x1", "5"), ("crop_y2", "5")],
            &[("crop_x2", "5"), ("crop_y1", "9"), ("crop_y2", "5")],
            &[("crop_x1", "-5"), ("crop_x2", "5"), ("crop_y2", "5")],
        ] {
            assert_eq!(parse(pairs).unwrap(), None, "{pairs:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_parses_or_is_refused(values in prop::collection::vec(".{0,12}|[0-9]{1,11}|fit|fill", 7)) {
            let names = ["width", "height", "mode", "crop_x1", "crop_y1", "crop_x2", "crop_y2"];
            let map: HashMap<_, _> = names.into_iter().zip(&values).collect();
            if let Ok(Some(transform)) = Transform::from_query(|name| map.get(name)) {
                prop_assert!(transform.canonical().is_ascii());
            }
        }

        #[test]
        fn different_transforms_have_different_tags(a in any_transform(), b in any_transform()) {
            prop_assert_eq!(a == b, a.canonical() == b.canonical());
        }
    }

    fn any_transform() -> impl Strategy<Value = Transform> {
        let side = || prop::option::of(1u32..3);
        let mode = prop_oneof![Just(Mode::Exact), Just(Mode::Fit), Just(Mode::Fill)];
        let crop = (0u32..2, 0u32..2, 2u32..4, 2u32..4).prop_map(|(x1, y1, x2, y2)| Crop {
            x1,
            y1,
            x2,
            y2,
        });
        (side(), side(), mode, prop::option::of(crop)).prop_map(|(width, height, mode, crop)| {
            Transform {
                width,
                height,
                mode,
                crop,
            }
        })
    }
}
