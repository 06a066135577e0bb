//! `moongate mv` between stores: nothing is lost, whatever is killed when.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use moongate_tests::{Gateway, Request, gateway, payload, wait};
use tempfile::TempDir;

use crate::door::{WebHdfs, mount};

const FILES: usize = 400;

/// Two folders, mounted at `/a` and `/b`.
struct Two {
    gateway: Gateway,
    a: TempDir,
    b: TempDir,
}

impl Two {
    fn open() -> Two {
        let (a, b) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let config = format!("{}{}", mount("/a", a.path()), mount("/b", b.path()));
        Two {
            gateway: Gateway::fresh(&config),
            a,
            b,
        }
    }

    fn mv(&self, arguments: &[&str]) -> Output {
        let server = self.gateway.file().to_string();
        gateway::run(&[&["mv", "--server", &server], arguments].concat())
    }

    #[track_caller]
    fn expect(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.mv(arguments);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn start(&self, arguments: &[&str]) -> Child {
        let mut command = Command::new(gateway::binary());
        command.args(["mv", "--server", &self.gateway.file().to_string()]);
        let command = command.args(arguments).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    /// A tree in `/a/tree`; what is in it.
    fn tree(&self) -> Vec<(PathBuf, Vec<u8>)> {
        for n in 0..FILES {
            let path = self.a.path().join(format!("tree/{}/{n:03}", n % 7));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, payload::bytes(n as u64, 1 + n * 97 % 40_000)).unwrap();
        }
        fs::create_dir_all(self.a.path().join("tree/empty/deep")).unwrap();
        files(&self.a.path().join("tree"))
    }
}

/// All files below a folder, in order; not those that a killed server was writing.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(&at).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().to_owned();
            if path.is_dir() {
                folders.push(path);
            } else if !name.to_string_lossy().contains(".moongate-") {
                found.push((name, fs::read(path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// Every file is whole in one of the two at least. Where they come from is looked at first: what a killed client has asked for goes on.
#[track_caller]
fn assert_none_lost(two: &Two, all: &[(PathBuf, Vec<u8>)]) {
    let here = files(&two.a.path().join("tree"));
    let there = files(&two.b.path().join("tree"));
    for (name, bytes) in all {
        let held = |(at, has): &(PathBuf, Vec<u8>)| at == name && has == bytes;
        let is_held = there.iter().any(held) || here.iter().any(held);
        assert!(is_held, "{} is lost", name.display());
    }
}

#[test]
fn a_tree_moves_with_its_folders_times_and_modes() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let two = Two::open();
    let all = two.tree();
    let file = two.a.path().join("tree/0/000");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let before = fs::metadata(&file).unwrap();
    let told = two.expect(0, &["/a/tree", "/b/tree"]);
    assert!(told.contains(&format!("{FILES} files moved")), "{told}");
    assert!(files(&two.b.path().join("tree")) == all);
    assert!(two.b.path().join("tree/empty/deep").is_dir());
    assert!(!two.a.path().join("tree").exists());
    let after = fs::metadata(two.b.path().join("tree/0/000")).unwrap();
    let what = |of: &fs::Metadata| (of.mode() & 0o777, of.mtime(), of.mtime_nsec() / 1_000_000);
    assert_eq!(what(&after), what(&before));
    // To the gateway's own files, into a folder, and back.
    two.expect(0, &["/b/tree", "/own/"]);
    assert!(!two.b.path().join("tree").exists());
    two.expect(0, &["/own/tree", "/a/tree"]);
    assert!(files(&two.a.path().join("tree")) == all);
}

#[test]
fn what_is_there_is_replaced_only_if_that_is_meant() {
    let two = Two::open();
    fs::write(two.a.path().join("f"), b"new").unwrap();
    fs::write(two.b.path().join("f"), b"old").unwrap();
    let told = two.expect(1, &["/a/f", "/b/f"]);
    assert!(told.contains("there already"), "{told}");
    let held = |dir: &TempDir| fs::read(dir.path().join("f")).ok();
    assert_eq!(
        (held(&two.a), held(&two.b)),
        (Some(b"new".to_vec()), Some(b"old".to_vec()))
    );
    two.expect(0, &["-f", "/a/f", "/b/f"]);
    assert_eq!((held(&two.a), held(&two.b)), (None, Some(b"new".to_vec())));
    // The same content is the same file: an earlier move was cut off before it removed it here.
    fs::write(two.a.path().join("f"), b"new").unwrap();
    two.expect(0, &["/a/f", "/b/f"]);
    assert_eq!((held(&two.a), held(&two.b)), (None, Some(b"new".to_vec())));
    two.expect(1, &["/a/f", "/b/f"]);
}

/// What is asked for as a move between stores is none where both are one: it would replace without being asked.
#[test]
fn within_one_store_nothing_is_moved_across() {
    let two = Two::open();
    let files = two.gateway.files();
    files.put("/x", b"x");
    files.put("/y", b"y");
    fs::write(two.a.path().join("x"), b"x").unwrap();
    for (from, to) in [
        ("/x", "/y"),
        ("/a/x", "/a/y"),
        ("/a/x", "/a/x/b"),
        ("/a", "/b/a"),
    ] {
        let target = format!("{to}?mv.from={from}&across=true");
        let answer = moongate_tests::http::send(two.gateway.file(), &Request::new("POST", &target));
        let status = answer.unwrap().status;
        assert!(matches!(status, 400 | 403 | 409), "{from} {to}: {status}");
    }
    files.assert_has("/y", b"y");
    files.assert_has("/x", b"x");
    two.expect(1, &["/x", "/y"]);
    two.expect(1, &["/a", "/b/a"]);
}

#[test]
fn a_client_that_is_killed_has_lost_nothing_and_goes_on() {
    let two = Two::open();
    let all = two.tree();
    for part in [1, 3, 5] {
        let mut child = two.start(&["/a/tree", "/b/tree"]);
        let some = || (files(&two.b.path().join("tree")).len() >= part * FILES / 8).then_some(());
        wait::until("some files are there", Duration::from_secs(60), some);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_none_lost(&two, &all);
    }
    two.expect(0, &["/a/tree", "/b/tree"]);
    assert!(files(&two.b.path().join("tree")) == all);
    assert!(!two.a.path().join("tree").exists());
}

#[test]
fn a_gateway_that_is_killed_has_lost_nothing_and_goes_on() {
    let mut two = Two::open();
    let all = two.tree();
    for part in [1, 3, 5] {
        let mut child = two.start(&["--retries", "0", "/a/tree", "/b/tree"]);
        let some = || (files(&two.b.path().join("tree")).len() >= part * FILES / 8).then_some(());
        wait::until("some files are there", Duration::from_secs(60), some);
        two.gateway.kill9();
        child.wait().unwrap();
        assert_none_lost(&two, &all);
        two.gateway.restart();
    }
    two.expect(0, &["/a/tree", "/b/tree"]);
    assert!(files(&two.b.path().join("tree")) == all);
    assert!(!two.a.path().join("tree").exists());
}

#[test]
fn webhdfs_refuses_as_viewfs_does() {
    let two = Two::open();
    fs::write(two.a.path().join("f"), b"x").unwrap();
    let hdfs = WebHdfs(two.gateway.file());
    for options in ["", "&renameoptions=OVERWRITE"] {
        let query = format!("op=RENAME&destination=/b/f{options}");
        let (status, class, message) = hdfs.refusal("PUT", "/a/f", &query);
        assert_eq!((status, class.as_str()), (403, "java.io.IOException"));
        let want = "Renames across Mount points not supported, Src: /a/f Dst: /b/f";
        assert!(message.starts_with(want), "{message}");
    }
    assert!(two.a.path().join("f").exists() && !two.b.path().join("f").exists());
}
