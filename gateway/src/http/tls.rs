//! The handshake of a connection that speaks TLS. The deadline on writes lies below it, on the socket.

use std::io;
use std::sync::Arc;

use moongate_auth::tls::{ClientCertificate, Tls, certificate_of};
use tokio_rustls::server::TlsStream;

use super::socket::GuardedSocket;

/// Agrees on TLS, with the certificates of now; tells who the client is by its certificate, if it showed one.
pub(super) async fn accept(
    tls: &Tls,
    socket: GuardedSocket,
) -> io::Result<(TlsStream<GuardedSocket>, Option<Arc<ClientCertificate>>)> {
    let stream = tls.acceptor().accept(socket).await?;
    let shown = stream.get_ref().1.peer_certificates();
    let certificate = shown.and_then(|chain| certificate_of(chain.first()?));
    Ok((stream, certificate.map(Arc::new)))
}
