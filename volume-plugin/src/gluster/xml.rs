//! What `gluster --xml` answers, as far as it is used: GlusterFS 10 and later.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

/// Any answer: whether it was accepted, and what it lists.
#[derive(Debug, Deserialize)]
pub struct Answer {
    /// 0 when accepted. The exit status does not say it.
    #[serde(rename = "opRet")]
    pub ret: i64,
    /// gluster's own number; 0 for some refusals.
    #[serde(rename = "opErrno", default)]
    pub errno: i64,
    /// The refusal in words.
    #[serde(rename = "opErrstr", default)]
    pub text: String,
    #[serde(rename = "volInfo", default)]
    info: Info,
    #[serde(rename = "volStatus", default)]
    status: VolStatus,
}

#[derive(Debug, Default, Deserialize)]
struct Info {
    #[serde(default)]
    volumes: InfoVolumes,
}

#[derive(Debug, Default, Deserialize)]
struct InfoVolumes {
    #[serde(default)]
    volume: Vec<VolumeInfo>,
}

/// One volume.
#[derive(Debug, Deserialize)]
pub struct VolumeInfo {
    /// Its name.
    pub name: String,
    #[serde(rename = "statusStr")]
    status: String,
    #[serde(rename = "replicaCount", default)]
    replicas: u32,
    #[serde(default)]
    bricks: Bricks,
    #[serde(default)]
    options: Options,
}

#[derive(Debug, Default, Deserialize)]
struct Bricks {
    #[serde(default)]
    brick: Vec<Brick>,
}

/// Mixed content: the text is the same as the name.
#[derive(Debug, Deserialize)]
struct Brick {
    name: String,
}

#[derive(Debug, Default, Deserialize)]
struct Options {
    #[serde(default)]
    option: Vec<Pair>,
}

#[derive(Debug, Deserialize)]
struct Pair {
    name: String,
    #[serde(default)]
    value: String,
}

#[derive(Debug, Default, Deserialize)]
struct VolStatus {
    #[serde(default)]
    volumes: StatusVolumes,
}

#[derive(Debug, Default, Deserialize)]
struct StatusVolumes {
    #[serde(default)]
    volume: Vec<StatusVolume>,
}

#[derive(Debug, Default, Deserialize)]
struct StatusVolume {
    #[serde(default)]
    node: Vec<StatusNode>,
}

#[derive(Debug, Default, Deserialize)]
struct StatusNode {
    #[serde(rename = "clientsStatus", default)]
    clients: Clients,
}

#[derive(Debug, Default, Deserialize)]
struct Clients {
    #[serde(default)]
    client: Vec<Client>,
}

#[derive(Debug, Deserialize)]
struct Client {
    hostname: String,
}

impl Answer {
    /// None where it is not gluster's XML: usage text, a refused connection.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        quick_xml::de::from_str(text).ok()
    }

    /// The volumes of `volume info`.
    #[must_use]
    pub fn into_volumes(self) -> Vec<VolumeInfo> {
        self.info.volumes.volume
    }

    /// Addresses of those who have it mounted, of `volume status V clients`. A brick's own host is connected once to each brick where files
    /// have copies: that is the self-heal daemon.
    #[must_use]
    pub fn users(&self, volume: &VolumeInfo) -> BTreeSet<String> {
        let hosts: BTreeSet<String> = volume
            .bricks()
            .iter()
            .filter_map(|brick| host(brick))
            .collect();
        let healers = usize::from(volume.replicas > 1);
        let nodes = self
            .status
            .volumes
            .volume
            .iter()
            .flat_map(|volume| &volume.node);
        let mut users = BTreeSet::new();
        for node in nodes {
            let mut seen: BTreeMap<String, usize> = BTreeMap::new();
            for client in node
                .clients
                .client
                .iter()
                .filter_map(|client| host(&client.hostname))
            {
                *seen.entry(client).or_default() += 1;
            }
            let own = |name: &String| if hosts.contains(name) { healers } else { 0 };
            users.extend(
                seen.into_iter()
                    .filter(|(name, count)| *count > own(name))
                    .map(|(name, _)| name),
            );
        }
        users
    }
}

