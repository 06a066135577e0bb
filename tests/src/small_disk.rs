//! A disk that is small enough to fill.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// A tmpfs of a given size, unmounted when dropped. Needs root.
#[derive(Debug)]
pub struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// Mounts one; fails the test with what is missing where that is not allowed.
    pub fn mount(size_mib: u32) -> SmallDisk {
        let folder = TempDir::with_prefix("moongate-small-disk-").expect("a temporary folder");
        let output = Command::new("mount")
            .args([
                "-t",
                "tmpfs",
                "-o",
                &format!("size={size_mib}m,mode=0700"),
                "moongate-test",
            ])
            .arg(folder.path())
            .output()
            .expect("`mount` is missing: install the package `mount`");
        assert!(
            output.status.success(),
            "this test fills a small disk of its own and may not mount one: run it as root with CAP_SYS_ADMIN \
             (in a container: --cap-add SYS_ADMIN). mount said: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        SmallDisk { folder }
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that is being killed may hold a file for a moment longer.
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(self.folder.path())
            .status();
    }
}
