//! Large folders: pushed as one tar, pulled as tar, zip and shards, listed in flat memory.

use std::collections::HashMap;
use std::io::{BufReader, BufWriter, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use moongate_tests::http::ANSWER_LIMIT;
use moongate_tests::{Gateway, payload, tools};
use sha2::{Digest, Sha256};

/// What listing may take above what was there before: buffers of one answer, and noise.
const LISTING_BYTES_MAX: u64 = 64 << 20;

fn count(full: u64, small: u64) -> u64 {
    match std::env::var("MOONGATE_TEST_SCALE").as_deref() {
        Ok("full") => full,
        Ok(number) => number
            .parse::<f64>()
            .map_or(small, |part| (full as f64 * part) as u64),
        Err(_) => small,
    }
}

/// Images of 1 to 20 KB, each another: real JPEGs among slices of noise.
struct Images {
    noise: Vec<u8>,
    jpegs: Vec<Vec<u8>>,
}

impl Images {
    fn new() -> Images {
        let jpeg = |n: u32| {
            let picture = image::RgbImage::from_fn(40 + 2 * n, 40 + n, |x, y| {
                image::Rgb([(x * n) as u8, (y * 7) as u8, (x * y) as u8])
            });
            let mut bytes = std::io::Cursor::new(Vec::new());
            picture
                .write_to(&mut bytes, image::ImageFormat::Jpeg)
                .unwrap();
            bytes.into_inner()
        };
        Images {
            noise: payload::bytes(1, 8 << 20),
            jpegs: (0..20).map(jpeg).collect(),
        }
    }

    fn name(n: u64) -> String {
        format!("{:02}/{n:06}.jpg", n % 100)
    }

    fn bytes(&self, n: u64) -> Vec<u8> {
        let mut bytes = match n % 10 {
            0 => self.jpegs[(n / 10) as usize % self.jpegs.len()].clone(),
            _ => {
                let spread =
                    (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64 / (1u64 << 24) as f64;
                let len = 1000 + (19_000.0 * spread.powi(3)) as usize;
                let at = (n as usize * 4099) % (self.noise.len() - len);
                self.noise[at..at + len].to_vec()
            }
        };
        // Behind the end of a JPEG, where readers stop reading.
        bytes.extend_from_slice(&n.to_be_bytes());
        bytes
    }
}

fn header(name: &str, len: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_path(name).unwrap();
    header.set_size(len);
    header.set_mode(0o644);
    header.set_cksum();
    header
}

/// Streams a tar of what `entry` makes, in chunked coding, while another thread reads the answer: its last line.
fn push(
    address: SocketAddr,
    folder: &str,
    count: u64,
    entry: impl Fn(u64) -> (String, Vec<u8>),
) -> String {
    let stream = TcpStream::connect(address).unwrap();
    let reader = stream.try_clone().unwrap();
    let reading = std::thread::spawn(move || {
        let mut text = Vec::new();
        let read = Body::open(reader).read_to_end(&mut text);
        let text = String::from_utf8(text).unwrap();
        let last = text.lines().last().unwrap_or_default().to_owned();
        read.unwrap_or_else(|error| panic!("{error} behind {last}"));
        last
    });
    let mut out = BufWriter::with_capacity(1 << 20, &stream);
    let head = format!(
        "POST {folder}?batch HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    out.write_all(head.as_bytes()).unwrap();
    let mut piece = Vec::new();
    let send = |out: &mut BufWriter<_>, piece: &mut Vec<u8>| {
        write!(out, "{:x}\r\n", piece.len()).unwrap();
        piece.extend_from_slice(b"\r\n");
        out.write_all(piece).unwrap();
        piece.clear();
    };
    for n in 0..count {
        let (name, data) = entry(n);
        piece.extend_from_slice(header(&name, data.len() as u64).as_bytes());
        piece.extend_from_slice(&data);
        piece.resize(piece.len().next_multiple_of(512), 0);
        if piece.len() > 256 << 10 {
            send(&mut out, &mut piece);
        }
    }
    piece.resize(piece.len() + 1024, 0);
    send(&mut out, &mut piece);
    out.write_all(b"0\r\n\r\n").unwrap();
    out.flush().unwrap();
    drop(out);
    reading.join().unwrap()
}

/// The body of a 200 as it comes; an error where it is cut.
struct Body {
    stream: BufReader<TcpStream>,
    /// Bytes of the present chunk, or of all.
    left: u64,
    chunked: bool,
    ended: bool,
}

impl Body {
    fn get(address: SocketAddr, target: &str, accept: &str) -> Body {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(
            stream,
            "GET {target} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n\r\n"
        )
        .unwrap();
        Body::open(stream)
    }

    fn open(stream: TcpStream) -> Body {
        stream.set_read_timeout(Some(4 * ANSWER_LIMIT)).unwrap();
        let mut body = Body {
            stream: BufReader::with_capacity(256 << 10, stream),
            left: 0,
            chunked: true,
            ended: false,
        };
        let status = body.line();
        assert!(status.starts_with("HTTP/1.1 200"), "{status}");
        loop {
            let line = body.line().to_ascii_lowercase();
            if let Some(len) = line.strip_prefix("content-length:") {
                (body.left, body.chunked) = (len.trim().parse().unwrap(), false);
            }
            if line.is_empty() {
                break;
            }
        }
        body.ended = !body.chunked && body.left == 0;
        body
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut self.stream, &mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.ended {
            return Ok(0);
        }
        if self.left == 0 {
            self.left = u64::from_str_radix(&self.line(), 16)
                .map_err(|_| std::io::ErrorKind::UnexpectedEof)?;
            if self.left == 0 {
                self.ended = true;
                return Ok(0);
            }
        }
        let most = buffer.len().min(self.left as usize);
        let read = self.stream.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        match self.chunked {
            true if self.left == 0 => drop(self.line()),
            true => {}
            false => self.ended = self.left == 0,
        }
        Ok(read)
    }
}

type Sums = HashMap<String, [u8; 32]>;

/// Takes each entry of a tar out of those that are awaited.
fn check_tar(body: Body, awaited: &mut Sums) {
    let mut reader = tar::Archive::new(body);
    for entry in reader.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let mut data = Vec::new();
        entry.read_to_end(&mut data).unwrap();
        let want = awaited.remove(&name);
        assert!(
            want.is_some_and(|want| want == *Sha256::digest(&data)),
            "{name}"
        );
    }
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let done = work();
    eprintln!("{what}: {:.1?}", started.elapsed());
    done
}

#[test]
fn two_hundred_thousand_images_go_in_and_come_out_as_they_were() {
    let count = count(200_000, 3000);
    let gateway = Gateway::fresh("");
    let images = Images::new();
    let sums: Sums = (0..count)
        .map(|n| (Images::name(n), Sha256::digest(images.bytes(n)).into()))
        .collect();
    let before = gateway.resident_bytes();
    let last = timed("pushed", || {
        push(gateway.file(), "/d/", count, |n| {
            (Images::name(n), images.bytes(n))
        })
    });
    assert!(
        last.contains(&format!("\"stored\":{count},\"failed\":0")),
        "{last}"
    );
    let grown = gateway.resident_bytes().saturating_sub(before);
    assert!(grown < 512 << 20, "{} MiB", grown >> 20);
    timed("tar", || {
        let mut awaited = sums.clone();
        check_tar(
            Body::get(gateway.file(), "/d/?archive=tar", "*/*"),
            &mut awaited,
        );
        assert!(awaited.is_empty());
    });
    timed("shards", || {
        let mut awaited = sums.clone();
        for shard in 0..4 {
            let target = format!("/d/?shards=4&shard={shard}&seed=9");
            check_tar(Body::get(gateway.file(), &target, "*/*"), &mut awaited);
        }
        assert!(awaited.is_empty());
    });
    timed("zip", || check_zip(&gateway, sums.clone()));
}

/// Python judges the zip: 65,535 entries are its old end.
fn check_zip(gateway: &Gateway, mut awaited: Sums) {
    let folder = tempfile::tempdir().unwrap();
    let mut file = std::fs::File::create(folder.path().join("a.zip")).unwrap();
    std::io::copy(
        &mut Body::get(gateway.file(), "/d/?archive=zip", "*/*"),
        &mut file,
    )
    .unwrap();
    let script = "import hashlib,zipfile\nz=zipfile.ZipFile('a.zip')\nfor i in z.infolist(): print(i.filename, hashlib.sha256(z.read(i)).hexdigest())";
    for line in tools::python(folder.path(), script, &[]).lines() {
        let (name, sum) = line.split_once(' ').unwrap();
        let want = awaited.remove(name).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(payload::hex(&want), sum, "{name}");
    }
    assert!(awaited.is_empty());
}

#[test]
fn a_folder_of_a_million_entries_is_listed_in_flat_memory() {
    let count = count(1_000_000, 20_000);
    let gateway = Gateway::fresh("");
    // Mostly empty files: it is the names that are many.
    let entry = |n: u64| {
        (
            format!("{n:07}.jpg"),
            if n.is_multiple_of(100) {
                vec![1]
            } else {
                Vec::new()
            },
        )
    };
    let last = timed("pushed", || push(gateway.file(), "/d/", count, entry));
    assert!(
        last.contains(&format!("\"stored\":{count},\"failed\":0")),
        "{last}"
    );
    // The first walk opens the tables of the names.
    std::io::copy(
        &mut Body::get(gateway.file(), "/d/?limit=1000", "application/json"),
        &mut std::io::sink(),
    )
    .unwrap();
    let before = gateway.resident_bytes();
    for (target, accept) in [
        ("/d/?limit=10000000", "application/json"),
        ("/d/", "application/x-ndjson"),
        ("/?recursive=true", "application/x-ndjson"),
        ("/d/?limit=10000000", "text/html"),
    ] {
        let mut body = Body::get(gateway.file(), target, accept);
        let (mut most, mut bytes, mut names) = (0, 0, 0);
        let mut piece = vec![0; 1 << 20];
        timed(accept, || {
            loop {
                let read = body.read(&mut piece).unwrap();
                if read == 0 {
                    break;
                }
                names += piece[..read]
                    .windows(5)
                    .filter(|five| *five == b".jpg\"")
                    .count();
                bytes += read;
                if bytes % 64 == 0 || most == 0 {
                    most = most.max(gateway.resident_bytes());
                }
            }
        });
        // A name may lie across two pieces that were read.
        assert!(
            names as u64 > count - count / 20,
            "{target} {accept}: {names} names"
        );
        let grown = most.max(gateway.resident_bytes()).saturating_sub(before);
        assert!(
            grown < LISTING_BYTES_MAX,
            "{target} {accept}: {} MiB",
            grown >> 20
        );
    }
    assert_eq!(gateway.files().usage("/d").0, count);
    // Pages by their last names, and a delete of it all.
    let said = gateway
        .files()
        .list(&format!("/d/?limit=3&lastFileName={:07}.jpg", count - 2));
    assert_eq!(
        moongate_tests::files::names_of(&said),
        [format!("{:07}.jpg", count - 1)]
    );
    timed("deleted", || {
        gateway.files().delete("/d?recursive=true").status(204)
    });
    gateway.files().get("/d/").status(404);
}