impl VolumeInfo {
    /// Whether its bricks are meant to run.
    #[must_use]
    pub fn started(&self) -> bool {
        self.status == "Started"
    }

    /// `host:path`, in order.
    #[must_use]
    pub fn bricks(&self) -> Vec<String> {
        self.bricks
            .brick
            .iter()
            .map(|brick| brick.name.clone())
            .collect()
    }

    /// The options that were set, `user.*` included.
    #[must_use]
    pub fn options(&self) -> BTreeMap<String, String> {
        let pairs = self.options.option.iter();
        pairs
            .map(|pair| (pair.name.clone(), pair.value.clone()))
            .collect()
    }
}

/// What stands before the last colon that a port or a path follows.
fn host(address: &str) -> Option<String> {
    let (host, _) = match address.find(":/") {
        Some(at) => address.split_at(at),
        None => address.rsplit_once(':')?,
    };
    Some(host.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const INFO: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<cliOutput><opRet>0</opRet><opErrno>0</opErrno><opErrstr/><volInfo><volumes><volume>
<name>v1</name><id>6fc6e8c8</id><status>1</status><statusStr>Started</statusStr><replicaCount>3</replicaCount><typeStr>Replicate</typeStr>
<bricks>
<brick uuid="1">192.0.2.11:/d/a<name>192.0.2.11:/d/a</name><hostUuid>1</hostUuid><isArbiter>0</isArbiter></brick>
<brick uuid="2">192.0.2.12:/d/a<name>192.0.2.12:/d/a</name><hostUuid>2</hostUuid><isArbiter>0</isArbiter></brick>
</bricks><optCount>1</optCount>
<options><option><name>user.moongate.size</name><value>123</value></option></options>
</volume><count>1</count></volumes></volInfo></cliOutput>"#;

    fn status(clients: &[&str]) -> Answer {
        let clients: String = clients
            .iter()
            .map(|host| {
                format!("<client><hostname>{host}</hostname><bytesRead>1</bytesRead></client>")
            })
            .collect();
        let text = format!(
            "<cliOutput><opRet>0</opRet><opErrno>0</opErrno><opErrstr/><volStatus><volumes><volume><volName>v1</volName><nodeCount>1</nodeCount><node>\
             <hostname>192.0.2.11</hostname><path>/d/a</path><clientsStatus><clientCount>1</clientCount>{clients}</clientsStatus></node></volume></volumes></volStatus></cliOutput>"
        );
        Answer::parse(&text).unwrap()
    }

    #[test]
    fn a_volume_is_read_with_bricks_and_options() {
        let volumes = Answer::parse(INFO).unwrap().into_volumes();
        assert_eq!(volumes.len(), 1);
        let volume = &volumes[0];
        assert!(volume.started());
        assert_eq!(volume.bricks(), ["192.0.2.11:/d/a", "192.0.2.12:/d/a"]);
        assert_eq!(volume.options()["user.moongate.size"], "123");
    }

    #[test]
    fn a_refusal_is_told_by_op_ret() {
        let text = "<cliOutput><opRet>-1</opRet><opErrno>30806</opErrno><opErrstr>Volume does not exist</opErrstr><volInfo><volumes><count>0</count></volumes></volInfo></cliOutput>";
        let answer = Answer::parse(text).unwrap();
        assert_eq!((answer.ret, answer.errno), (-1, 30806));
        assert_eq!(answer.text, "Volume does not exist");
        assert!(
            Answer::parse("Connection failed. Please check if gluster daemon is operational.")
                .is_none()
        );
    }

    #[test]
    fn the_self_heal_daemons_are_not_users() {
        let volume = Answer::parse(INFO).unwrap().into_volumes().remove(0);
        let healers = ["192.0.2.11:49148", "192.0.2.12:49148"];
        assert!(status(&healers).users(&volume).is_empty());
        let users =
            status(&["192.0.2.11:49148", "192.0.2.11:49140", "192.0.2.100:49145"]).users(&volume);
        assert_eq!(
            users.into_iter().collect::<Vec<_>>(),
            ["192.0.2.100", "192.0.2.11"]
        );
    }
}
