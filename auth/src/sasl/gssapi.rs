//! GSSAPI (RFC 4752): a Kerberos ticket, then an offer of protection and the client's choice. The Kerberos library's replay cache is on disk:
//! call [`Gssapi::step`] on a thread that may block.

use std::sync::Arc;

use libgssapi::context::{CtxFlags, SecurityContext as _, ServerCtx};

use super::{Layer, Protection, Qop, forged, malformed};
use crate::LoginError;
use crate::kerberos::Acceptor;

/// Largest message that is taken of a client once it is protected, in bytes: as Java's own server says.
const BUFFER_BYTES_MAX: u32 = 65_536;

/// One login.
pub struct Gssapi {
    acceptor: Arc<Acceptor>,
    service: String,
    qops: Vec<Qop>,
    state: State,
}

enum State {
    /// Tickets are being looked at.
    Begun(ServerCtx),
    /// The ticket is good, and the client knows; it has to say that it is ready.
    Known(ServerCtx, String),
    /// The client has to choose.
    Offered(ServerCtx, String),
    /// It is over, or has failed.
    Over,
}

/// What comes of a message.
pub enum Step {
    /// The client is sent this.
    Challenge(Vec<u8>),
    /// It is known who it is.
    Accepted(Accepted),
}

/// Somebody whose ticket is good.
pub struct Accepted {
    /// The full principal.
    pub principal: String,
    /// What was agreed.
    pub qop: Qop,
    /// What protects the connection from now on.
    pub protection: Protection,
}

impl Gssapi {
    /// For tickets of this service (`nn/`), with these kinds of protection on offer.
    ///
    /// # Errors
    /// The keytab cannot be used.
    pub fn new(acceptor: &Arc<Acceptor>, service: &str, qops: &[Qop]) -> Result<Self, LoginError> {
        Ok(Self {
            acceptor: Arc::clone(acceptor),
            service: service.to_owned(),
            qops: qops.to_vec(),
            state: State::Begun(acceptor.context()?),
        })
    }

    /// Takes the client's next message.
    ///
    /// # Errors
    /// Why it is refused; nothing more can come of this login then.
    pub fn step(&mut self, message: &[u8]) -> Result<Step, LoginError> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Begun(context) => self.ticket(context, message),
            State::Known(context, principal) if message.is_empty() => {
                self.offer(context, principal)
            }
            State::Offered(context, principal) => self.chosen(context, principal, message),
            State::Known(..) | State::Over => {
                Err(malformed("a message of GSSAPI that nobody waits for"))
            }
        }
    }

    fn ticket(&mut self, mut context: ServerCtx, token: &[u8]) -> Result<Step, LoginError> {
        let (principal, reply) = self.acceptor.proved(&mut context, token, &self.service)?;
        if reply.is_empty() {
            return self.offer(context, principal);
        }
        self.state = State::Known(context, principal);
        Ok(Step::Challenge(reply))
    }

    /// What can be had of what is allowed, as bits, and the largest message.
    fn offer(&mut self, mut context: ServerCtx, principal: String) -> Result<Step, LoginError> {
        let flags = context.flags().map_err(|error| failed(&error))?;
        self.qops.retain(|qop| flags.contains(needed(*qop)));
        let bits = self.qops.iter().fold(0, |bits, qop| bits | qop.bit());
        let len = match bits {
            1 => 0,
            _ => BUFFER_BYTES_MAX,
        };
        let [_, a, b, c] = len.to_be_bytes();
        let offer = context.wrap(false, &[bits, a, b, c]);
        let offer = offer.map_err(|error| failed(&error))?.to_vec();
        self.state = State::Offered(context, principal);
        Ok(Step::Challenge(offer))
    }

    fn chosen(
        &mut self,
        mut context: ServerCtx,
        principal: String,
        sealed: &[u8],
    ) -> Result<Step, LoginError> {
        let choice = context.unwrap(sealed);
        let choice =
            choice.map_err(|_| forged("GSSAPI: the client's choice was changed on its way"))?;
        let Some(([bit, _, _, _], name)) = choice.split_first_chunk::<4>() else {
            return Err(malformed("GSSAPI: the client's choice was cut short"));
        };
        let qop = self.qops.iter().find(|qop| qop.bit() == *bit).copied();
        let qop =
            qop.ok_or_else(|| malformed("No common protection layer between client and server"))?;
        if !name.is_empty() && name != principal.as_bytes() {
            return Err(malformed(format!(
                "{principal} wants to be somebody else by SASL: a proxy user says so in the context of the connection"
            )));
        }
        let protection: Protection = match qop {
            Qop::Authentication => None,
            _ => Some(Box::new(Protected {
                context,
                is_private: qop == Qop::Privacy,
            })),
        };
        Ok(Step::Accepted(Accepted {
            principal,
            qop,
            protection,
        }))
    }
}

/// What a client must have asked for with its ticket. Without the two that watch the order, what it sent could be sent again by others.
fn needed(qop: Qop) -> CtxFlags {
    let watched = CtxFlags::GSS_C_REPLAY_FLAG | CtxFlags::GSS_C_SEQUENCE_FLAG;
    match qop {
        Qop::Authentication => CtxFlags::empty(),
        Qop::Integrity => watched | CtxFlags::GSS_C_INTEG_FLAG,
        Qop::Privacy => watched | CtxFlags::GSS_C_INTEG_FLAG | CtxFlags::GSS_C_CONF_FLAG,
    }
}

/// The ticket's session key protects.
struct Protected {
    context: ServerCtx,
    is_private: bool,
}

impl Layer for Protected {
    fn wrap(&mut self, message: &[u8]) -> Result<Vec<u8>, LoginError> {
        let sealed = self.context.wrap(self.is_private, message);
        Ok(sealed.map_err(|error| failed(&error))?.to_vec())
    }

    fn unwrap(&mut self, message: &[u8]) -> Result<Vec<u8>, LoginError> {
        let opened = self.context.unwrap(message);
        let opened =
            opened.map_err(|_| forged("a sealed message was changed, left out or sent twice"))?;
        Ok(opened.to_vec())
    }
}

fn failed(error: &libgssapi::error::Error) -> LoginError {
    malformed(format!("GSSAPI: {error}"))
}
