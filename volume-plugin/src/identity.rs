//! CSI's identity service: name, version, what is served, and whether it can work.

use moongate_proto::csi as api;
use moongate_proto::csi::identity_server::Identity;
use tonic::{Request, Response, Status};

/// The name in StorageClasses and PVs.
pub const DRIVER_NAME: &str = "csi.moongate.io";

/// What this process serves.
#[derive(Debug, Clone, Copy)]
pub struct Driver {
    /// The controller service is served beside it.
    pub has_controller: bool,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Identity for Driver {
    async fn get_plugin_info(
        &self,
        _: Request<api::GetPluginInfoRequest>,
    ) -> Answer<api::GetPluginInfoResponse> {
        Ok(Response::new(api::GetPluginInfoResponse {
            name: DRIVER_NAME.to_owned(),
            vendor_version: env!("CARGO_PKG_VERSION").to_owned(),
            ..Default::default()
        }))
    }

    async fn get_plugin_capabilities(
        &self,
        _: Request<api::GetPluginCapabilitiesRequest>,
    ) -> Answer<api::GetPluginCapabilitiesResponse> {
        use api::plugin_capability::{Service, Type, VolumeExpansion, service, volume_expansion};
        let service = Type::Service(Service {
            r#type: service::Type::ControllerService.into(),
        });
        let online = Type::VolumeExpansion(VolumeExpansion {
            r#type: volume_expansion::Type::Online.into(),
        });
        let types = if self.has_controller {
            vec![service, online]
        } else {
            Vec::new()
        };
        let capabilities = types
            .into_iter()
            .map(|kind| api::PluginCapability { r#type: Some(kind) });
        Ok(Response::new(api::GetPluginCapabilitiesResponse {
            capabilities: capabilities.collect(),
        }))
    }

    async fn probe(&self, _: Request<api::ProbeRequest>) -> Answer<api::ProbeResponse> {
        Ok(Response::new(api::ProbeResponse { ready: Some(true) }))
    }
}
