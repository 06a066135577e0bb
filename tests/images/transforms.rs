//! Resize and crop: sizes, formats, and what is left alone.

use image::{GenericImageView, ImageFormat};
use moongate_tests::Gateway;
use moongate_tests::http::{Part, Request};

use crate::pictures::{BLUE, RED, assert_color, decoded, encoded, two_halves};

const FORMATS: [(&str, &str, ImageFormat); 3] = [
    ("t.png", "image/png", ImageFormat::Png),
    ("t.jpg", "image/jpeg", ImageFormat::Jpeg),
    ("t.gif", "image/gif", ImageFormat::Gif),
];

/// Stores a form's file and gives its path.
pub fn store(gateway: &Gateway, name: &str, mime: &str, body: &[u8]) -> String {
    let path = gateway.assign("").path();
    gateway
        .send(&Request::post_multipart(
            &path,
            &[Part::file(name, mime, body)],
        ))
        .status(201);
    path
}

pub fn store_png(gateway: &Gateway) -> (String, Vec<u8>) {
    let body = encoded(&two_halves(200, 100), ImageFormat::Png);
    (store(gateway, "t.png", "image/png", &body), body)
}

#[test]
fn each_mode_gives_its_size_in_every_format() {
    let gateway = Gateway::fresh("");
    for (name, mime, format) in FORMATS {
        let path = store(
            &gateway,
            name,
            mime,
            &encoded(&two_halves(200, 100), format),
        );
        for (query, size) in [
            ("width=50", (50, 25)),
            ("height=20", (40, 20)),
            ("width=50&height=50", (50, 50)),
            ("width=60&height=50", (60, 50)),
            ("width=60&height=60&mode=fit", (60, 30)),
            ("width=100&height=20&mode=fit", (40, 20)),
            ("width=60&height=40&mode=fill", (60, 40)),
            ("crop_x1=10&crop_y1=20&crop_x2=60&crop_y2=70", (50, 50)),
        ] {
            let response = gateway.get(&format!("{path}?{query}")).status(200);
            assert_eq!(
                response.expect_header("Content-Type"),
                mime,
                "{name}?{query}"
            );
            assert_eq!(
                response.expect_header("Content-Length"),
                response.body.len().to_string()
            );
            assert_eq!(
                decoded(&response.body, format).dimensions(),
                size,
                "{name}?{query}"
            );
        }
    }
}

#[test]
fn what_is_shown_is_the_right_part() {
    let gateway = Gateway::fresh("");
    let (path, _) = store_png(&gateway);
    let picture = |query: &str| {
        decoded(
            &gateway.get(&format!("{path}?{query}")).status(200).body,
            ImageFormat::Png,
        )
    };
    for query in [
        "width=50",
        "width=60&height=50",
        "width=60&height=60&mode=fit",
        "width=60&height=40&mode=fill",
        "width=50&height=50",
    ] {
        let picture = picture(query);
        let (width, height) = picture.dimensions();
        assert_color(&picture, 3, height / 2, RED);
        assert_color(&picture, width - 4, height / 2, BLUE);
    }
    let left = picture("crop_x1=0&crop_y1=0&crop_x2=80&crop_y2=80");
    assert_color(&left, 75, 40, RED);
    let right = picture("crop_x1=110&crop_y1=10&crop_x2=190&crop_y2=90");
    assert_color(&right, 5, 40, BLUE);
    let across = picture("crop_x1=90&crop_y1=0&crop_x2=110&crop_y2=20");
    assert_color(&across, 2, 10, RED);
    assert_color(&across, 17, 10, BLUE);
}

#[test]
fn nothing_is_enlarged() {
    let gateway = Gateway::fresh("");
    let (path, body) = store_png(&gateway);
    for query in [
        "width=500",
        "height=101",
        "width=200",
        "width=500&height=300",
        "width=400&height=400&mode=fit",
        "width=201&mode=fill",
    ] {
        assert!(
            gateway.get(&format!("{path}?{query}")).status(200).body == body,
            "{query} is not the original"
        );
    }
}

#[test]
fn a_crop_outside_of_the_picture_gives_the_original() {
    let gateway = Gateway::fresh("");
    let (path, body) = store_png(&gateway);
    for query in [
        "crop_x1=0&crop_y1=0&crop_x2=201&crop_y2=50",
        "crop_x1=500&crop_y1=500&crop_x2=600&crop_y2=600",
        "crop_x1=50&crop_y1=50&crop_x2=40&crop_y2=40",
        "crop_x1=-5&crop_y1=0&crop_x2=50&crop_y2=50",
    ] {
        assert!(
            gateway.get(&format!("{path}?{query}")).status(200).body == body,
            "{query} is not the original"
        );
    }
}

#[test]
fn nonsense_in_the_parameters_gives_the_original_or_400() {
    let mut gateway = Gateway::fresh("");
    let (path, body) = store_png(&gateway);
    for query in [
        "width=abc",
        "width=0",
        "width=-50",
        "width=",
        "width=99999999999999999999",
        "height=1e3",
        "mode=fit",
        "width=0&height=0",
    ] {
        let response = gateway.get(&format!("{path}?{query}"));
        match response.status {
            200 => assert!(response.body == body, "{query} is not the original"),
            _ => drop(response.status(400)),
        }
    }
    gateway.assert_serving();
}

#[test]
fn a_webp_comes_out_as_png() {
    let gateway = Gateway::fresh("");
    let body = encoded(&two_halves(200, 100), ImageFormat::WebP);
    let path = store(&gateway, "t.webp", "image/webp", &body);
    assert!(gateway.get(&path).status(200).body == body);
    let response = gateway.get(&format!("{path}?width=50")).status(200);
    assert_eq!(
        decoded(&response.body, ImageFormat::Png).dimensions(),
        (50, 25)
    );
    assert_eq!(
        response.expect_header("Content-Type"),
        "image/png",
        "and says so"
    );
}

#[test]
fn the_extension_of_the_url_makes_an_image_as_well() {
    let gateway = Gateway::fresh("");
    let body = encoded(&two_halves(200, 100), ImageFormat::Jpeg);
    let path = gateway.store("image/jpeg", &body).path();
    let response = gateway.get(&format!("{path}.jpg?width=50")).status(200);
    assert_eq!(
        decoded(&response.body, ImageFormat::Jpeg).dimensions(),
        (50, 25)
    );
}

#[test]
fn what_is_not_an_image_is_sent_as_it_is() {
    let gateway = Gateway::fresh("");
    for (name, mime) in [
        ("notes.txt", "text/plain"),
        ("broken.png", "image/png"),
        ("t.json", "application/json"),
    ] {
        let path = store(&gateway, name, mime, b"these are not the bytes of an image");
        assert_eq!(
            gateway.get(&format!("{path}?width=50")).status(200).body,
            b"these are not the bytes of an image",
            "{name}"
        );
    }
}
