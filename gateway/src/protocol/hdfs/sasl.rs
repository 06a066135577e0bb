//! Who is at the end of a connection of calls, by SASL: tickets (GSSAPI), delegation tokens (DIGEST-MD5), or a name where names are believed;
//! and what protects the connection from then on (`org.apache.hadoop.ipc.Server`, `org.apache.hadoop.security.SaslRpcServer`).

use std::sync::Arc;

use bytes::Bytes;
use moongate_auth::sasl::digest::Digest;
use moongate_auth::sasl::gssapi::{Gssapi, Step};
use moongate_auth::sasl::{Layer, Protection};
use moongate_auth::{Failure, LoginError};
use parking_lot::Mutex;
use prost::Message as _;

use super::connection::{Connection, SASL, answer_header};
use super::frame::{self, FrameError};
use super::proto::common::rpc_response_header_proto::RpcErrorCodeProto as Code;
use super::proto::common::rpc_sasl_proto::{SaslAuth, SaslState};
use super::proto::common::{RpcRequestHeaderProto, RpcSaslProto};
use super::refused::Refused;
use crate::login::{Known, hdfs as login};

/// How Hadoop calls the ways in.
const SIMPLE: &str = "SIMPLE";
const KERBEROS: &str = "KERBEROS";
const TOKEN: &str = "TOKEN";
/// What Hadoop's DIGEST-MD5 of calls has for a realm.
const REALM: &str = "default";

/// How far somebody has come.
#[derive(Default)]
pub(super) enum Login {
    /// Nobody asked; names are believed, or nobody is.
    #[default]
    Names,
    /// The ways in were told, with a challenge for those who hold a token.
    Offered(Option<Digest>),
    /// SIMPLE was taken: a name is to come, and no more of SASL.
    Chosen,
    /// A ticket is being looked at.
    Ticket(Box<Mutex<Gssapi>>),
    /// It is known who it is.
    Proved(Box<Known>),
}

impl Login {
    /// Who has proved to be somebody.
    ///
    /// # Errors
    /// Nobody has, though it was begun.
    pub(super) fn proved(&self) -> Result<Option<Known>, Refused> {
        match self {
            // Who was offered a challenge may take SIMPLE all the same, which is looked at where names are.
            Self::Names | Self::Offered(_) | Self::Chosen => Ok(None),
            Self::Proved(known) => Ok(Some((**known).clone())),
            Self::Ticket(_) => Err(FrameError::Malformed.into()),
        }
    }
}

/// What seals a connection, in both directions.
#[derive(Clone)]
pub(super) struct Seal(Arc<Mutex<Box<dyn Layer>>>);

impl Seal {
    /// A frame of one that is not sealed, as it is sent.
    ///
    /// # Errors
    /// The mechanism failed.
    pub(super) fn wrapped(&self, frame: &[u8]) -> std::io::Result<Vec<u8>> {
        let token = self.0.lock().wrap(frame).map_err(std::io::Error::other)?;
        let message = RpcSaslProto {
            token: Some(token.into()),
            ..state(SaslState::Wrap)
        };
        let head = answer_header(SASL, &Bytes::new());
        Ok(frame::frame(
            &head,
            &message.encode_length_delimited_to_vec(),
        ))
    }

    /// What a frame holds.
    ///
    /// # Errors
    /// It is not sealed, or was changed.
    pub(super) fn unwrapped(&self, mut frame: Bytes) -> Result<Vec<u8>, FrameError> {
        let unsealed = |_| FrameError::Unsealed;
        let header: RpcRequestHeaderProto = frame::message(&mut frame).map_err(unsealed)?;
        let message: RpcSaslProto = frame::message(&mut frame).map_err(unsealed)?;
        if header.call_id != SASL || message.state() != SaslState::Wrap {
            return Err(FrameError::Unsealed);
        }
        let opened = self.0.lock().unwrap(message.token());
        opened.map_err(|_| FrameError::Unsealed)
    }
}

fn state(state: SaslState) -> RpcSaslProto {
    RpcSaslProto {
        state: state.into(),
        ..RpcSaslProto::default()
    }
}

fn refused(text: &str) -> Refused {
    let class = "javax.security.sasl.SaslException";
    Refused::fatal(class, text.to_owned(), Code::FatalUnauthorized)
}

impl Connection {
    /// Takes a step of a login.
    pub(super) async fn sasl(
        &mut self,
        header: &RpcRequestHeaderProto,
        mut frame: Bytes,
    ) -> Result<(), Refused> {
        let asked: RpcSaslProto = frame::message(&mut frame)?;
        if !self.speaks_sasl || self.identity.is_some() {
            return Err(FrameError::Malformed.into());
        }
        // Each step leads on: whoever could begin again and again would hold a connection without ever being known.
        let answer = match (asked.state(), std::mem::take(&mut self.login)) {
            (SaslState::Negotiate, Login::Names) => Some(self.offered()?),
            (SaslState::Initiate, Login::Names) => self.initiated(asked, None).await?,
            (SaslState::Initiate, Login::Offered(digest)) => self.initiated(asked, digest).await?,
            (SaslState::Response, Login::Ticket(gssapi)) => {
                Some(self.ticket(gssapi, asked.token()).await?)
            }
            _ => return Err(refused("a message of SASL that nobody waits for")),
        };
        if let Some((message, protection)) = answer {
            let head = answer_header(SASL, &header.client_id);
            let frame = frame::frame(&head, &message.encode_length_delimited_to_vec());
            // A client that is gone is noticed by the next read.
            let _ = self.out.send(&frame).await;
            self.out.seal = protection.map(|layer| Seal(Arc::new(Mutex::new(layer))));
        }
        Ok(())
    }

