//! Frames that are none, on both ports: they cost their connection and nothing else.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use moongate_tests::payload;
use moongate_tests::wait;
use rand::Rng as _;

use crate::bed::{Bed, calls, data};

const ROUNDS: usize = 300;
/// Reads that are left in the middle.
const READS: usize = 20;

/// Sends bytes, and looks a moment at what comes.
fn throw(address: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(5)))
        .unwrap();
    let _ = stream.write_all(bytes);
    let _ = stream.read(&mut [0; 512]);
}

#[test]
fn random_frames_cost_their_connection() {
    let bed = Bed::start("hostile");
    bed.put("/hostile/file", b"still here");
    let mut random = payload::seeded("frames of hdfs");
    for _ in 0..ROUNDS {
        let len = random.random_range(0..400);
        let mut noise = vec![0; len];
        random.fill(&mut noise[..]);
        let mut frame = b"hrpc\x09\x00\x00".to_vec();
        if random.random() {
            frame.extend_from_slice(&u32::try_from(len).unwrap().to_be_bytes());
        }
        frame.extend_from_slice(&noise);
        throw(calls(&bed.gateway), &frame);
        let numbers = [80, 81, 82, 85, 86, 87, 127];
        let number = numbers[random.random_range(0..numbers.len())];
        let mut op = vec![0, 28, number, random.random_range(0..127)];
        op.extend_from_slice(&noise);
        throw(data(&bed.gateway), &op);
    }
    bed.runtime.block_on(async {
        let mut file = bed.near.read("/hostile/file").await.unwrap();
        assert!(file.read_bytes(10).await.unwrap() == b"still here"[..]);
    });
    wait::until_true("connections are let go", Duration::from_secs(60), || {
        bed.gateway.open_files() < 300
    });
    assert!(!bed.gateway.log().contains("panicked"));
}

#[test]
fn huge_frames_are_not_waited_for() {
    let bed = Bed::start("huge");
    let before = bed.gateway.resident_bytes();
    for _ in 0..50 {
        throw(calls(&bed.gateway), b"hrpc\x09\x00\x00\xff\xff\xff\xff");
        throw(
            data(&bed.gateway),
            &[0, 28, 81, 0xff, 0xff, 0xff, 0xff, 0x0f],
        );
    }
    let grown = bed.gateway.resident_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes for frames that never came");
}

/// A reader that goes in the middle of a long file stops what is read for it.
#[test]
fn a_client_that_leaves_ends_its_read() {
    let bed = Bed::start("leaves");
    bed.put("/leaves/file", &payload::bytes(8, 40 << 20));
    let before = bed.gateway.open_files();
    bed.runtime.block_on(async {
        for _ in 0..READS {
            let file = bed.near.read("/leaves/file").await.unwrap();
            let read = file.read_range(0, 40 << 20);
            let _ = tokio::time::timeout(Duration::from_millis(3), read).await;
        }
    });
    // Less than the time after which a client that takes nothing is given up.
    wait::until_true(
        "nobody is sent to any more",
        Duration::from_secs(40),
        || bed.gateway.open_files() < before + READS / 2,
    );
    bed.put("/leaves/other", b"other");
    bed.runtime.block_on(async {
        let mut file = bed.near.read("/leaves/other").await.unwrap();
        assert!(file.read_bytes(5).await.unwrap() == b"other"[..]);
    });
}
