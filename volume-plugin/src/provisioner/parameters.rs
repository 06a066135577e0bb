//! A StorageClass's parameters, with the names and meaning that the in-tree `kubernetes.io/glusterfs` provisioner gave them.

use std::collections::{BTreeMap, HashMap};

use crate::error::{Error, Result};

const KNOWN: [&str; 5] = [
    "gid",
    "provisioner",
    "sslallow",
    "volumeoptions",
    "volumetype",
];
/// What the sidecars add of their own.
const SIDECARS: &str = "csi.storage.k8s.io/";
const REPLICA_MAX: u32 = 16;

/// What kind of volume is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    /// Copies of each file, each on another node; 1 for none.
    pub replica: u32,
    /// Group of the root folder.
    pub gid: u32,
    /// gluster's options.
    pub options: BTreeMap<String, String>,
}

impl Parameters {
    /// Keys are told apart without regard to case, as they were in the tree.
    ///
    /// # Errors
    /// `Invalid` for an unknown key, with the known ones, and for a value that is none.
    pub fn read(pairs: &HashMap<String, String>) -> Result<Self> {
        let mut read = Self {
            replica: 3,
            gid: 0,
            options: BTreeMap::new(),
        };
        let mut ssl = BTreeMap::new();
        for (key, value) in pairs {
            match key.to_ascii_lowercase().as_str() {
                "gid" => read.gid = value.parse().map_err(|_| wrong(key, value, "a number"))?,
                "provisioner" if value == "image" => {}
                "provisioner" => return Err(wrong(key, value, "image")),
                "volumeoptions" => read.options = options(value)?,
                "sslallow" => ssl = ssl_options(value)?,
                "volumetype" => read.replica = replica(key, value)?,
                other if other.starts_with(SIDECARS) => {}
                _ => {
                    return Err(Error::Invalid(format!(
                        "{key} is no parameter of this driver: it knows {}",
                        KNOWN.join(", ")
                    )));
                }
            }
        }
        read.options.extend(ssl);
        Ok(read)
    }
}

/// TLS on the wire, for these names of certificates alone: the gluster servers' own, and the tenant's.
fn ssl_options(names: &str) -> Result<BTreeMap<String, String>> {
    let names: Vec<&str> = names
        .split([',', ' '])
        .filter(|name| !name.is_empty())
        .collect();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_@:".contains(&byte);
    if names.is_empty() || !names.iter().all(|name| name.bytes().all(plain)) {
        return Err(wrong(
            "sslallow",
            &names.join(","),
            "the common names of certificates, comma between them; * would let everybody in",
        ));
    }
    Ok(BTreeMap::from([
        ("auth.ssl-allow".to_owned(), names.join(",")),
        ("client.ssl".to_owned(), "on".to_owned()),
        ("server.ssl".to_owned(), "on".to_owned()),
    ]))
}

fn replica(key: &str, value: &str) -> Result<u32> {
    let expected = "none, or replicate:N with N from 2 to 16";
    let count = match value.split_once(':') {
        None if value == "none" => return Ok(1),
        None if value == "replicate" => return Ok(3),
        Some(("replicate", count)) => count.parse().map_err(|_| wrong(key, value, expected))?,
        _ => return Err(wrong(key, value, expected)),
    };
    if (2..=REPLICA_MAX).contains(&count) {
        Ok(count)
    } else {
        Err(wrong(key, value, expected))
    }
}

/// `key value, key value`.
fn options(text: &str) -> Result<BTreeMap<String, String>> {
    let entries = text
        .split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty());
    entries.map(option).collect()
}

fn option(entry: &str) -> Result<(String, String)> {
    let (key, value) = entry.split_once(' ').unwrap_or((entry, ""));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let value = value.trim();
    if key.starts_with('-') || !key.bytes().all(plain) || value.is_empty() || value.starts_with('-')
    {
        return Err(wrong(
            "volumeoptions",
            entry,
            "`key value`, comma between options",
        ));
    }
    if key.starts_with("user.moongate.") {
        return Err(wrong(
            "volumeoptions",
            key,
            "an option that is not the driver's own",
        ));
    }
    Ok((key.to_owned(), value.to_owned()))
}

fn wrong(key: &str, value: &str, expected: &str) -> Error {
    Error::Invalid(format!("{key}: {value:?} is not {expected}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Parameters> {
        let pairs = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Parameters::read(&pairs.collect())
    }

    #[test]
    fn an_old_storage_class_keeps_its_meaning() {
        let read = read(&[
            ("volumeType", "replicate:2"),
            ("gid", "2001"),
            ("volumeoptions", "client.ssl on, server.ssl on"),
        ])
        .unwrap();
        assert_eq!((read.replica, read.gid), (2, 2001));
        assert_eq!(read.options["server.ssl"], "on");
    }

    #[test]
    fn a_tenants_volume_lets_in_its_names_alone() {
        let told = read(&[("sslallow", "gluster, tenant-a")]).unwrap();
        assert_eq!(told.options["auth.ssl-allow"], "gluster,tenant-a");
        assert_eq!(told.options["server.ssl"], "on");
        assert!(read(&[("sslallow", "*")]).is_err() && read(&[("sslallow", "")]).is_err());
    }

    #[test]
    fn without_parameters_there_are_three_copies() {
        assert_eq!(
            read(&[("csi.storage.k8s.io/pvc/name", "a")])
                .unwrap()
                .replica,
            3
        );
        assert_eq!(read(&[("volumetype", "none")]).unwrap().replica, 1);
    }

    #[test]
    fn what_is_not_known_is_refused_with_what_is() {
        let error = read(&[("resturl", "http://h")]).unwrap_err().to_string();
        assert!(
            error.contains("resturl") && error.contains("volumetype"),
            "{error}"
        );
        for pairs in [
            ("volumetype", "replicate:1"),
            ("volumetype", "disperse:4:2"),
            ("gid", "x"),
            ("provisioner", "heketi"),
            ("volumeoptions", "--mode script"),
            ("volumeoptions", "alone"),
            ("volumeoptions", "user.moongate.size 1"),
        ] {
            assert!(read(&[pairs]).is_err(), "{pairs:?}");
        }
    }
}
