//! Thumbnails of 12-megapixel JPEGs, one at a time, against the same decode, resize and encode in a bare loop.

use std::fs;
use std::io::Cursor;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::codecs::jpeg::{JpegDecoder, JpegEncoder};
use image::{DynamicImage, ExtendedColorType, ImageEncoder, RgbImage};

use super::Bench;
use crate::client::Client;
use crate::figures::{Section, Table, Verdict};
use crate::load::Round;
use crate::process::Server;
use crate::procfs;
use crate::rounds::{self, Medians};

const WIDTH: u32 = 4000;
const HEIGHT: u32 = 3000;
const THUMBNAIL_WIDTH: u32 = 200;
const THUMBNAIL_HEIGHT: u32 = 150;
const QUALITY: u8 = 85;
const THUMBNAIL_QUALITY: u8 = 75;

/// Different pictures; every image stored is one of them with a comment of its own.
const PICTURES: u32 = 4;

const LIMIT: f64 = 1.1;

pub fn run(bench: &Bench) -> Result<Section> {
    let pictures: Vec<Vec<u8>> = (0..PICTURES).map(picture).collect::<Result<_>>()?;
    let each = if bench.quick { 4 } else { 12 };
    let data = bench.folder("resize")?;
    let server = bench.serve(&data)?;
    let mut subject = Subject::new(&server, &pictures, each)?;
    let mut bare = Bare::new(&pictures, each);
    bare.thumbnail(&pictures[0])?;
    subject.round(1)?;
    let [floor, resized] = rounds::alternate(
        bench.rounds,
        [Box::new(|| bare.round()), Box::new(|| subject.round(each))],
    )?;
    drop(subject);
    server.stop()?;
    fs::remove_dir_all(data)?;
    Ok(section(pictures[0].len(), each, &floor, &resized))
}

/// The loop of the floor, in this process.
struct Bare<'a> {
    pictures: &'a [Vec<u8>],
    each: usize,
    resizer: Resizer,
}

impl<'a> Bare<'a> {
    fn new(pictures: &'a [Vec<u8>], each: usize) -> Self {
        Self {
            pictures,
            each,
            resizer: Resizer::new(),
        }
    }

    fn round(&mut self) -> Result<Round> {
        let pictures = self.pictures;
        timed(std::process::id(), self.each, |nth| {
            self.thumbnail(&pictures[nth % pictures.len()]).map(drop)
        })
    }

    /// Typed for RGB: the calls that take any picture instantiate every format and pixel type of both libraries here,
    /// which is minutes of compiling for one loop.
    fn thumbnail(&mut self, jpeg: &[u8]) -> Result<Vec<u8>> {
        let image = decode(jpeg)?;
        let large = TypedImageRef::<U8x3>::from_buffer(image.width(), image.height(), &image)?;
        let mut small = RgbImage::new(THUMBNAIL_WIDTH, THUMBNAIL_HEIGHT);
        let mut view =
            TypedImage::<U8x3>::from_buffer(THUMBNAIL_WIDTH, THUMBNAIL_HEIGHT, &mut small)?;
        let lanczos3 =
            ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3));
        self.resizer.resize_typed(&large, &mut view, &lanczos3)?;
        encode(&small, THUMBNAIL_QUALITY)
    }
}

fn decode(jpeg: &[u8]) -> Result<RgbImage> {
    let decoder = JpegDecoder::new(Cursor::new(jpeg))?;
    Ok(DynamicImage::from_decoder(decoder)?.into_rgb8())
}

fn encode(image: &RgbImage, quality: u8) -> Result<Vec<u8>> {
    let mut jpeg = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut jpeg, quality);
    encoder.write_image(
        image,
        image.width(),
        image.height(),
        ExtendedColorType::Rgb8,
    )?;
    Ok(jpeg)
}

/// The server; every thumbnail it makes is of an image that it has not seen before.
struct Subject<'a> {
    client: Client,
    pid: u32,
    pictures: &'a [Vec<u8>],
    stored: u64,
}

impl<'a> Subject<'a> {
    fn new(server: &Server, pictures: &'a [Vec<u8>], each: usize) -> Result<Self> {
        ensure!(each > 0, "a round needs an image");
        let client = Client::connect(server.target().addr)?;
        Ok(Self {
            client,
            pid: server.target().pid,
            pictures,
            stored: 0,
        })
    }

    fn round(&mut self, each: usize) -> Result<Round> {
        let fids = self.store(each)?;
        let mut last = Vec::new();
        let round = timed(self.pid, each, |nth| {
            let reply = self
                .client
                .get(&format!("/{}.jpg?width={THUMBNAIL_WIDTH}", fids[nth]))?;
            ensure!(reply.status == 200, "resizing answered {}", reply.status);
            last.clear();
            last.extend_from_slice(reply.body);
            Ok(())
        })?;
        check(&last)?;
        Ok(round)
    }

