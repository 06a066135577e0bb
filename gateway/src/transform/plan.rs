//! The geometry: which part of an image becomes which size. Pure arithmetic on sizes; no pixels here.
//!
//! The rules are those that a SeaweedFS client sees. A resize happens only where at least one asked side is smaller
//! than the image's; then exact sizes are met exactly, so with two asked sides the other one may grow.

use image::metadata::Orientation;

use super::TransformError;
use super::query::{Crop, Mode, Transform, parameter};

/// Most pixels on one side of an output: what JPEG and GIF can say in their headers.
const OUTPUT_SIDE_MAX: u32 = 65_535;

/// Width and height in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub width: u32,
    pub height: u32,
}

impl Size {
    pub fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// The size after the turn: a quarter turn swaps the sides.
    pub fn turned(self, orientation: Orientation) -> Self {
        if swaps_sides(orientation) {
            Self {
                width: self.height,
                height: self.width,
            }
        } else {
            self
        }
    }
}

/// A part of an image, in pixels and parts of pixels: a centre cut need not fall on a whole one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Region {
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
}

impl Region {
    fn whole(size: Size) -> Self {
        Self {
            left: 0.0,
            top: 0.0,
            width: size.width.into(),
            height: size.height.into(),
        }
    }

    fn of_crop(crop: Crop) -> Self {
        let (left, top) = (f64::from(crop.x1), f64::from(crop.y1));
        Self {
            left,
            top,
            width: f64::from(crop.x2 - crop.x1),
            height: f64::from(crop.y2 - crop.y1),
        }
    }

    /// The largest centred part with the ratio of `size`.
    fn centre_with_ratio_of(self, size: Size) -> Self {
        let ratio = f64::from(size.width) / f64::from(size.height);
        let width = on_grid(self.width.min(self.height * ratio)).max(GRID);
        let height = on_grid(self.height.min(self.width / ratio)).max(GRID);
        let left = self.left + on_grid((self.width - width) / 2.0);
        let top = self.top + on_grid((self.height - height) / 2.0);
        Self {
            left,
            top,
            width,
            height,
        }
    }

    /// The same part, found in the stored image of size `stored`, before the turn that shows it.
    pub fn before_turn(self, orientation: Orientation, stored: Size) -> Self {
        let (mut left, mut top, mut width, mut height) =
            (self.left, self.top, self.width, self.height);
        if swaps_sides(orientation) {
            (left, top, width, height) = (top, left, height, width);
        }
        let (mirror_x, mirror_y) = mirrored_sides(orientation);
        if mirror_x {
            left = f64::from(stored.width) - left - width;
        }
        if mirror_y {
            top = f64::from(stored.height) - top - height;
        }
        Self {
            left,
            top,
            width,
            height,
        }
    }
}

/// What to do: make `output` pixels out of `region`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Plan {
    pub region: Region,
    pub output: Size,
}

impl Plan {
    /// The plan for an image that shows as `shown`; none where the stored bytes are the answer.
    ///
    /// # Errors
    /// [`TransformError::Parameter`] where a side would be longer than an image file can say.
    pub fn new(
        transform: &Transform,
        shown: Size,
        may_crop: bool,
    ) -> Result<Option<Self>, TransformError> {
        let inside = |crop: &Crop| may_crop && crop.x2 <= shown.width && crop.y2 <= shown.height;
        let crop = transform.crop.filter(inside);
        let region = crop.map_or(Region::whole(shown), Region::of_crop);
        let cut = crop.map_or(shown, |crop| Size {
            width: crop.x2 - crop.x1,
            height: crop.y2 - crop.y1,
        });
        let plan = match resized(transform, cut, region) {
            Some(plan) => plan,
            None if cut == shown => return Ok(None),
            None => Self {
                region,
                output: cut,
            },
        };
        plan.checked().map(Some)
    }

    fn checked(self) -> Result<Self, TransformError> {
        let refuse = |name, side: u32| {
            Err(parameter(
                name,
                &side.to_string(),
                "at most 65535 pixels on a side",
            ))
        };
        match self.output {
            Size { width, .. } if width > OUTPUT_SIDE_MAX => refuse("width", width),
            Size { height, .. } if height > OUTPUT_SIDE_MAX => refuse("height", height),
            _ => Ok(self),
        }
    }
}

fn resized(transform: &Transform, cut: Size, region: Region) -> Option<Plan> {
    let shrinks = transform.width.is_some_and(|width| width < cut.width)
        || transform.height.is_some_and(|height| height < cut.height);
    if !shrinks {
        return None;
    }
    let whole = |output| Some(Plan { region, output });
    match (transform.width, transform.height) {
        (Some(width), Some(height)) => Some(both_sides(
            transform.mode,
            Size { width, height },
            cut,
            region,
        )),
        (Some(width), None) => whole(Size {
            width,
            height: ratio_rounded(width, cut.height, cut.width),
        }),
        (None, Some(height)) => whole(Size {
            width: ratio_rounded(height, cut.width, cut.height),
            height,
        }),
        (None, None) => None,
    }
}

fn both_sides(mode: Mode, asked: Size, cut: Size, region: Region) -> Plan {
    let thumbnail = asked.width == asked.height && cut.width != cut.height;
    match mode {
        Mode::Fit => Plan {
            region,
            output: inside(asked, cut),
        },
        Mode::Exact if !thumbnail => Plan {
            region,
            output: asked,
        },
        Mode::Exact | Mode::Fill => Plan {
            region: region.centre_with_ratio_of(asked),
            output: asked,
        },
    }
}

/// The largest size with the ratio of `cut` inside `asked`; the short side is rounded down.
fn inside(asked: Size, cut: Size) -> Size {
    let floor = |side: u32, of: u32, to: u32| {
        let scaled = u64::from(side) * u64::from(of) / u64::from(to);
        u32::try_from(scaled).unwrap_or(u32::MAX).max(1)
    };
    let wider = u64::from(cut.width) * u64::from(asked.height)
        > u64::from(asked.width) * u64::from(cut.height);
    if wider {
        Size {
            width: asked.width,
            height: floor(asked.width, cut.height, cut.width),
        }
    } else {
        Size {
            width: floor(asked.height, cut.width, cut.height),
            height: asked.height,
        }
    }
}

/// `side * of / to`, rounded to the nearest, at least 1. `to` is a side of an image, so never 0.
fn ratio_rounded(side: u32, of: u32, to: u32) -> u32 {
    let scaled = (u64::from(side) * u64::from(of) + u64::from(to) / 2) / u64::from(to);
    u32::try_from(scaled).unwrap_or(u32::MAX).max(1)
}

/// Region edges are multiples of this, so that sums of them are exact and none lies outside the image by a rounding.
const GRID: f64 = 1.0 / 1024.0;

fn on_grid(pixels: f64) -> f64 {
    (pixels / GRID).floor() * GRID
}

fn swaps_sides(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(
        orientation,
        Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH
    )
}

/// Which of the stored image's axes (x, y) run backwards in the shown image.
fn mirrored_sides(orientation: Orientation) -> (bool, bool) {
    match orientation {
        Orientation::NoTransforms | Orientation::Rotate90FlipH => (false, false),
        Orientation::FlipHorizontal | Orientation::Rotate270 => (true, false),
        Orientation::FlipVertical | Orientation::Rotate90 => (false, true),
        Orientation::Rotate180 | Orientation::Rotate270FlipH => (true, true),
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
