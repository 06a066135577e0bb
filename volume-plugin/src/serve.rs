//! Starting the roles: sockets, TLS, services, and the end on SIGTERM.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use moongate_proto::agent::agent_client::AgentClient;
use moongate_proto::agent::agent_server::AgentServer;
use moongate_proto::csi::controller_server::ControllerServer;
use moongate_proto::csi::identity_server::IdentityServer;
use moongate_proto::csi::node_server::NodeServer;
use moongate_proto::mounter::mounter_server::MounterServer;
use moongate_proto::registration::registration_server::RegistrationServer;
use rustls::ClientConfig;
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::server::Router;
use tonic::transport::{Endpoint, Server};

use crate::agent::NodeAgent;
use crate::bricks::Bricks;
use crate::config::{AgentAddress, Config, NodeConfig};
use crate::controller::ControllerService;
use crate::identity::Driver;
use crate::mounter::Mounts;
use crate::mounter::service::{Holder, MounterService, watch};
use crate::node::NodeService;
use crate::node::ephemeral::Ephemeral;
use crate::provisioner::image::{CALL_LIMIT, Image, Node};
use crate::registration::Registrar;
use crate::tls::Reread;
use crate::tls_streams::{Connector, accept};

const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// What a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// CSI's identity and controller services: once a cluster
    Controller,
    /// CSI's identity and node services: on each Kubernetes node
    Node,
    /// Bricks and gluster's command line: on each gluster node
    Agent,
    /// The node's FUSE mounts, which stay when the node service is upgraded or killed
    Mounter,
    /// Controller and node on one socket
    All,
}

/// Where it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// A socket file.
    Unix(PathBuf),
    /// An address and port; agents only, with TLS.
    Tcp(std::net::SocketAddr),
}

/// Reads `unix:///path` or `tcp://ADDRESS:PORT`.
///
/// # Errors
/// In words, for anything else.
pub fn endpoint(text: &str) -> Result<Listen, String> {
    if let Some(path) = text
        .strip_prefix("unix://")
        .filter(|path| path.starts_with('/'))
    {
        return Ok(Listen::Unix(path.into()));
    }
    let address = text
        .strip_prefix("tcp://")
        .and_then(|address| address.parse().ok());
    address
        .map(Listen::Tcp)
        .ok_or_else(|| format!("{text} is neither unix:///PATH nor tcp://ADDRESS:PORT"))
}

/// Serves a role until SIGTERM or SIGINT.
///
/// # Errors
/// What keeps it from starting, with what to do.
pub async fn serve(role: Role, listen: Listen, config: Config) -> anyhow::Result<()> {
    let router = match role {
        Role::Agent => agent(&config, &listen).await?,
        Role::Mounter => mounter(&config, &listen).await?,
        _ => driver(role, &config, &listen).await?,
    };
    tracing::info!(?role, ?listen, "serving");
    match listen {
        Listen::Unix(path) => {
            let socket = bind(&path)?;
            router
                .serve_with_incoming_shutdown(UnixListenerStream::new(socket), ended())
                .await?;
            let _ = std::fs::remove_file(&path);
        }
        Listen::Tcp(address) => {
            let tls = config.tls.context("over TCP [tls] is wanted")?;
            let tls = Arc::new(Reread::server(tls)?);
            let listener = TcpListener::bind(address).await?;
            let incoming = accept(listener, tls);
            router
                .serve_with_incoming_shutdown(incoming, ended())
                .await?;
        }
    }
    Ok(())
}

async fn agent(config: &Config, listen: &Listen) -> anyhow::Result<Router> {
    let Some(agent) = &config.agent else {
        bail!("[agent] with its `disk` is missing in the configuration")
    };
    if matches!(listen, Listen::Tcp(_)) && config.tls.is_none() {
        bail!(
            "an agent may do everything to gluster: over TCP it wants [tls], or listen on unix:///PATH"
        );
    }
    let bricks = Bricks::open(&agent.disk).await?;
    Ok(Server::builder().add_service(AgentServer::new(NodeAgent::new(bricks))))
}

async fn driver(role: Role, config: &Config, listen: &Listen) -> anyhow::Result<Router> {
    if matches!(listen, Listen::Tcp(_)) {
        bail!("CSI has no way to tell who calls: listen on unix:///PATH");
    }
    let (has_controller, has_node) = (role != Role::Node, role != Role::Controller);
    let mut router = Server::builder().add_service(IdentityServer::new(Driver { has_controller }));
    if has_controller {
        if config.agents.is_empty() {
            bail!(
                "[[agents]] is missing in the configuration: the gluster nodes with their agents' addresses"
            );
        }
        let tls = config.tls.clone().map(Reread::client).transpose()?;
        let tls = tls.map(Arc::new);
        let nodes = config.agents.iter();
        let nodes = nodes.map(|agent| connect(agent, tls.as_ref()));
        let image = Image::new(nodes.collect::<anyhow::Result<_>>()?);
        router = router.add_service(ControllerServer::new(ControllerService::new(Arc::new(
            image,
        ))));
    }
    if has_node {
        router = router.add_service(NodeServer::new(node(&config.node, listen).await?));
    }
    Ok(router)
}

