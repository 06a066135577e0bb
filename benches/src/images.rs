//! 5 KB images through the HTTP API: storing them under assigned ids, and reading them back at random.

use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;

use anyhow::{Result, ensure};
use rand::rngs::SmallRng;
use rand::{Rng, RngCore, SeedableRng};

use crate::client::Client;
use crate::connection::{Expect, Source};
use crate::fid::Assigned;
use crate::floor_http::BODY_BYTES;
use crate::load::{self, Extent};
use crate::process::Target;
use crate::rounds;

/// Connections that store a set of images.
const STORE_CONNECTIONS: usize = 64;

/// One image that the server has acknowledged.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its path, without the leading slash.
    pub path: Vec<u8>,
    /// How it starts.
    pub stamp: [u8; 8],
}

impl Image {
    /// An image under this path (without the leading slash) that starts with `stamp`.
    pub fn new(path: impl Into<Vec<u8>>, stamp: [u8; 8]) -> Self {
        let path = path.into();
        Self { path, stamp }
    }
}

/// Ids that one connection stores images under, in order, each a body of its own.
pub struct Range {
    assigned: Assigned,
    next: u32,
    seed: u64,
}

/// A range that a connection's source and the benchmark share.
pub type SharedRange = Rc<RefCell<Range>>;

impl Range {
    /// Asks the server for `count` ids.
    ///
    /// # Errors
    /// When it does not give them.
    pub fn assign(client: &mut Client, count: u32, seed: u64) -> Result<SharedRange> {
        let assigned = client.assign(count)?;
        Ok(Rc::new(RefCell::new(Self {
            assigned,
            next: 0,
            seed,
        })))
    }

    /// Ids not used yet.
    pub fn left(&self) -> u32 {
        self.assigned.count - self.next
    }

    /// The volume that its ids are in.
    pub fn volume(&self) -> &str {
        self.assigned.volume()
    }

    /// The images under the ids used so far; all are acknowledged once their round has ended without an error.
    pub fn stored(&self) -> impl Iterator<Item = Image> {
        (0..self.next).map(|nth| {
            let mut path = Vec::new();
            self.assigned.write_nth(nth, &mut path);
            Image {
                path,
                stamp: self.stamp(nth),
            }
        })
    }

    /// First bytes of the `nth` image: different for each image of a run.
    fn stamp(&self, nth: u32) -> [u8; 8] {
        (self.seed << 32 | u64::from(nth)).to_be_bytes()
    }
}

/// PUTs one image after the other until its range is used up.
pub struct Puts {
    range: SharedRange,
    body: Vec<u8>,
}

impl Puts {
    /// A source of PUTs from `range`. Bodies are random bytes, so that nothing can compress them.
    pub fn boxed(range: &SharedRange) -> Box<dyn Source> {
        let mut body = vec![0; BODY_BYTES];
        SmallRng::seed_from_u64(range.borrow().seed).fill_bytes(&mut body);
        Box::new(Self {
            range: Rc::clone(range),
            body,
        })
    }
}

impl Source for Puts {
    fn next(&mut self, request: &mut Vec<u8>) -> Option<Expect> {
        let mut range = self.range.borrow_mut();
        if range.left() == 0 {
            return None;
        }
        let nth = range.next;
        range.next += 1;
        self.body[..8].copy_from_slice(&range.stamp(nth));
        request.extend_from_slice(b"PUT /");
        range.assigned.write_nth(nth, request);
        request.extend_from_slice(b" HTTP/1.1\r\nHost: bench\r\nContent-Type: image/jpeg\r\n");
        // A Vec takes every write.
        let _ = write!(request, "Content-Length: {BODY_BYTES}\r\n\r\n");
        request.extend_from_slice(&self.body);
        Some(Expect::status(201))
    }
}

/// GETs random images of a set, for ever or `left` times.
pub struct Gets {
    images: Rc<Vec<Image>>,
    random: SmallRng,
    left: Option<u64>,
}

