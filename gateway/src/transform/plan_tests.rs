use proptest::prelude::*;

use super::*;

fn ask(width: u32, height: u32, mode: Mode) -> Transform {
    let side = |side| Some(side).filter(|&side| side > 0);
    Transform {
        width: side(width),
        height: side(height),
        mode,
        crop: None,
    }
}

fn output(transform: Transform, width: u32, height: u32) -> Option<(u32, u32)> {
    let plan = Plan::new(&transform, Size { width, height }, true).unwrap();
    plan.map(|plan| (plan.output.width, plan.output.height))
}

#[test]
fn golden_sizes() {
    use Mode::{Exact, Fill, Fit};
    // (asked width, height, mode) of a 200 x 100 image
    for (asked, expected) in [
        ((50, 0, Exact), Some((50, 25))),
        ((0, 20, Exact), Some((40, 20))),
        ((33, 0, Exact), Some((33, 17))),
        ((1, 0, Exact), Some((1, 1))),
        ((50, 50, Exact), Some((50, 50))),
        ((50, 20, Exact), Some((50, 20))),
        ((100, 150, Exact), Some((100, 150))),
        ((150, 150, Exact), Some((150, 150))),
        ((50, 50, Fit), Some((50, 25))),
        ((33, 33, Fit), Some((33, 16))),
        ((300, 50, Fit), Some((100, 50))),
        ((50, 0, Fit), Some((50, 25))),
        ((50, 50, Fill), Some((50, 50))),
        ((50, 20, Fill), Some((50, 20))),
        ((0, 50, Fill), Some((100, 50))),
        ((200, 100, Exact), None),
        ((500, 0, Exact), None),
        ((500, 500, Fit), None),
        ((500, 500, Fill), None),
    ] {
        assert_eq!(
            output(ask(asked.0, asked.1, asked.2), 200, 100),
            expected,
            "{asked:?}"
        );
    }
    assert_eq!(output(ask(50, 50, Exact), 100, 100), Some((50, 50)));
}

#[test]
fn crop_comes_before_resize() {
    let crop = Some(Crop {
        x1: 10,
        y1: 20,
        x2: 110,
        y2: 60,
    });
    assert_eq!(
        output(
            Transform {
                crop,
                ..ask(0, 0, Mode::Exact)
            },
            200,
            100
        ),
        Some((100, 40))
    );
    assert_eq!(
        output(
            Transform {
                crop,
                ..ask(50, 0, Mode::Exact)
            },
            200,
            100
        ),
        Some((50, 20))
    );
    assert_eq!(
        output(
            Transform {
                crop,
                ..ask(150, 0, Mode::Exact)
            },
            200,
            100
        ),
        Some((100, 40))
    );
}

#[test]
fn crop_outside_is_as_if_not_asked() {
    let crop = Some(Crop {
        x1: 10,
        y1: 20,
        x2: 201,
        y2: 60,
    });
    assert_eq!(
        output(
            Transform {
                crop,
                ..ask(0, 0, Mode::Exact)
            },
            200,
            100
        ),
        None
    );
    assert_eq!(
        output(
            Transform {
                crop,
                ..ask(50, 0, Mode::Exact)
            },
            200,
            100
        ),
        Some((50, 25))
    );
    let all = Some(Crop {
        x1: 0,
        y1: 0,
        x2: 200,
        y2: 100,
    });
    assert_eq!(
        output(
            Transform {
                crop: all,
                ..ask(0, 0, Mode::Exact)
            },
            200,
            100
        ),
        None
    );
}

#[test]
fn fill_cuts_evenly_at_the_centre() {
    let plan = Plan::new(
        &ask(50, 50, Mode::Fill),
        Size {
            width: 200,
            height: 100,
        },
        true,
    )
    .unwrap()
    .unwrap();
    assert_eq!(
        plan.region,
        Region {
            left: 50.0,
            top: 0.0,
            width: 100.0,
            height: 100.0
        }
    );
}

#[test]
fn sides_no_file_can_say_are_refused() {
    let error = Plan::new(
        &ask(5, 65_536, Mode::Exact),
        Size {
            width: 9,
            height: 9,
        },
        true,
    )
    .unwrap_err();
    assert!(matches!(
        error,
        TransformError::Parameter { name: "height", .. }
    ));
}

proptest! {
    #[test]
    fn region_lies_inside_and_output_is_never_empty(
        (width, height) in (1u32..5000, 1u32..5000),
        (w, h) in (0u32..6000, 0u32..6000),
        mode in prop_oneof![Just(Mode::Exact), Just(Mode::Fit), Just(Mode::Fill)],
        exif in 1u8..9,
    ) {
        let orientation = Orientation::from_exif(exif).unwrap();
        let stored = Size { width, height };
        if let Some(plan) = Plan::new(&ask(w, h, mode), stored.turned(orientation), true).unwrap() {
            let region = plan.region.before_turn(orientation, stored);
            prop_assert!(plan.output.width > 0 && plan.output.height > 0);
            prop_assert!(region.left >= 0.0 && region.left + region.width <= f64::from(width));
            prop_assert!(region.top >= 0.0 && region.top + region.height <= f64::from(height));
            prop_assert!(region.width > 0.0 && region.height > 0.0);
        }
    }
}
