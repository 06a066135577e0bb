//! What it costs to be asked: the same reads from a gateway that asks nobody anything, and from one that wants an access key, asks 10,000
//! policies, and writes down each read. Both serve at once, and are measured in turn.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use anyhow::{Context as _, Result, ensure};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;

use crate::bench::Bench;
use crate::connection::{Expect, Source};
use crate::figures::{Section, Verdict};
use crate::floor_http::BODY_BYTES;
use crate::images::{self, Image};
use crate::load;
use crate::process::{Server, Target};
use crate::rounds;

/// Images stored.
const IMAGES: u32 = 10_000;
/// Bytes of the file that is read through the cache.
const FILE_BYTES: u64 = 32 << 20;
/// Connections of each load.
const CONNECTIONS: usize = 32;
/// The most that being asked may cost, in costs of the same without.
const LIMIT: f64 = 1.1;
/// Policies beside the two that matter.
const POLICIES: usize = 10_000;

/// A kind of read.
struct Work {
    name: &'static str,
    /// How long its ranges are; none: images.
    range_bytes: Option<u64>,
}

const WORKS: [Work; 3] = [
    Work {
        name: "GET of an image of 5 KB, warm",
        range_bytes: None,
    },
    Work {
        name: "4 KB of a cached file, file port",
        range_bytes: Some(4 << 10),
    },
    Work {
        name: "1 MiB of a cached file, file port",
        range_bytes: Some(1 << 20),
    },
];

/// Measures, and adds to the section.
pub fn measure(bench: &Bench, section: &mut Section) -> Result<()> {
    let mounted = bench.folder("mounted")?;
    fill(&mounted.join("file"))?;
    let (free, asked) = (bench.folder("free")?, bench.path("asked"));
    let store = bench.serve(&free)?;
    let images = images::store(store.target(), IMAGES)?;
    store.stop()?;
    let copied = Command::new("cp")
        .arg("-r")
        .args([&free, &asked])
        .status()?;
    ensure!(copied.success(), "cp -r");
    let mount = format!(
        "[cache]\nmemory = '256 MiB'\n[[mount]]\npath = '/m'\nstore = 'file://{}'\nttl = '10m'\n",
        mounted.display()
    );
    let config = bench.path("free.toml");
    std::fs::write(&config, &mount)?;
    let free = bench.serve_with(&free, &config)?;
    let (config, header) = guarded(bench, &mount)?;
    let asked = bench.serve_with(&asked, &config)?;
    for work in &WORKS {
        compare(bench, work, (&free, &asked), &images, &header, section)?;
    }
    free.stop()?;
    asked.stop()?;
    Ok(())
}

fn compare(
    bench: &Bench,
    work: &Work,
    (free, asked): (&Server, &Server),
    images: &Rc<Vec<Image>>,
    header: &str,
    section: &mut Section,
) -> Result<()> {
    let extent = rounds::timed(bench.window);
    let target = |server: &Server| -> Result<Target> {
        match work.range_bytes {
            Some(_) => server.file_target(),
            None => Ok(server.target()),
        }
    };
    let (free, asked) = (target(free)?, target(asked)?);
    let load = |target, header: &str| {
        let source = |seed| Reads::boxed(work, images, seed, header);
        load::run(target, extent, rounds::sources(CONNECTIONS, source))
    };
    // What the first reads bring in is not measured.
    load(free, "")?;
    load(asked, header)?;
    let [bare, guarded] = rounds::alternate(
        bench.rounds,
        [
            Box::new(|| load(free, "")),
            Box::new(|| load(asked, header)),
        ],
    )?;
    for (how, figures) in [
        ("nobody is asked", &bare),
        ("key, policies, audit", &guarded),
    ] {
        section.table.row([
            format!("{}: {how}", work.name),
            format!(
                "{:.1} us a read, {:.0} reads/s",
                figures.cpu_us, figures.per_sec
            ),
        ]);
    }
    let name = format!("{}, with key, policies and audit", work.name);
    section
        .verdicts
        .push(Verdict::cpu(name, guarded.cpu_us, bare.cpu_us, LIMIT));
    Ok(())
}

