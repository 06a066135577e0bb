//! Bytes to pixels, to other pixels, to bytes.

use std::io::Cursor;

use bytes::Bytes;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::codecs::gif::GifEncoder;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use super::jpeg_head::JpegHead;
use super::plan::{Plan, Region, Size};
use super::query::Transform;
use super::{ImageKind, Outcome, TransformError, TransformLimits};

const JPEG_QUALITY: u8 = 75;
/// 1 (best palette) to 30 (fastest) of the GIF colour quantizer; 10 is a fifth of the time for no visible loss.
const GIF_QUANTIZER_SPEED: i32 = 10;
/// Most memory for what a header carries beside pixels (a PNG's compressed colour profile may be a bomb too).
const HEADER_BYTES_MAX: u64 = 16 << 20;

impl Transform {
    /// Transforms `original`, an object that [`ImageKind::detect`] took for `kind`.
    ///
    /// Takes CPU for milliseconds to seconds: call it through a [`TransformPool`](super::TransformPool). How to
    /// decode is told from the bytes, how to encode from `kind`.
    ///
    /// # Errors
    /// [`TransformError::TooLarge`] and [`TransformError::TooMuchMemory`] before a pixel is decoded,
    /// [`TransformError::Undecodable`] for bytes that are no image, [`TransformError::Parameter`] for an output
    /// with a side longer than an image file can say.
    pub fn apply(
        &self,
        original: &Bytes,
        kind: ImageKind,
        limits: &TransformLimits,
    ) -> Result<Outcome, TransformError> {
        let source = Source::open(original, limits)?;
        let may_crop = kind != ImageKind::Webp;
        let Some(plan) = Plan::new(self, source.stored.turned(source.orientation), may_crop)?
        else {
            return Ok(Outcome::Original);
        };
        source.check(&plan, limits)?;
        let pixels = source.transform(&plan, limits)?;
        Ok(Outcome::Changed {
            bytes: encode(pixels, kind)?,
            mime: kind.output_mime(),
        })
    }
}

/// An image of which only the header has been read.
struct Source<D> {
    decoder: D,
    stored: Size,
    orientation: Orientation,
    /// Bytes a decoder holds for each byte of pixels that it puts out, those included.
    decoder_cost: u64,
}

impl<'a> Source<Box<dyn ImageDecoder + 'a>> {
    fn open(original: &'a Bytes, limits: &TransformLimits) -> Result<Self, TransformError> {
        let format = image::guess_format(original).map_err(undecodable)?;
        let mut reader = ImageReader::with_format(Cursor::new(original.as_ref()), format);
        reader.limits(decoder_limits(
            limits.memory_bytes_max.min(HEADER_BYTES_MAX),
        ));
        let mut decoder = reader.into_decoder().map_err(undecodable)?;
        let jpeg = JpegHead::read(original);
        let orientation = match format {
            ImageFormat::Jpeg if !jpeg.has_exif => Orientation::NoTransforms,
            // A damaged EXIF block is no reason to refuse an image whose pixels are whole.
            _ => decoder.orientation().unwrap_or(Orientation::NoTransforms),
        };
        let decoder_cost = match format {
            ImageFormat::Jpeg if jpeg.progressive => 3,
            ImageFormat::Gif | ImageFormat::WebP => 2,
            _ => 1,
        };
        let (width, height) = decoder.dimensions();
        if width == 0 || height == 0 {
            return Err(TransformError::Undecodable("it has no pixels".to_owned()));
        }
        Ok(Self {
            decoder: Box::new(decoder),
            stored: Size { width, height },
            orientation,
            decoder_cost,
        })
    }

    fn check(&self, plan: &Plan, limits: &TransformLimits) -> Result<(), TransformError> {
        let (pixels, limit) = (
            self.stored.pixels().max(plan.output.pixels()),
            limits.pixels_max,
        );
        if pixels > limit {
            return Err(TransformError::TooLarge { pixels, limit });
        }
        let (needed_bytes, limit_bytes) = (self.memory_bytes(plan), limits.memory_bytes_max);
        if needed_bytes > limit_bytes {
            return Err(TransformError::TooMuchMemory {
                needed_bytes,
                limit_bytes,
            });
        }
        Ok(())
    }

