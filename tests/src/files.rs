//! The file port in a test's words: files and folders by path.

use serde_json::Value;

use crate::archives::Lines;
use crate::gateway::Gateway;
use crate::http::{self, Connection, Request, Response};

/// Requests to the file port of a gateway.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a>(pub &'a Gateway);

impl Gateway {
    /// Requests to the file port.
    pub fn files(&self) -> Files<'_> {
        Files(self)
    }
}

impl Files<'_> {
    /// Sends a request; a broken connection fails the test.
    #[track_caller]
    pub fn send(self, request: &Request) -> Response {
        match http::send(self.0.file(), request) {
            Ok(response) => response,
            Err(error) => panic!("{} {}: {error}", request.method, request.target),
        }
    }

    /// A connection to the port.
    #[track_caller]
    pub fn connect(self) -> Connection {
        Connection::open(self.0.file()).expect("the file port takes connections")
    }

    /// GET.
    #[track_caller]
    pub fn get(self, target: &str) -> Response {
        self.send(&Request::get(target))
    }

    /// HEAD.
    #[track_caller]
    pub fn head(self, target: &str) -> Response {
        self.send(&Request::new("HEAD", target))
    }

    /// PUT of bytes without a type; must be 201.
    #[track_caller]
    pub fn put(self, target: &str, body: &[u8]) -> Response {
        self.send(&Request::put(target, "", body)).status(201)
    }

    /// POST without a body and a type: makes folders, moves, copies.
    #[track_caller]
    pub fn post(self, target: &str) -> Response {
        self.send(&Request::new("POST", target))
    }

    /// DELETE.
    #[track_caller]
    pub fn delete(self, target: &str) -> Response {
        self.send(&Request::new("DELETE", target))
    }

    /// A file has these very bytes.
    #[track_caller]
    pub fn assert_has(self, target: &str, body: &[u8]) {
        let got = self.get(target).status(200);
        assert!(got.body == body, "{target}: {}", got.summary());
    }

    /// A folder as JSON.
    #[track_caller]
    pub fn list(self, target: &str) -> Value {
        let request = Request::get(target).header("Accept", "application/json");
        self.send(&request).status(200).json()
    }

    /// The names in a folder, or on a page of it.
    #[track_caller]
    pub fn names(self, target: &str) -> Vec<String> {
        names_of(&self.list(target))
    }

    /// What is said of an entry.
    #[track_caller]
    pub fn metadata(self, path: &str) -> Value {
        self.get(&format!("{path}?metadata=true"))
            .status(200)
            .json()
    }

    /// Sends an archive into a folder: `POST /folder/?batch` and more parameters, which begin with `&`.
    #[track_caller]
    pub fn batch(self, folder: &str, more: &str, archive: &[u8]) -> Response {
        self.send(&Request::new("POST", &format!("{folder}?batch{more}")).body(archive))
    }

    /// As [`Files::batch`], where all must be stored.
    #[track_caller]
    pub fn store_all(self, folder: &str, archive: &[u8]) -> Lines {
        let lines = Lines::of(&self.batch(folder, "", archive).status(200));
        assert_eq!(lines.last["failed"], 0, "{}", lines.last);
        lines
    }

    /// Files, folders and bytes below a folder.
    #[track_caller]
    pub fn usage(self, folder: &str) -> (u64, u64, u64) {
        let said = self.get(&format!("{folder}?usage=true")).status(200).json();
        let number = |key: &str| said[key].as_u64().expect("a number");
        (number("Files"), number("Folders"), number("Bytes"))
    }
}

/// The last names of the entries of a listing.
#[track_caller]
pub fn names_of(listing: &Value) -> Vec<String> {
    let Some(entries) = listing["Entries"].as_array() else {
        return Vec::new();
    };
    let name = |entry: &Value| {
        let path = entry["FullPath"].as_str().expect("a path");
        path.rsplit('/').next().unwrap_or_default().to_owned()
    };
    entries.iter().map(name).collect()
}
