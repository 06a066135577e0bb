//! Bricks as files: each a sparse image with an xfs of its own, mounted by a loop device, on this node's disk.
//!
//! ```text
//! DISK/img/NAME        the image; NAME.new while it is made
//! DISK/mnt/NAME        where it is mounted
//! DISK/mnt/NAME/brick  what gluster is given
//! DISK/mnt/NAME/held   what the file system has beyond the size that was asked for, preallocated so that nobody gets it
//! DISK/mnt/NAME/sizes  what the file system keeps to itself, and what the brick was made to take, in bytes
//! ```
//! What exists is what these files say; there is no other record.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::Mutex;

use crate::command::must;
use crate::error::{Error, Result};
use crate::mountinfo;

const LIMIT: Duration = Duration::from_secs(60);
const MIB: u64 = 1 << 20;
/// xfs makes nothing smaller.
const IMAGE_BYTES_MIN: u64 = 304 * MIB;
/// Log, headers and what xfs keeps to itself; the rest is found by asking.
const OVERHEAD_BYTES: u64 = 72 * MIB;
const ROUNDS_MAX: u32 = 8;
/// A brick's processes end a moment after its volume.
const UNMOUNT_TRIES_MAX: u32 = 50;
const UNMOUNT_INTERVAL: Duration = Duration::from_millis(100);

/// This node's disk of bricks.
#[derive(Debug)]
pub struct Bricks {
    disk: PathBuf,
    changing: Mutex<()>,
}

/// What the disk has, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// The disk's size.
    pub total_bytes: u64,
    /// What is not written.
    pub free_bytes: u64,
    /// What the images may come to hold.
    pub promised_bytes: u64,
}

impl Bricks {
    /// Opens a folder on the disk, and mounts every image in it: after a reboot this must come before glusterd.
    ///
    /// # Errors
    /// `Internal` where the folder cannot be made or an image not be mounted.
    pub async fn open(disk: &Path) -> Result<Self> {
        let bricks = Self {
            disk: disk.to_owned(),
            changing: Mutex::new(()),
        };
        for folder in ["img", "mnt"] {
            std::fs::create_dir_all(disk.join(folder)).map_err(|error| at(disk, &error))?;
        }
        for name in bricks.names()? {
            bricks.mount(&name).await?;
        }
        Ok(bricks)
    }

    /// Makes a brick that takes `size_bytes`, or grows it to that, and returns the folder for gluster.
    ///
    /// # Errors
    /// `Invalid` for a name that is none; `NoSpace` with numbers; `Internal` with the words of the program that failed.
    pub async fn ensure(&self, name: &str, size_bytes: u64, gid: u32) -> Result<PathBuf> {
        check_name(name)?;
        let _one = self.changing.lock().await;
        if !self.image(name).exists() {
            self.check_room(size_bytes)?;
            self.make_image(name, image_bytes(size_bytes)).await?;
        }
        self.mount(name).await?;
        self.make_root(name, gid)?;
        self.fit(name, size_bytes).await?;
        Ok(self.root(name))
    }

    /// Removes a brick with what is in it; one that is gone is success.
    ///
    /// # Errors
    /// `NotNow` while something still uses it.
    pub async fn remove(&self, name: &str) -> Result<()> {
        check_name(name)?;
        let _one = self.changing.lock().await;
        self.unmount(name).await?;
        let _ = std::fs::remove_file(self.part(name));
        gone(std::fs::remove_file(self.image(name)), &self.image(name))?;
        gone(
            std::fs::remove_dir(self.mount_point(name)),
            &self.mount_point(name),
        )
    }

