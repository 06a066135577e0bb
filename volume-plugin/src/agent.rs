//! The agent on a gluster node: this node's bricks and its gluster command line, as gRPC calls that may be repeated.

use std::collections::HashMap;

use moongate_proto::agent as api;
use moongate_proto::agent::agent_server::Agent;
use tonic::{Request, Response, Status};

use crate::bricks::Bricks;
use crate::gluster::Gluster;

/// Marks a gluster volume as ours; its value is the size in bytes that was asked for.
pub const SIZE_OPTION: &str = "user.moongate.size";

/// Serves one node.
#[derive(Debug)]
pub struct NodeAgent {
    bricks: Bricks,
    gluster: Gluster,
}

impl NodeAgent {
    /// Over an opened disk.
    #[must_use]
    pub fn new(bricks: Bricks) -> Self {
        Self {
            bricks,
            gluster: Gluster::default(),
        }
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Agent for NodeAgent {
    async fn look(&self, request: Request<api::LookRequest>) -> Answer<api::LookResponse> {
        let room = self.bricks.room()?;
        Ok(Response::new(api::LookResponse {
            free_bytes: room.free_bytes,
            total_bytes: room.total_bytes,
            promised_bytes: room.promised_bytes,
            has_brick: self.bricks.has(&request.get_ref().brick),
        }))
    }

    async fn ensure_brick(
        &self,
        request: Request<api::EnsureBrickRequest>,
    ) -> Answer<api::EnsureBrickResponse> {
        let request = request.into_inner();
        let path = self
            .bricks
            .ensure(&request.name, request.size_bytes, request.gid)
            .await?;
        Ok(Response::new(api::EnsureBrickResponse {
            path: path.display().to_string(),
        }))
    }

    async fn drop_brick(
        &self,
        request: Request<api::DropBrickRequest>,
    ) -> Answer<api::DropBrickResponse> {
        self.bricks.remove(&request.get_ref().name).await?;
        Ok(Response::new(api::DropBrickResponse {}))
    }

    async fn ensure_volume(
        &self,
        request: Request<api::EnsureVolumeRequest>,
    ) -> Answer<api::EnsureVolumeResponse> {
        let request = request.into_inner();
        self.gluster
            .create(&request.name, &request.bricks, request.replica)
            .await?;
        let options = request.options.into_iter().collect();
        self.gluster.set(&request.name, &options).await?;
        self.gluster.start(&request.name).await?;
        Ok(Response::new(api::EnsureVolumeResponse {}))
    }

    async fn set_options(
        &self,
        request: Request<api::SetOptionsRequest>,
    ) -> Answer<api::SetOptionsResponse> {
        let request = request.into_inner();
        let options = request.options.into_iter().collect();
        self.gluster.set(&request.name, &options).await?;
        Ok(Response::new(api::SetOptionsResponse {}))
    }

    async fn drop_volume(
        &self,
        request: Request<api::DropVolumeRequest>,
    ) -> Answer<api::DropVolumeResponse> {
        let bricks = self.gluster.delete(&request.get_ref().name).await?;
        Ok(Response::new(api::DropVolumeResponse { bricks }))
    }

    async fn list_volumes(
        &self,
        _: Request<api::ListVolumesRequest>,
    ) -> Answer<api::ListVolumesResponse> {
        let all = self.gluster.volumes(None).await?;
        let volumes = all.iter().map(|volume| api::Volume {
            name: volume.name.clone(),
            started: volume.started(),
            bricks: volume.bricks(),
            options: volume.options().into_iter().collect::<HashMap<_, _>>(),
        });
        let ours = volumes.filter(|volume| volume.options.contains_key(SIZE_OPTION));
        Ok(Response::new(api::ListVolumesResponse {
            volumes: ours.collect(),
        }))
    }
}
