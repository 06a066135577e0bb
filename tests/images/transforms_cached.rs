//! A variant of an image has its own ETag, and the conditions and ranges that go with it.

use crate::transforms::store_png;
use image::{GenericImageView, ImageFormat};
use moongate_tests::http::{Part, Request};
use moongate_tests::{Gateway, payload};

use crate::pictures::{decoded, encoded, two_halves};

#[test]
fn each_variant_has_its_own_etag_that_stays() {
    let mut gateway = Gateway::fresh("");
    let (path, body) = store_png(&gateway);
    let queries = [
        "",
        "?width=50",
        "?width=60",
        "?height=50",
        "?width=50&height=50",
        "?width=60&height=50",
        "?width=60&height=50&mode=fit",
        "?width=60&height=50&mode=fill",
        "?crop_x1=0&crop_y1=0&crop_x2=60&crop_y2=50",
        "?crop_x1=1&crop_y1=0&crop_x2=61&crop_y2=50",
    ];
    let etag = |gateway: &Gateway, query: &str| {
        gateway
            .get(&format!("{path}{query}"))
            .status(200)
            .expect_header("Etag")
            .to_owned()
    };
    let etags: Vec<String> = queries.iter().map(|query| etag(&gateway, query)).collect();
    assert_eq!(etags[0], payload::etag(&body));
    for (n, one) in etags.iter().enumerate() {
        assert!(
            !etags[..n].contains(one),
            "{} shares its ETag: {etags:?}",
            queries[n]
        );
    }
    gateway.terminate();
    gateway.restart();
    for (query, known) in queries.iter().zip(&etags) {
        assert_eq!(etag(&gateway, query), *known, "{query} after a restart");
    }
}

#[test]
fn a_variant_is_revalidated_with_its_own_etag_only() {
    let gateway = Gateway::fresh("");
    let (path, _) = store_png(&gateway);
    let target = format!("{path}?width=50");
    let (original, variant) = (gateway.get(&path), gateway.get(&target));
    let tag = variant.expect_header("Etag").to_owned();
    let ask =
        |target: &str, tag: &str| gateway.send(&Request::get(target).header("If-None-Match", tag));
    let unchanged = ask(&target, &tag).status(304).empty();
    assert_eq!(unchanged.expect_header("Etag"), tag);
    ask(&target, original.expect_header("Etag")).status(200);
    ask(&path, &tag).status(200);
    gateway
        .send(&Request::get(&target).header("If-Match", original.expect_header("Etag")))
        .status(412);
}

#[test]
fn a_variant_changes_with_its_image() {
    let gateway = Gateway::fresh("");
    let (path, _) = store_png(&gateway);
    let target = format!("{path}?width=50");
    let before = gateway.get(&target).status(200);
    let other = encoded(&two_halves(100, 100), ImageFormat::Png);
    gateway
        .send(&Request::post_multipart(
            &path,
            &[Part::file("t.png", "image/png", &other)],
        ))
        .status(201);
    let after = gateway.get(&target).status(200);
    assert_ne!(before.expect_header("Etag"), after.expect_header("Etag"));
    assert_eq!(
        decoded(&after.body, ImageFormat::Png).dimensions(),
        (50, 50)
    );
    gateway.delete(&path).status(202);
    gateway.get(&target).status(404);
}

#[test]
fn head_and_ranges_work_on_a_variant() {
    let gateway = Gateway::fresh("");
    let (path, _) = store_png(&gateway);
    let target = format!("{path}?width=50");
    let (get, head) = (
        gateway.get(&target).status(200),
        gateway.head(&target).status(200).empty(),
    );
    for name in ["Content-Length", "Content-Type", "Etag", "Last-Modified"] {
        assert_eq!(head.header(name), get.header(name), "{name}");
    }
    let part = gateway
        .send(&Request::get(&target).header("Range", "bytes=0-7"))
        .status(206);
    assert_eq!(part.body, get.body[..8]);
    assert_eq!(
        part.expect_header("Content-Range"),
        format!("bytes 0-7/{}", get.body.len())
    );
}
