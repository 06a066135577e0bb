//! Small pictures to transform, and one that is a bomb.

use std::io::{Cursor, Write};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};

pub const RED: [u8; 3] = [220, 30, 30];
pub const BLUE: [u8; 3] = [30, 30, 220];

/// Left half red, right half blue.
pub fn two_halves(width: u32, height: u32) -> DynamicImage {
    let color = |x, _| if x < width / 2 { Rgb(RED) } else { Rgb(BLUE) };
    DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, color))
}

pub fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    // GIF and WebP encoders take RGBA.
    let rgba = DynamicImage::ImageRgba8(picture.to_rgba8());
    let source = if format == ImageFormat::Jpeg {
        picture
    } else {
        &rgba
    };
    source.write_to(&mut file, format).unwrap();
    file.into_inner()
}

/// The picture in `bytes`, whose format must be the one that its bytes begin with.
#[track_caller]
pub fn decoded(bytes: &[u8], format: ImageFormat) -> DynamicImage {
    assert_eq!(
        image::guess_format(bytes).ok(),
        Some(format),
        "begins with {:?}",
        &bytes[..bytes.len().min(16)]
    );
    image::load_from_memory_with_format(bytes, format).unwrap()
}

#[track_caller]
pub fn assert_color(picture: &DynamicImage, x: u32, y: u32, expected: [u8; 3]) {
    let found = picture.to_rgb8().get_pixel(x, y).0;
    let is_close = found.iter().zip(expected).all(|(a, b)| a.abs_diff(b) < 40);
    assert!(is_close, "at {x},{y}: {found:?}, not about {expected:?}");
}

/// A PNG of `side` times `side` black pixels, all of which are really in it, in a thousandth of their size.
pub fn png_bomb(side: u32) -> Vec<u8> {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    let row = vec![0; side as usize + 1];
    (0..side).for_each(|_| zlib.write_all(&row).unwrap());
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut head = side.to_be_bytes().to_vec();
    head.extend_from_slice(&side.to_be_bytes());
    // 8 bits of grey, deflate, no filter, not interlaced.
    head.extend_from_slice(&[8, 0, 0, 0, 0]);
    for (kind, data) in [
        (b"IHDR", head),
        (b"IDAT", zlib.finish().unwrap()),
        (b"IEND", Vec::new()),
    ] {
        png.extend_from_slice(&(data.len() as u32).to_be_bytes());
        let chunk = [&kind[..], &data].concat();
        png.extend_from_slice(&chunk);
        png.extend_from_slice(&crc32fast::hash(&chunk).to_be_bytes());
    }
    png
}
