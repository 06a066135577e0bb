//! The files of one volume, by name.

use std::path::{Path, PathBuf};

use crate::id::VolumeId;

/// Where a volume lives and what it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeFiles {
    /// Folder of the volume.
    pub dir: PathBuf,
    /// Collection, empty for the default one.
    pub collection: String,
    /// Number of the volume.
    pub id: VolumeId,
}

/// Longest name of a collection in bytes.
pub const COLLECTION_BYTES_MAX: usize = 128;

/// Whether a text can name a collection: it becomes part of a file name.
pub fn collection_is_valid(name: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    name.len() <= COLLECTION_BYTES_MAX && name.chars().all(plain) && !name.starts_with('.')
}

impl VolumeFiles {
    /// From the name of a `.dat` file: `<vid>.dat` or `<collection>_<vid>.dat`.
    pub fn from_dat_name(dir: &Path, name: &str) -> Option<Self> {
        let base = name.strip_suffix(".dat")?;
        let (collection, id) = base.rsplit_once('_').unwrap_or(("", base));
        let digits_only = !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit());
        let id = id.parse().ok().filter(|_| digits_only)?;
        Some(Self {
            dir: dir.to_owned(),
            collection: collection.to_owned(),
            id: VolumeId(id),
        })
    }

    /// The file with this extension.
    pub fn path(&self, extension: &str) -> PathBuf {
        let base = if self.collection.is_empty() {
            self.id.to_string()
        } else {
            format!("{}_{}", self.collection, self.id)
        };
        self.dir.join(format!("{base}.{extension}"))
    }

    /// Needles.
    pub fn dat(&self) -> PathBuf {
        self.path("dat")
    }

    /// SeaweedFS's index of it.
    pub fn idx(&self) -> PathBuf {
        self.path("idx")
    }

    /// What else is known of it.
    pub fn vif(&self) -> PathBuf {
        self.path("vif")
    }

    /// Vacuum's new `.dat`.
    pub fn compact_dat(&self) -> PathBuf {
        self.path("cpd")
    }

    /// Vacuum's new `.idx`.
    pub fn compact_idx(&self) -> PathBuf {
        self.path("cpx")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let dir = Path::new("/d");
        let files = VolumeFiles::from_dat_name(dir, "my_pics_12.dat").unwrap();
        assert_eq!(
            (files.collection.as_str(), files.id),
            ("my_pics", VolumeId(12))
        );
        assert_eq!(files.idx(), dir.join("my_pics_12.idx"));
        assert_eq!(
            VolumeFiles::from_dat_name(dir, "3.dat").unwrap().dat(),
            dir.join("3.dat")
        );
        for other in [
            "3.idx",
            "x.dat",
            "_.dat",
            "a_+3.dat",
            "a_.dat",
            "99999999999.dat",
        ] {
            assert_eq!(VolumeFiles::from_dat_name(dir, other), None, "{other}");
        }
        assert!(collection_is_valid("фото-1_b.c"));
        assert!(
            !collection_is_valid("../x")
                && !collection_is_valid("a/b")
                && !collection_is_valid("a\0")
        );
    }
}
