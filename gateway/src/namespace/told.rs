//! Errors of a store speak of its own paths; whoever asked knows the namespace's.

use moongate_cache::BackendError;

use super::path;

/// An error of the store that is mounted at `mount`, asked about `inner`, in the namespace's words. Only what is the asked path, below
/// it or on the way to it is taken for a path.
pub fn told(mount: &str, inner: &str, mut error: BackendError) -> BackendError {
    if mount != "/" && !mount.is_empty() {
        error.message = translated(mount, inner, &error.message);
    }
    error
}

fn translated(mount: &str, inner: &str, message: &str) -> String {
    let mut out = String::with_capacity(message.len() + mount.len());
    let mut rest = message;
    let mut before = None;
    while let Some(character) = rest.chars().next() {
        let known = if character == '/' && begins(before) {
            path_at(rest, inner)
        } else {
            None
        };
        let taken = match known {
            Some(len) => {
                out.push_str(mount);
                let path = rest.get(..len).unwrap_or_default();
                out.push_str(if path == "/" { "" } else { path });
                len
            }
            None => {
                out.push(character);
                character.len_utf8()
            }
        };
        before = rest
            .get(..taken)
            .and_then(|taken| taken.chars().next_back());
        rest = rest.get(taken..).unwrap_or_default();
    }
    out
}

/// Whether a path may begin behind this character.
fn begins(before: Option<char>) -> bool {
    before.is_none_or(|before| before.is_whitespace() || "\"'=(:[,`".contains(before))
}

/// Whether a path ends before what follows.
fn ends(rest: &str) -> bool {
    let next = rest.chars().next();
    next.is_none_or(|next| next.is_whitespace() || "\"':;,)]`/".contains(next))
}

/// Length of the asked path, or of one on the way to it, at the beginning of `text`.
fn path_at(text: &str, inner: &str) -> Option<usize> {
    let mut sought = inner;
    loop {
        let is_url = sought == "/" && text.starts_with("//");
        if text.strip_prefix(sought).is_some_and(ends) && !is_url {
            return Some(sought.len());
        }
        if sought == "/" {
            return None;
        }
        sought = path::parent(sought);
    }
}

#[cfg(test)]
mod tests {
    use moongate_cache::ErrorKind;

    use super::*;

    #[test]
    fn paths_are_the_askers() {
        for (inner, message, want) in [
            (
                "/a/b",
                "File does not exist: /a/b",
                "File does not exist: /m/x/a/b",
            ),
            (
                "/a/b c",
                "/a/b c: there is none",
                "/m/x/a/b c: there is none",
            ),
            (
                "/secret/f",
                "inode=\"/secret\":root:drwx------",
                "inode=\"/m/x/secret\":root:drwx------",
            ),
            ("/", "no folder / there", "no folder /m/x there"),
            ("/a", "path=\"/a/below\"", "path=\"/m/x/a/below\""),
            (
                "/a",
                "read/write of 127.0.0.1/a /ab",
                "read/write of 127.0.0.1/a /ab",
            ),
            ("/é", "é: /é", "é: /m/x/é"),
            ("/a", "to http://h/a", "to http://h/a"),
        ] {
            let error = BackendError::new(ErrorKind::Failed, message);
            assert_eq!(told("/m/x", inner, error).message, want);
        }
        let error = BackendError::not_found("/a");
        assert_eq!(told("/", "/a", error.clone()).message, error.message);
    }
}
