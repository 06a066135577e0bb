//! One PersistentVolume.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_yaml_ng::{Mapping, Value};

use super::endpoints::Endpoints;
use super::{Arguments, at, text};
use crate::controller::SERVERS;
use crate::identity::DRIVER_NAME;
use crate::mounter::daemon;
use crate::mounter::record::Record;
use crate::node::VOLUME;

/// Before the PV's name in the handle: no volume of the driver's own making begins so, and none of these is ever deleted by it.
const PREFIX: &str = "import-";
/// Of the old driver, or of kubectl; what else there is stays: kubelet reads the group in `pv.beta.kubernetes.io/gid`.
const ANNOTATIONS_LEFT_OUT: [&str; 2] = [
    "pv.kubernetes.io/provisioned-by",
    "kubectl.kubernetes.io/last-applied-configuration",
];
/// What of a spec has the same meaning with any driver.
const SPEC_KEPT: [&str; 6] = [
    "capacity",
    "accessModes",
    "storageClassName",
    "mountOptions",
    "volumeMode",
    "nodeAffinity",
];

/// Whether the in-tree driver's source is in it.
pub fn is_in_tree(object: &Value) -> bool {
    at(object, &["spec", "glusterfs"]).is_some_and(Value::is_mapping)
}

/// The same for this driver.
///
/// # Errors
/// Where it says too little, or has a mount option that the driver does not know.
pub fn turn(old: &Value, endpoints: &Endpoints, arguments: &Arguments) -> anyhow::Result<Value> {
    let name = text(old, &["metadata", "name"]).context("metadata.name is missing")?;
    let volume = gluster_volume(old)?;
    let servers = servers(old, endpoints, arguments)?;
    check_options(old, &volume, &servers)?;
    let mut spec = kept(at(old, &["spec"]), &SPEC_KEPT);
    if let Some(claim) = at(old, &["spec", "claimRef"]) {
        let keys = ["apiVersion", "kind", "namespace", "name", "uid"];
        // A claim knows its volume by the UID that the volume names; without, the first claim of the name takes it.
        let keys = &keys[..keys.len() - usize::from(arguments.new_claims)];
        spec.insert("claimRef".into(), kept(Some(claim), keys).into());
    }
    spec.insert("persistentVolumeReclaimPolicy".into(), "Retain".into());
    spec.insert("csi".into(), source(old, name, &volume, &servers).into());
    let mut object = Mapping::new();
    object.insert("apiVersion".into(), "v1".into());
    object.insert("kind".into(), "PersistentVolume".into());
    object.insert("metadata".into(), metadata(old, name).into());
    object.insert("spec".into(), spec.into());
    Ok(object.into())
}

fn metadata(old: &Value, name: &str) -> Mapping {
    let mut metadata = Mapping::new();
    metadata.insert("name".into(), name.into());
    for (key, left_out) in [("labels", &[][..]), ("annotations", &ANNOTATIONS_LEFT_OUT)] {
        let Some(Value::Mapping(pairs)) = at(old, &["metadata", key]) else {
            continue;
        };
        let mut pairs = pairs.clone();
        pairs.retain(|key, _| key.as_str().is_none_or(|key| !left_out.contains(&key)));
        if !pairs.is_empty() {
            metadata.insert(key.into(), pairs.into());
        }
    }
    metadata
}

fn source(old: &Value, name: &str, volume: &str, servers: &[String]) -> Mapping {
    let mut attributes = Mapping::new();
    attributes.insert(SERVERS.into(), servers.join(",").into());
    attributes.insert(VOLUME.into(), volume.into());
    let mut source = Mapping::new();
    source.insert("driver".into(), DRIVER_NAME.into());
    source.insert("volumeHandle".into(), format!("{PREFIX}{name}").into());
    if at(old, &["spec", "glusterfs", "readOnly"]) == Some(&Value::Bool(true)) {
        source.insert("readOnly".into(), true.into());
    }
    source.insert("volumeAttributes".into(), attributes.into());
    source
}

/// gluster's name, and a folder in it where there is one.
fn gluster_volume(old: &Value) -> anyhow::Result<String> {
    let path = text(old, &["spec", "glusterfs", "path"]).unwrap_or_default();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    if parts.is_empty() || parts.contains(&"..") || parts.contains(&".") {
        bail!("spec.glusterfs.path: {path:?} is no gluster volume");
    }
    Ok(parts.join("/"))
}

fn servers(
    old: &Value,
    endpoints: &Endpoints,
    arguments: &Arguments,
) -> anyhow::Result<Vec<String>> {
    if !arguments.servers.is_empty() {
        return Ok(arguments.servers.clone());
    }
    let name = text(old, &["spec", "glusterfs", "endpoints"])
        .context("spec.glusterfs.endpoints is missing: give --servers")?;
    let own = text(old, &["spec", "glusterfs", "endpointsNamespace"]);
    let namespace = own.or_else(|| text(old, &["spec", "claimRef", "namespace"]));
    Ok(endpoints.hosts(namespace, name)?.to_vec())
}

/// What the node would refuse is refused here, where somebody looks.
fn check_options(old: &Value, volume: &str, servers: &[String]) -> anyhow::Result<()> {
    let options = at(old, &["spec", "mountOptions"]).and_then(Value::as_sequence);
    let flags = options
        .into_iter()
        .flatten()
        .filter_map(|option| option.as_str().map(str::to_owned));
    let record = Record {
        id: PREFIX.to_owned(),
        volume: volume.to_owned(),
        servers: servers.to_vec(),
        flags: flags.collect(),
        target: PathBuf::new(),
        tls: false,
        dead: Vec::new(),
    };
    daemon::arguments(&record, Path::new(""), Path::new(""))?;
    Ok(())
}

fn kept(from: Option<&Value>, keys: &[&str]) -> Mapping {
    let pairs = keys
        .iter()
        .filter_map(|key| Some(((*key).into(), from?.get(*key)?.clone())));
    pairs.collect()
}