    /// Whether a brick of this name is here, whole.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        check_name(name).is_ok() && self.image(name).exists()
    }

    /// What there is.
    ///
    /// # Errors
    /// `Internal` where the disk cannot be asked.
    pub fn room(&self) -> Result<Room> {
        let disk =
            rustix::fs::statvfs(&self.disk).map_err(|error| at(&self.disk, &error.into()))?;
        let mut promised_bytes = 0;
        for name in self.names()? {
            let image = self.image(&name);
            promised_bytes += std::fs::metadata(&image)
                .map_err(|error| at(&image, &error))?
                .len();
        }
        Ok(Room {
            total_bytes: disk.f_blocks * disk.f_frsize,
            free_bytes: disk.f_bavail * disk.f_frsize,
            promised_bytes,
        })
    }

    fn check_room(&self, size_bytes: u64) -> Result<()> {
        let room = self.room()?;
        let needed = image_bytes(size_bytes);
        let left = room.total_bytes.saturating_sub(room.promised_bytes);
        if needed <= left {
            return Ok(());
        }
        Err(Error::NoSpace(format!(
            "a brick of {size_bytes} bytes needs {needed} on {}, and {left} of {} are not promised to others: add disk, or delete volumes",
            self.disk.display(),
            room.total_bytes
        )))
    }

    /// Under its name only when it is whole.
    async fn make_image(&self, name: &str, bytes: u64) -> Result<()> {
        let part = self.part(name);
        let file = std::fs::File::create(&part).map_err(|error| at(&part, &error))?;
        file.set_len(bytes).map_err(|error| at(&part, &error))?;
        must(
            "mkfs.xfs",
            &[
                "-q",
                "-f",
                "-i",
                "size=512",
                "-m",
                "reflink=0,rmapbt=0",
                text(&part)?,
            ],
            LIMIT,
        )
        .await?;
        file.sync_all().map_err(|error| at(&part, &error))?;
        std::fs::rename(&part, self.image(name)).map_err(|error| at(&part, &error))
    }

    async fn mount(&self, name: &str) -> Result<()> {
        let point = self.mount_point(name);
        if mountinfo::find(&point)?.is_some() {
            return Ok(());
        }
        std::fs::create_dir_all(&point).map_err(|error| at(&point, &error))?;
        let options = "loop,noatime,inode64,nouuid,discard";
        must(
            "mount",
            &[
                "-t",
                "xfs",
                "-o",
                options,
                text(&self.image(name))?,
                text(&point)?,
            ],
            LIMIT,
        )
        .await?;
        Ok(())
    }

    async fn unmount(&self, name: &str) -> Result<()> {
        let point = self.mount_point(name);
        let mut complaint = String::new();
        for _ in 0..UNMOUNT_TRIES_MAX {
            if mountinfo::find(&point)?.is_none() {
                return Ok(());
            }
            match must("umount", &[text(&point)?], LIMIT).await {
                Ok(_) => continue,
                Err(error) => complaint = error.to_string(),
            }
            tokio::time::sleep(UNMOUNT_INTERVAL).await;
        }
        Err(Error::NotNow(format!(
            "brick {name} is still in use: {complaint}"
        )))
    }

    /// The volume's root has its owner from here: the group may write, and what is made in it stays the group's.
    fn make_root(&self, name: &str, gid: u32) -> Result<()> {
        let root = self.root(name);
        if root.exists() {
            return Ok(());
        }
        let new = self.mount_point(name).join("brick.new");
        let made = std::fs::create_dir_all(&new)
            .and_then(|()| std::os::unix::fs::chown(&new, None, Some(gid)))
            .and_then(|()| std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o2775)))
            .and_then(|()| std::fs::rename(&new, &root));
        made.map_err(|error| at(&root, &error))
    }

    /// Makes what may be written exactly `size_bytes`: first the image large enough, then what is over held back. Nothing is taken from a
    /// brick that is larger already.
    async fn fit(&self, name: &str, size_bytes: u64) -> Result<()> {
        let mut record = self.record(name)?;
        if record.size_bytes >= size_bytes {
            return Ok(());
        }
        let needed = size_bytes + record.overhead_bytes;
        for _ in 0..ROUNDS_MAX {
            let there = self.statvfs(name)?.0;
            if there >= needed {
                self.hold(name, there - needed)?;
                record.size_bytes = size_bytes;
                return self.write_record(name, record);
            }
            self.grow(name, needed - there).await?;
        }
        Err(Error::Internal(format!(
            "brick {name} cannot be made to take {size_bytes} bytes"
        )))
    }

    /// Size and free space of the brick's file system, in bytes.
    fn statvfs(&self, name: &str) -> Result<(u64, u64)> {
        let point = self.mount_point(name);
        let there = rustix::fs::statvfs(&point).map_err(|error| at(&point, &error.into()))?;
        Ok((
            there.f_blocks * there.f_frsize,
            there.f_bavail * there.f_frsize,
        ))
    }

    /// What was written down of this brick; of a new one, what its file system keeps to itself, while it is empty.
    fn record(&self, name: &str) -> Result<Record> {
        let path = self.record_path(name);
        match std::fs::read_to_string(&path) {
            Ok(text) => Record::parse(&text).ok_or_else(|| {
                Error::Internal(format!(
                    "{} is damaged: two numbers should stand there",
                    path.display()
                ))
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let (size, free) = self.statvfs(name)?;
                let record = Record {
                    overhead_bytes: size - free,
                    size_bytes: 0,
                };
                self.write_record(name, record)?;
                Ok(record)
            }
            Err(error) => Err(at(&path, &error)),
        }
    }

    fn write_record(&self, name: &str, record: Record) -> Result<()> {
        let path = self.record_path(name);
        let new = path.with_extension("new");
        let text = format!("{} {}\n", record.overhead_bytes, record.size_bytes);
        let written =
            std::fs::write(&new, text).and_then(|()| std::fs::File::open(&new)?.sync_all());
        written
            .and_then(|()| std::fs::rename(&new, &path))
            .map_err(|error| at(&path, &error))
    }

    fn hold(&self, name: &str, bytes: u64) -> Result<()> {
        let path = self.held(name);
        let file = std::fs::File::create(&path).map_err(|error| at(&path, &error))?;
        if bytes > 0 {
            let flags = rustix::fs::FallocateFlags::empty();
            rustix::fs::fallocate(&file, flags, 0, bytes)
                .map_err(|error| at(&path, &error.into()))?;
        }
        file.sync_all().map_err(|error| at(&path, &error))
    }

    async fn grow(&self, name: &str, by_bytes: u64) -> Result<()> {
        let image = self.image(name);
        let file = std::fs::OpenOptions::new()
            .write(true)
            .open(&image)
            .map_err(|error| at(&image, &error))?;
        let length = file.metadata().map_err(|error| at(&image, &error))?.len();
        let length = (length + by_bytes + MIB).next_multiple_of(MIB);
        self.check_growth(by_bytes + MIB)?;
        file.set_len(length).map_err(|error| at(&image, &error))?;
        let devices = must("losetup", &["-n", "-O", "NAME", "-j", text(&image)?], LIMIT).await?;
        let device = devices.split_whitespace().next().unwrap_or_default();
        must("losetup", &["-c", device], LIMIT).await?;
        must("xfs_growfs", &[text(&self.mount_point(name))?], LIMIT).await?;
        Ok(())
    }

    fn check_growth(&self, by_bytes: u64) -> Result<()> {
        let room = self.room()?;
        let left = room.total_bytes.saturating_sub(room.promised_bytes);
        if by_bytes <= left {
            return Ok(());
        }
        Err(Error::NoSpace(format!(
            "{by_bytes} more bytes are needed on {}, and {left} are left",
            self.disk.display()
        )))
    }

    fn names(&self) -> Result<Vec<String>> {
        let folder = self.disk.join("img");
        let entries = std::fs::read_dir(&folder).map_err(|error| at(&folder, &error))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.filter(|name| check_name(name).is_ok()).collect())
    }

    fn image(&self, name: &str) -> PathBuf {
        self.disk.join("img").join(name)
    }

    fn part(&self, name: &str) -> PathBuf {
        self.disk.join("img").join(format!("{name}.new"))
    }

    fn mount_point(&self, name: &str) -> PathBuf {
        self.disk.join("mnt").join(name)
    }

    fn root(&self, name: &str) -> PathBuf {
        self.mount_point(name).join("brick")
    }

    fn record_path(&self, name: &str) -> PathBuf {
        self.mount_point(name).join("sizes")
    }

    fn held(&self, name: &str) -> PathBuf {
        self.mount_point(name).join("held")
    }
}

