//! Hadoop's configuration, as far as it tells whether a cluster can be read without hdfs-native, and where its NameNodes are.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use roxmltree::{Document, Node, ParsingOptions};

use crate::under::hdfs::HdfsOptions;

/// Providers that ask the active NameNode alone, beside none.
const ASKS_THE_ACTIVE: &str =
    "org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider";

/// A cluster without logins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plain {
    /// `host:port` of each NameNode.
    pub(super) namenodes: Vec<String>,
    /// DataNodes are reached by their names, not by their addresses.
    pub(super) by_hostname: bool,
}

/// A cluster that needs no login, nor protects its bytes on the way, as far as the configuration says; `None` of any other, and of a
/// configuration that cannot be read here.
pub(super) fn plain(options: &HdfsOptions) -> Option<Plain> {
    let set = settings(options)?;
    let get = |key: &str| set.get(key).map(|value| value.trim());
    let is = |key: &str| get(key).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let logs_in = options.principal.is_some()
        || options.keytab.is_some()
        || get("hadoop.security.authentication").is_some_and(|how| how != "simple");
    let protects = get("dfs.data.transfer.protection").is_some() || is("dfs.encrypt.data.transfer");
    if logs_in || protects {
        return None;
    }
    Some(Plain {
        namenodes: namenodes(&options.url, get)?,
        by_hostname: is("dfs.client.use.datanode.hostname"),
    })
}

fn namenodes<'a>(url: &str, get: impl Fn(&str) -> Option<&'a str>) -> Option<Vec<String>> {
    let authority = url.strip_prefix("hdfs://")?.split('/').next()?;
    if authority.is_empty() || authority.contains('@') {
        return None;
    }
    let port = authority.rsplit_once(':');
    if port.is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        return Some(vec![authority.to_owned()]);
    }
    let provider = get(&format!("dfs.client.failover.proxy.provider.{authority}"));
    let resolves = get(&format!("dfs.client.failover.resolve-needed.{authority}"));
    if provider.is_some_and(|name| name != ASKS_THE_ACTIVE)
        || resolves.is_some_and(|value| value.eq_ignore_ascii_case("true"))
    {
        return None;
    }
    let names = get(&format!("dfs.ha.namenodes.{authority}"))?;
    let address = |name: &str| {
        let key = format!("dfs.namenode.rpc-address.{authority}.{}", name.trim());
        get(&key).map(str::to_owned)
    };
    names.split(',').map(address).collect()
}

/// All that is set: the files, and what the mount says over them.
fn settings(options: &HdfsOptions) -> Option<HashMap<String, String>> {
    let mut all = HashMap::new();
    if let Some(folder) = folder(options) {
        for name in ["core-site.xml", "hdfs-site.xml"] {
            let path = folder.join(name);
            if path.exists() {
                all.extend(file(&path)?);
            }
        }
    }
    all.extend(options.config.clone());
    Some(all)
}

fn folder(options: &HdfsOptions) -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).map(PathBuf::from);
    let home = || set("HADOOP_HOME").map(|home| home.join("etc/hadoop"));
    let given = options.config_dir.clone();
    given.or_else(|| set("HADOOP_CONF_DIR")).or_else(home)
}

fn file(path: &Path) -> Option<Vec<(String, String)>> {
    let text = fs::read_to_string(path).ok()?;
    properties(&text)
}

/// `None` of what is no XML, or needs other files.
fn properties(text: &str) -> Option<Vec<(String, String)>> {
    let options = ParsingOptions {
        allow_dtd: true,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(text, options).ok()?;
    let includes = document
        .descendants()
        .any(|node| node.is_element() && node.tag_name().name() == "include");
    if includes {
        return None;
    }
    let properties = document.descendants();
    let properties = properties.filter(|node| node.tag_name().name() == "property");
    Some(properties.filter_map(property).collect())
}

fn property(node: Node<'_, '_>) -> Option<(String, String)> {
    let child = |name: &str| {
        let found = node
            .children()
            .find(|child| child.tag_name().name() == name);
        found.and_then(|child| child.text()).map(str::to_owned)
    };
    Some((child("name")?, child("value")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str, set: &[(&str, &str)]) -> Option<Plain> {
        let empty = tempfile::tempdir().unwrap();
        let set = set.iter();
        plain(&HdfsOptions {
            config_dir: Some(empty.path().to_owned()),
            config: set
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            ..HdfsOptions::new(url)
        })
    }

    const PAIR: [(&str, &str); 3] = [
        ("dfs.ha.namenodes.ns", "a, b"),
        ("dfs.namenode.rpc-address.ns.a", "one:1"),
        ("dfs.namenode.rpc-address.ns.b", "two:2"),
    ];

    #[test]
    fn namenodes_are_found() {
        let one = of("hdfs://host:8020/x", &[]).unwrap();
        assert_eq!(one.namenodes, ["host:8020"]);
        assert!(!one.by_hostname);
        let pair = of("hdfs://ns", &PAIR).unwrap();
        assert_eq!(pair.namenodes, ["one:1", "two:2"]);
        assert_eq!(of("hdfs://other", &PAIR), None);
        assert_eq!(of("hdfs://ns", &PAIR[..2]), None);
    }

    #[test]
    fn a_cluster_that_logs_in_or_protects_is_left_to_hdfs_native() {
        let keys = [
            ("hadoop.security.authentication", "kerberos"),
            ("dfs.data.transfer.protection", "integrity"),
            ("dfs.encrypt.data.transfer", "true"),
        ];
        for key in keys {
            assert_eq!(of("hdfs://host:8020", &[key]), None, "{key:?}");
        }
        let observers = "org.apache.hadoop.hdfs.server.namenode.ha.ObserverReadProxyProvider";
        let provider = ("dfs.client.failover.proxy.provider.ns", observers);
        assert_eq!(of("hdfs://ns", &[&PAIR[..], &[provider]].concat()), None);
    }

    #[test]
    fn files_are_read_and_what_needs_others_is_not() {
        let one = "<configuration><property><name>a</name><value>b</value></property>\
                   <property><name>empty</name></property></configuration>";
        let want = vec![("a".to_owned(), "b".to_owned())];
        assert_eq!(properties(one), Some(want));
        let include = "<configuration xmlns:xi=\"http://www.w3.org/2001/XInclude\">\
                       <xi:include href=\"x.xml\"/></configuration>";
        assert_eq!(properties(include), None);
        assert_eq!(properties("<configuration>"), None);
    }
}
