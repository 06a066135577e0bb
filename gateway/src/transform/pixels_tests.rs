use image::{GenericImageView, ImageBuffer, Luma, Rgba};
use proptest::prelude::*;

use super::*;
use crate::transform::samples::{encoded, jpeg, png, png_bomb, quarters, with_exif_orientation};
use crate::transform::{Crop, Mode};

const NOTHING: Transform = Transform {
    width: None,
    height: None,
    mode: Mode::Exact,
    crop: None,
};

fn wide(width: u32) -> Transform {
    Transform {
        width: Some(width),
        ..NOTHING
    }
}

fn apply(
    transform: Transform,
    original: Vec<u8>,
    kind: ImageKind,
) -> Result<Outcome, TransformError> {
    transform.apply(&original.into(), kind, &TransformLimits::default())
}

/// The transformed image, decoded again, and its type.
fn changed(
    transform: Transform,
    original: Vec<u8>,
    kind: ImageKind,
) -> (DynamicImage, &'static str) {
    match apply(transform, original, kind).unwrap() {
        Outcome::Changed { bytes, mime } => {
            let format = ImageFormat::from_mime_type(mime).unwrap();
            (
                image::load_from_memory_with_format(&bytes, format).unwrap(),
                mime,
            )
        }
        Outcome::Original => panic!("{transform:?} changed nothing"),
    }
}

fn is_near(image: &DynamicImage, x: u32, y: u32, rgb: [u8; 3]) -> bool {
    let seen = image.get_pixel(x, y).0;
    seen.iter()
        .zip(rgb)
        .all(|(&seen, wanted)| seen.abs_diff(wanted) < 24)
}

#[test]
fn every_format_comes_out_in_its_own_or_png() {
    for (format, kind, mime) in [
        (ImageFormat::Png, ImageKind::Png, "image/png"),
        (ImageFormat::Jpeg, ImageKind::Jpeg, "image/jpeg"),
        (ImageFormat::Gif, ImageKind::Gif, "image/gif"),
        (ImageFormat::WebP, ImageKind::Webp, "image/png"),
    ] {
        let (image, seen) = changed(wide(50), encoded(&quarters(200, 100), format), kind);
        assert_eq!((image.dimensions(), seen), ((50, 25), mime), "{kind:?}");
        assert!(
            is_near(&image, 5, 5, [255, 0, 0]) && is_near(&image, 44, 5, [0, 255, 0]),
            "{kind:?}"
        );
        assert!(
            is_near(&image, 5, 20, [0, 0, 255]) && is_near(&image, 44, 20, [255, 255, 255]),
            "{kind:?}"
        );
    }
}

#[test]
fn what_changes_nothing_is_the_original() {
    let outside = Some(Crop {
        x1: 0,
        y1: 0,
        x2: 201,
        y2: 10,
    });
    for transform in [
        wide(200),
        wide(500),
        Transform {
            crop: outside,
            ..NOTHING
        },
    ] {
        assert_eq!(
            apply(transform, png(200, 100), ImageKind::Png),
            Ok(Outcome::Original)
        );
    }
    let inside = Some(Crop {
        x1: 0,
        y1: 0,
        x2: 20,
        y2: 10,
    });
    let webp = encoded(&quarters(200, 100), ImageFormat::WebP);
    assert_eq!(
        apply(
            Transform {
                crop: inside,
                ..NOTHING
            },
            webp,
            ImageKind::Webp
        ),
        Ok(Outcome::Original)
    );
}

#[test]
fn crop_takes_exactly_its_pixels() {
    let crop = Some(Crop {
        x1: 90,
        y1: 40,
        x2: 130,
        y2: 60,
    });
    let (image, _) = changed(Transform { crop, ..NOTHING }, png(200, 100), ImageKind::Png);
    assert_eq!(
        image.to_rgb8(),
        quarters(200, 100).crop_imm(90, 40, 40, 20).to_rgb8()
    );
}

#[test]
fn fill_cuts_from_the_centre() {
    let fill = Transform {
        width: Some(20),
        height: Some(10),
        mode: Mode::Fill,
        crop: None,
    };
    let (image, _) = changed(fill, png(100, 100), ImageKind::Png);
    assert_eq!(image.dimensions(), (20, 10));
    assert!(is_near(&image, 2, 1, [255, 0, 0]) && is_near(&image, 17, 8, [255, 255, 255]));
}

#[test]
fn orientation_is_applied_before_sizes_and_corners_are_counted() {
    let stored = jpeg(64, 32);
    for exif in 1..=8 {
        let mut shown = quarters(64, 32);
        shown.apply_orientation(Orientation::from_exif(exif).unwrap());
        let (width, height) = shown.dimensions();
        let crop = Crop {
            x1: width / 2,
            y1: 0,
            x2: width,
            y2: height / 2,
        };
        let transform = Transform {
            width: Some(8),
            crop: Some(crop),
            ..NOTHING
        };
        let (image, _) = changed(
            transform,
            with_exif_orientation(&stored, exif),
            ImageKind::Jpeg,
        );
        let expected = shown.crop_imm(crop.x1, crop.y1, width / 2, height / 2);
        assert_eq!(
            image.dimensions(),
            (8, 8 * (height / 2) / (width / 2)),
            "exif {exif}"
        );
        let corner = expected.get_pixel(4, 4).0;
        assert!(
            is_near(&image, 3, 2, [corner[0], corner[1], corner[2]]),
            "exif {exif}"
        );

        let (whole, _) = changed(
            wide(width / 2),
            with_exif_orientation(&stored, exif),
            ImageKind::Jpeg,
        );
        for (x, y) in [
            (2, 2),
            (width / 2 - 3, 2),
            (2, height / 2 - 3),
            (width / 2 - 3, height / 2 - 3),
        ] {
            let [red, green, blue, _] = shown.get_pixel(x * 2, y * 2).0;
            assert!(
                is_near(&whole, x, y, [red, green, blue]),
                "exif {exif} at {x},{y}"
            );
        }
    }
}

