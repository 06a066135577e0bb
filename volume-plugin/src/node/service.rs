//! The node service's gRPC side.

use moongate_proto::csi as api;
use moongate_proto::csi::node_server::Node;
use tonic::{Request, Response, Status};

use super::NodeService;

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
        Ok(Response::new(self.stats(request.get_ref()).await?))
    }

    async fn node_get_volume_health(
        &self,
        request: Request<api::NodeGetVolumeHealthRequest>,
    ) -> Answer<api::NodeGetVolumeHealthResponse> {
        let volume_health = Some(self.health(request.get_ref()).await?);
        Ok(Response::new(api::NodeGetVolumeHealthResponse {
            volume_health,
        }))
    }

    async fn node_expand_volume(
        &self,
        request: Request<api::NodeExpandVolumeRequest>,
    ) -> Answer<api::NodeExpandVolumeResponse> {
        let capacity_bytes = self.expand(request.get_ref()).await?;
        Ok(Response::new(api::NodeExpandVolumeResponse {
            capacity_bytes,
        }))
    }

    async fn node_get_capabilities(
        &self,
        _: Request<api::NodeGetCapabilitiesRequest>,
    ) -> Answer<api::NodeGetCapabilitiesResponse> {
        use api::node_service_capability::{Rpc, Type, rpc};
        let served = [
            rpc::Type::StageUnstageVolume,
            rpc::Type::GetVolumeStats,
            rpc::Type::ExpandVolume,
            rpc::Type::VolumeCondition,
            rpc::Type::SingleNodeMultiWriter,
            rpc::Type::GetVolumeHealth,
        ];
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