async fn mounter(config: &Config, listen: &Listen) -> anyhow::Result<Router> {
    if matches!(listen, Listen::Tcp(_)) {
        bail!("whoever calls may mount: listen on unix:///PATH");
    }
    let mounts = own_mounts(&config.node).await?;
    Ok(Server::builder().add_service(MounterServer::new(MounterService(mounts))))
}

/// Looked after from now on.
async fn own_mounts(config: &NodeConfig) -> anyhow::Result<Mounts> {
    let mounts = Mounts::new(config.state_folder.clone(), config.log_folder.clone());
    mounts.prepare().await?;
    watch(mounts.clone());
    Ok(mounts)
}

async fn node(config: &NodeConfig, listen: &Listen) -> anyhow::Result<NodeService> {
    let node_id = config.id.clone().map_or_else(host_name, Ok)?;
    let holder = match &config.mounter {
        Some(socket) => Holder::other(socket)?,
        None => Holder::Own(own_mounts(config).await?),
    };
    if let (Some(socket), Listen::Unix(path)) = (&config.registration, listen) {
        let endpoint = config.kubelet_endpoint.clone();
        let endpoint = endpoint.unwrap_or_else(|| path.display().to_string());
        register(socket, endpoint)?;
    }
    let ephemeral = config.ephemeral.clone().map(Ephemeral::new);
    let state_folder = config.state_folder.clone();
    Ok(NodeService::new(node_id, holder, state_folder, ephemeral))
}

/// kubelet looks for the socket, and calls.
fn register(socket: &Path, endpoint: String) -> anyhow::Result<()> {
    let incoming = UnixListenerStream::new(bind(socket)?);
    let service = RegistrationServer::new(Registrar { endpoint });
    let router = Server::builder().add_service(service);
    tokio::spawn(async move {
        if let Err(error) = router.serve_with_incoming(incoming).await {
            tracing::error!(%error, "registration with kubelet ended: restart this process");
        }
    });
    Ok(())
}

/// Connects when it is first called, and again whenever the agent comes back.
fn connect(agent: &AgentAddress, tls: Option<&Arc<Reread<ClientConfig>>>) -> anyhow::Result<Node> {
    // TLS is the connector's: tonic's own would read the certificates once only.
    let plain = agent.address.strip_prefix("https://");
    let address = plain.map_or_else(|| agent.address.clone(), |rest| format!("http://{rest}"));
    let endpoint = Endpoint::from_shared(address)
        .with_context(|| format!("agents: {}", agent.address))?
        .connect_timeout(CONNECT_LIMIT)
        .timeout(CALL_LIMIT);
    let channel = match (plain, tls) {
        (None, _) if agent.address.starts_with("unix:") => endpoint.connect_lazy(),
        (Some(_), Some(tls)) => endpoint.connect_with_connector_lazy(Connector::new(tls.clone())),
        _ => bail!(
            "agents: {} wants https:// and [tls], or unix:///PATH",
            agent.address
        ),
    };
    Ok(Node {
        host: agent.host.clone(),
        agent: AgentClient::new(channel),
    })
}

/// A socket file that a killed process left is taken over; only root may connect.
fn bind(path: &Path) -> anyhow::Result<UnixListener> {
    use std::os::unix::fs::PermissionsExt;
    let _ = std::fs::remove_file(path);
    let socket = UnixListener::bind(path).with_context(|| format!("{}", path.display()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(socket)
}

/// As the DaemonSet says it, or the host's.
fn host_name() -> anyhow::Result<String> {
    if let Some(name) = std::env::var("NODE_NAME")
        .ok()
        .filter(|name| !name.is_empty())
    {
        return Ok(name);
    }
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .context("the host's name: set node.id")?;
    Ok(name.trim().to_owned())
}

async fn ended() {
    let Ok(mut term) = signal(SignalKind::terminate()) else {
        return;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_socket_files_or_addresses() {
        assert_eq!(
            endpoint("unix:///run/a.sock"),
            Ok(Listen::Unix("/run/a.sock".into()))
        );
        assert!(matches!(
            endpoint("tcp://127.0.0.1:9340"),
            Ok(Listen::Tcp(_))
        ));
        assert!(endpoint("unix://a.sock").is_err() && endpoint("127.0.0.1:9340").is_err());
    }
}
