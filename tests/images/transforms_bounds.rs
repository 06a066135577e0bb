//! Transforms are bounded: bombs, pixels, number at once.

use crate::transforms::{store, store_png};
use image::{GenericImageView, ImageFormat};
use moongate_tests::Gateway;

use crate::pictures::{decoded, encoded, png_bomb, two_halves};

#[test]
fn a_bomb_is_refused_and_takes_no_memory() {
    let mut gateway = Gateway::fresh("");
    // 900 million pixels in less than a megabyte.
    let bomb = png_bomb(30_000);
    let path = store(&gateway, "bomb.png", "image/png", &bomb);
    let before = gateway.resident_bytes();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let response = gateway.get(&format!("{path}?width=50"));
                let refused = (400..500).contains(&response.status)
                    || (response.status == 200 && response.body == bomb);
                assert!(refused, "{}", response.summary());
            });
        }
    });
    let grown_mib = gateway.resident_bytes().saturating_sub(before) >> 20;
    assert!(grown_mib < 200, "it took {grown_mib} MiB");
    assert!(
        gateway.get(&path).status(200).body == bomb,
        "as a file it is served"
    );
    gateway.assert_serving();
}

#[test]
fn the_pixels_of_a_transform_are_bounded_by_the_config() {
    let gateway = Gateway::fresh("[image]\ntransform_pixels_max = 10000");
    let small = store(
        &gateway,
        "s.png",
        "image/png",
        &encoded(&two_halves(100, 90), ImageFormat::Png),
    );
    let body = encoded(&two_halves(200, 100), ImageFormat::Png);
    let large = store(&gateway, "l.png", "image/png", &body);
    let response = gateway.get(&format!("{small}?width=50")).status(200);
    assert_eq!(
        decoded(&response.body, ImageFormat::Png).dimensions(),
        (50, 45)
    );
    let response = gateway.get(&format!("{large}?width=50"));
    let refused =
        (400..500).contains(&response.status) || (response.status == 200 && response.body == body);
    assert!(refused, "{}", response.summary());
}

#[test]
fn many_transforms_at_once_leave_plain_reads_served() {
    let gateway = Gateway::fresh("");
    let large = store(
        &gateway,
        "l.jpg",
        "image/jpeg",
        &encoded(&two_halves(3000, 2000), ImageFormat::Jpeg),
    );
    let (small, body) = store_png(&gateway);
    std::thread::scope(|scope| {
        for n in 0..24 {
            let target = format!("{large}?width={}", 100 + n);
            let gateway = &gateway;
            scope.spawn(move || {
                let response = gateway.get(&target);
                // Bounded in number: what does not fit is told to come back.
                match response.status {
                    200 => assert_eq!(decoded(&response.body, ImageFormat::Jpeg).width(), 100 + n),
                    _ => assert!(response.status(503).header("Retry-After").is_some()),
                }
            });
        }
        for _ in 0..200 {
            assert!(gateway.get(&small).status(200).body == body);
        }
    });
    assert!(
        gateway.resident_bytes() < 600 << 20,
        "{} MiB",
        gateway.resident_bytes() >> 20
    );
}
