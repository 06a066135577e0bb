//! One connection of Hadoop's RPC: seven bytes, who it is, then calls, of which several may be under way.
//! (`org.apache.hadoop.ipc.Server`; Hadoop's RPC version 9.)

use std::io::IoSlice;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use moongate_auth::Identity;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use super::Hdfs;
use super::calls::{self, Ask};
use super::frame::{self, FrameError};
use super::proto::common::rpc_response_header_proto::{
    RpcErrorCodeProto as Code, RpcStatusProto as Outcome,
};
use super::proto::common::{
    IpcConnectionContextProto, RequestHeaderProto, RpcKindProto, RpcRequestHeaderProto,
    RpcResponseHeaderProto,
};
use super::refused::Refused;
use super::sasl::{Login, Seal};
use super::server::{TOO_MANY, Taken, told, write_all};
use crate::http::server::PeerInfo;
use crate::login::hdfs::{self as login, Said};

/// `hrpc`, the version, a class of service, and how somebody will say who they are.
const PREAMBLE_BYTES: usize = 7;
const VERSION: u8 = 9;
const AUTH_NONE: u8 = 0;
const AUTH_SASL: u8 = 0xdf;
/// Numbers of what is no call.
const CONTEXT: i32 = -3;
const PING: i32 = -4;
pub(super) const SASL: i32 = -33;
/// Calls of one connection that are under way together; more wait in the socket.
const CALLS_MAX: usize = 64;
/// How long a connection may have nothing to ask. Java's clients close theirs after 10 s.
const IDLE: Duration = Duration::from_secs(600);
/// How long a client that was refused may take to read why.
const LINGER: Duration = Duration::from_secs(1);

/// The connection, from its first byte to its last.
pub async fn talk(hdfs: Arc<Hdfs>, taken: Taken) {
    let Ok(local) = taken.stream.local_addr() else {
        return;
    };
    let (reader, writer) = taken.stream.into_split();
    let limits = &hdfs.gateway.config.limits;
    let mut connection = Connection {
        peer: taken.peer,
        host: local.ip().to_canonical(),
        header_timeout: limits.header_timeout.duration(),
        out: Out {
            writer: Arc::new(Mutex::new(writer)),
            stall: limits.write_stall_timeout.duration(),
            seal: None,
        },
        hdfs,
        reader,
        arrived: BytesMut::new(),
        identity: None,
        speaks_sasl: false,
        login: Login::default(),
        opened: BytesMut::new(),
        calls: JoinSet::new(),
    };
    let mut stopped = taken.stopped;
    let served = tokio::select! {
        served = connection.serve() => served,
        () = told(&mut stopped) => Ended::Quietly,
    };
    match served {
        Ended::Quietly => while connection.calls.join_next().await.is_some() {},
        Ended::Gone => connection.calls.shutdown().await,
        Ended::Refused => connection.linger().await,
    }
}

/// What a client above the limit of connections is told.
pub fn too_many() -> Vec<u8> {
    let class = "org.apache.hadoop.ipc.RetriableException";
    let refused = Refused::fatal(class, TOO_MANY.to_owned(), Code::ErrorRpcServer);
    let head = refusal(answer_header(-1, &Bytes::new()), Outcome::Fatal, &refused);
    frame::frame(&head, &[])
}

/// How a connection ended.
enum Ended {
    /// Nothing more is to be said; calls under way are answered.
    Quietly,
    /// The client is gone, or sends what is no RPC: nobody waits for answers.
    Gone,
    /// The client was told that it is not served.
    Refused,
}

pub(super) struct Connection {
    pub(super) hdfs: Arc<Hdfs>,
    peer: PeerInfo,
    /// The address by which the client reached the gateway: it will reach the data port by it too.
    host: IpAddr,
    header_timeout: Duration,
    reader: OwnedReadHalf,
    pub(super) out: Out,
    arrived: BytesMut,
    /// What came sealed, opened.
    opened: BytesMut,
    pub(super) identity: Option<Arc<Identity>>,
    pub(super) speaks_sasl: bool,
    pub(super) login: Login,
    calls: JoinSet<std::io::Result<()>>,
}

