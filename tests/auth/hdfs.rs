//! A mount of an HDFS that wants tickets: the gateway has a keytab, acts for its callers, and is told when it may not.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use moongate_tests::beds::hdfs::Hdfs;

use crate::desk::{Desk, realm};

/// How long a ticket of the gateway lives.
const TICKET_SECS: u32 = 8;

/// A cluster where `moongate` may act for anybody, and `stranger` for nobody.
fn cluster() -> &'static Hdfs {
    static CLUSTER: OnceLock<Hdfs> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let kdc = realm();
        kdc.add("moongate/localhost");
        kdc.add_short_lived("hasty/localhost", TICKET_SECS);
        kdc.add("stranger/localhost");
        let hdfs = Hdfs::start_kerberos(
            kdc,
            &[
                ("hadoop.proxyuser.moongate.hosts", "*"),
                ("hadoop.proxyuser.moongate.users", "*"),
                ("hadoop.proxyuser.hasty.hosts", "*"),
                ("hadoop.proxyuser.hasty.users", "*"),
            ],
        );
        let envs = kdc.envs(&kdc.tickets("hdfs"));
        let made = hdfs.shell_with(&envs, &["-chmod", "1777", "/"]);
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        hdfs
    })
}

fn desk_as(who: &str) -> Desk<'static> {
    desk_with(who, "")
}

/// With more of the mount.
fn desk_with(who: &str, more: &str) -> Desk<'static> {
    let (kdc, hdfs) = (realm(), cluster());
    let keytab = kdc.keytab(&format!("mount-{who}"), &[&format!("{who}/localhost")]);
    Desk::with(&format!(
        "[[mount]]\npath = '/h'\nstore = '{}'\nttl = '0s'\ntimeout = '10s'\nprincipal = '{who}/localhost@MOON.TEST'\nkeytab = '{}'\n\
         hadoop_conf = '{}'\n{more}",
        hdfs.url(),
        keytab.display(),
        hdfs.config_dir().display()
    ))
}

fn create(desk: &Desk<'_>, user: &str, path: &str, bytes: &str) -> u16 {
    let url = desk.url(&format!("{path}?op=CREATE&overwrite=true&data=true"));
    desk.negotiate(user, &["-X", "PUT", "--data-binary", bytes, &url])
        .status
}

#[test]
fn files_belong_to_who_wrote_them_and_others_are_refused() {
    let desk = desk_as("moongate");
    assert_eq!(create(&desk, "alice", "/h/of-alice", "mine"), 201);
    let said = desk.negotiate("alice", &[&desk.url("/h/of-alice?op=GETFILESTATUS")]);
    assert!(said.body.contains("\"owner\":\"alice\""), "{said:?}");
    let chmod = desk.url("/h/of-alice?op=SETPERMISSION&permission=600");
    assert_eq!(desk.negotiate("alice", &["-X", "PUT", &chmod]).status, 200);
    let open = desk.url("/h/of-alice?op=OPEN");
    assert_eq!(desk.negotiate("alice", &[&open]).body, "mine");
    let said = desk.negotiate("bob", &[&open]);
    assert!(
        said.status == 403 && said.body.contains("AccessControlException"),
        "{said:?}"
    );
    let hue = desk.negotiate("hue", &[&desk.url("/h/of-alice?op=OPEN&doas=alice")]);
    assert_eq!(hue.body, "mine", "{hue:?}");
}

#[test]
fn a_gateway_that_may_not_act_for_others_says_so_at_once() {
    let desk = desk_as("stranger");
    let began = Instant::now();
    let said = desk.negotiate("alice", &[&desk.url("/h/?op=LISTSTATUS")]);
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "{:?} {said:?}",
        began.elapsed()
    );
    for part in ["hadoop.proxyuser.stranger.hosts", "alice"] {
        assert!(said.body.contains(part), "{said:?}");
    }
}

#[test]
fn what_only_the_namenode_has_is_asked_there_with_a_ticket() {
    let webhdfs = format!("http://{}", cluster().http(0));
    let bare = std::process::Command::new("curl")
        .args(["-sS", "-o", "/dev/null", "-w", "%{http_code}"])
        .arg(format!("{webhdfs}/webhdfs/v1/?op=GETFILESTATUS"))
        .output();
    assert_eq!(bare.unwrap().stdout, b"401", "the NameNode wants tickets");
    let desk = desk_with("moongate", &format!("webhdfs = '{webhdfs}'\n"));
    assert_eq!(create(&desk, "alice", "/h/with-attributes", "mine"), 201);
    let chmod = desk.url("/h/with-attributes?op=SETPERMISSION&permission=600");
    assert_eq!(desk.negotiate("alice", &["-X", "PUT", &chmod]).status, 200);
    let set = desk.url(
        "/h/with-attributes?op=SETXATTR&xattr.name=user.label&xattr.value=%22cat%22&flag=CREATE",
    );
    let said = desk.negotiate("alice", &["-X", "PUT", &set]);
    assert_eq!(said.status, 200, "{said:?}");
    let get = desk.url("/h/with-attributes?op=GETXATTRS&encoding=text");
    let said = desk.negotiate("alice", &[&get]);
    assert!(said.body.contains("user.label"), "{said:?}");
    assert!(said.body.contains("cat"), "{said:?}");
    // It is asked in the caller's name.
    let said = desk.negotiate("bob", &[&get]);
    assert!(
        said.status == 403 && said.body.contains("AccessControlException"),
        "{said:?}"
    );
}

#[test]
fn tickets_end_and_are_renewed_under_load() {
    let desk = desk_as("hasty");
    assert_eq!(create(&desk, "alice", "/h/hasty", "bytes"), 201);
    let cookie = desk.cookie("alice");
    let header = format!("Cookie: {cookie}");
    let open = desk.url("/h/hasty?op=OPEN");
    let none = desk.kdc.path("nobody");
    let began = Instant::now();
    let mut reads = 0;
    while began.elapsed() < Duration::from_secs(u64::from(TICKET_SECS) * 5 / 2) {
        let said = desk.curl(&none, &["-H", &header, &open]);
        assert_eq!(said.body, "bytes", "after {:?}: {said:?}", began.elapsed());
        reads += 1;
    }
    assert!(reads > 20, "{reads}");
    // Somebody new is a new connection, and that a new ticket.
    assert_eq!(create(&desk, "bob", "/h/hasty-bob", "bytes"), 201);
    let url = format!("http://localhost:{}/metrics", desk.gateway.admin().port());
    let said = desk.curl(&none, &["-H", &header, &url]).body;
    let mut lines = said.lines();
    let start = "moongate_kerberos_ticket_seconds{principal=\"hasty/localhost@MOON.TEST\"} ";
    let left = lines.find_map(|line| line.strip_prefix(start));
    let left: u32 = left.unwrap_or_else(|| panic!("{said}")).parse().unwrap();
    assert!((1..=TICKET_SECS).contains(&left), "{left} s");
}