/// Size of the image for a brick: never smaller than what xfs makes.
#[must_use]
pub fn image_bytes(size_bytes: u64) -> u64 {
    let with_overhead = size_bytes
        .saturating_add(OVERHEAD_BYTES)
        .saturating_add(size_bytes / 200);
    with_overhead.max(IMAGE_BYTES_MIN).next_multiple_of(MIB)
}

/// What is written down in a brick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Record {
    /// What the empty file system kept to itself.
    overhead_bytes: u64,
    /// What the brick was last made to take.
    size_bytes: u64,
}

impl Record {
    fn parse(text: &str) -> Option<Self> {
        let (overhead, size) = text.trim_end().split_once(' ')?;
        Some(Self {
            overhead_bytes: overhead.parse().ok()?,
            size_bytes: size.parse().ok()?,
        })
    }
}

/// Names become paths and arguments: letters, digits and dashes only.
fn check_name(name: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if !name.is_empty() && name.len() <= 64 && !name.starts_with('-') && name.bytes().all(plain) {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "{name:?} is no brick's name: letters, digits and dashes, at most 64"
    )))
}

fn gone(answer: std::io::Result<()>, path: &Path) -> Result<()> {
    match answer {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(at(path, &error)),
        _ => Ok(()),
    }
}

fn text(path: &Path) -> Result<&str> {
    path.to_str()
        .ok_or_else(|| Error::Invalid(format!("{} is not UTF-8", path.display())))
}

fn at(path: &Path, error: &std::io::Error) -> Error {
    Error::Internal(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_the_folder_are_refused() {
        for name in ["", "..", "a/b", "-rf", "a b", "a.new", &"a".repeat(65)] {
            assert!(check_name(name).is_err(), "{name}");
        }
        assert!(check_name("mg-pvc-0a1b").is_ok());
    }

    #[test]
    fn a_record_is_two_numbers() {
        assert_eq!(
            Record::parse("5 7\n"),
            Some(Record {
                overhead_bytes: 5,
                size_bytes: 7
            })
        );
        assert_eq!(Record::parse("5"), None);
        assert_eq!(Record::parse(""), None);
    }

    #[test]
    fn an_image_is_larger_than_what_it_holds() {
        assert_eq!(image_bytes(1), IMAGE_BYTES_MIN);
        let size = 10 << 30;
        assert!(image_bytes(size) > size + OVERHEAD_BYTES && image_bytes(size) < size + size / 50);
        assert_eq!(image_bytes(size) % MIB, 0);
    }
}