/// A file that tells at each eighth byte which one it is.
fn fill(path: &Path) -> Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    for place in 0..FILE_BYTES / 8 {
        file.write_all(&place.to_be_bytes())?;
    }
    Ok(file.flush()?)
}

/// The configuration of a gateway that asks, and the header that it wants.
fn guarded(bench: &Bench, mount: &str) -> Result<(PathBuf, String)> {
    let made = Command::new(&bench.bin)
        .args(["token", "key", "--user", "alice", "--group", "staff"])
        .output()?;
    ensure!(made.status.success(), "moongate token key");
    let (keys, policies) = (bench.path("keys.toml"), bench.path("policies.json"));
    std::fs::write(&keys, &made.stdout)?;
    std::fs::write(&policies, download().to_string())?;
    let audit = bench.path("audit");
    let config = bench.path("asked.toml");
    let text = format!(
        "[auth]\nmethods = ['access-key']\n[auth.keys]\nfile = '{}'\n[policy]\nfile = '{}'\nservice = 'bench'\nauthz = 'ranger'\n\
         [audit]\ndir = '{}'\nfile_bytes_max = '64 MiB'\ntotal_bytes_max = '256 MiB'\n{mount}",
        keys.display(),
        policies.display(),
        audit.display()
    );
    std::fs::write(&config, text)?;
    let pair = String::from_utf8(made.stderr).context("the key")?;
    Ok((config, format!("Authorization: Bearer {}\r\n", pair.trim())))
}

fn download() -> serde_json::Value {
    let policy = |id: usize, path: String, user: &str| {
        json!({"id": id, "name": format!("p{id}"), "version": 1, "isAuditEnabled": true,
            "resources": {"path": {"values": [path], "isRecursive": true}},
            "policyItems": [{"users": [user], "accesses": [{"type": "read"}, {"type": "execute"}]}]})
    };
    let others =
        (0..POLICIES).map(|n| policy(n + 3, format!("/data/team{}/set{n}", n % 97), "bob"));
    let ours = [
        policy(1, "/collections/default".to_owned(), "alice"),
        policy(2, "/m".to_owned(), "alice"),
    ];
    let policies: Vec<_> = ours.into_iter().chain(others).collect();
    json!({"serviceName": "bench", "serviceId": 1, "policyVersion": 1, "auditMode": "audit-all", "policies": policies,
        "serviceDef": {"name": "hdfs", "resources": [{"name": "path",
            "matcher": "org.apache.ranger.plugin.resourcematcher.RangerPathResourceMatcher",
            "matcherOptions": {"wildCard": true, "ignoreCase": false}}],
            "accessTypes": [{"name": "read"}, {"name": "write"}, {"name": "execute"}]}})
}

/// Random reads of one kind.
struct Reads {
    range_bytes: Option<u64>,
    images: Rc<Vec<Image>>,
    random: SmallRng,
    header: String,
}

impl Reads {
    fn boxed(work: &Work, images: &Rc<Vec<Image>>, seed: usize, header: &str) -> Box<dyn Source> {
        Box::new(Self {
            range_bytes: work.range_bytes,
            images: Rc::clone(images),
            random: SmallRng::seed_from_u64(seed as u64),
            header: header.to_owned(),
        })
    }
}

impl Source for Reads {
    fn next(&mut self, request: &mut Vec<u8>) -> Option<Expect> {
        let mut more = self.header.clone();
        let expect = match self.range_bytes {
            None => {
                let image = &self.images[self.random.random_range(0..self.images.len())];
                request.extend_from_slice(b"GET /");
                request.extend_from_slice(&image.path);
                Expect::body(BODY_BYTES, image.stamp)
            }
            Some(len) => {
                let place = self.random.random_range(0..(FILE_BYTES - len) / 8);
                let (from, to) = (place * 8, place * 8 + len - 1);
                let _ = write!(more, "Range: bytes={from}-{to}\r\n");
                request.extend_from_slice(b"GET /m/file");
                Expect::part(len as usize, place.to_be_bytes())
            }
        };
        request.extend_from_slice(b" HTTP/1.1\r\nHost: bench\r\n");
        request.extend_from_slice(more.as_bytes());
        request.extend_from_slice(b"\r\n");
        Some(expect)
    }
}