    /// The ways in, the best first.
    fn offered(&mut self) -> Result<(RpcSaslProto, Protection), Refused> {
        let gateway = &self.hdfs.gateway;
        let mut auths = Vec::new();
        let mut digest = None;
        if gateway.login.kerberos.is_some() {
            let offered = Digest::new("", REALM, &self.hdfs.security.calls);
            auths.push(SaslAuth {
                challenge: Some(offered.challenge().into()),
                ..way(TOKEN, "DIGEST-MD5", "", REALM)
            });
            digest = Some(offered);
        }
        if let Some((service, host)) = &self.hdfs.security.service {
            auths.push(way(KERBEROS, "GSSAPI", service, host));
        }
        match login::takes_names(gateway) {
            Ok(()) => auths.push(way(SIMPLE, "", "", "")),
            Err(error) if auths.is_empty() => return Err(self.failed(error)),
            Err(_) => {}
        }
        self.login = Login::Offered(digest);
        let offer = RpcSaslProto {
            auths,
            ..state(SaslState::Negotiate)
        };
        Ok((offer, None))
    }

    /// A way in was chosen; for a token, with the challenge that was sent.
    async fn initiated(
        &mut self,
        asked: RpcSaslProto,
        challenged: Option<Digest>,
    ) -> Result<Option<(RpcSaslProto, Protection)>, Refused> {
        let way = asked.auths.first().map_or("", |auth| auth.method.as_str());
        match (way, challenged) {
            // Some say that they take SIMPLE, and go on without an answer.
            (SIMPLE, _) => {
                let taken = login::takes_names(&self.hdfs.gateway);
                taken.map_err(|error| self.failed(error))?;
                self.login = Login::Chosen;
                Ok(None)
            }
            (TOKEN, Some(digest)) => self.token(&digest, asked.token()).map(Some),
            (KERBEROS, _) => {
                let gssapi = self.gssapi().map_err(|error| self.failed(error))?;
                Ok(Some(
                    self.ticket(Box::new(Mutex::new(gssapi)), asked.token())
                        .await?,
                ))
            }
            _ => Err(refused("a way to log in that was not offered")),
        }
    }

    /// Whoever answers our challenge as only the holder of a token can.
    fn token(
        &mut self,
        digest: &Digest,
        response: &[u8],
    ) -> Result<(RpcSaslProto, Protection), Refused> {
        let gateway = &self.hdfs.gateway;
        let unproved = |error: LoginError| refused(&login::failed(gateway, error).text);
        let no_token = |error| Refused::token(&login::failed(gateway, error));
        let response = digest.read(response).map_err(unproved)?;
        let identifier = response.identifier().map_err(unproved)?;
        let kerberos = login::kerberos(gateway).map_err(no_token)?;
        let token = kerberos.token_of(identifier).map_err(no_token)?;
        let accepted = digest
            .accept(&response, &token.password)
            .map_err(unproved)?;
        let known = login::by_token(gateway, &token).map_err(no_token)?;
        self.login = Login::Proved(Box::new(known));
        let success = RpcSaslProto {
            token: Some(accepted.reply.into()),
            ..state(SaslState::Success)
        };
        Ok((success, accepted.protection))
    }

    /// Tells why, and counts it.
    fn failed(&self, error: LoginError) -> Refused {
        Refused::login(&login::failed(&self.hdfs.gateway, error))
    }

    fn gssapi(&self) -> Result<Gssapi, LoginError> {
        let gateway = &self.hdfs.gateway;
        let kerberos = login::kerberos(gateway)?;
        let (service, _) = self.hdfs.security.service.as_ref().ok_or_else(|| {
            let text =
                "the keytab holds no key of nn/<host> or hdfs/<host>, which this port would need";
            LoginError::new(Failure::NotAllowed, text)
        })?;
        let qops = &self.hdfs.security.calls;
        Gssapi::new(&kerberos.acceptor, &format!("{service}/"), qops)
    }

    /// A message about a ticket.
    async fn ticket(
        &mut self,
        mut gssapi: Box<Mutex<Gssapi>>,
        message: &[u8],
    ) -> Result<(RpcSaslProto, Protection), Refused> {
        let message = message.to_vec();
        // The library's replay cache writes to a disk.
        let stepped = tokio::task::spawn_blocking(move || {
            let step = gssapi.get_mut().step(&message);
            (gssapi, step)
        });
        let ended = |_| LoginError::new(Failure::Unavailable, "the Kerberos library failed");
        let stepped = stepped.await.map_err(ended);
        let (gssapi, step) = stepped.map_err(|error| self.failed(error))?;
        match step.map_err(|error| self.failed(error))? {
            Step::Challenge(token) => {
                self.login = Login::Ticket(gssapi);
                let challenge = RpcSaslProto {
                    token: Some(token.into()),
                    ..state(SaslState::Challenge)
                };
                Ok((challenge, None))
            }
            Step::Accepted(accepted) => {
                let known = login::by_ticket(&self.hdfs.gateway, &accepted.principal);
                let known = known.map_err(|error| self.failed(error))?;
                self.login = Login::Proved(Box::new(known));
                Ok((state(SaslState::Success), accepted.protection))
            }
        }
    }
}

fn way(method: &str, mechanism: &str, protocol: &str, server: &str) -> SaslAuth {
    SaslAuth {
        method: method.to_owned(),
        mechanism: mechanism.to_owned(),
        protocol: Some(protocol.to_owned()),
        server_id: Some(server.to_owned()),
        challenge: None,
    }
}
