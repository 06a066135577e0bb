//! A cluster that takes nobody without a ticket.

use std::path::Path;

use super::config::write_client;
use crate::beds::kdc::{Kdc, REALM};

const RULES: &str = "RULE:[2:$1/$2@$0](hdfs/.*)s/.*/hdfs/ DEFAULT";

/// Settings of both files. Makes the principals that the daemons run as.
pub fn settings(kdc: &Kdc, folder: &Path) -> Vec<(String, String)> {
    kdc.add("hdfs/localhost");
    kdc.add("hdfs");
    let keytab = kdc.keytab("hdfs-daemons", &["hdfs/localhost", "HTTP/localhost"]);
    let keytab = keytab.display().to_string();
    std::fs::copy(kdc.config(), folder.join("krb5.conf")).expect("an own folder");
    let daemon = format!("hdfs/localhost@{REALM}");
    let web = format!("HTTP/localhost@{REALM}");
    let mut all = security();
    all.extend(own(&[
        ("hadoop.security.authorization", "true"),
        ("dfs.block.access.token.enable", "true"),
        ("dfs.namenode.kerberos.principal", &daemon),
        ("dfs.namenode.keytab.file", &keytab),
        ("dfs.datanode.kerberos.principal", &daemon),
        ("dfs.datanode.keytab.file", &keytab),
        ("dfs.namenode.kerberos.internal.spnego.principal", &web),
        ("dfs.web.authentication.kerberos.principal", &web),
        ("dfs.web.authentication.kerberos.keytab", &keytab),
        // Without these the web server asks nobody for a ticket.
        ("hadoop.http.authentication.type", "kerberos"),
        ("hadoop.http.authentication.kerberos.principal", &web),
        ("hadoop.http.authentication.kerberos.keytab", &keytab),
        (
            "hadoop.http.filter.initializers",
            "org.apache.hadoop.hdfs.web.AuthFilterInitializer",
        ),
        ("dfs.namenode.delegation.token.always-use", "true"),
        ("dfs.http.policy", "HTTP_ONLY"),
        ("dfs.data.transfer.protection", "authentication"),
        ("dfs.permissions.superusergroup", "hdfs"),
        // Neither privileged ports nor TLS: it is a test.
        ("ignore.secure.ports.for.testing", "true"),
    ]));
    all
}

/// `conf/core-site.xml` and `krb5.conf` of a client alone.
pub fn client(kdc: &Kdc, folder: &Path) {
    std::fs::copy(kdc.config(), folder.join("krb5.conf")).expect("an own folder");
    let mut all = security();
    // Spark outside of YARN too names somebody who could renew its tokens.
    let yarn = format!("yarn/localhost@{REALM}");
    // What a gateway's own port of calls has a key for.
    let namenode = format!("nn/localhost@{REALM}");
    all.extend(own(&[
        ("yarn.resourcemanager.principal", &yarn),
        ("dfs.namenode.kerberos.principal", &namenode),
    ]));
    write_client(folder, &all);
}

fn security() -> Vec<(String, String)> {
    own(&[
        ("hadoop.security.authentication", "kerberos"),
        ("hadoop.rpc.protection", "authentication"),
        ("hadoop.security.auth_to_local", RULES),
    ])
}

fn own(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(key, value): &(&str, &str)| (key.to_string(), value.to_string());
    pairs.iter().map(owned).collect()
}
