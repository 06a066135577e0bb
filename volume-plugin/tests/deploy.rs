//! `deploy/csi` holds what the driver and its sidecars need: every document parses, refers to what is there, and the plain manifest is the
//! chart with its defaults.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use clap::ValueEnum;
use moongate_csi::config::Config;
use moongate_csi::identity::DRIVER_NAME;
use moongate_csi::provisioner::parameters::Parameters;
use moongate_csi::serve::Role;
use serde_yaml_ng::{Deserializer, Value};

const NAMESPACE: &str = "moongate-csi";
const SNAPSHOTS: &str = "snapshot.storage.k8s.io";
const STORAGE: &str = "storage.k8s.io";
/// What the manifests of external-provisioner and external-resizer ask for: group, resource, verbs.
const ASKED: [(&str, &str, &str); 14] = [
    (
        "",
        "persistentvolumes",
        "get list watch create patch delete",
    ),
    ("", "persistentvolumeclaims", "get list watch update"),
    ("", "persistentvolumeclaims/status", "patch"),
    ("", "events", "list watch create update patch"),
    ("", "nodes", "get list watch"),
    ("", "pods", "get list watch"),
    ("", "secrets", "get list"),
    (STORAGE, "storageclasses", "get list watch"),
    (STORAGE, "csinodes", "get list watch"),
    (STORAGE, "volumeattachments", "get list watch"),
    (STORAGE, "volumeattributesclasses", "get list watch"),
    (SNAPSHOTS, "volumesnapshots", "get list"),
    (SNAPSHOTS, "volumesnapshotcontents", "get list"),
    (
        "coordination.k8s.io",
        "leases",
        "get watch list create update patch delete",
    ),
];

fn folder() -> PathBuf {
    PathBuf::from("../deploy/csi")
}

fn texts(part: &str) -> Vec<String> {
    let entries = fs::read_dir(folder().join(part)).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let texts = files.iter().map(|file| fs::read_to_string(file).unwrap());
    texts.collect()
}

fn documents(text: &str) -> Vec<Value> {
    use serde::Deserialize;
    Deserializer::from_str(text)
        .map(|document| Value::deserialize(document).unwrap())
        .collect()
}

/// The chart has plain values only: this is all of Helm that it needs.
fn rendered() -> String {
    let values = fs::read_to_string(folder().join("chart/values.yaml")).unwrap();
    let values: Value = serde_yaml_ng::from_str(&values).unwrap();
    let mut all = format!(
        "# The chart with its defaults, for `kubectl apply -f`. Made by UPDATE_DOCS=1 cargo test -p moongate-csi --test deploy.\n\
         apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {NAMESPACE}\n"
    );
    for text in texts("chart/templates") {
        all += "---\n";
        let mut parts = text.split("{{ ");
        all += parts.next().unwrap();
        for part in parts {
            let (name, rest) = part.split_once(" }}").unwrap();
            all += &value(&values, name);
            all += rest;
        }
    }
    all
}

fn value(values: &Value, name: &str) -> String {
    if name == ".Release.Namespace" {
        return NAMESPACE.to_owned();
    }
    let found = at(values, name.strip_prefix(".Values.").unwrap());
    match found {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => panic!("{name} is not in values.yaml"),
    }
}

fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(value, |value, key| &value[key])
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    let found = at(value, path).as_str();
    found.unwrap_or_else(|| panic!("{path} is missing in {value:?}"))
}

fn list<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    at(value, path).as_sequence().map_or(&[], Vec::as_slice)
}

fn words<'a>(value: &'a Value, path: &str) -> Vec<&'a str> {
    let items = list(value, path).iter();
    items.map(|item| item.as_str().unwrap()).collect()
}

/// The plain manifest, and those of one kind in it.
fn of_kinds(kinds: &[&str]) -> Vec<Value> {
    let mut all = documents(&rendered());
    all.retain(|document| kinds.contains(&text(document, "kind")));
    assert!(!all.is_empty(), "{kinds:?}");
    all
}

fn names(kind: &str) -> BTreeSet<String> {
    let all = of_kinds(&[kind]);
    all.iter()
        .map(|document| text(document, "metadata.name").to_owned())
        .collect()
}

#[test]
fn the_plain_manifest_is_the_chart_with_its_defaults() {
    let path = folder().join("moongate-csi.yaml");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, rendered()).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap() == rendered(),
        "deploy/csi/moongate-csi.yaml is not the chart's: UPDATE_DOCS=1 cargo test -p moongate-csi --test deploy"
    );
}

