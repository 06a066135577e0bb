//! Why a call is not answered, as Hadoop's clients understand it: the class of an exception, told by the same table as WebHDFS's.

use moongate_cache::BackendError;

use super::frame::FrameError;
use super::proto::common::rpc_response_header_proto::RpcErrorCodeProto as Code;
use crate::login;
use crate::protocol::webhdfs::Op;
use crate::protocol::webhdfs::error::{Refusal, exception};
use crate::tenancy::Fenced;

/// An exception.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its class.
    pub class: String,
    /// In words.
    pub message: String,
    /// Which layer of RPC says it.
    pub code: Code,
    /// The status that HTTP would have, for metrics.
    pub status: u16,
}

impl Refused {
    fn rpc(class: &str, message: String, code: Code) -> Self {
        Self {
            class: class.to_owned(),
            message,
            code,
            status: 400,
        }
    }

    /// There is no such protocol.
    pub fn protocol(name: &str) -> Self {
        let class = "org.apache.hadoop.ipc.RpcNoSuchProtocolException";
        let text = format!("Unknown protocol: {name}");
        Self::rpc(class, text, Code::ErrorNoSuchProtocol)
    }

    /// There is no such method, or none that this gateway has ever heard of.
    pub fn method(name: &str, protocol: &str) -> Self {
        let class = "org.apache.hadoop.ipc.RpcNoSuchMethodException";
        let text = format!("Unknown method {name} called on {protocol} protocol.");
        Self::rpc(class, text, Code::ErrorNoSuchMethod)
    }

    /// The connection is of no use.
    pub fn fatal(class: &str, message: String, code: Code) -> Self {
        Self::rpc(class, message, code)
    }

    /// Cannot be had of a gateway, or not yet.
    pub fn unsupported(text: String) -> Self {
        Refusal::Unsupported(text).into()
    }

    /// As an operation of WebHDFS would be refused.
    pub fn of(refusal: &Refusal, op: Op) -> Self {
        let (class, status) = exception(refusal, op);
        let message = refusal.message().lines().next().unwrap_or_default();
        Self {
            class,
            message: message.to_owned(),
            code: Code::ErrorApplication,
            status: status.as_u16(),
        }
    }

    /// Somebody is not let in. Hadoop's RPC has one exception for that.
    pub fn login(error: &login::Refusal) -> Self {
        let class = "org.apache.hadoop.security.AccessControlException";
        Self {
            status: 401,
            ..Self::rpc(class, error.text.clone(), Code::FatalUnauthorized)
        }
    }

    /// A token does not let in: clients get another one when they are told so by this exception.
    pub fn token(error: &login::Refusal) -> Self {
        let class = "org.apache.hadoop.security.token.SecretManager$InvalidToken";
        Self {
            class: class.to_owned(),
            ..Self::login(error)
        }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self::of(&refusal, Op::Open)
    }
}

impl From<BackendError> for Refused {
    fn from(error: BackendError) -> Self {
        Refusal::from(error).into()
    }
}

impl From<Fenced> for Refused {
    fn from(fenced: Fenced) -> Self {
        Refusal::from(&fenced).into()
    }
}

impl From<FrameError> for Refused {
    fn from(error: FrameError) -> Self {
        let class = "org.apache.hadoop.ipc.RpcServerException";
        Self::rpc(class, error.to_string(), Code::FatalDeserializingRequest)
    }
}
