//! Inline volumes of a pod: a folder of its own in a volume that the operator named, made when the pod comes and removed with its content
//! when it goes. They have no size limit of their own.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::config::EphemeralConfig;
use crate::error::{Error, Result};
use crate::mounter::bind::Bind;
use crate::mounter::record::Record;
use crate::mounter::service::Holder;
use crate::patience::patiently;

/// kubelet's word for it in the context of a publish.
const ASKED: &str = "csi.storage.k8s.io/ephemeral";
/// In the volume; others may use the rest of it.
const FOLDER: &str = "moongate-ephemeral";
/// The mount's own name.
const ID: &str = "moongate-ephemeral";
/// The root folder is a group's, whose members may write: kubelet gives it to the pod's fsGroup.
const MODE: u32 = 0o2775;
/// kubelet's names: `csi-` and a SHA-256.
const PREFIX: &str = "csi-";
const HEX_DIGITS: usize = 64;

/// Makes them.
#[derive(Debug, Clone)]
pub struct Ephemeral(EphemeralConfig);

/// Whether a publish is about one.
#[must_use]
pub fn is_asked_for(context: &HashMap<String, String>) -> bool {
    context.get(ASKED).is_some_and(|value| value == "true")
}

/// Whether an id is one that kubelet gives to inline volumes. No other can name a folder.
#[must_use]
pub fn is_id(id: &str) -> bool {
    id.strip_prefix(PREFIX).is_some_and(|hash| {
        hash.len() == HEX_DIGITS && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// The answer where the operator named no volume.
#[must_use]
pub fn not_served() -> Error {
    Error::Invalid(
        "inline volumes are not served: name a volume for them in [node.ephemeral]".to_owned(),
    )
}

impl Ephemeral {
    /// In the operator's volume.
    #[must_use]
    pub fn new(config: EphemeralConfig) -> Self {
        Self(config)
    }

    /// Makes the folder and binds it into the pod.
    ///
    /// # Errors
    /// `Invalid` for an id that is not kubelet's, `Unavailable` where the volume does not answer.
    pub async fn publish(
        &self,
        holder: &Holder,
        id: &str,
        target: &Path,
        read_only: bool,
    ) -> Result<()> {
        if !is_id(id) {
            return Err(Error::Invalid(format!(
                "{id} is no name of an inline volume: csi- and {HEX_DIGITS} digits"
            )));
        }
        self.mount(holder).await?;
        let made = self.folder(id);
        patiently(&self.0.folder, move || {
            std::fs::create_dir_all(&made)?;
            std::fs::set_permissions(&made, std::fs::Permissions::from_mode(MODE))
        })
        .await?;
        let wanted = Bind {
            mounted: self.0.folder.clone(),
            folder: Path::new(FOLDER).join(id),
            target: target.to_owned(),
            read_only,
        };
        holder.bind(&wanted).await
    }

    /// Removes the folder with its content; one that is gone is success.
    ///
    /// # Errors
    /// `Unavailable` where the volume does not answer, or where there is much to remove: ask again.
    pub async fn remove(&self, holder: &Holder, id: &str) -> Result<()> {
        self.mount(holder).await?;
        let folder = self.folder(id);
        patiently(&self.0.folder, move || {
            match std::fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        })
        .await
    }

    async fn mount(&self, holder: &Holder) -> Result<()> {
        let record = Record {
            id: ID.to_owned(),
            volume: self.0.volume.clone(),
            servers: self.0.servers.clone(),
            flags: Vec::new(),
            target: self.0.folder.clone(),
            tls: false,
            dead: Vec::new(),
        };
        holder.mount(&record, None).await
    }

    fn folder(&self, id: &str) -> PathBuf {
        self.0.folder.join(FOLDER).join(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_kubelets_names_name_a_folder() {
        assert!(is_id(&format!("csi-{}", "0a".repeat(32))));
        for id in [
            "",
            "csi-",
            "../etc",
            "mg-pvc-1",
            &format!("csi-{}/", "0".repeat(63)),
        ] {
            assert!(!is_id(id), "{id}");
        }
    }
}