impl Gets {
    /// A source of random GETs; `left` of them, or without end.
    pub fn boxed(images: &Rc<Vec<Image>>, seed: usize, left: Option<u64>) -> Box<dyn Source> {
        let random = SmallRng::seed_from_u64(seed as u64);
        Box::new(Self {
            images: Rc::clone(images),
            random,
            left,
        })
    }
}

impl Source for Gets {
    fn next(&mut self, request: &mut Vec<u8>) -> Option<Expect> {
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(1)?;
        }
        let image = &self.images[self.random.random_range(0..self.images.len())];
        request.extend_from_slice(b"GET /");
        request.extend_from_slice(&image.path);
        request.extend_from_slice(b" HTTP/1.1\r\nHost: bench\r\n\r\n");
        Some(Expect::body(BODY_BYTES, image.stamp))
    }
}

/// Stores `count` images (rounded up to a whole range for each connection) and gives their list.
///
/// # Errors
/// When one is not acknowledged.
pub fn store(target: Target, count: u32) -> Result<Rc<Vec<Image>>> {
    let mut client = Client::connect(target.addr)?;
    let each = count.div_ceil(STORE_CONNECTIONS as u32);
    let ranges: Vec<SharedRange> = (0..STORE_CONNECTIONS as u64)
        .map(|seed| Range::assign(&mut client, each, seed))
        .collect::<Result<_>>()?;
    let round = load::run(
        target,
        Extent::Exhaust,
        ranges.iter().map(Puts::boxed).collect(),
    )?;
    let images = stored(&ranges);
    ensure!(
        round.operations == images.len() as u64,
        "{} of {} images stored",
        round.operations,
        images.len()
    );
    Ok(Rc::new(images))
}

/// All images stored from these ranges.
pub fn stored(ranges: &[SharedRange]) -> Vec<Image> {
    ranges
        .iter()
        .flat_map(|range| range.borrow().stored().collect::<Vec<_>>())
        .collect()
}

/// Reads about `count` random images and checks each.
///
/// # Errors
/// When one is missing or is not what was stored.
pub fn read_back(target: Target, images: &Rc<Vec<Image>>, count: u64) -> Result<()> {
    let each = count.div_ceil(STORE_CONNECTIONS as u64);
    let sources = rounds::sources(STORE_CONNECTIONS, |seed| {
        Gets::boxed(images, seed, Some(each))
    });
    load::run(target, Extent::Exhaust, sources).map(drop)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn range(count: u32) -> SharedRange {
        let assigned = Assigned {
            fid: "3,0163037d6a".to_owned(),
            count,
        };
        Rc::new(RefCell::new(Range {
            assigned,
            next: 0,
            seed: 7,
        }))
    }

    #[test]
    fn a_range_is_used_up_and_every_body_differs() {
        let range = range(2);
        let mut puts = Puts::boxed(&range);
        let mut requests = Vec::new();
        for _ in 0..2 {
            let mut request = Vec::new();
            assert_eq!(puts.next(&mut request).unwrap().status, 201);
            requests.push(request);
        }
        assert!(puts.next(&mut Vec::new()).is_none());
        assert!(requests[1].starts_with(b"PUT /3,0163037d6a_1 HTTP/1.1\r\n"));
        let body = |request: &[u8]| request[request.len() - BODY_BYTES..].to_vec();
        assert_ne!(body(&requests[0]), body(&requests[1]));
    }

    #[test]
    fn a_get_expects_what_was_put() {
        let range = range(1);
        let mut put = Vec::new();
        Puts::boxed(&range).next(&mut put).unwrap();
        let images = Rc::new(stored(&[range]));
        let mut gets = Gets::boxed(&images, 1, Some(1));
        let mut request = Vec::new();
        let expect = gets.next(&mut request).unwrap();
        assert!(request.starts_with(b"GET /3,0163037d6a HTTP/1.1\r\n"));
        assert_eq!(expect.prefix.unwrap(), put[put.len() - BODY_BYTES..][..8]);
        assert!(gets.next(&mut request).is_none());
    }
}
