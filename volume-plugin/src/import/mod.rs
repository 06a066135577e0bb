//! `moongate-csi import`: PersistentVolumes of the in-tree driver `kubernetes.io/glusterfs` become PersistentVolumes of this one over the same
//! gluster volumes. YAML in, YAML out; nothing is asked or changed.
//!
//! A PV keeps its name and its claim, so that a claim that was bound is bound again. Its source cannot be changed in place: the old one is
//! deleted before the new one is made (`docs/operations.md`).

mod endpoints;
mod volume;

use std::io::{Read, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_yaml_ng::{Deserializer, Value};

use endpoints::Endpoints;

/// The subcommand's name.
pub const NAME: &str = "import";

/// Turns PersistentVolumes of the in-tree driver kubernetes.io/glusterfs into ones of csi.moongate.io over the same gluster volumes
///
/// kubectl get pv -o yaml > old.yaml; kubectl get endpoints -A -o yaml > endpoints.yaml;
/// moongate-csi import old.yaml endpoints.yaml > new.yaml
#[derive(Debug, clap::Parser)]
#[command(name = "moongate-csi import", version, verbatim_doc_comment)]
pub struct Arguments {
    /// Files of PersistentVolumes and of the Endpoints that they name; `-` is standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Gluster hosts, comma between them, instead of those in Endpoints
    #[arg(long, value_delimiter = ',')]
    servers: Vec<String>,
    /// The claims are made anew, as in another cluster: leave out the old ones' UIDs
    #[arg(long)]
    new_claims: bool,
}

/// What was made of the input.
#[derive(Debug)]
struct Imported {
    volumes: Vec<Value>,
    /// What a person should know, a line each.
    notes: Vec<String>,
}

/// Reads the files, writes the new PersistentVolumes to standard output, and what a person should know to standard error.
///
/// # Errors
/// In words, with the PersistentVolume's name, for what cannot be turned; nothing is written then.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut objects = Vec::new();
    for file in &arguments.files {
        let text = read(file).with_context(|| format!("{}", file.display()))?;
        objects.extend(parse(&text).with_context(|| format!("{}", file.display()))?);
    }
    let imported = import(objects, arguments)?;
    let mut errors = std::io::stderr().lock();
    for note in &imported.notes {
        writeln!(errors, "{note}")?;
    }
    let mut output = std::io::stdout().lock();
    for volume in &imported.volumes {
        write!(output, "---\n{}", serde_yaml_ng::to_string(volume)?)?;
    }
    Ok(())
}

fn read(file: &PathBuf) -> std::io::Result<String> {
    if file.as_os_str() != "-" {
        return std::fs::read_to_string(file);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

/// All objects of a stream of documents; lists are taken apart.
fn parse(text: &str) -> anyhow::Result<Vec<Value>> {
    let mut objects = Vec::new();
    for document in Deserializer::from_str(text) {
        match Value::deserialize(document)? {
            Value::Null => {}
            mut list if kind(&list).ends_with("List") => match list.get_mut("items") {
                Some(Value::Sequence(items)) => objects.append(items),
                _ => bail!("a list without items"),
            },
            object => objects.push(object),
        }
    }
    Ok(objects)
}

fn import(objects: Vec<Value>, arguments: &Arguments) -> anyhow::Result<Imported> {
    let mut endpoints = Endpoints::default();
    let mut old = Vec::new();
    let mut passed_over = 0_usize;
    for object in objects {
        match kind(&object) {
            "Endpoints" => endpoints.add(&object),
            "PersistentVolume" if volume::is_in_tree(&object) => old.push(object),
            _ => passed_over += 1,
        }
    }
    if old.is_empty() {
        bail!(
            "there is no PersistentVolume with `spec.glusterfs` in the input: give what `kubectl get pv -o yaml` says"
        );
    }
    let mut imported = Imported {
        volumes: Vec::new(),
        notes: Vec::new(),
    };
    for object in &old {
        let name = text(object, &["metadata", "name"]).unwrap_or_default();
        let volume = volume::turn(object, &endpoints, arguments)
            .with_context(|| format!("PersistentVolume {name}"))?;
        if text(object, &["spec", "persistentVolumeReclaimPolicy"]) == Some("Delete") {
            imported.notes.push(format!(
                "{name}: Delete became Retain: its gluster volume is not this driver's to delete"
            ));
        }
        imported.volumes.push(volume);
    }
    if passed_over > 0 {
        imported.notes.push(format!(
            "passed over: {passed_over} objects that are neither in-tree gluster volumes nor Endpoints"
        ));
    }
    Ok(imported)
}

fn kind(object: &Value) -> &str {
    text(object, &["kind"]).unwrap_or_default()
}

fn at<'a>(object: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(object, |object, key| object.get(*key))
}

/// A string that is there and not empty.
fn text<'a>(object: &'a Value, path: &[&str]) -> Option<&'a str> {
    at(object, path)?.as_str().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests;
