//! Entries of access control lists as text: `default:user:bob:r-x`.

use moongate_cache::AclEntry;

use super::error::Refusal;

/// What the NameNode says an `aclspec` is (`dfs.webhdfs.acl.provider.permission.pattern`).
const PATTERN: &str = "^(default:)?(user|group|mask|other):[[A-Za-z_][A-Za-z0-9._-]]*:([rwx-]{3})?(,(default:)?(user|group|mask|other):[[A-Za-z_][A-Za-z0-9._-]]*:([rwx-]{3})?)*$";

/// One entry.
pub fn text(entry: &AclEntry) -> String {
    let default = if entry.is_default { "default:" } else { "" };
    let permission = entry.permission.map(bits).unwrap_or_default();
    format!("{default}{}:{}:{permission}", entry.kind, entry.name)
}

/// `rwx` bits as text.
pub fn bits(permission: u8) -> String {
    let bit = |mask: u8, letter: char| if permission & mask == 0 { '-' } else { letter };
    [bit(4, 'r'), bit(2, 'w'), bit(1, 'x')].iter().collect()
}

/// The entries of an `aclspec`.
///
/// # Errors
/// It is none.
pub fn parse(spec: &str, with_permission: bool) -> Result<Vec<AclEntry>, Refusal> {
    let entries: Option<Vec<AclEntry>> = spec
        .split(',')
        .map(|text| entry(text, with_permission))
        .collect();
    entries.ok_or_else(|| {
        let text = format!("Invalid value: \"{spec}\" does not belong to the domain {PATTERN}");
        Refusal::parameter("aclspec", &text)
    })
}

fn entry(text: &str, with_permission: bool) -> Option<AclEntry> {
    let (is_default, text) = match text.strip_prefix("default:") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut fields = text.split(':');
    let (kind, name) = (fields.next()?, fields.next()?);
    let permission = match fields.next() {
        None | Some("") if with_permission => return None,
        None | Some("") => None,
        Some(text) => Some(permission(text)?),
    };
    let known = matches!(kind, "user" | "group" | "mask" | "other");
    (known && fields.next().is_none()).then(|| AclEntry {
        is_default,
        kind: kind.to_owned(),
        name: name.to_owned(),
        permission,
    })
}

/// `r-x` as bits.
pub fn permission(text: &str) -> Option<u8> {
    let [r, w, x] = text.as_bytes() else {
        return None;
    };
    let bit = |byte: u8, letter: u8, value: u8| match byte {
        b'-' => Some(0),
        byte if byte == letter => Some(value),
        _ => None,
    };
    Some(bit(*r, b'r', 4)? | bit(*w, b'w', 2)? | bit(*x, b'x', 1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs_are_read_back() {
        let spec = "user:bob:rw-,group::r-x,default:other::---,mask::rwx";
        let entries = parse(spec, true).unwrap();
        let texts: Vec<String> = entries.iter().map(text).collect();
        assert_eq!(texts.join(","), spec);
        assert_eq!(parse("user:bob:", false).unwrap()[0].permission, None);
        for bad in [
            "foo",
            "user:bob",
            "user:bob:rwz",
            "users:bob:rwx",
            "user:bob:",
            "user:b:rwx:x",
            "",
        ] {
            assert!(parse(bad, true).is_err(), "{bad}");
        }
    }
}
