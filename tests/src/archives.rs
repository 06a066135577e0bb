//! Archives to send, and answers to batches.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::Write;

use serde_json::Value;

use crate::http::{Request, Response};
use crate::{Gateway, payload};

/// Name and content.
pub type Files = Vec<(String, Vec<u8>)>;

/// Files whose names and lengths are where mistakes hide.
pub fn samples() -> Files {
    let mut files: Files = [0, 1, 511, 512, 513, 5000, 70_000]
        .into_iter()
        .map(|len| (format!("train/{len}.jpg"), payload::bytes(len as u64, len)))
        .collect();
    files.push((
        format!("{}long.png", "folder/".repeat(20)),
        payload::bytes(1, 300),
    ));
    files.push(("図/猫 é.json".into(), payload::text(3000)));
    files.push(("large.bin".into(), payload::bytes(9, 3 << 20)));
    files
}

/// So many small files.
pub fn many(count: usize) -> Files {
    (0..count)
        .map(|n| (format!("{n:06}.jpg"), payload::bytes(n as u64, 40 + n % 60)))
        .collect()
}

/// A tar with GNU's long names.
pub fn tar(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, data) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(1_700_000_000);
        builder
            .append_data(&mut header, name, data.as_slice())
            .unwrap();
    }
    builder.into_inner().unwrap()
}

/// The files of a tar, read by the `tar` crate.
pub fn untar(archive: &[u8]) -> Files {
    let mut reader = tar::Archive::new(archive);
    let entries = reader.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let mut data = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut data).unwrap();
        (name, data)
    });
    entries.collect()
}

/// Packed with gzip.
pub fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// Packed with zstd.
pub fn zstd_of(data: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(data, 1).unwrap()
}

/// `POST /batch` with these parameters (`""` or `?...`).
pub fn upload(query: &str, archive: &[u8]) -> Request {
    Request::new("POST", &format!("/batch{query}")).body(archive)
}

/// The lines of an answer; the last has the totals.
pub struct Lines {
    /// One an entry, in order.
    pub entries: Vec<Value>,
    /// The totals.
    pub last: Value,
}

impl Lines {
    /// Of an answer that says that it is JSON lines.
    #[track_caller]
    pub fn of(response: &Response) -> Lines {
        assert_eq!(
            response.header("Content-Type"),
            Some("application/x-ndjson"),
            "{}",
            response.summary()
        );
        Lines::parse(&response.body)
    }

    /// Of a text.
    #[track_caller]
    pub fn parse(text: &[u8]) -> Lines {
        let text = std::str::from_utf8(text).unwrap();
        assert!(text.ends_with('\n'), "the last line is whole");
        let parsed = text
            .lines()
            .map(|line| serde_json::from_str(line).expect(line));
        let mut entries: Vec<Value> = parsed.collect();
        let last = entries.pop().expect("a line with the totals");
        Lines { entries, last }
    }

    /// What each entry is called.
    pub fn names(&self) -> Vec<&str> {
        self.entries
            .iter()
            .map(|line| line["name"].as_str().unwrap())
            .collect()
    }

    /// The id of each entry that was stored, by its name.
    pub fn fids(&self) -> BTreeMap<String, String> {
        let stored = self.entries.iter().filter_map(|line| {
            let text = |key: &str| line[key].as_str().map(str::to_owned);
            Some((text("name")?, text("fid")?))
        });
        stored.collect()
    }
}

/// Uploads files; gives a line of a list for each, with its name, in their order.
#[track_caller]
pub fn stored(gateway: &Gateway, files: &[(String, Vec<u8>)]) -> Vec<String> {
    let response = gateway.send(&upload("", &tar(files))).status(200);
    let lines = Lines::of(&response);
    assert_eq!(lines.entries.len(), files.len());
    let line =
        |line: &Value| serde_json::json!({"fid": line["fid"], "name": line["name"]}).to_string();
    lines.entries.iter().map(line).collect()
}

/// Every image is there under the id that was told, byte for byte.
#[track_caller]
pub fn assert_stored(gateway: &Gateway, lines: &Lines, files: &[(String, Vec<u8>)]) {
    let fids = lines.fids();
    for (name, data) in files {
        let fid = fids
            .get(name)
            .unwrap_or_else(|| panic!("{name} was not stored"));
        let got = gateway.get(&format!("/{fid}")).status(200);
        assert!(got.body == *data, "{name}");
    }
}

/// Removes the chunked coding: what came, and whether it ended as a whole body does (with these trailers).
pub fn dechunk(mut raw: &[u8]) -> (Vec<u8>, Option<String>) {
    let mut body = Vec::new();
    while let Some(end) = raw.windows(2).position(|two| two == b"\r\n") {
        let Ok(size) = usize::from_str_radix(&String::from_utf8_lossy(&raw[..end]), 16) else {
            break;
        };
        raw = &raw[end + 2..];
        if size == 0 {
            let whole = raw.ends_with(b"\r\n");
            return (
                body,
                whole.then(|| String::from_utf8_lossy(raw).into_owned()),
            );
        }
        let Some(chunk) = raw.get(..size) else {
            body.extend_from_slice(raw);
            break;
        };
        body.extend_from_slice(chunk);
        raw = raw.get(size + 2..).unwrap_or_default();
    }
    (body, None)
}

/// Head and body of a raw answer.
pub fn split_head(raw: &[u8]) -> (String, &[u8]) {
    let end = raw
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .expect("a head");
    (
        String::from_utf8_lossy(&raw[..end]).into_owned(),
        &raw[end + 4..],
    )
}
