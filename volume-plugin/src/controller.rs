//! CSI's controller service over a [`Provisioner`]. It keeps no state but what is under way.

use std::collections::HashMap;
use std::sync::Arc;

use moongate_proto::csi as api;
use moongate_proto::csi::controller_server::Controller;
use tonic::{Request, Response, Status};

use crate::busy::Busy;
use crate::error::{Error, Result};
use crate::provisioner::parameters::Parameters;
use crate::provisioner::{Provisioner, Volume};
use crate::request;

/// Key in a volume's context: the hosts that a client may ask, comma between them.
pub const SERVERS: &str = "servers";

/// Serves it.
#[derive(Clone)]
pub struct ControllerService {
    provisioner: Arc<dyn Provisioner>,
    busy: Busy,
}

impl ControllerService {
    /// Over one provisioner.
    #[must_use]
    pub fn new(provisioner: Arc<dyn Provisioner>) -> Self {
        Self {
            provisioner,
            busy: Busy::default(),
        }
    }

    async fn create(&self, asked: &api::CreateVolumeRequest) -> Result<Volume> {
        let id = request::volume_id(&asked.name)?;
        request::check_capabilities(&asked.volume_capabilities)?;
        let parameters = Parameters::read(&asked.parameters)?;
        if asked.volume_content_source.is_some() {
            return Err(Error::Invalid(
                "snapshots and clones are not served: make the volume without a source".to_owned(),
            ));
        }
        let range = asked.capacity_range.as_ref();
        let size_bytes = request::size_bytes(range)?;
        let _held = self.busy.hold(&id)?;
        let volume = self
            .provisioner
            .create(&id, size_bytes, &parameters)
            .await?;
        request::check_size(range, &id, volume.size_bytes)?;
        Ok(volume)
    }

    async fn expand(&self, asked: &api::ControllerExpandVolumeRequest) -> Result<Volume> {
        let id = request::required("volume_id", &asked.volume_id)?;
        let range = asked.capacity_range.as_ref();
        if range.is_none() {
            return Err(Error::Invalid("capacity_range: it is missing".to_owned()));
        }
        asked
            .volume_capability
            .as_ref()
            .map_or(Ok(()), request::check_capability)?;
        let size_bytes = request::size_bytes(range)?;
        let _held = self.busy.hold(id)?;
        self.provisioner.expand(id, size_bytes).await
    }

    async fn exists(&self, id: &str) -> Result<()> {
        request::required("volume_id", id)?;
        let there = self
            .provisioner
            .list()
            .await?
            .iter()
            .any(|volume| volume.id == id);
        if there {
            Ok(())
        } else {
            Err(Error::NotFound(format!("there is no volume {id}")))
        }
    }
}

type Answer<T> = std::result::Result<Response<T>, Status>;

#[tonic::async_trait]
impl Controller for ControllerService {
    async fn create_volume(
        &self,
        request: Request<api::CreateVolumeRequest>,
    ) -> Answer<api::CreateVolumeResponse> {
        let volume = self.create(request.get_ref()).await?;
        Ok(Response::new(api::CreateVolumeResponse {
            volume: Some(entry(&volume)),
        }))
    }

    async fn delete_volume(
        &self,
        request: Request<api::DeleteVolumeRequest>,
    ) -> Answer<api::DeleteVolumeResponse> {
        let id = request::required("volume_id", &request.get_ref().volume_id)?;
        let _held = self.busy.hold(id)?;
        // What is not named as ours are was never ours: it is as good as gone, and not touched.
        if id.starts_with("mg-") || id.starts_with("mgh-") {
            self.provisioner.delete(id).await?;
        }
        Ok(Response::new(api::DeleteVolumeResponse {}))
    }

    async fn validate_volume_capabilities(
        &self,
        request: Request<api::ValidateVolumeCapabilitiesRequest>,
    ) -> Answer<api::ValidateVolumeCapabilitiesResponse> {
        use api::validate_volume_capabilities_response::Confirmed;
        let asked = request.into_inner();
        if asked.volume_capabilities.is_empty() {
            return Err(
                Error::Invalid("volume_capabilities: at least one is needed".to_owned()).into(),
            );
        }
        self.exists(&asked.volume_id).await?;
        let refused = request::check_capabilities(&asked.volume_capabilities).err();
        let confirmed = Confirmed {
            volume_context: asked.volume_context,
            volume_capabilities: asked.volume_capabilities,
            parameters: asked.parameters,
        };
        Ok(Response::new(api::ValidateVolumeCapabilitiesResponse {
            confirmed: refused.is_none().then_some(confirmed),
            message: refused.map(|error| error.to_string()).unwrap_or_default(),
        }))
    }

