//! Where things are on a server, as a person writes it.
//!
//! `moongate://HOST:PORT/path`, `http://HOST:PORT/path`, `https://HOST:PORT/path`, `mg:/path` or plain `/path`: the last two are on the default server. Which
//! arguments of a command are local and which are on a server is told by their place, never by how they look.

use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// Port of `moongate://HOST/path`: the file port's default.
const PORT: u16 = 8888;
/// What may not stand in a URL's path as it is (RFC 3986), and `%` itself.
const ESCAPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Why an address cannot be used; the text says what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// Neither a URL nor a path.
    #[error(
        "{0}: is no address on a server: write moongate://HOST:PORT/path, or /path on the default server"
    )]
    NotAnAddress(String),
    /// The part before the path.
    #[error("{0}: is no HOST:PORT")]
    Host(String),
    /// A part of the path that a server does not resolve.
    #[error("{0}: `.` and `..` are not resolved: write the path that is meant")]
    Dots(String),
    /// It has escapes that are not UTF-8.
    #[error("{0}: its path is not UTF-8")]
    NotUtf8(String),
}

/// A server: what stands before the path in a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Whether TLS is spoken.
    tls: bool,
    authority: String,
}

impl Server {
    /// By `moongate://HOST:PORT`, `http://HOST:PORT`, `https://HOST:PORT` or `HOST:PORT`; a slash may follow.
    ///
    /// # Errors
    /// [`BadAddress::Host`].
    pub fn parse(text: &str) -> Result<Self, BadAddress> {
        if let Some(rest) = text.strip_prefix("https://") {
            return Self::with_tls(rest.strip_suffix('/').unwrap_or(rest));
        }
        let (rest, port) = match text.strip_prefix("http://") {
            Some(rest) => (rest, None),
            None => (text.strip_prefix("moongate://").unwrap_or(text), Some(PORT)),
        };
        Self::with_port(rest.strip_suffix('/').unwrap_or(rest), port)
    }

    fn with_tls(text: &str) -> Result<Self, BadAddress> {
        Ok(Self {
            tls: true,
            ..Self::with_port(text, None)?
        })
    }

    /// Whether TLS is spoken.
    pub const fn is_tls(&self) -> bool {
        self.tls
    }

    /// The name or the address of its host.
    pub fn host(&self) -> &str {
        let host = self
            .authority
            .rsplit_once(':')
            .filter(|(_, port)| !port.ends_with(']'));
        host.map_or(&self.authority, |(host, _)| host)
    }

    /// What stands before the path in a request's URL.
    pub fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.authority)
    }

    /// `port`: that of an address without one, where it is not HTTP's.
    fn with_port(text: &str, port: Option<u16>) -> Result<Self, BadAddress> {
        let bad = || BadAddress::Host(text.to_owned());
        let authority: http::uri::Authority = text.parse().map_err(|_| bad())?;
        if authority.host().is_empty() || text.contains('@') || text.ends_with(':') {
            return Err(bad());
        }
        let authority = match (authority.port(), port) {
            (None, Some(port)) => format!("{text}:{port}"),
            _ => text.to_owned(),
        };
        Ok(Self {
            tls: false,
            authority,
        })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tls {
            true => write!(f, "https://{}", self.authority),
            false => f.write_str(&self.authority),
        }
    }
}

/// A path on a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Where.
    pub server: Server,
    /// Begins with a slash and ends with none, but for the root; not escaped.
    pub path: String,
    /// It ended in a slash: what is meant is a folder.
    pub folder_form: bool,
}

impl Address {
    /// Reads one; `default` is the server of an address that names none. The path of `http://` is percent-decoded, as in a
    /// browser; the others are taken as they are.
    ///
    /// # Errors
    /// Each [`BadAddress`].
    pub fn parse(text: &str, default: &Server) -> Result<Self, BadAddress> {
        let web = [("http://", false), ("https://", true)];
        for (scheme, tls) in web {
            let Some(rest) = text.strip_prefix(scheme) else {
                continue;
            };
            let (host, path) = host_and_path(rest);
            let decoded = percent_decode_str(path).decode_utf8();
            let path = decoded.map_err(|_| BadAddress::NotUtf8(text.to_owned()))?;
            let server = Server {
                tls,
                ..Server::with_port(host, None)?
            };
            return Self::on(server, &path, text);
        }
        if let Some(rest) = text.strip_prefix("moongate://") {
            let (host, path) = host_and_path(rest);
            return Self::on(Server::with_port(host, Some(PORT))?, path, text);
        }
        let path = text.strip_prefix("mg:").unwrap_or(text);
        match path.starts_with('/') {
            true => Self::on(default.clone(), path, text),
            false => Err(BadAddress::NotAnAddress(text.to_owned())),
        }
    }