#[test]
fn every_document_is_named_once_and_lies_where_it_belongs() {
    const CLUSTER_WIDE: [&str; 4] = [
        "Namespace",
        "CSIDriver",
        "ClusterRole",
        "ClusterRoleBinding",
    ];
    let mut seen = BTreeSet::new();
    for document in documents(&rendered()) {
        let parts = ["apiVersion", "kind", "metadata.name"].map(|path| text(&document, path));
        assert!(seen.insert(parts.join(" ")), "{parts:?} is there twice");
        let is_cluster_wide = at(&document, "metadata.namespace").is_null();
        assert_eq!(
            is_cluster_wide,
            CLUSTER_WIDE.contains(&parts[1]),
            "{parts:?}"
        );
    }
    assert_eq!(names("CSIDriver"), BTreeSet::from([DRIVER_NAME.to_owned()]));
}

#[test]
fn the_configuration_is_understood() {
    let config = of_kinds(&["ConfigMap"]).remove(0);
    let read = |name: &str| -> Config {
        toml::from_str(at(&config, "data")[name].as_str().unwrap()).unwrap()
    };
    let controller = read("moongate-csi.toml");
    assert!(controller.agents.len() == 3 && controller.tls.is_some());
    let node = read("node.toml").node;
    assert!(node.mounter.is_some() && node.registration.is_some());
}

#[test]
fn workloads_refer_to_what_is_there() {
    for workload in of_kinds(&["Deployment", "DaemonSet"]) {
        let spec = at(&workload, "spec.template.spec");
        let labels = at(&workload, "spec.template.metadata.labels");
        assert_eq!(at(&workload, "spec.selector.matchLabels"), labels);
        assert!(names("ServiceAccount").contains(text(spec, "serviceAccountName")));
        let volumes = list(spec, "volumes").iter();
        let volumes: Vec<&str> = volumes.map(|volume| text(volume, "name")).collect();
        for container in list(spec, "containers") {
            for mount in list(container, "volumeMounts") {
                assert!(volumes.contains(&text(mount, "name")), "{mount:?}");
            }
            // Our own containers name a role, the sidecars have options only.
            let first = words(container, "args")[0];
            let is_ours = text(container, "image").starts_with("moongate-csi:");
            assert_eq!(Role::from_str(first, false).is_ok(), is_ours, "{first}");
        }
        for volume in list(spec, "volumes") {
            let config = at(volume, "configMap.name").as_str();
            assert!(config.is_none_or(|name| names("ConfigMap").contains(name)));
        }
    }
}

#[test]
fn the_mounter_outlives_upgrades_and_reaches_containers() {
    let sets = of_kinds(&["DaemonSet"]);
    let is_mounter = |set: &&Value| text(set, "metadata.name").ends_with("-mounter");
    let mounter = sets.iter().find(is_mounter).unwrap();
    assert_eq!(text(mounter, "spec.updateStrategy.type"), "OnDelete");
    assert_eq!(
        at(mounter, "spec.template.spec.hostPID"),
        &Value::Bool(true)
    );
    for set in &sets {
        let container = &list(set, "spec.template.spec.containers")[0];
        let mounts = list(container, "volumeMounts");
        let kubelet = mounts.iter().find(|mount| text(mount, "name") == "kubelet");
        assert_eq!(text(kubelet.unwrap(), "mountPropagation"), "Bidirectional");
        // Records and the daemons' own mounts are seen by nobody else.
        let run = mounts.iter().find(|mount| text(mount, "name") == "run");
        assert!(run.unwrap()["mountPropagation"].is_null());
    }
}

#[test]
fn the_sidecars_may_do_what_they_ask_for() {
    let mut given: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for role in of_kinds(&["ClusterRole", "Role"]) {
        for rule in list(&role, "rules") {
            for group in words(rule, "apiGroups") {
                for resource in words(rule, "resources") {
                    let verbs = words(rule, "verbs").into_iter().map(str::to_owned);
                    let key = (group.to_owned(), resource.to_owned());
                    given.entry(key).or_default().extend(verbs);
                }
            }
        }
    }
    for (group, resource, verbs) in ASKED {
        let has = &given[&(group.to_owned(), resource.to_owned())];
        for verb in verbs.split(' ') {
            assert!(has.contains(verb), "{group}/{resource}: {verb}");
        }
    }
    let everything = |(group, resource): &(String, String)| group == "*" || resource == "*";
    assert!(!given.keys().any(everything));
}

#[test]
fn the_examples_are_what_the_driver_knows() {
    let examples: Vec<Value> = texts("examples")
        .iter()
        .flat_map(|text| documents(text))
        .collect();
    for document in &examples {
        text(document, "apiVersion");
        text(document, "metadata.name");
    }
    let is_class = |document: &&Value| document["kind"] == "StorageClass";
    let classes: Vec<&Value> = examples.iter().filter(is_class).collect();
    assert!(classes.len() >= 2);
    for class in classes {
        assert_eq!(text(class, "provisioner"), DRIVER_NAME);
        let pairs = at(class, "parameters").as_mapping().unwrap().iter();
        let pairs = pairs.map(|(key, value)| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (text(key), text(value))
        });
        Parameters::read(&pairs.collect()).unwrap();
    }
}
