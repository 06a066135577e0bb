//! `moongate put`, `get`, `ls`, `stat`, `du`, `cp`, `mv` and `rm` on paths of mounts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use moongate_tests::beds::hdfs::Hdfs;
use moongate_tests::beds::s3::S3;
use moongate_tests::{Gateway, gateway, payload};
use serde_json::Value;
use tempfile::TempDir;

use crate::door::Door;
use crate::mounted::Mounted;

/// A folder to work in, beside a gateway.
struct Shell<'a> {
    gateway: &'a Gateway,
    folder: TempDir,
}

type Tree = BTreeMap<PathBuf, Vec<u8>>;

impl Shell<'_> {
    /// Runs it, and expects this exit code; gives standard output.
    #[track_caller]
    fn run(&self, code: i32, arguments: &[&str]) -> String {
        let mut command = Command::new(gateway::binary());
        command.args(arguments).current_dir(self.folder.path());
        command.env("MOONGATE_URL", self.gateway.file().to_string());
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn make(&self, folder: &str) -> Tree {
        let root = self.folder.path().join(folder);
        for number in 0..60 {
            let file = root.join(format!("s{}/é {number:03}", number % 3));
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, payload::bytes(number, 700 * number as usize)).unwrap();
        }
        std::fs::write(root.join("large"), payload::bytes(99, 9 << 20)).unwrap();
        self.tree(folder)
    }

    fn tree(&self, folder: &str) -> Tree {
        let root = self.folder.path().join(folder);
        let mut tree = Tree::new();
        gather(&root, &root, &mut tree);
        tree
    }
}

fn gather(root: &Path, folder: &Path, tree: &mut Tree) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            gather(root, &path, tree);
        } else {
            let name = path.strip_prefix(root).unwrap().to_owned();
            tree.insert(name, std::fs::read(&path).unwrap());
        }
    }
}

#[test]
fn on_a_folder() {
    let door = Door::open();
    carried(&door.gateway);
}

#[test]
fn on_hdfs() {
    let mounted = Mounted::hdfs(Hdfs::shared(), "programs", "", "");
    carried(&mounted.gateway);
}

#[test]
fn on_s3() {
    carried(&Mounted::s3(S3::shared(), "programs").gateway);
}

fn carried(gateway: &Gateway) {
    let folder = TempDir::new().unwrap();
    let shell = Shell { gateway, folder };
    there_and_back(&shell);
    shown(&shell);
    changed(&shell);
}

fn there_and_back(shell: &Shell<'_>) {
    let tree = shell.make("a");
    shell.run(0, &["put", "a", "/m/a"]);
    shell.run(0, &["get", "/m/a", "b"]);
    assert!(shell.tree("b") == tree, "a folder as one archive");
    shell.run(0, &["put", "--fast", "a", "/m/a"]);
    shell.run(0, &["get", "/m/a/s1/*", "/m/a/large", "c/"]);
    let some = shell.tree("c");
    assert!(some.len() == 21 && some[Path::new("large")] == tree[Path::new("large")]);
    shell.run(1, &["get", "/m/nothing", "d"]);
}

fn shown(shell: &Shell<'_>) {
    assert_eq!(shell.run(0, &["ls", "/m/a"]), "large\ns0/\ns1/\ns2/\n");
    assert_eq!(shell.run(0, &["ls", "-R", "/m/a"]).lines().count(), 64);
    let usage: Value = serde_json::from_str(&shell.run(0, &["du", "--json", "/m/a"])).unwrap();
    assert_eq!(
        (&usage["files"], &usage["folders"]),
        (&61.into(), &3.into())
    );
    let stat: Value =
        serde_json::from_str(&shell.run(0, &["stat", "--json", "/m/a/large"])).unwrap();
    assert_eq!(stat["FileSize"], 9 << 20);
}

fn changed(shell: &Shell<'_>) {
    let tree = shell.tree("a");
    shell.run(0, &["cp", "/m/a/large", "/m/copy"]);
    shell.run(0, &["mv", "/m/copy", "/m/moved"]);
    shell.run(1, &["stat", "/m/copy"]);
    shell.run(0, &["stat", "/m/moved"]);
    // Whole folders, out of the mount, into it, and within.
    for (from, to) in [
        ("/m/a", "/own/a"),
        ("/own/a", "/m/again"),
        ("/m/again", "/m/third"),
    ] {
        shell.run(0, &["cp", from, to]);
    }
    shell.run(0, &["get", "/m/third", "third"]);
    assert!(shell.tree("third") == tree);
    shell.run(1, &["cp", "/m/a", "/m/a/inside"]);
    // Out of the mount: a copy that is compared, and only then is the source gone.
    shell.run(0, &["mv", "/m/moved", "/own/moved"]);
    shell.run(1, &["stat", "/m/moved"]);
    shell.run(0, &["get", "/own/moved", "moved"]);
    let moved = std::fs::read(shell.folder.path().join("moved")).unwrap();
    assert!(moved == tree[Path::new("large")]);
    shell.run(1, &["rm", "/m/a"]);
    shell.run(0, &["rm", "-r", "/m/a", "/m/again", "/m/third"]);
    assert_eq!(shell.run(0, &["ls", "/m/"]), "");
}
