//! Where the in-tree driver had its gluster hosts: Endpoints objects, named by the PersistentVolume.

use std::collections::BTreeMap;

use anyhow::bail;
use serde_yaml_ng::Value;

use super::text;

/// Hosts by namespace and name.
#[derive(Debug, Default)]
pub struct Endpoints(BTreeMap<(String, String), Vec<String>>);

impl Endpoints {
    /// Takes in what an Endpoints object says.
    pub fn add(&mut self, object: &Value) {
        let namespace = text(object, &["metadata", "namespace"]).unwrap_or("default");
        let name = text(object, &["metadata", "name"]).unwrap_or_default();
        let subsets = sequence(object.get("subsets"));
        let addresses = subsets.flat_map(|subset| sequence(subset.get("addresses")));
        let hosts = addresses.filter_map(|address| text(address, &["ip"]).map(str::to_owned));
        let place = (namespace.to_owned(), name.to_owned());
        self.0.insert(place, hosts.collect());
    }

    /// The hosts of an Endpoints object. Without a namespace there must be one of its name only, or all must say the same.
    ///
    /// # Errors
    /// Where it is not in the input, has no address, or several of the name differ.
    pub fn hosts(&self, namespace: Option<&str>, name: &str) -> anyhow::Result<&[String]> {
        let mut found = self
            .0
            .iter()
            .filter(|((place, named), _)| {
                named == name && namespace.is_none_or(|namespace| namespace == place)
            })
            .map(|(_, hosts)| hosts);
        let named = format!("Endpoints {}/{name}", namespace.unwrap_or("*"));
        match found.next() {
            None => bail!(
                "{named} are not in the input: add what `kubectl get endpoints -A -o yaml` says, or give --servers"
            ),
            Some(hosts) if hosts.is_empty() => {
                bail!("{named} have no address: give --servers")
            }
            Some(hosts) if found.all(|other| other == hosts) => Ok(hosts),
            Some(_) => bail!("{named} differ by namespace: give --servers"),
        }
    }
}

fn sequence(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_sequence).into_iter().flatten()
}
