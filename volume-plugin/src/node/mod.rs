//! CSI's node service: a volume is mounted once a node (stage) and bound into each pod (publish). What is mounted is read from the kernel;
//! every step may be repeated.

pub mod mounts;

use std::path::Path;

use moongate_proto::csi as api;
use moongate_proto::csi::node_server::Node;
use tonic::{Request, Response, Status};

use crate::busy::Busy;
use crate::controller::SERVERS;
use crate::error::{Error, Result};
use crate::request::{check_capability, required};
use mounts::Client;

/// Serves it on one node.
#[derive(Debug, Clone)]
pub struct NodeService {
    node_id: String,
    client: Client,
    busy: Busy,
}

impl NodeService {
    /// For the node of this name; logs of gluster's client go below a folder.
    #[must_use]
    pub fn new(node_id: String, client: Client) -> Self {
        Self {
            node_id,
            client,
            busy: Busy::default(),
        }
    }

    async fn stage(&self, asked: &api::NodeStageVolumeRequest) -> Result<()> {
        let id = required("volume_id", &asked.volume_id)?;
        let target = Path::new(required("staging_target_path", &asked.staging_target_path)?);
        let capability = asked.volume_capability.as_ref();
        let capability = capability
            .ok_or_else(|| Error::Invalid("volume_capability: it is missing".to_owned()))?;
        check_capability(capability)?;
        let servers = asked.volume_context.get(SERVERS);
        let servers = servers.ok_or_else(|| {
            Error::Invalid(format!(
                "volume_context: {SERVERS:?} is missing: the gluster hosts, comma between them"
            ))
        })?;
        let _held = self.busy.hold(id)?;
        self.client
            .mount(id, servers, flags(capability), target)
            .await
    }

    async fn unstage(&self, asked: &api::NodeUnstageVolumeRequest) -> Result<()> {
        let id = required("volume_id", &asked.volume_id)?;
        let target = Path::new(required("staging_target_path", &asked.staging_target_path)?);
        let _held = self.busy.hold(id)?;
        mounts::unmount(target).await
    }

    async fn publish(&self, asked: &api::NodePublishVolumeRequest) -> Result<()> {
        let id = required("volume_id", &asked.volume_id)?;
        let target = Path::new(required("target_path", &asked.target_path)?);
        let capability = asked.volume_capability.as_ref();
        let capability = capability
            .ok_or_else(|| Error::Invalid("volume_capability: it is missing".to_owned()))?;
        check_capability(capability)?;
        if asked.staging_target_path.is_empty() {
            return Err(Error::NotNow(
                "staging_target_path: it is missing: stage the volume first".to_owned(),
            ));
        }
        let _held = self.busy.hold(id)?;
        mounts::bind(
            id,
            Path::new(&asked.staging_target_path),
            target,
            asked.readonly,
        )
        .await
    }

    async fn unpublish(&self, asked: &api::NodeUnpublishVolumeRequest) -> Result<()> {
        let id = required("volume_id", &asked.volume_id)?;
        let target = Path::new(required("target_path", &asked.target_path)?);
        let _held = self.busy.hold(id)?;
        mounts::unmount(target).await?;
        match tokio::fs::remove_dir(target).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::Internal(format!("{}: {error}", target.display())))
            }
            _ => Ok(()),
        }
    }
}

fn flags(capability: &api::VolumeCapability) -> &[String] {
    match &capability.access_type {
        Some(api::volume_capability::AccessType::Mount(mount)) => &mount.mount_flags,
        _ => &[],
    }
}

type Answer<T> = std::result::Result<Response<T>, Status>;

#[tonic::async_trait]
impl Node for NodeService {
    async fn node_stage_volume(
        &self,
        request: Request<api::NodeStageVolumeRequest>,
    ) -> Answer<api::NodeStageVolumeResponse> {
        self.stage(request.get_ref()).await?;
        Ok(Response::new(api::NodeStageVolumeResponse {}))
    }

    async fn node_unstage_volume(
        &self,
        request: Request<api::NodeUnstageVolumeRequest>,
    ) -> Answer<api::NodeUnstageVolumeResponse> {
        self.unstage(request.get_ref()).await?;
        Ok(Response::new(api::NodeUnstageVolumeResponse {}))
    }

    async fn node_publish_volume(
        &self,
        request: Request<api::NodePublishVolumeRequest>,
    ) -> Answer<api::NodePublishVolumeResponse> {
        self.publish(request.get_ref()).await?;
        Ok(Response::new(api::NodePublishVolumeResponse {}))
    }

    async fn node_unpublish_volume(
        &self,
        request: Request<api::NodeUnpublishVolumeRequest>,
    ) -> Answer<api::NodeUnpublishVolumeResponse> {
        self.unpublish(request.get_ref()).await?;
        Ok(Response::new(api::NodeUnpublishVolumeResponse {}))
    }

    async fn node_get_volume_stats(
        &self,
        request: Request<api::NodeGetVolumeStatsRequest>,
    ) -> Answer<api::NodeGetVolumeStatsResponse> {
        let asked = request.get_ref();
        required("volume_id", &asked.volume_id)?;
        let path = required("volume_path", &asked.volume_path)?;
        let usage = mounts::usage(&asked.volume_id, Path::new(path)).await?;
        Ok(Response::new(api::NodeGetVolumeStatsResponse { usage }))
    }

    async fn node_get_capabilities(
        &self,
        _: Request<api::NodeGetCapabilitiesRequest>,
    ) -> Answer<api::NodeGetCapabilitiesResponse> {
        use api::node_service_capability::{Rpc, Type, rpc};
        let served = [rpc::Type::StageUnstageVolume, rpc::Type::GetVolumeStats];
        let capability = |kind: rpc::Type| api::NodeServiceCapability {
            r#type: Some(Type::Rpc(Rpc {
                r#type: kind.into(),
            })),
        };
        Ok(Response::new(api::NodeGetCapabilitiesResponse {
            capabilities: served.map(capability).to_vec(),
        }))
    }

    async fn node_get_info(
        &self,
        _: Request<api::NodeGetInfoRequest>,
    ) -> Answer<api::NodeGetInfoResponse> {
        Ok(Response::new(api::NodeGetInfoResponse {
            node_id: self.node_id.clone(),
            max_volumes_per_node: 0,
        }))
    }
}
