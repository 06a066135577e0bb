//! A gateway with a folder mounted, and WebHDFS in a test's words.

use std::net::SocketAddr;
use std::path::Path;

use moongate_tests::{Gateway, Request, Response, http};
use serde_json::Value;
use tempfile::TempDir;

/// A gateway with a local folder mounted at `/m`.
pub struct Door {
    pub gateway: Gateway,
    pub folder: TempDir,
}

impl Door {
    pub fn open() -> Door {
        Door::with("")
    }

    /// With more TOML.
    pub fn with(config: &str) -> Door {
        let folder = TempDir::with_prefix("moongate-mounted-").unwrap();
        let config = format!("{config}\n{}", mount("/m", folder.path()));
        Door {
            gateway: Gateway::fresh(&config),
            folder,
        }
    }

    /// A file in the folder, made behind the gateway's back.
    pub fn file(&self, name: &str, bytes: &[u8]) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub fn hdfs(&self) -> WebHdfs {
        WebHdfs(self.gateway.file())
    }
}

/// `[[mount]]` of a folder.
pub fn mount(path: &str, folder: &Path) -> String {
    format!(
        "[[mount]]\npath = '{path}'\nstore = 'file://{}'\n",
        folder.display()
    )
}

/// WebHDFS of a gateway, or of a NameNode.
#[derive(Clone, Copy)]
pub struct WebHdfs(pub SocketAddr);

impl WebHdfs {
    /// One request, no redirect followed. `path` is sent as it is.
    #[track_caller]
    pub fn once(self, method: &str, path: &str, query: &str, body: &[u8]) -> Response {
        self.send(&request(method, path, query).body(body))
    }

    #[track_caller]
    pub fn send(self, request: &Request) -> Response {
        http::send(self.0, request)
            .unwrap_or_else(|error| panic!("{} {}: {error}", request.method, request.target))
    }

    /// As clients do: a redirect is followed.
    #[track_caller]
    pub fn ask(self, method: &str, path: &str, query: &str, body: &[u8]) -> Response {
        let first = self.once(method, path, query, &[]);
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
        WebHdfs(address).send(&Request::new(method, target).body(body))
    }

    #[track_caller]
    pub fn get(self, path: &str, query: &str) -> Response {
        self.ask("GET", path, query, &[])
    }

    #[track_caller]
    pub fn json(self, path: &str, query: &str) -> Value {
        self.get(path, query).status(200).json()
    }

    #[track_caller]
    pub fn put(self, path: &str, query: &str, body: &[u8]) -> Response {
        self.ask("PUT", path, &format!("{query}&user.name=root"), body)
    }

    /// Creates a file.
    #[track_caller]
    pub fn create(self, path: &str, body: &[u8]) {
        self.put(path, "op=CREATE", body).status(201);
    }

    /// The names of a folder, in the order in which they come.
    #[track_caller]
    pub fn names(self, path: &str) -> Vec<String> {
        let listing = self.json(path, "op=LISTSTATUS");
        let entries = listing["FileStatuses"]["FileStatus"]
            .as_array()
            .unwrap()
            .clone();
        let name = |entry: &Value| entry["pathSuffix"].as_str().unwrap().to_owned();
        entries.iter().map(name).collect()
    }

    /// Class and status of what is refused.
    #[track_caller]
    pub fn refusal(self, method: &str, path: &str, query: &str) -> (u16, String, String) {
        let answer = self.ask(method, path, query, b"bytes");
        let said = answer.json();
        let text = |key: &str| {
            said["RemoteException"][key]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        let (class, name) = (text("javaClassName"), text("exception"));
        assert!(class.ends_with(&name) && !name.is_empty(), "{said}");
        (answer.status, class, text("message"))
    }
}

pub fn request(method: &str, path: &str, query: &str) -> Request {
    Request::new(method, &format!("/webhdfs/v1{path}?{query}"))
}