    async fn list_volumes(
        &self,
        request: Request<api::ListVolumesRequest>,
    ) -> Answer<api::ListVolumesResponse> {
        let asked = request.get_ref();
        let max = usize::try_from(asked.max_entries)
            .map_err(|_| Error::Invalid("max_entries: below 0".to_owned()))?;
        let volumes = self.provisioner.list().await?;
        Ok(Response::new(page(&volumes, max, &asked.starting_token)?))
    }

    async fn get_capacity(
        &self,
        request: Request<api::GetCapacityRequest>,
    ) -> Answer<api::GetCapacityResponse> {
        let asked = request.get_ref();
        let parameters = Parameters::read(&asked.parameters)?;
        let served = asked
            .volume_capabilities
            .iter()
            .all(|capability| request::check_capability(capability).is_ok());
        let bytes = if served {
            self.provisioner.capacity(&parameters).await?
        } else {
            0
        };
        let available_capacity = i64::try_from(bytes).unwrap_or(i64::MAX);
        Ok(Response::new(api::GetCapacityResponse {
            available_capacity,
            ..Default::default()
        }))
    }

    async fn controller_get_capabilities(
        &self,
        _: Request<api::ControllerGetCapabilitiesRequest>,
    ) -> Answer<api::ControllerGetCapabilitiesResponse> {
        use api::controller_service_capability::{Rpc, Type, rpc};
        let served = [
            rpc::Type::CreateDeleteVolume,
            rpc::Type::ListVolumes,
            rpc::Type::GetCapacity,
            rpc::Type::ExpandVolume,
            rpc::Type::SingleNodeMultiWriter,
        ];
        let capability = |kind: rpc::Type| api::ControllerServiceCapability {
            r#type: Some(Type::Rpc(Rpc {
                r#type: kind.into(),
            })),
        };
        Ok(Response::new(api::ControllerGetCapabilitiesResponse {
            capabilities: served.map(capability).to_vec(),
        }))
    }

    async fn controller_expand_volume(
        &self,
        request: Request<api::ControllerExpandVolumeRequest>,
    ) -> Answer<api::ControllerExpandVolumeResponse> {
        let volume = self.expand(request.get_ref()).await?;
        Ok(Response::new(api::ControllerExpandVolumeResponse {
            capacity_bytes: signed(volume.size_bytes),
            node_expansion_required: false,
        }))
    }
}

/// Pages go by id; the token is the last id of the page before, so that what is made or deleted in between moves nothing.
fn page(volumes: &[Volume], max: usize, token: &str) -> Result<api::ListVolumesResponse> {
    if !token.is_empty() && !token.starts_with("after:") {
        return Err(Error::Busy(format!(
            "starting_token: {token:?} is none of ours: begin again without one"
        )));
    }
    let after = token.strip_prefix("after:").unwrap_or_default();
    let mut rest = volumes.iter().filter(|volume| volume.id.as_str() > after);
    let max = if max == 0 { usize::MAX } else { max };
    let taken: Vec<&Volume> = rest.by_ref().take(max).collect();
    let more = rest.next().is_some();
    let last = taken.last().filter(|_| more);
    Ok(api::ListVolumesResponse {
        next_token: last
            .map(|volume| format!("after:{}", volume.id))
            .unwrap_or_default(),
        entries: taken
            .iter()
            .map(|volume| api::list_volumes_response::Entry {
                volume: Some(entry(volume)),
                status: None,
            })
            .collect(),
    })
}

fn entry(volume: &Volume) -> api::Volume {
    api::Volume {
        capacity_bytes: signed(volume.size_bytes),
        volume_id: volume.id.clone(),
        volume_context: HashMap::from([(SERVERS.to_owned(), volume.servers.join(","))]),
        content_source: None,
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn volumes(ids: &[&str]) -> Vec<Volume> {
        let volume = |id: &&str| Volume {
            id: (*id).to_owned(),
            size_bytes: 1,
            servers: Vec::new(),
        };
        ids.iter().map(volume).collect()
    }

    #[test]
    fn pages_cover_everything_once_though_volumes_go() {
        let first = page(&volumes(&["a", "b", "c"]), 2, "").unwrap();
        assert_eq!(
            (first.entries.len(), first.next_token.as_str()),
            (2, "after:b")
        );
        let second = page(&volumes(&["a", "c"]), 2, &first.next_token).unwrap();
        assert_eq!((second.entries.len(), second.next_token.as_str()), (1, ""));
        assert!(matches!(page(&[], 0, "invalid-token"), Err(Error::Busy(_))));
    }
}