    fn on(server: Server, path: &str, text: &str) -> Result<Self, BadAddress> {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        if parts.iter().any(|part| matches!(*part, "." | "..")) {
            return Err(BadAddress::Dots(text.to_owned()));
        }
        Ok(Self {
            server,
            path: format!("/{}", parts.join("/")),
            folder_form: path.ends_with('/') || parts.is_empty(),
        })
    }

    /// The last name of the path; empty for the root.
    pub fn name(&self) -> &str {
        name_of(&self.path)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.server.tls { "" } else { "moongate://" };
        write!(f, "{scheme}{}{}", self.server, self.path)
    }
}

fn host_and_path(rest: &str) -> (&str, &str) {
    rest.split_at(rest.find('/').unwrap_or(rest.len()))
}

/// The last name of a path; empty for the root.
pub fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// The folder that a path is in; the root's is the root.
pub fn parent_of(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(at) => path.get(..at).unwrap_or("/"),
    }
}

/// `name` in `folder`.
pub fn join(folder: &str, name: &str) -> String {
    format!("{}/{name}", folder.trim_end_matches('/'))
}

/// A path as it stands in a URL.
pub fn escaped(path: &str) -> String {
    utf8_percent_encode(path, ESCAPED).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Address, BadAddress> {
        Address::parse(text, &Server::parse("127.0.0.1:8888").unwrap())
    }

    #[test]
    fn each_form_says_server_path_and_folder() {
        for (text, server, path, folder) in [
            ("/photos/", "127.0.0.1:8888", "/photos", true),
            ("mg:/photos", "127.0.0.1:8888", "/photos", false),
            ("mg:/", "127.0.0.1:8888", "/", true),
            ("moongate://h/a//b", "h:8888", "/a/b", false),
            ("moongate://h:99", "h:99", "/", true),
            ("moongate://[::1]:99/a b%20", "[::1]:99", "/a b%20", false),
            ("http://h/a%20b/*.jpg", "h", "/a b/*.jpg", false),
            ("http://h:80/", "h:80", "/", true),
            ("https://h/a%20b", "https://h", "/a b", false),
        ] {
            let got = parse(text).unwrap();
            assert_eq!(got.server.to_string(), server, "{text}");
            assert_eq!(
                (got.path.as_str(), got.folder_form),
                (path, folder),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_to_write() {
        for (text, says) in [
            ("photos", "moongate://HOST:PORT/path"),
            ("mg:photos", "moongate://HOST:PORT/path"),
            ("moongate:///a", "no HOST:PORT"),
            ("moongate://h:/a", "no HOST:PORT"),
            ("moongate://u@h/a", "no HOST:PORT"),
            ("/a/../b", "not resolved"),
            ("http://h/%ff", "not UTF-8"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn a_server_may_be_written_in_three_ways() {
        for text in ["h", "h:8888", "moongate://h", "http://h:8888/"] {
            assert_eq!(Server::parse(text).unwrap().to_string(), "h:8888", "{text}");
        }
        assert_eq!(Server::parse("https://h/").unwrap().url(), "https://h");
        assert_eq!(Server::parse("h").unwrap().url(), "http://h:8888");
        assert!(Server::parse("h/path").is_err());
    }

    #[test]
    fn paths_come_apart_and_together() {
        for path in ["/a", "/a/b.jpg"] {
            assert_eq!(join(parent_of(path), name_of(path)), path);
        }
        assert_eq!((parent_of("/"), name_of("/")), ("/", ""));
    }

    proptest! {
        #[test]
        fn an_escaped_path_is_a_url_and_comes_back(path in "(/[^/\\x00]{1,12}){1,3}") {
            let escaped = escaped(&path);
            let uri: http::Uri = format!("http://h{escaped}").parse().unwrap();
            prop_assert_eq!(uri.query(), None);
            prop_assert_eq!(percent_decode_str(uri.path()).decode_utf8().unwrap(), path);
        }
    }
}
