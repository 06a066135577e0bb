//! `Authorization: Negotiate …` (RFC 4559): a ticket is checked once, and the answer brings the cookie that spares the next one.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, header};
use moongate_auth::kerberos::acceptor::TOKEN_BYTES_MAX;
use moongate_auth::{Failure, LoginError};

use super::{Kerberos, cookie};
use crate::login::Known;

/// Who sent the token after `Negotiate`.
///
/// # Errors
/// Why it is refused.
pub async fn accept(kerberos: &Kerberos, encoded: &str) -> Result<Known, LoginError> {
    let malformed = |text: &str| LoginError::new(Failure::Malformed, text);
    if encoded.len() > TOKEN_BYTES_MAX.div_ceil(3) * 4 {
        return Err(malformed("the token after Negotiate is too long"));
    }
    let token = STANDARD
        .decode(encoded)
        .map_err(|_| malformed("what follows Negotiate is not base64"))?;
    let acceptor = Arc::clone(&kerberos.acceptor);
    // The library's replay cache writes to a disk.
    let accepted = tokio::task::spawn_blocking(move || acceptor.accept(&token)).await;
    let ended = |_| LoginError::new(Failure::Unavailable, "the Kerberos library failed");
    let accepted = accepted.map_err(ended)??;
    let identity = kerberos.identity(&accepted.principal)?;
    let mut known = Known::new(identity);
    let reply = match accepted.reply.as_slice() {
        [] => "Negotiate".to_owned(),
        reply => format!("Negotiate {}", STANDARD.encode(reply)),
    };
    if let Ok(reply) = HeaderValue::from_str(&reply) {
        known.reply.push((header::WWW_AUTHENTICATE, reply));
    }
    if let Some(cookie) = cookie::made(kerberos, &known.identity) {
        known.reply.push((header::SET_COOKIE, cookie));
    }
    Ok(known)
}
