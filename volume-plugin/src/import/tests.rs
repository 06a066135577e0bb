#![allow(clippy::unwrap_used)]

use clap::Parser;

use super::*;

/// What the in-tree provisioner left behind, as kubectl shows it.
const OLD: &str = r#"
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: PersistentVolume
  metadata:
    name: pvc-0a1b
    uid: 5c0e
    resourceVersion: "17"
    finalizers: [kubernetes.io/pv-protection]
    labels: {team: vision}
    annotations:
      pv.beta.kubernetes.io/gid: "2001"
      pv.kubernetes.io/provisioned-by: kubernetes.io/glusterfs
      gluster.kubernetes.io/heketi-volume-id: 9d1c
  spec:
    accessModes: [ReadWriteMany]
    capacity: {storage: 10Gi}
    claimRef: {apiVersion: v1, kind: PersistentVolumeClaim, name: data, namespace: train, uid: 77aa, resourceVersion: "9"}
    glusterfs: {endpoints: glusterfs-dynamic-0a1b, endpointsNamespace: train, path: vol_9d1c}
    mountOptions: [log-level=WARNING]
    persistentVolumeReclaimPolicy: Delete
    storageClassName: slow
  status: {phase: Bound}
- apiVersion: v1
  kind: PersistentVolume
  metadata: {name: other}
  spec: {hostPath: {path: /x}}
"#;
const ENDPOINTS: &str = r"
apiVersion: v1
kind: Endpoints
metadata: {name: glusterfs-dynamic-0a1b, namespace: train}
subsets:
- addresses: [{ip: 192.0.2.1}, {ip: 192.0.2.2}]
  ports: [{port: 1}]
";
const NEW: &str = r#"apiVersion: v1
kind: PersistentVolume
metadata:
  name: pvc-0a1b
  labels:
    team: vision
  annotations:
    pv.beta.kubernetes.io/gid: '2001'
    gluster.kubernetes.io/heketi-volume-id: 9d1c
spec:
  capacity:
    storage: 10Gi
  accessModes:
  - ReadWriteMany
  storageClassName: slow
  mountOptions:
  - log-level=WARNING
  claimRef:
    apiVersion: v1
    kind: PersistentVolumeClaim
    namespace: train
    name: data
    uid: 77aa
  persistentVolumeReclaimPolicy: Retain
  csi:
    driver: csi.moongate.io
    volumeHandle: import-pvc-0a1b
    volumeAttributes:
      servers: 192.0.2.1,192.0.2.2
      volume: vol_9d1c
"#;

fn turned(texts: &[&str], options: &[&str]) -> anyhow::Result<Imported> {
    let words = ["import", "-"].iter().chain(options);
    let arguments = Arguments::parse_from(words);
    let objects = texts.iter().flat_map(|text| parse(text).unwrap()).collect();
    import(objects, &arguments)
}

fn one(spec: &str) -> String {
    format!("kind: PersistentVolume\nmetadata: {{name: a}}\nspec: {{{spec}}}\n")
}

fn complaint(text: &str, options: &[&str]) -> String {
    format!(
        "{:#}",
        turned(&[text, ENDPOINTS, &elsewhere()], options).unwrap_err()
    )
}

/// Of the same name, with another host.
fn elsewhere() -> String {
    ENDPOINTS
        .replace("namespace: train", "namespace: b")
        .replace("192.0.2.1", "192.0.2.9")
}

#[test]
fn a_bound_volume_of_the_old_provisioner_becomes_ours() {
    let imported = turned(&[OLD, ENDPOINTS, &elsewhere()], &[]).unwrap();
    assert_eq!(imported.volumes.len(), 1);
    assert_eq!(serde_yaml_ng::to_string(&imported.volumes[0]).unwrap(), NEW);
    assert!(imported.notes[0].contains("Retain"), "{:?}", imported.notes);
    assert!(
        imported.notes[1].contains("1 objects"),
        "{:?}",
        imported.notes
    );
}

#[test]
fn what_was_imported_is_not_imported_again() {
    let error = format!("{:#}", turned(&[NEW], &[]).unwrap_err());
    assert!(error.contains("no PersistentVolume"), "{error}");
}

#[test]
fn claims_made_anew_are_known_by_their_names() {
    let imported = turned(&[OLD, ENDPOINTS], &["--new-claims"]).unwrap();
    let claim = at(&imported.volumes[0], &["spec", "claimRef"]).unwrap();
    assert_eq!(claim.get("uid"), None);
    assert_eq!(text(claim, &["name"]), Some("data"));
}

#[test]
fn a_folder_in_a_shared_volume_stays_read_only() {
    let old = one("glusterfs: {endpoints: none, path: /shared/a/, readOnly: true}");
    let imported = turned(&[&old], &["--servers", "g1,g2"]).unwrap();
    let csi = at(&imported.volumes[0], &["spec", "csi"]).unwrap();
    assert_eq!(csi.get("readOnly"), Some(&Value::Bool(true)));
    assert_eq!(text(csi, &["volumeAttributes", "volume"]), Some("shared/a"));
    assert_eq!(text(csi, &["volumeAttributes", "servers"]), Some("g1,g2"));
}

#[test]
fn what_cannot_be_turned_is_named() {
    let gone = one("glusterfs: {endpoints: gone, path: v}");
    let says = complaint(&gone, &[]);
    assert!(
        says.contains("PersistentVolume a") && says.contains("--servers"),
        "{says}"
    );
    let unclaimed = one("glusterfs: {endpoints: glusterfs-dynamic-0a1b, path: v}");
    assert!(complaint(&unclaimed, &[]).contains("differ by namespace"));
    for path in ["/", "..", "v/../w"] {
        let old = one(&format!("glusterfs: {{endpoints: e, path: {path:?}}}"));
        assert!(complaint(&old, &["--servers", "g"]).contains("no gluster volume"));
    }
    let old = one("glusterfs: {endpoints: e, path: v}, mountOptions: [log-colour=red]");
    assert!(complaint(&old, &["--servers", "g"]).contains("log-colour"));
}
