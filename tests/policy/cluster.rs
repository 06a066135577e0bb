//! A real HDFS that knows users and groups of its own, and WebHDFS of it or of a gateway.

use std::net::SocketAddr;
use std::sync::OnceLock;

use moongate_tests::beds::hdfs::Hdfs;
use moongate_tests::{Request, Response, http};

/// Who is in which group, as the NameNode has it.
pub const GROUPS: &str = "alice=staff;bob=staff,etl;carol=etl;dave=others";

/// One for all tests; each works in a folder of its own.
pub fn cluster() -> &'static Hdfs {
    static CLUSTER: OnceLock<Hdfs> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let superuser = Hdfs::superuser();
        let groups = format!("{superuser}={superuser};{GROUPS}");
        Hdfs::start_with(
            1,
            &[("hadoop.user.group.static.mapping.overrides", &groups)],
        )
    })
}

/// WebHDFS, spoken to by name.
#[derive(Clone, Copy)]
pub struct Door(pub SocketAddr);

impl Door {
    /// The NameNode's own.
    pub fn of_namenode() -> Door {
        let address = cluster().http(0).replace("localhost", "127.0.0.1");
        Door(address.parse().unwrap())
    }

    /// One operation in somebody's name; a redirect is followed, as clients do.
    #[track_caller]
    pub fn ask(self, user: &str, method: &str, path: &str, query: &str) -> Response {
        let target = format!("/webhdfs/v1{path}?op={query}&user.name={user}");
        let first = http::send(self.0, &Request::new(method, &target).body(b"")).unwrap();
        if first.status != 307 {
            return first;
        }
        let location = first.header("location").unwrap().to_owned();
        let rest = location.strip_prefix("http://").unwrap();
        let (host, target) = rest.split_at(rest.find('/').unwrap());
        // A NameNode names its DataNode, a gateway itself by the name that the test used.
        let address = match host.strip_prefix("localhost:") {
            Some(port) => SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap())),
            None => self.0,
        };
        http::send(address, &Request::new(method, target).body(b"bytes")).unwrap()
    }

    /// As the superuser, which must succeed.
    #[track_caller]
    pub fn must(self, method: &str, path: &str, query: &str) -> Response {
        let answer = self.ask(&Hdfs::superuser(), method, path, query);
        assert!(
            answer.status < 300,
            "{method} {path} {query}: {}",
            answer.summary()
        );
        answer
    }
}
