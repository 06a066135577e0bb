//! Questions to a NameNode without a login (`org.apache.hadoop.ipc.Client`). Each has a connection to itself while it is under way;
//! connections are kept a few seconds for the next one of the same user. Only what changes nothing is asked, so all may be asked again.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use moongate_hdfs_wire::frame;
use moongate_hdfs_wire::proto::common::rpc_response_header_proto::RpcStatusProto as Outcome;
use moongate_hdfs_wire::proto::common::{
    IpcConnectionContextProto, RequestHeaderProto, RpcKindProto, RpcRequestHeaderProto,
    RpcResponseHeaderProto, UserInformationProto,
};
use prost::Message;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::idle::Idle;
use super::socket;
use crate::backend::{BackendError, ErrorKind};
use crate::under::hdfs::error::of_class;

const PROTOCOL: &str = "org.apache.hadoop.hdfs.protocol.ClientProtocol";
/// `hrpc`, version 9, no class of service, no login.
const PREAMBLE: &[u8] = b"hrpc\x09\x00\x00";
/// The number of what is no call: who it is.
const CONTEXT: i32 = -3;
/// Longest answer that is taken, in bytes: Hadoop's own bound (`ipc.maximum.data.length` is 128 MiB).
const ANSWER_BYTES_MAX: usize = 128 << 20;
/// What is set aside at a time of what a length promises.
const STEP_BYTES: usize = 64 << 10;
/// NameNodes close a connection that was idle for 10 s.
const KEPT: Duration = Duration::from_secs(8);
const KEPT_MAX: usize = 32;
/// How often NameNodes are tried by one question, as by hdfs-native here, with what pauses.
const ATTEMPTS_ALONE: u32 = 4;
const ATTEMPTS_OF_A_PAIR: u32 = 12;
const PAUSE: Duration = Duration::from_millis(150);
const PAUSE_MAX: Duration = Duration::from_millis(1500);
/// What a NameNode says that is not the active one.
const NOT_ACTIVE: [&str; 2] = [
    "org.apache.hadoop.ipc.StandbyException",
    "org.apache.hadoop.ipc.ObserverRetryOnActiveException",
];

/// The NameNodes of a cluster.
#[derive(Debug)]
pub(super) struct Rpc {
    namenodes: Vec<String>,
    /// The one that answered last.
    active: AtomicUsize,
    idle: Idle<(Arc<str>, usize), TcpStream>,
    limit: Duration,
}

/// Why a NameNode has not answered.
enum Failed {
    /// It cannot be reached, or is not the active one: perhaps another one is.
    Elsewhere(BackendError),
    /// That is the answer.
    Refused(BackendError),
}

impl Rpc {
    /// `limit`: the longest that a question may take.
    pub(super) fn new(namenodes: Vec<String>, limit: Duration) -> Self {
        Self {
            namenodes,
            active: AtomicUsize::new(0),
            idle: Idle::new(KEPT, KEPT_MAX, KEPT_MAX),
            limit,
        }
    }

    /// Asks in a user's name.
    pub(super) async fn ask<R: Message + Default>(
        &self,
        user: &Arc<str>,
        method: &str,
        request: &impl Message,
    ) -> Result<R, BackendError> {
        let body = request.encode_length_delimited_to_vec();
        match timeout(self.limit, self.of_any(user, method, &body)).await {
            Ok(answer) => R::decode_length_delimited(answer?).map_err(|error| {
                let text = format!("{method}: an answer that cannot be read: {error}");
                BackendError::new(ErrorKind::Failed, text)
            }),
            Err(_) => Err(self.silent(method)),
        }
    }

    fn silent(&self, method: &str) -> BackendError {
        let (nodes, limit) = (self.namenodes.join(", "), self.limit);
        let text = format!("{method}: {nodes} did not answer within {limit:?}; try again later");
        BackendError::new(ErrorKind::TimedOut, text)
    }

