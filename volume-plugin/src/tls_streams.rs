//! Connections of [`crate::tls`] for tonic: what an agent accepts, and what a controller opens. A side whose role is wrong hears nothing.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Context as _;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};
use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::{Service, http::Uri};

use crate::tls::{AGENT, CONTROLLER, Reread, check_role};

const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Shaken hands with, and not yet taken by the server.
const WAITING_MAX: usize = 16;
/// The listener is out of files, for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

type Accepted = std::io::Result<server::TlsStream<TcpStream>>;

/// Connections of controllers. Hands are shaken beside one another, so that a silent caller keeps nobody waiting.
#[must_use]
pub fn accept(
    listener: TcpListener,
    config: Arc<Reread<ServerConfig>>,
) -> ReceiverStream<Accepted> {
    let (sender, accepted) = mpsc::channel(WAITING_MAX);
    tokio::spawn(async move {
        while !sender.is_closed() {
            let Ok((stream, from)) = listener.accept().await else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let (sender, config) = (sender.clone(), config.now());
            tokio::spawn(async move {
                match shake(stream, config).await {
                    Ok(stream) => drop(sender.send(Ok(stream)).await),
                    Err(error) => {
                        tracing::warn!(%from, error = format!("{error:#}"), "a caller was refused");
                    }
                }
            });
        }
    });
    ReceiverStream::new(accepted)
}

async fn shake(
    stream: TcpStream,
    config: Arc<ServerConfig>,
) -> anyhow::Result<server::TlsStream<TcpStream>> {
    let hands = TlsAcceptor::from(config).accept(stream);
    let stream = tokio::time::timeout(HANDSHAKE_LIMIT, hands)
        .await
        .context("it did not finish its handshake in time")??;
    check_role(stream.get_ref().1.peer_certificates(), CONTROLLER)?;
    Ok(stream)
}

/// Opens connections to agents.
#[derive(Debug, Clone)]
pub struct Connector {
    config: Arc<Reread<ClientConfig>>,
}

impl Connector {
    /// With a controller's certificate.
    #[must_use]
    pub fn new(config: Arc<Reread<ClientConfig>>) -> Self {
        Self { config }
    }
}

type Opened = TokioIo<client::TlsStream<TcpStream>>;
type Opening = Pin<Box<dyn Future<Output = Result<Opened, BoxError>> + Send>>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Service<Uri> for Connector {
    type Response = Opened;
    type Error = BoxError;
    type Future = Opening;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Opening {
        let config = self.config.now();
        Box::pin(async move { Ok(TokioIo::new(open(&to, config).await?)) })
    }
}

async fn open(to: &Uri, config: Arc<ClientConfig>) -> anyhow::Result<client::TlsStream<TcpStream>> {
    let host = to.host().context("an agent's address wants a host")?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = to
        .port_u16()
        .context("an agent's address wants a port: https://HOST:PORT")?;
    let name = ServerName::try_from(host.to_owned())?;
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    let stream = TlsConnector::from(config).connect(name, stream).await?;
    check_role(stream.get_ref().1.peer_certificates(), AGENT)?;
    Ok(stream)
}