    fn store(&mut self, count: usize) -> Result<Vec<String>> {
        (0..count)
            .map(|nth| self.store_one(&self.pictures[nth % self.pictures.len()]))
            .collect()
    }

    fn store_one(&mut self, picture: &[u8]) -> Result<String> {
        let fid = self.client.assign(1)?.fid;
        self.stored += 1;
        let reply = self
            .client
            .put_jpeg(&format!("/{fid}"), &commented(picture, self.stored))?;
        ensure!(
            reply.status == 201,
            "storing a picture answered {}",
            reply.status
        );
        Ok(fid)
    }
}

/// Does `operations` one after the other and takes the CPU time of `pid` for them.
fn timed(
    pid: u32,
    operations: usize,
    mut operation: impl FnMut(usize) -> Result<()>,
) -> Result<Round> {
    let mut latencies = Vec::with_capacity(operations);
    let (begun, cpu) = (Instant::now(), procfs::cpu_time(pid)?);
    for nth in 0..operations {
        let one = Instant::now();
        operation(nth)?;
        latencies.push(one.elapsed());
    }
    let server_cpu = procfs::cpu_time(pid)?.saturating_sub(cpu);
    let elapsed = begun.elapsed();
    latencies.sort_unstable();
    let at = |quantile: usize| {
        latencies.get((operations * quantile / 100).min(operations.saturating_sub(1)))
    };
    let latency = |quantile| at(quantile).copied().unwrap_or(Duration::ZERO);
    Ok(Round {
        operations: operations as u64,
        elapsed,
        server_cpu,
        p50: latency(50),
        p99: latency(99),
    })
}

fn check(thumbnail: &[u8]) -> Result<()> {
    let image = decode(thumbnail)?;
    let size = (image.width(), image.height());
    ensure!(
        size == (THUMBNAIL_WIDTH, THUMBNAIL_HEIGHT),
        "a thumbnail of {size:?}"
    );
    Ok(())
}

/// A gradient under a little noise, which compresses about as a photograph does.
fn picture(seed: u32) -> Result<Vec<u8>> {
    let mut noise = seed.wrapping_mul(0x9e37_79b9) | 1;
    let image = RgbImage::from_fn(WIDTH, HEIGHT, |x, y| {
        noise ^= noise << 13;
        noise ^= noise >> 17;
        noise ^= noise << 5;
        let grain = noise % 24;
        image::Rgb(
            [
                x * 230 / WIDTH + grain,
                y * 230 / HEIGHT + grain,
                (x + y) % 230 + grain,
            ]
            .map(|value| value as u8),
        )
    });
    encode(&image, QUALITY)
}

/// The same picture in other bytes: with a comment segment (ITU T.81, B.2.4.5) after the start of the image.
fn commented(jpeg: &[u8], number: u64) -> Vec<u8> {
    let (start, rest) = jpeg.split_at(2);
    [start, &[0xff, 0xfe, 0, 10], &number.to_be_bytes(), rest].concat()
}

fn section(jpeg_bytes: usize, each: usize, floor: &Medians, resized: &Medians) -> Section {
    let mut table = Table::new(&["", "CPU ms/op", "op/s", "p50 ms"]);
    for (name, figures) in [
        ("floor: bare loop", floor),
        ("moongate, 1 connection", resized),
    ] {
        table.row([
            name.to_owned(),
            format!("{:.1}", figures.cpu_us / 1e3),
            format!("{:.1}", figures.per_sec),
            format!("{:.1}", figures.p50_us / 1e3),
        ]);
    }
    let work = format!("{THUMBNAIL_WIDTH} px thumbnail of a 12-megapixel JPEG");
    let verdicts = vec![Verdict::cpu(work, resized.cpu_us, floor.cpu_us, LIMIT)];
    Section {
        title: "Resize",
        about: about(jpeg_bytes, each),
        table,
        verdicts,
    }
}

fn about(jpeg_bytes: usize, each: usize) -> String {
    format!(
        "{WIDTH} x {HEIGHT} JPEGs of quality {QUALITY} ({:.1} MB: a gradient with noise), {each} a round, one at a time, no \
         image twice. The floor decodes with `image`, resizes with `fast_image_resize` (Lanczos3) and encodes at quality \
         {THUMBNAIL_QUALITY}, in a bare loop.",
        jpeg_bytes as f64 / 1e6
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_comment_changes_the_bytes_and_not_the_picture() {
        let jpeg = encode(&RgbImage::new(8, 8), QUALITY).unwrap();
        let (one, two) = (commented(&jpeg, 1), commented(&jpeg, 2));
        assert_ne!(one, two);
        for jpeg in [one, two] {
            assert_eq!(decode(&jpeg).unwrap().width(), 8);
        }
    }

    #[test]
    fn the_bare_loop_makes_a_thumbnail() {
        let pictures = [picture(1).unwrap()];
        let thumbnail = Bare::new(&pictures, 1).thumbnail(&pictures[0]).unwrap();
        check(&thumbnail).unwrap();
        assert!(check(&pictures[0]).is_err());
    }
}
