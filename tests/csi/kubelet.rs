//! What external-provisioner and kubelet do with a driver: PVC to PV, stage, publish with kubelet's paths, fsGroup, and all of it back. The
//! driver's node side runs as it does on a node: a mounter, and a plugin that can be killed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use moongate_proto::csi as api;
use moongate_proto::csi::controller_client::ControllerClient;
use moongate_proto::csi::node_client::NodeClient;
use moongate_proto::csi::volume_capability::access_mode::Mode;
use moongate_proto::csi::volume_capability::{AccessMode, AccessType, MountVolume};
use moongate_proto::registration as reg;
use moongate_proto::registration::registration_client::RegistrationClient;
use moongate_tests::beds::gluster::Gluster;
use tonic::Status;
use tonic::transport::Channel;

use crate::process::{Process, channel, until};

pub const DRIVER: &str = "csi.moongate.io";
pub const LIMIT: Duration = Duration::from_secs(60);
const MIB: i64 = 1 << 20;

/// A claim that is bound, as its PV has it.
#[derive(Debug, Clone)]
pub struct Claim {
    pub volume: api::Volume,
    pub mode: Mode,
    pub flags: Vec<String>,
    pub secrets: HashMap<String, String>,
}

impl Claim {
    pub fn new(volume: api::Volume) -> Self {
        Self {
            volume,
            mode: Mode::MultiNodeMultiWriter,
            flags: Vec::new(),
            secrets: HashMap::new(),
        }
    }

    pub fn id(&self) -> String {
        self.volume.volume_id.clone()
    }

    pub fn capability(&self) -> api::VolumeCapability {
        capability(self.mode, &self.flags)
    }
}

fn capability(mode: Mode, flags: &[String]) -> api::VolumeCapability {
    api::VolumeCapability {
        access_type: Some(AccessType::Mount(MountVolume {
            mount_flags: flags.to_vec(),
            ..Default::default()
        })),
        access_mode: Some(AccessMode { mode: mode.into() }),
    }
}

/// What external-provisioner does with a claim.
pub async fn provision(
    controller: &mut ControllerClient<Channel>,
    name: &str,
    mib: i64,
    parameters: &[(&str, &str)],
) -> Claim {
    let pairs = parameters
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let request = api::CreateVolumeRequest {
        name: format!("pvc-{name}"),
        capacity_range: Some(api::CapacityRange {
            required_bytes: mib * MIB,
            limit_bytes: 0,
        }),
        volume_capabilities: vec![capability(Mode::MultiNodeMultiWriter, &[])],
        parameters: pairs.collect(),
        ..Default::default()
    };
    let answer = controller.create_volume(request).await.unwrap();
    Claim::new(answer.into_inner().volume.unwrap())
}

pub async fn delete(controller: &mut ControllerClient<Channel>, claim: &Claim) {
    // gluster hears of a client's end a moment later.
    until("the volume is deleted", LIMIT, async || {
        let request = api::DeleteVolumeRequest {
            volume_id: claim.id(),
            ..Default::default()
        };
        controller.delete_volume(request).await.is_ok()
    })
    .await;
}

/// One Kubernetes node.
pub struct Kubelet<'a> {
    pub gluster: &'a Gluster,
    folder: PathBuf,
    config: String,
    mounter: Option<Process>,
    plugin: Option<Process>,
}

impl<'a> Kubelet<'a> {
    /// kubelet's folder is shared, as the kubelet makes it.
    pub fn start(gluster: &'a Gluster, more: &str) -> Self {
        let folder = gluster.path().join("kubelet");
        let (path, base) = (folder.display().to_string(), gluster.path().display());
        for part in ["plugins_registry", "plugins/csi.moongate.io", "pods"] {
            std::fs::create_dir_all(folder.join(part)).unwrap();
        }
        gluster.client("mount", &["--bind", &path, &path]);
        gluster.client("mount", &["--make-shared", &path]);
        let config = format!(
            "[node]\nid = \"kube-2\"\nlog_folder = \"{base}/logs\"\nstate_folder = \"{base}/mounts\"\nmounter = \"{base}/mounter.sock\"\n\
             registration = \"{path}/plugins_registry/{DRIVER}-reg.sock\"\n{more}"
        );
        let mut kubelet = Self {
            gluster,
            folder,
            config,
            mounter: None,
            plugin: None,
        };
        kubelet.start_mounter();
        kubelet.start_plugin();
        kubelet
    }

