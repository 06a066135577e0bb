//! Random damage and random bytes: always an answer, never a fault, never an image that is not what was sent.

use moongate_tests::http::{Part, Request, multipart_body};
use moongate_tests::{Gateway, payload};
use rand::Rng;

use moongate_tests::archives::{Lines, gzip, samples, tar, upload, zstd_of};

#[test]
fn damaged_archives_are_answered_and_nothing_wrong_is_stored() {
    let mut gateway = Gateway::fresh("");
    let mut rng = payload::seeded("damaged archives");
    let files: Vec<_> = samples()
        .into_iter()
        .filter(|(_, data)| data.len() < 10_000)
        .collect();
    let plain = tar(&files);
    let parts: Vec<Part> = files
        .iter()
        .map(|(name, data)| Part::file(name, "", data))
        .collect();
    let form = multipart_body(&parts);
    let form_type = Request::post_multipart("/batch", &[]).headers;
    for round in 0..300 {
        let kind = round % 4;
        let mut body = match kind {
            0 => plain.clone(),
            1 => gzip(&plain),
            2 => zstd_of(&plain),
            _ => form.clone(),
        };
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..body.len());
            match rng.random_range(0..4) {
                0 => body[at] ^= 1 << rng.random_range(0..8),
                1 => body.truncate(at.max(1)),
                2 => drop(body.drain(at..(at + 100).min(body.len()))),
                _ => drop(body.splice(at..at, payload::bytes(rng.random(), 50))),
            }
            if body.is_empty() {
                break;
            }
        }
        let mut request = upload("", &body);
        if kind == 3 {
            request.headers.extend(form_type.clone());
        }
        let response = gateway.send(&request);
        assert!(
            matches!(response.status, 200 | 207 | 400),
            "round {round}: {}",
            response.summary()
        );
        let lines = Lines::of(&response);
        let told = lines.entries.iter().filter(|line| line["fid"].is_string());
        for line in told {
            let got = gateway
                .get(&format!("/{}", line["fid"].as_str().unwrap()))
                .status(200);
            assert_eq!(Some(got.body.len() as u64), line["size"].as_u64(), "{line}");
        }
    }
    gateway.assert_serving();
}

#[test]
fn random_bodies_are_answered() {
    let mut gateway = Gateway::fresh("");
    let mut rng = payload::seeded("random batches");
    for _ in 0..200 {
        let body = payload::bytes(rng.random(), rng.random_range(0..3000));
        for path in ["/batch", "/batch/get", "/batch/delete"] {
            let mut request = Request::new("POST", path).body(&body);
            if rng.random_bool(0.3) {
                request = request.header("Content-Type", "multipart/form-data; boundary=x");
            }
            let response = gateway.send(&request);
            assert!(response.status < 500, "{}", response.summary());
        }
    }
    gateway.assert_serving();
}
