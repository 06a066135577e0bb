//! Test beds: real servers of other makes, started by the tests on free loopback ports and ended with them.
//!
//! | bed | what it is | who installs it |
//! | --- | --- | --- |
//! | [`gluster::Gluster`] | GlusterFS on three nodes in namespaces of their own | `scripts/install.sh glusterfs-server glusterfs-client xfsprogs iproute2` |
//! | [`hdfs::Hdfs`] | NameNode and DataNodes of Apache Hadoop, alone or as an HA pair, each a process of its own | `scripts/hadoop.sh` |
//! | [`kdc::Kdc`] | MIT's KDC with a realm of its own | `scripts/install.sh krb5-kdc krb5-admin-server krb5-user` |
//! | [`ldap::Ldap`] | OpenLDAP's `slapd` with users and groups | Debian's `slapd` |
//! | [`ranger::RangerAdmin`] | Ranger Admin's downloads, a thread of the test | |
//! | [`s3::S3`] | versitygw over a folder | `scripts/versitygw.sh` |
//!
//! Every process and folder of a bed goes when it is dropped, and with the test program, however that ends.

pub mod daemon;
mod folder;
pub mod gluster;
pub mod hdfs;
pub mod kdc;
pub mod ldap;
pub mod ports;
pub mod ranger;
pub mod s3;

use std::path::PathBuf;

/// Where the scripts put what is got once a machine, as `scripts/environment.sh` has it.
fn cache() -> PathBuf {
    let cache = std::env::var_os("MOONGATE_CACHE").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/moongate"));
    cache.or(home).expect("HOME is set")
}