    pub fn start_mounter(&mut self) {
        let socket = self.gluster.path().join("mounter.sock");
        self.mounter = Some(Process::listening(
            self.gluster,
            "mounter",
            &socket,
            &self.config,
        ));
    }

    pub fn start_plugin(&mut self) {
        let socket = self.socket();
        self.plugin = Some(Process::listening(
            self.gluster,
            "node",
            &socket,
            &self.config,
        ));
    }

    pub fn kill_plugin(&mut self) {
        self.plugin.take().unwrap().kill();
    }

    pub fn kill_mounter(&mut self) {
        self.mounter.take().unwrap().kill();
    }

    /// Both at once, whatever they are about.
    pub fn strike(&self) {
        for process in [&self.mounter, &self.plugin].into_iter().flatten() {
            process.strike();
        }
    }

    /// After [`Kubelet::strike`].
    pub fn start_again(&mut self) {
        self.kill_mounter();
        self.kill_plugin();
        self.start_mounter();
        self.start_plugin();
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("plugins/csi.moongate.io/csi.sock")
    }

    /// Finds the plugin by its socket, as kubelet's plugin watcher does; its node's name.
    pub async fn register(&self) -> String {
        let socket = self
            .folder
            .join(format!("plugins_registry/{DRIVER}-reg.sock"));
        let mut client = RegistrationClient::new(channel(&socket));
        let info = client
            .get_info(reg::InfoRequest {})
            .await
            .unwrap()
            .into_inner();
        assert_eq!(
            (info.r#type.as_str(), info.name.as_str()),
            ("CSIPlugin", DRIVER)
        );
        assert_eq!(Path::new(&info.endpoint), self.socket());
        assert!(info.supported_versions.contains(&"1.0.0".to_owned()));
        let status = reg::RegistrationStatus {
            plugin_registered: true,
            error: String::new(),
        };
        client.notify_registration_status(status).await.unwrap();
        let mut node = self.node();
        let info = node.node_get_info(api::NodeGetInfoRequest {});
        info.await.unwrap().into_inner().node_id
    }

    pub fn node(&self) -> NodeClient<Channel> {
        NodeClient::new(channel(&self.socket()))
    }

    pub fn staging(&self, claim: &Claim) -> PathBuf {
        let folder = self.folder.join("plugins/kubernetes.io/csi").join(DRIVER);
        folder.join(claim.id()).join("globalmount")
    }

    pub fn target(&self, claim: &Claim, pod: &str) -> PathBuf {
        let volumes = self.folder.join("pods").join(pod);
        let volumes = volumes.join("volumes/kubernetes.io~csi");
        volumes.join(claim.id()).join("mount")
    }

    pub async fn stage(&self, claim: &Claim) -> Result<(), Status> {
        let staging = self.staging(claim);
        std::fs::create_dir_all(staging.parent().unwrap()).unwrap();
        let request = api::NodeStageVolumeRequest {
            volume_id: claim.id(),
            staging_target_path: text(&staging),
            volume_capability: Some(claim.capability()),
            secrets: claim.secrets.clone(),
            volume_context: claim.volume.volume_context.clone(),
            ..Default::default()
        };
        self.node().node_stage_volume(request).await.map(|_| ())
    }

    pub async fn publish(&self, claim: &Claim, pod: &str, readonly: bool) -> Result<(), Status> {
        let target = self.target(claim, pod);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        let request = api::NodePublishVolumeRequest {
            volume_id: claim.id(),
            staging_target_path: text(&self.staging(claim)),
            target_path: text(&target),
            volume_capability: Some(claim.capability()),
            readonly,
            volume_context: claim.volume.volume_context.clone(),
            ..Default::default()
        };
        self.node().node_publish_volume(request).await.map(|_| ())
    }

    /// What kubelet does with `fsGroup` where the driver's policy is File: all files become the group's.
    pub fn give_to_group(&self, claim: &Claim, pod: &str, gid: u32) {
        let target = text(&self.target(claim, pod));
        let gid = format!(":{gid}");
        self.gluster.client("chown", &["-R", &gid, &target]);
        self.gluster.client("chmod", &["-R", "g+rwX", &target]);
        self.gluster.client("chmod", &["g+s", &target]);
    }

    pub async fn unpublish(&self, claim: &Claim, pod: &str) -> Result<(), Status> {
        let request = api::NodeUnpublishVolumeRequest {
            volume_id: claim.id(),
            target_path: text(&self.target(claim, pod)),
        };
        self.node().node_unpublish_volume(request).await?;
        // kubelet removes the rest of the pod's folder, and complains of what it cannot.
        let gone = std::fs::remove_dir_all(self.folder.join("pods").join(pod));
        assert!(gone.is_ok() || !self.folder.join("pods").join(pod).exists());
        Ok(())
    }

    pub async fn unstage(&self, claim: &Claim) -> Result<(), Status> {
        let staging = self.staging(claim);
        let request = api::NodeUnstageVolumeRequest {
            volume_id: claim.id(),
            staging_target_path: text(&staging),
        };
        self.node().node_unstage_volume(request).await?;
        let _ = std::fs::remove_dir_all(staging.parent().unwrap());
        assert!(!staging.exists(), "kubelet removes the staging folder");
        Ok(())
    }

    /// The one word that tells what is wrong; none for a healthy volume.
    pub async fn reason(&self, claim: &Claim) -> Option<String> {
        let request = api::NodeGetVolumeHealthRequest {
            volume_id: claim.id(),
            ..Default::default()
        };
        let answer = self.node().node_get_volume_health(request).await.unwrap();
        let health = answer.into_inner().volume_health.unwrap();
        let entry = health.health_statuses.into_iter().next()?;
        println!("{}: {}", claim.id(), entry.message);
        Some(entry.reason)
    }

    pub async fn is_healthy(&self, claim: &Claim) {
        until("it is healthy", LIMIT, async || {
            self.reason(claim).await.is_none()
        })
        .await;
    }

    pub async fn becomes(&self, claim: &Claim, reason: &str) {
        until(reason, LIMIT, async || {
            self.reason(claim).await.as_deref() == Some(reason)
        })
        .await;
    }

    /// The FUSE daemon of a claim, as the bed numbers it.
    pub fn daemon(&self, claim: &Claim) -> Option<String> {
        let pattern = format!("^glusterfs .*--volfile-id=/{} ", claim.id());
        let found = self.gluster.client_output("pgrep", &["-f", &pattern]);
        let found = String::from_utf8(found.stdout).unwrap();
        found.lines().next().map(str::to_owned)
    }

    /// Nothing of the driver's is mounted, and it has forgotten everything.
    pub fn nothing_is_left(&self) {
        let mounts = self.gluster.client("cat", &["/proc/self/mountinfo"]);
        assert!(!mounts.contains("fuse.glusterfs"), "{mounts}");
        let records = std::fs::read_dir(self.gluster.path().join("mounts"));
        assert_eq!(records.map_or(0, Iterator::count), 0);
    }
}

/// What the driver said, where a test fails.
impl Drop for Kubelet<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for process in [&self.mounter, &self.plugin].into_iter().flatten() {
            println!("{}", process.log());
        }
        let mounts = self.gluster.client_output("cat", &["/proc/self/mountinfo"]);
        println!("{}", String::from_utf8_lossy(&mounts.stdout));
    }
}

pub fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
