//! The mounter as gRPC calls, and its watch.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use moongate_proto::mounter as api;
use moongate_proto::mounter::mounter_client::MounterClient;
use moongate_proto::mounter::mounter_server::Mounter;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};

use super::Mounts;
use super::bind::Bind;
use super::health::Health;
use super::record::{Keys, Record};
use crate::error::{Error, Result};

const WATCH_INTERVAL: Duration = Duration::from_secs(1);
const WATCH_INTERVAL_MAX: Duration = Duration::from_secs(30);
/// Longer than the mounter takes for its slowest step.
const CALL_LIMIT: Duration = Duration::from_secs(100);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Looks after the mounts for as long as the process lives. One that cannot be mended is tried again ever more rarely.
pub fn watch(mounts: Mounts) {
    tokio::spawn(async move {
        let mut later: HashMap<PathBuf, (Duration, Instant)> = HashMap::new();
        loop {
            let targets = mounts.targets();
            later.retain(|target, _| targets.contains(target));
            for target in targets {
                if later
                    .get(&target)
                    .is_some_and(|(_, at)| Instant::now() < *at)
                {
                    continue;
                }
                let Err(error) = mounts.look_after(&target).await else {
                    later.remove(&target);
                    continue;
                };
                let last = later
                    .get(&target)
                    .map_or(WATCH_INTERVAL, |(pause, _)| *pause);
                let pause = (last * 2).min(WATCH_INTERVAL_MAX);
                tracing::warn!(target = %target.display(), %error, ?pause, "a dead mount is not mended yet");
                later.insert(target, (pause, Instant::now() + pause));
            }
            tokio::time::sleep(WATCH_INTERVAL).await;
        }
    });
}

/// Who mounts for the node service.
#[derive(Debug, Clone)]
pub enum Holder {
    /// This process: mounts end with it where it has a container of its own.
    Own(Mounts),
    /// A process that outlives this one.
    Other(MounterClient<Channel>),
}

impl Holder {
    /// The mounter that listens at a socket file.
    ///
    /// # Errors
    /// Where the path is none.
    pub fn other(socket: &std::path::Path) -> anyhow::Result<Self> {
        let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display()))?
            .connect_timeout(CONNECT_LIMIT)
            .timeout(CALL_LIMIT);
        Ok(Self::Other(MounterClient::new(endpoint.connect_lazy())))
    }

    /// As [`Mounts::mount`].
    ///
    /// # Errors
    /// As [`Mounts::mount`]; `Unavailable` where the mounter does not answer.
    pub async fn mount(&self, wanted: &Record, keys: Option<&Keys>) -> Result<()> {
        let mut client = match self {
            Self::Own(mounts) => return mounts.mount(wanted, keys).await,
            Self::Other(client) => client.clone(),
        };
        let keys = keys.map(|keys| api::Keys {
            certificate: keys.certificate.clone(),
            key: keys.key.clone(),
            authority: keys.authority.clone(),
        });
        let request = api::MountRequest {
            id: wanted.id.clone(),
            volume: wanted.volume.clone(),
            servers: wanted.servers.clone(),
            flags: wanted.flags.clone(),
            target: text(&wanted.target)?,
            keys,
        };
        client.mount(request).await.map_err(told)?;
        Ok(())
    }

    /// As [`Mounts::bind`].
    ///
    /// # Errors
    /// As [`Mounts::bind`]; `Unavailable` where the mounter does not answer.
    pub async fn bind(&self, wanted: &Bind) -> Result<()> {
        let mut client = match self {
            Self::Own(mounts) => return mounts.bind(wanted).await,
            Self::Other(client) => client.clone(),
        };
        let request = api::BindRequest {
            mounted: text(&wanted.mounted)?,
            folder: text(&wanted.folder)?,
            target: text(&wanted.target)?,
            read_only: wanted.read_only,
        };
        client.bind(request).await.map_err(told)?;
        Ok(())
    }

    /// As [`Mounts::unmount`].
    ///
    /// # Errors
    /// As [`Mounts::unmount`]; `Unavailable` where the mounter does not answer.
    pub async fn unmount(&self, target: &std::path::Path) -> Result<()> {
        let mut client = match self {
            Self::Own(mounts) => return mounts.unmount(target).await,
            Self::Other(client) => client.clone(),
        };
        let target = text(target)?;
        let request = api::UnmountRequest { target };
        client.unmount(request).await.map_err(told)?;
        Ok(())
    }

    /// As [`Mounts::look`].
    ///
    /// # Errors
    /// As [`Mounts::look`]; `Unavailable` where the mounter does not answer.
    pub async fn look(&self, id: &str) -> Result<Health> {
        let mut client = match self {
            Self::Own(mounts) => return mounts.look(id).await,
            Self::Other(client) => client.clone(),
        };
        let request = api::LookRequest { id: id.to_owned() };
        let answer = client.look(request).await.map_err(told)?.into_inner();
        Ok(Health::new(answer.state(), answer.message))
    }
}

fn told(status: Status) -> Error {
    let text = format!("mounter: {}", status.message());
    Error::from(Status::new(status.code(), text))
}

fn text(path: &std::path::Path) -> Result<String> {
    path.to_str()
        .map(str::to_owned)
        .ok_or_else(|| Error::Invalid(format!("{} is not UTF-8", path.display())))
}

/// Serves one node's mounts on a socket that only root may open.
#[derive(Debug)]
pub struct MounterService(pub Mounts);

type Answer<T> = std::result::Result<Response<T>, Status>;

#[tonic::async_trait]
impl Mounter for MounterService {
    async fn mount(&self, request: Request<api::MountRequest>) -> Answer<api::MountResponse> {
        let request = request.into_inner();
        let keys = request.keys.map(|keys| Keys {
            certificate: keys.certificate,
            key: keys.key,
            authority: keys.authority,
        });
        let record = Record {
            id: request.id,
            volume: request.volume,
            servers: request.servers,
            flags: request.flags,
            target: PathBuf::from(request.target),
            tls: keys.is_some(),
            dead: Vec::new(),
        };
        self.0.mount(&record, keys.as_ref()).await?;
        Ok(Response::new(api::MountResponse {}))
    }

    async fn bind(&self, request: Request<api::BindRequest>) -> Answer<api::BindResponse> {
        let request = request.into_inner();
        let wanted = Bind {
            mounted: request.mounted.into(),
            folder: request.folder.into(),
            target: request.target.into(),
            read_only: request.read_only,
        };
        self.0.bind(&wanted).await?;
        Ok(Response::new(api::BindResponse {}))
    }

    async fn unmount(&self, request: Request<api::UnmountRequest>) -> Answer<api::UnmountResponse> {
        self.0
            .unmount(std::path::Path::new(&request.get_ref().target))
            .await?;
        Ok(Response::new(api::UnmountResponse {}))
    }

    async fn look(&self, request: Request<api::LookRequest>) -> Answer<api::LookResponse> {
        let health = self.0.look(&request.get_ref().id).await?;
        Ok(Response::new(api::LookResponse {
            state: health.state.into(),
            message: health.message,
        }))
    }
}
