//! kubelet finds the plugin by a socket in its `plugins_registry` folder, and asks it for its name: what the sidecar node-driver-registrar
//! does, without the sidecar.

use moongate_proto::registration as api;
use moongate_proto::registration::registration_server::Registration;
use tonic::{Request, Response, Status};

use crate::identity::DRIVER_NAME;

/// Tells kubelet who is there.
#[derive(Debug, Clone)]
pub struct Registrar {
    /// The CSI socket's path, as kubelet sees it.
    pub endpoint: String,
}

#[tonic::async_trait]
impl Registration for Registrar {
    async fn get_info(
        &self,
        _: Request<api::InfoRequest>,
    ) -> Result<Response<api::PluginInfo>, Status> {
        Ok(Response::new(api::PluginInfo {
            r#type: "CSIPlugin".to_owned(),
            name: DRIVER_NAME.to_owned(),
            endpoint: self.endpoint.clone(),
            supported_versions: vec!["1.0.0".to_owned()],
        }))
    }

    async fn notify_registration_status(
        &self,
        request: Request<api::RegistrationStatus>,
    ) -> Result<Response<api::RegistrationStatusResponse>, Status> {
        let status = request.get_ref();
        if status.plugin_registered {
            tracing::info!("kubelet has registered this plugin");
        } else {
            tracing::error!(
                error = status.error,
                "kubelet refuses this plugin: no pod can use its volumes"
            );
        }
        Ok(Response::new(api::RegistrationStatusResponse {}))
    }
}