    async fn of_any(
        &self,
        user: &Arc<str>,
        method: &str,
        body: &[u8],
    ) -> Result<Bytes, BackendError> {
        let mut pause = PAUSE;
        let mut attempt = 1;
        loop {
            let index = self.active.load(Ordering::Relaxed) % self.namenodes.len().max(1);
            // One that takes connections and is silent leaves time for another one.
            let asked = timeout(self.limit / 2, self.of_one(index, user, method, body));
            let failed = match asked.await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(Failed::Refused(error))) => return Err(error),
                Ok(Err(Failed::Elsewhere(error))) => error,
                Err(_) => self.silent(method),
            };
            let attempts_max = match self.namenodes.len() {
                1 => ATTEMPTS_ALONE,
                _ => ATTEMPTS_OF_A_PAIR,
            };
            if attempt >= attempts_max {
                return Err(failed);
            }
            let next = (index + 1) % self.namenodes.len().max(1);
            let moved = (Ordering::Relaxed, Ordering::Relaxed);
            let _ = self.active.compare_exchange(index, next, moved.0, moved.1);
            if attempt as usize >= self.namenodes.len() {
                sleep(pause).await;
                pause = (2 * pause).min(PAUSE_MAX);
            }
            attempt += 1;
        }
    }

    async fn of_one(
        &self,
        index: usize,
        user: &Arc<str>,
        method: &str,
        body: &[u8],
    ) -> Result<Bytes, Failed> {
        let name = self.namenodes.get(index).map_or("", String::as_str);
        let gone = |error: io::Error| {
            let text = format!("{method}: the NameNode at {name}: {error}");
            Failed::Elsewhere(BackendError::new(ErrorKind::Unavailable, text))
        };
        let key = (Arc::clone(user), index);
        if let Some(mut stream) = self.idle.take(&key, socket::is_open)
            && let Ok(answer) = exchange(&mut stream, &call(method, body)).await
        {
            return self.read(key, stream, answer);
        }
        let mut stream = socket::connect(name).await.map_err(gone)?;
        let first = [PREAMBLE, &context(user), &call(method, body)].concat();
        let answer = exchange(&mut stream, &first).await.map_err(gone)?;
        self.read(key, stream, answer)
    }

    /// What an answer says. A connection whose answer was understood is kept.
    fn read(
        &self,
        key: (Arc<str>, usize),
        stream: TcpStream,
        mut answer: Bytes,
    ) -> Result<Bytes, Failed> {
        let unread = |_| {
            let text = "a NameNode answers what is no message of Hadoop's";
            Failed::Elsewhere(BackendError::new(ErrorKind::Unavailable, text))
        };
        let head: RpcResponseHeaderProto = frame::message(&mut answer).map_err(unread)?;
        if head.status() != Outcome::Fatal {
            self.idle.put(key, stream);
        }
        if head.status() == Outcome::Success {
            return Ok(answer);
        }
        let class = head.exception_class_name.unwrap_or_default();
        let is_elsewhere = NOT_ACTIVE.contains(&class.as_str());
        let error = of_class(class, &head.error_msg.unwrap_or_default());
        Err(if is_elsewhere {
            Failed::Elsewhere(error)
        } else {
            Failed::Refused(error)
        })
    }
}

fn header(call: i32) -> RpcRequestHeaderProto {
    RpcRequestHeaderProto {
        rpc_kind: Some(RpcKindProto::RpcProtocolBuffer.into()),
        rpc_op: Some(0),
        call_id: call,
        // Sixteen bytes that tell clients apart where calls change something.
        client_id: Bytes::from_static(b"moongate-reads-0"),
        retry_count: Some(-1),
        ..RpcRequestHeaderProto::default()
    }
}

fn context(user: &str) -> Vec<u8> {
    let context = IpcConnectionContextProto {
        user_info: Some(UserInformationProto {
            effective_user: Some(user.to_owned()),
            real_user: None,
        }),
        protocol: Some(PROTOCOL.to_owned()),
    };
    frame::frame(&header(CONTEXT), &context.encode_length_delimited_to_vec())
}

fn call(method: &str, body: &[u8]) -> Vec<u8> {
    let request = RequestHeaderProto {
        method_name: method.to_owned(),
        declaring_class_protocol_name: PROTOCOL.to_owned(),
        client_protocol_version: 1,
    };
    let request = request.encode_length_delimited_to_vec();
    frame::frame(&header(0), &[&request, body].concat())
}

/// Says something and reads one frame.
async fn exchange(stream: &mut TcpStream, said: &[u8]) -> io::Result<Bytes> {
    stream.write_all(said).await?;
    let len = stream.read_u32().await? as usize;
    if len > ANSWER_BYTES_MAX {
        let text = format!("an answer of {len} bytes: at most {ANSWER_BYTES_MAX} are taken");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let mut answer = BytesMut::new();
    socket::fill(stream, &mut answer, len, STEP_BYTES, None).await?;
    Ok(answer.freeze())
}