/// Where answers go.
#[derive(Clone)]
pub(super) struct Out {
    writer: Arc<Mutex<OwnedWriteHalf>>,
    stall: Duration,
    /// What protects the connection, where that was agreed.
    pub(super) seal: Option<Seal>,
}

impl Out {
    /// Sealed messages have an order: they are sealed by whoever has the writer.
    pub(super) async fn send(&self, frame: &[u8]) -> std::io::Result<()> {
        let mut writer = self.writer.lock().await;
        let sealed;
        let frame = match &self.seal {
            Some(seal) => {
                sealed = seal.wrapped(frame)?;
                &sealed
            }
            None => frame,
        };
        write_all(&mut writer, &mut [IoSlice::new(frame)], self.stall).await
    }
}

impl Connection {
    async fn serve(&mut self) -> Ended {
        if !self.preamble().await {
            return Ended::Gone;
        }
        loop {
            let frame = match self.frame().await {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ended::Gone,
                Err(error) => {
                    tracing::debug!(peer = %self.peer.addr, %error, "a connection of hdfs:// is given up");
                    return self.fatal(0, &Bytes::new(), &error.into()).await;
                }
            };
            if let Err(ended) = self.take(frame).await {
                return ended;
            }
        }
    }

    /// Whether it is one of Hadoop's clients.
    async fn preamble(&mut self) -> bool {
        let mut bytes = [0; PREAMBLE_BYTES];
        let read = timeout(self.header_timeout, self.reader.read_exact(&mut bytes)).await;
        let [h, r, p, c, version, _service, auth] = bytes;
        self.speaks_sasl = auth == AUTH_SASL;
        matches!(read, Ok(Ok(_)))
            && [h, r, p, c] == *b"hrpc"
            && version == VERSION
            && matches!(auth, AUTH_NONE | AUTH_SASL)
    }

