//! CSI's node service: a volume is mounted once a node (stage) and bound into each pod (publish). What is mounted is read from the kernel;
//! every step may be repeated.

pub mod ephemeral;
pub mod guard;
pub mod mounts;
mod service;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use moongate_proto::csi as api;
use moongate_proto::csi::volume_capability::access_mode::Mode;
use moongate_proto::mounter::look_response::State;

use crate::busy::Busy;
use crate::controller::SERVERS;
use crate::error::{Error, Result};
use crate::mounter::bind::Bind;
use crate::mounter::health::Health;
use crate::mounter::record::{Keys, Record};
use crate::mounter::service::Holder;
use crate::request::{check_capability, required};
use ephemeral::Ephemeral;

/// Key in a volume's context: gluster's name of it, or `volume/folder/in/it`, where that is not the id.
pub const VOLUME: &str = "volume";
/// Keys of a node-stage secret: the tenant's certificate, key and authority, as `kubectl create secret tls` names them.
const SECRETS: [&str; 3] = ["tls.crt", "tls.key", "ca.crt"];

/// Serves it on one node.
#[derive(Debug, Clone)]
pub struct NodeService {
    node_id: String,
    holder: Holder,
    state_folder: PathBuf,
    ephemeral: Option<Ephemeral>,
    busy: Busy,
}

impl NodeService {
    /// For the node of this name. What lies in the mounter's own folder is no pod's.
    #[must_use]
    pub fn new(
        node_id: String,
        holder: Holder,
        state_folder: PathBuf,
        ephemeral: Option<Ephemeral>,
    ) -> Self {
        Self {
            node_id,
            holder,
            state_folder,
            ephemeral,
            busy: Busy::default(),
        }
    }

    async fn stage(&self, asked: &api::NodeStageVolumeRequest) -> Result<()> {
        let id = required("volume_id", &asked.volume_id)?;
        let target = required("staging_target_path", &asked.staging_target_path)?;
        let capability = capability(asked.volume_capability.as_ref())?;
        let servers = asked.volume_context.get(SERVERS).ok_or_else(|| {
            Error::Invalid(format!(
                "volume_context: {SERVERS:?} is missing: the gluster hosts, comma between them"
            ))
        })?;
        let keys = keys(&asked.secrets)?;
        let record = Record {
            id: id.to_owned(),
            volume: volume(id, &asked.volume_context),
            servers: list(servers),
            flags: flags(capability).to_vec(),
            target: PathBuf::from(target),
            tls: keys.is_some(),
            dead: Vec::new(),
        };
        let _held = self.busy.hold(id)?;
        self.holder.mount(&record, keys.as_ref()).await
    }

    async fn unstage(&self, asked: &api::NodeUnstageVolumeRequest) -> Result<()> {
        let id = required("volume_id", &asked.volume_id)?;
        let target = required("staging_target_path", &asked.staging_target_path)?;
        let _held = self.busy.hold(id)?;
        self.holder.unmount(Path::new(target)).await
    }

    async fn publish(&self, asked: &api::NodePublishVolumeRequest) -> Result<()> {
        let id = required("volume_id", &asked.volume_id)?;
        let target = Path::new(required("target_path", &asked.target_path)?);
        let capability = capability(asked.volume_capability.as_ref())?;
        let _held = self.busy.hold(id)?;
        if ephemeral::is_asked_for(&asked.volume_context) {
            let ephemeral = self.ephemeral.as_ref().ok_or_else(ephemeral::not_served)?;
            return ephemeral
                .publish(&self.holder, id, target, asked.readonly)
                .await;
        }
        if asked.staging_target_path.is_empty() {
            return Err(Error::NotNow(
                "staging_target_path: it is missing: stage the volume first".to_owned(),
            ));
        }
        let staging = Path::new(&asked.staging_target_path);
        if mode(capability) == Mode::SingleNodeSingleWriter {
            self.refuse_second(staging, target)?;
        }
        let readers = [Mode::SingleNodeReaderOnly, Mode::MultiNodeReaderOnly];
        let read_only = asked.readonly || readers.contains(&mode(capability));
        let wanted = Bind {
            mounted: staging.to_owned(),
            folder: PathBuf::new(),
            target: target.to_owned(),
            read_only,
        };
        self.holder.bind(&wanted).await
    }

    /// ReadWriteOncePod: one pod has it.
    fn refuse_second(&self, staging: &Path, target: &Path) -> Result<()> {
        let staged = mounts::staged(staging)?;
        let others = mounts::others(&staged, &[staging, target, &self.state_folder])?;
        match others.first() {
            None => Ok(()),
            Some(other) => Err(Error::NotNow(format!(
                "it is for one pod alone, and is published at {} already: unpublish it there first",
                other.display()
            ))),
        }
    }

    async fn unpublish(&self, asked: &api::NodeUnpublishVolumeRequest) -> Result<()> {
        let id = required("volume_id", &asked.volume_id)?;
        let target = Path::new(required("target_path", &asked.target_path)?);
        let _held = self.busy.hold(id)?;
        mounts::unbind(target).await?;
        match &self.ephemeral {
            Some(ephemeral) if ephemeral::is_id(id) => ephemeral.remove(&self.holder, id).await,
            _ => Ok(()),
        }
    }