    /// What decoding, resizing and encoding hold at their worst, in bytes: the decoder's own, a copy with its
    /// alpha multiplied in, the rows made narrow but not yet low, and the output with its turned or encoded copy.
    fn memory_bytes(&self, plan: &Plan) -> u64 {
        let color = self.decoder.color_type();
        let decoded = self
            .stored
            .pixels()
            .saturating_mul(color.bytes_per_pixel().into());
        let alpha_copy = if color.has_alpha() { decoded } else { 0 };
        // Which side of the stored image becomes which is forgotten here: the worse of the two.
        let half_done = u64::from(plan.output.width.max(plan.output.height))
            .saturating_mul(self.stored.width.max(self.stored.height).into());
        let made = half_done.saturating_add(plan.output.pixels().saturating_mul(2));
        let made = made.saturating_mul(color.bytes_per_pixel().into());
        decoded
            .saturating_mul(self.decoder_cost)
            .saturating_add(alpha_copy)
            .saturating_add(made)
    }

    fn transform(
        mut self,
        plan: &Plan,
        limits: &TransformLimits,
    ) -> Result<DynamicImage, TransformError> {
        let region = plan.region.before_turn(self.orientation, self.stored);
        let output = plan.output.turned(self.orientation);
        self.decoder
            .set_limits(decoder_limits(limits.memory_bytes_max))
            .map_err(undecodable)?;
        let stored = DynamicImage::from_decoder(self.decoder).map_err(undecodable)?;
        let mut made = resize(&stored, region, output)?;
        drop(stored);
        made.apply_orientation(self.orientation);
        Ok(made)
    }
}

fn decoder_limits(alloc_bytes_max: u64) -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(alloc_bytes_max);
    limits
}

/// Lanczos3, in the image's own depth and channels, colours weighed by their alpha.
fn resize(
    from: &DynamicImage,
    region: Region,
    output: Size,
) -> Result<DynamicImage, TransformError> {
    let mut made = DynamicImage::new(output.width, output.height, from.color());
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3))
        .crop(region.left, region.top, region.width, region.height);
    Resizer::new()
        .resize(from, &mut made, &options)
        .map_err(|error| TransformError::Undecodable(error.to_string()))?;
    Ok(made)
}

fn encode(pixels: DynamicImage, kind: ImageKind) -> Result<Vec<u8>, TransformError> {
    let mut bytes = Vec::new();
    let written = match kind {
        ImageKind::Png | ImageKind::Webp => pixels.write_with_encoder(PngEncoder::new(&mut bytes)),
        ImageKind::Jpeg => for_jpeg(pixels)
            .write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY)),
        ImageKind::Gif => {
            let rgba = pixels.into_rgba8();
            let mut encoder = GifEncoder::new_with_speed(&mut bytes, GIF_QUANTIZER_SPEED);
            encoder.encode(
                &rgba,
                rgba.width(),
                rgba.height(),
                image::ExtendedColorType::Rgba8,
            )
        }
    };
    written.map_err(undecodable)?;
    Ok(bytes)
}

/// JPEG has 8 bits and no alpha: what is seen through an image is white, as on a page.
fn for_jpeg(pixels: DynamicImage) -> DynamicImage {
    match pixels.color() {
        ColorType::L8 | ColorType::Rgb8 => pixels,
        ColorType::L16 => pixels.into_luma8().into(),
        color if color.has_alpha() => over_white(pixels).into(),
        _ => pixels.into_rgb8().into(),
    }
}

fn over_white(pixels: DynamicImage) -> image::RgbImage {
    let rgba = pixels.into_rgba8();
    image::RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
        let [red, green, blue, alpha] = rgba.get_pixel(x, y).0.map(u16::from);
        // At most (255 * 255 + 127) / 255 = 255: the cast loses nothing.
        image::Rgb(
            [red, green, blue].map(|c| ((c * alpha + 255 * (255 - alpha) + 127) / 255) as u8),
        )
    })
}

fn undecodable(error: ImageError) -> TransformError {
    TransformError::Undecodable(error.to_string())
}

#[cfg(test)]
#[path = "pixels_tests.rs"]
mod tests;
