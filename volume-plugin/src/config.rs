//! The one TOML file of all roles. An unknown key is refused with its line.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Deserialize;

/// The whole file; what a role does not use may be absent.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The gluster nodes that the controller provisions on.
    #[serde(default)]
    pub agents: Vec<AgentAddress>,
    /// For the role `agent`.
    pub agent: Option<AgentConfig>,
    /// For the role `node`.
    #[serde(default)]
    pub node: NodeConfig,
    /// Mutual TLS between controller and agents.
    pub tls: Option<Tls>,
}

/// One gluster node.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentAddress {
    /// As it stands in gluster's pool.
    pub host: String,
    /// `https://HOST:PORT` with `[tls]`, or `unix:///PATH`.
    pub address: String,
}

/// Where bricks are.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentConfig {
    /// A folder on a disk that is for bricks alone.
    pub disk: PathBuf,
}

/// The node service.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodeConfig {
    /// Kubernetes' name of the node. Default: the environment's `NODE_NAME`, or the host's name.
    pub id: Option<String>,
    /// Logs of gluster's FUSE client.
    pub log_folder: PathBuf,
    /// Socket of the process `moongate-csi mounter` that holds the mounts. Without it they are this process's own.
    pub mounter: Option<PathBuf>,
    /// Records of the mounts, and the daemons' own mount points. The mounter, or this process without one, and nobody else writes there.
    pub state_folder: PathBuf,
    /// Where this process makes itself known to kubelet: a socket in its folder `plugins_registry`.
    pub registration: Option<PathBuf>,
    /// This process's socket, as kubelet sees it. Default: the path that it listens on.
    pub kubelet_endpoint: Option<String>,
    /// For inline volumes of pods. Without it they are refused.
    pub ephemeral: Option<EphemeralConfig>,
}

/// The volume in which inline volumes are folders. Every pod may have one there: it is no secret place.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EphemeralConfig {
    /// gluster's name of it.
    pub volume: String,
    /// Hosts that tell where its bricks are.
    pub servers: Vec<String>,
    /// Where it is mounted on each node, below kubelet's folder.
    pub folder: PathBuf,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            id: None,
            log_folder: PathBuf::from("/var/log/glusterfs"),
            mounter: None,
            state_folder: PathBuf::from("/run/moongate-csi/mounts"),
            registration: None,
            kubelet_endpoint: None,
            ephemeral: None,
        }
    }
}

/// PEM files; one that changes is read again for the next connection. Both sides prove who they are to each other by the same authority, and
/// what they are by a DNS name in the certificate: `controller.csi.moongate.io`, or `agent.csi.moongate.io` beside the agent's host.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The authority.
    pub ca: PathBuf,
    /// This process's certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// With the line of what is wrong.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{}", path.display()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let error = toml::from_str::<Config>("[agent]\ndisk = \"/d\"\ndisc = \"/e\"\n")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("line 3") && error.contains("disc"),
            "{error}"
        );
    }

    #[test]
    fn the_example_is_read() {
        let text = include_str!("../../deploy/csi/moongate-csi.toml");
        let config: Config = toml::from_str(text).unwrap();
        assert_eq!(config.agents.len(), 3);
        assert!(config.agent.is_some() && config.tls.is_some());
    }
}