#[test]
fn unusual_pixels_work() {
    let grey16: DynamicImage = ImageBuffer::from_pixel(40, 20, Luma([40_000u16])).into();
    let (image, _) = changed(wide(10), encoded(&grey16, ImageFormat::Png), ImageKind::Png);
    assert_eq!(
        (image.color(), image.as_luma16().unwrap().get_pixel(5, 2).0),
        (ColorType::L16, [40_000])
    );
    let (image, _) = changed(
        wide(10),
        encoded(&grey16, ImageFormat::Png),
        ImageKind::Jpeg,
    );
    assert_eq!(
        (image.color(), image.dimensions()),
        (ColorType::L8, (10, 5))
    );

    let grey = quarters(40, 20).into_luma8().into();
    let (image, _) = changed(wide(10), encoded(&grey, ImageFormat::Jpeg), ImageKind::Jpeg);
    assert_eq!(
        (image.color(), image.dimensions()),
        (ColorType::L8, (10, 5))
    );

    let (image, _) = changed(
        wide(10),
        include_bytes!("cmyk.jpg").to_vec(),
        ImageKind::Jpeg,
    );
    assert_eq!(image.dimensions(), (10, 5));
    assert!(
        is_near(&image, 5, 2, [255, 0, 0]),
        "{:?}",
        image.get_pixel(5, 2)
    );
}

#[test]
fn what_is_clear_becomes_white_in_jpeg() {
    let clear: DynamicImage = ImageBuffer::from_pixel(40, 20, Rgba([10u8, 20, 30, 0])).into();
    let (image, mime) = changed(wide(10), encoded(&clear, ImageFormat::Png), ImageKind::Jpeg);
    assert_eq!(mime, "image/jpeg");
    assert!(is_near(&image, 5, 2, [255, 255, 255]));
}

#[test]
fn bombs_are_refused_by_their_header() {
    let refused = apply(wide(50), png_bomb(60_000, 60_000), ImageKind::Png);
    assert_eq!(
        refused,
        Err(TransformError::TooLarge {
            pixels: 3_600_000_000,
            limit: 100_000_000
        })
    );
    let limits = TransformLimits {
        pixels_max: 100_000_000,
        memory_bytes_max: 1 << 20,
    };
    let refused = wide(50).apply(&png_bomb(1_000, 1_000).into(), ImageKind::Png, &limits);
    assert!(
        matches!(refused, Err(TransformError::TooMuchMemory { needed_bytes: 3_000_000.., limit_bytes }) if limit_bytes == 1 << 20)
    );
}

#[test]
fn an_output_that_blows_up_is_refused() {
    let stretch = Transform {
        width: Some(1),
        height: Some(60_000),
        ..NOTHING
    };
    let limits = TransformLimits {
        pixels_max: 50_000,
        ..TransformLimits::default()
    };
    let refused = stretch.apply(&png(8, 8).into(), ImageKind::Png, &limits);
    assert_eq!(
        refused,
        Err(TransformError::TooLarge {
            pixels: 60_000,
            limit: 50_000
        })
    );
}

#[test]
fn truncated_and_foreign_bytes_are_undecodable() {
    let mut cut = png(200, 100);
    cut.truncate(cut.len() / 2);
    for bytes in [
        cut,
        b"not an image".to_vec(),
        Vec::new(),
        png_bomb(100, 100),
    ] {
        assert!(matches!(
            apply(wide(50), bytes, ImageKind::Png),
            Err(TransformError::Undecodable(_))
        ));
    }
}

fn any_kind() -> impl Strategy<Value = (ImageFormat, ImageKind)> {
    prop_oneof![
        Just((ImageFormat::Png, ImageKind::Png)),
        Just((ImageFormat::Jpeg, ImageKind::Jpeg)),
        Just((ImageFormat::Gif, ImageKind::Gif)),
        Just((ImageFormat::WebP, ImageKind::Webp)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn random_bytes_never_panic(tail in prop::collection::vec(any::<u8>(), 0..200), (format, kind) in any_kind()) {
        let _ = apply(wide(3), tail.clone(), kind);
        let mut headed = encoded(&quarters(16, 8), format);
        headed.truncate(24);
        headed.extend(tail);
        let _ = apply(wide(3), headed, kind);
    }

    #[test]
    fn damaged_images_never_panic(at in 0usize..2000, flip in 1u8.., (format, kind) in any_kind()) {
        let mut bytes = encoded(&quarters(16, 8), format);
        let at = at % bytes.len();
        bytes[at] ^= flip;
        let _ = apply(wide(3), bytes, kind);
    }

    #[test]
    fn every_asked_size_works(w in 0u32..80, h in 0u32..80, mode in 0usize..3, (format, kind) in any_kind(), exif in 1u8..9) {
        let side = |side| Some(side).filter(|&side| side > 0);
        let mode = [Mode::Exact, Mode::Fit, Mode::Fill][mode];
        let mut bytes = encoded(&quarters(37, 23), format);
        if format == ImageFormat::Jpeg {
            bytes = with_exif_orientation(&bytes, exif);
        }
        let transform = Transform { width: side(w), height: side(h), mode, crop: None };
        prop_assert!(apply(transform, bytes, kind).is_ok());
    }
}
