//! The image API in a test's words: assign, store, read, delete, vacuum.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;

use crate::gateway::Gateway;
use crate::http::{self, Request, Response};
use crate::wait;

/// A file id: `<volume>,<key hex><cookie 8 hex>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fid {
    /// Volume id.
    pub volume: u32,
    /// Needle id.
    pub key: u64,
    /// Random number that makes the id unguessable.
    pub cookie: u32,
}

impl Fid {
    /// The id `n` keys further, as `assign?count=` reserves them.
    pub fn plus(self, n: u64) -> Fid {
        Fid {
            key: self.key + n,
            ..self
        }
    }

    /// The path of the object.
    pub fn path(self) -> String {
        format!("/{self}")
    }
}

impl fmt::Display for Fid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:x}", self.key);
        let key = if digits.len() % 2 == 1 {
            format!("0{digits}")
        } else {
            digits
        };
        write!(formatter, "{},{key}{:08x}", self.volume, self.cookie)
    }
}

impl FromStr for Fid {
    type Err = String;

    fn from_str(text: &str) -> Result<Fid, String> {
        let parse = || -> Option<Fid> {
            let (volume, rest) = text.split_once(',')?;
            let (key, cookie) = rest.split_at_checked(rest.len().checked_sub(8)?)?;
            Some(Fid {
                volume: volume.parse().ok()?,
                key: u64::from_str_radix(key, 16).ok()?,
                cookie: u32::from_str_radix(cookie, 16).ok()?,
            })
        };
        parse().ok_or_else(|| format!("not a file id: {text:?}"))
    }
}

impl Gateway {
    /// Sends a request to the image port; a broken connection fails the test.
    #[track_caller]
    pub fn send(&self, request: &Request) -> Response {
        match http::send(self.image(), request) {
            Ok(response) => response,
            Err(error) => panic!("{} {}: {error}", request.method, request.target),
        }
    }

    /// GET on the image port.
    #[track_caller]
    pub fn get(&self, target: &str) -> Response {
        self.send(&Request::get(target))
    }

    /// HEAD on the image port.
    #[track_caller]
    pub fn head(&self, target: &str) -> Response {
        self.send(&Request::new("HEAD", target))
    }

    /// PUT of a raw body on the image port.
    #[track_caller]
    pub fn put(&self, target: &str, content_type: &str, body: &[u8]) -> Response {
        self.send(&Request::put(target, content_type, body))
    }

    /// DELETE on the image port.
    #[track_caller]
    pub fn delete(&self, target: &str) -> Response {
        self.send(&Request::new("DELETE", target))
    }

    /// GET on the admin port.
    #[track_caller]
    pub fn get_admin(&self, target: &str) -> Response {
        match http::send(self.admin(), &Request::get(target)) {
            Ok(response) => response,
            Err(error) => panic!("GET {target} on the admin port: {error}"),
        }
    }

    /// A new file id. `query` is `""` or begins with `?`.
    #[track_caller]
    pub fn assign(&self, query: &str) -> Fid {
        assigned(&self.get(&format!("/dir/assign{query}")).status(200))
    }

    /// Stores bytes under a new file id.
    #[track_caller]
    pub fn store(&self, content_type: &str, body: &[u8]) -> Fid {
        let fid = self.assign("");
        self.put(&fid.path(), content_type, body).status(201);
        fid
    }

    /// `Volumes` of the volume server's status page.
    #[track_caller]
    pub fn volumes(&self) -> Vec<Value> {
        let status = self.get("/status").status(200).json();
        status["Volumes"]
            .as_array()
            .unwrap_or_else(|| panic!("no Volumes in {status}"))
            .clone()
    }

    /// One volume of the status page.
    #[track_caller]
    pub fn volume(&self, id: u32) -> Value {
        let mut volumes = self.volumes().into_iter();
        volumes
            .find(|volume| volume["Id"] == id)
            .unwrap_or_else(|| panic!("volume {id} is not in the status"))
    }

    /// Asks for a vacuum of every volume with garbage, and waits until `id` has been through it.
    #[track_caller]
    pub fn vacuum(&self, id: u32) {
        let revision = |volume: &Value| volume["CompactRevision"].as_u64();
        let before = revision(&self.volume(id));
        self.get("/vol/vacuum?garbageThreshold=0.0001").status(200);
        wait::until_true(
            &format!("volume {id} has been vacuumed"),
            Duration::from_secs(30),
            || revision(&self.volume(id)) > before,
        );
    }

    /// The base of a volume's files (`dir/collection_id` or `dir/id`), which is somewhere in the data folder.
    #[track_caller]
    pub fn volume_base(&self, id: u32) -> std::path::PathBuf {
        crate::volume::bases(self.data())
            .into_iter()
            .find(|base| crate::volume::id_of(base) == Some(id))
            .unwrap_or_else(|| panic!("no .dat of volume {id} in {}", self.data().display()))
    }

    /// Fails unless the gateway is alive, ready, and stores and reads an image.
    #[track_caller]
    pub fn assert_serving(&mut self) {
        assert!(self.is_running(), "the gateway has died");
        self.get_admin("/healthz").status(200);
        let body = crate::payload::bytes(1, 1000);
        let fid = self.store("image/jpeg", &body);
        assert_eq!(self.get(&fid.path()).status(200).body, body);
    }
}

/// The file id in an answer of assign or submit.
#[track_caller]
pub fn assigned(response: &Response) -> Fid {
    let json = response.json();
    let text = json["fid"]
        .as_str()
        .unwrap_or_else(|| panic!("no fid in {json}"));
    text.parse()
        .unwrap_or_else(|error| panic!("{error} in {json}"))
}

/// Copies a folder's files and sub-folders.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder can be made");
    for entry in std::fs::read_dir(from).expect("the folder can be listed") {
        let entry = entry.expect("the folder can be listed");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a file has a type").is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).expect("a file can be copied");
        }
    }
}