    /// The next frame; `None` when the client is gone, or takes too long.
    async fn frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        let begun = Instant::now();
        loop {
            if self.calls.len() < CALLS_MAX
                && let Some(frame) = self.ready()?
            {
                return Ok(Some(frame));
            }
            let half =
                !self.arrived.is_empty() || !self.opened.is_empty() || self.identity.is_none();
            let busy = !self.calls.is_empty();
            let wait = if half && !busy {
                self.header_timeout
            } else {
                IDLE
            };
            tokio::select! {
                done = self.calls.join_next(), if busy => match done {
                    Some(Ok(Ok(()))) | None => {}
                    Some(_) => return Ok(None),
                },
                read = timeout_at(begun + wait, self.reader.read_buf(&mut self.arrived)), if self.calls.len() < CALLS_MAX => match read {
                    Ok(Ok(1..)) => {}
                    _ => return Ok(None),
                },
            }
        }
    }

    /// A frame that has arrived whole.
    fn ready(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some(seal) = &self.out.seal else {
            return frame::take(&mut self.arrived);
        };
        loop {
            if let Some(frame) = frame::take(&mut self.opened)? {
                return Ok(Some(frame));
            }
            let Some(sealed) = frame::take(&mut self.arrived)? else {
                return Ok(None);
            };
            self.opened.extend_from_slice(&seal.unwrapped(sealed)?);
        }
    }

    async fn take(&mut self, mut frame: Bytes) -> Result<(), Ended> {
        let header = match frame::message::<RpcRequestHeaderProto>(&mut frame) {
            Ok(header) => header,
            Err(error) => return Err(self.fatal(0, &Bytes::new(), &error.into()).await),
        };
        let taken = match header.call_id {
            SASL => self.sasl(&header, frame).await,
            CONTEXT => self.context(frame).await,
            // Before that it would keep a stranger's connection open for ever.
            PING if self.identity.is_some() => Ok(()),
            0.. => self.call(&header, frame),
            _ => Err(FrameError::Malformed.into()),
        };
        match taken {
            Ok(()) => Ok(()),
            Err(refused) => Err(self
                .fatal(header.call_id, &header.client_id, &refused)
                .await),
        }
    }

    /// Who it is.
    async fn context(&mut self, mut frame: Bytes) -> Result<(), Refused> {
        let context: IpcConnectionContextProto = frame::message(&mut frame)?;
        if self.identity.is_some() {
            return Err(FrameError::Malformed.into());
        }
        let user = context.user_info.unwrap_or_default();
        let said = Said {
            user: user.effective_user.unwrap_or_default(),
            real_user: user.real_user,
        };
        let known = match self.login.proved()? {
            Some(known) => login::acting(&self.hdfs.gateway, known, &said, self.peer).await,
            None => login::believe(&self.hdfs.gateway, &said, self.peer).await,
        };
        let known = known.map_err(|error| Refused::login(&error))?;
        self.identity = Some(Arc::new(known.identity));
        Ok(())
    }

    fn call(&mut self, header: &RpcRequestHeaderProto, mut frame: Bytes) -> Result<(), Refused> {
        let Some(identity) = self.identity.clone() else {
            let class = "org.apache.hadoop.security.AccessControlException";
            let text = "a call before anybody said who it comes from".to_owned();
            return Err(Refused::fatal(class, text, Code::FatalUnauthorized));
        };
        if header.rpc_kind() != RpcKindProto::RpcProtocolBuffer {
            return Err(FrameError::Malformed.into());
        }
        let request: RequestHeaderProto = frame::message(&mut frame)?;
        let body = if frame.is_empty() {
            frame
        } else {
            frame::take_delimited(&mut BytesMut::from(frame), frame::FRAME_BYTES_MAX)?
                .ok_or(FrameError::Malformed)?
        };
        let ask = Ask {
            hdfs: Arc::clone(&self.hdfs),
            identity,
            peer: self.peer,
            host: self.host,
        };
        let (out, head) = (
            self.out.clone(),
            answer_header(header.call_id, &header.client_id),
        );
        self.calls.spawn(async move {
            let frame = match calls::answer(&ask, &request, body).await {
                Ok(body) => frame::frame(&head, &body),
                Err(refused) => frame::frame(&refusal(head, Outcome::Error, &refused), &[]),
            };
            out.send(&frame).await
        });
        Ok(())
    }

    /// Tells the client why it is not served.
    async fn fatal(&mut self, call: i32, client: &Bytes, refused: &Refused) -> Ended {
        let head = refusal(answer_header(call, client), Outcome::Fatal, refused);
        let _ = self.out.send(&frame::frame(&head, &[])).await;
        Ended::Refused
    }

    /// To close with unread bytes in the socket would reset the connection, and the client could lose the answer.
    async fn linger(&mut self) {
        self.calls.shutdown().await;
        let _ = self.out.writer.lock().await.shutdown().await;
        let until = Instant::now() + LINGER;
        let mut ignored = BytesMut::with_capacity(4096);
        while let Ok(Ok(1..)) = timeout_at(until, self.reader.read_buf(&mut ignored)).await {
            ignored.advance(ignored.len());
        }
    }
}

pub(super) fn answer_header(call: i32, client: &Bytes) -> RpcResponseHeaderProto {
    RpcResponseHeaderProto {
        call_id: call.cast_unsigned(),
        status: Outcome::Success.into(),
        server_ipc_version_num: Some(u32::from(VERSION)),
        client_id: Some(client.clone()),
        ..RpcResponseHeaderProto::default()
    }
}

fn refusal(
    head: RpcResponseHeaderProto,
    outcome: Outcome,
    refused: &Refused,
) -> RpcResponseHeaderProto {
    RpcResponseHeaderProto {
        status: outcome.into(),
        exception_class_name: Some(refused.class.clone()),
        error_msg: Some(refused.message.clone()),
        error_detail: Some(refused.code.into()),
        ..head
    }
}