    async fn stats(
        &self,
        asked: &api::NodeGetVolumeStatsRequest,
    ) -> Result<api::NodeGetVolumeStatsResponse> {
        let id = required("volume_id", &asked.volume_id)?;
        let path = Path::new(required("volume_path", &asked.volume_path)?);
        mounts::mounted(path)?;
        let usage = mounts::usage(path).await;
        let health = self.holder.look(id).await.ok();
        // A kubelet that asks for the condition is told why there are no numbers.
        match (usage, health) {
            (Err(error), None) => Err(error),
            (usage, health) => Ok(api::NodeGetVolumeStatsResponse {
                usage: usage.unwrap_or_default(),
                volume_condition: health.map(|health| api::VolumeCondition {
                    abnormal: health.state != State::Healthy,
                    message: health.message,
                }),
            }),
        }
    }

    async fn health(&self, asked: &api::NodeGetVolumeHealthRequest) -> Result<api::VolumeHealth> {
        let id = required("volume_id", &asked.volume_id)?;
        let health = self.holder.look(id).await?;
        Ok(api::VolumeHealth {
            volume_id: id.to_owned(),
            health_statuses: adverse(&health).into_iter().collect(),
        })
    }

    async fn expand(&self, asked: &api::NodeExpandVolumeRequest) -> Result<i64> {
        required("volume_id", &asked.volume_id)?;
        let path = Path::new(required("volume_path", &asked.volume_path)?);
        asked
            .volume_capability
            .as_ref()
            .map_or(Ok(()), check_capability)?;
        mounts::mounted(path)?;
        // The bricks have grown already, and a FUSE mount sees it: there is nothing to do here but to look.
        mounts::answers(path).await?;
        let range = asked.capacity_range.as_ref();
        Ok(range.map_or(0, |range| range.required_bytes))
    }
}

fn adverse(health: &Health) -> Option<api::volume_health::VolumeHealthEntry> {
    use api::VolumeHealthErrorType::{Degraded, Inaccessible};
    let (status, reason) = match health.state {
        State::Healthy => return None,
        State::Degraded => (Degraded, "CopiesAway"),
        State::Dead => (Inaccessible, "DaemonDead"),
        State::NoQuorum => (Inaccessible, "NoQuorum"),
        State::Stopped => (Inaccessible, "VolumeStopped"),
        State::Refused => (Inaccessible, "ClientRefused"),
        State::Unreachable => (Inaccessible, "ServersUnreachable"),
        State::Unknown => (Inaccessible, "Unknown"),
    };
    Some(api::volume_health::VolumeHealthEntry {
        status: status.into(),
        reason: reason.to_owned(),
        message: health.message.clone(),
    })
}

fn capability(asked: Option<&api::VolumeCapability>) -> Result<&api::VolumeCapability> {
    let capability =
        asked.ok_or_else(|| Error::Invalid("volume_capability: it is missing".to_owned()))?;
    check_capability(capability)?;
    Ok(capability)
}

fn mode(capability: &api::VolumeCapability) -> Mode {
    capability
        .access_mode
        .map_or(Mode::Unknown, |mode| mode.mode())
}

fn volume(id: &str, context: &HashMap<String, String>) -> String {
    context.get(VOLUME).map_or(id, String::as_str).to_owned()
}

fn list(text: &str) -> Vec<String> {
    let words = text.split(',').map(str::trim);
    words
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// All three or none: a part of them would mount in the clear, or as somebody else.
fn keys(secrets: &HashMap<String, String>) -> Result<Option<Keys>> {
    let found: Vec<&String> = SECRETS.iter().filter_map(|key| secrets.get(*key)).collect();
    let bytes = |text: &String| text.clone().into_bytes();
    match found.as_slice() {
        [] => Ok(None),
        [certificate, key, authority] => Ok(Some(Keys {
            certificate: bytes(certificate),
            key: bytes(key),
            authority: bytes(authority),
        })),
        _ => Err(Error::Invalid(format!(
            "secrets: {} are wanted, all of them",
            SECRETS.join(", ")
        ))),
    }
}

fn flags(capability: &api::VolumeCapability) -> &[String] {
    match &capability.access_type {
        Some(api::volume_capability::AccessType::Mount(mount)) => &mount.mount_flags,
        _ => &[],
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn secrets(keys: &[&str]) -> HashMap<String, String> {
        let pairs = keys.iter().map(|key| ((*key).to_owned(), "pem".to_owned()));
        pairs.collect()
    }

    #[test]
    fn a_part_of_a_secret_is_refused() {
        assert!(keys(&secrets(&[])).unwrap().is_none());
        assert!(keys(&secrets(&["other"])).unwrap().is_none());
        assert!(keys(&secrets(&SECRETS)).unwrap().is_some());
        for part in [&["tls.crt"][..], &["tls.crt", "tls.key"], &["ca.crt"]] {
            assert!(keys(&secrets(part)).is_err(), "{part:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_apart() {
        let of = |state| adverse(&Health::new(state, "why".to_owned()));
        assert!(of(State::Healthy).is_none());
        assert_eq!(of(State::Stopped).unwrap().reason, "VolumeStopped");
        assert_eq!(of(State::Degraded).unwrap().status, 1);
    }

    #[test]
    fn a_volume_may_be_a_folder_of_another() {
        let context = HashMap::from([(VOLUME.to_owned(), "shared/a".to_owned())]);
        assert_eq!(volume("id", &context), "shared/a");
        assert_eq!(volume("id", &HashMap::new()), "id");
        assert_eq!(list(" a,,b "), ["a", "b"]);
    }
}
