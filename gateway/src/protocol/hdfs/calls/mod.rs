//! The calls to a NameNode (`org.apache.hadoop.hdfs.protocol.ClientProtocol`), each one call to the namespace.

mod acl;
mod blocks;
mod change;
mod create;
mod fixed;
mod listing;
mod located;
mod method;
mod status;
mod tokens;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use moongate_auth::Identity;
use moongate_cache::Caller;
use prost::Message;

pub use self::method::Method;
use super::Hdfs;
use super::proto::common::{
    GetServiceStatusResponseProto, HaServiceStateProto, RequestHeaderProto,
};
use super::refused::Refused;
use crate::http::server::PeerInfo;
use crate::login::caller;
use crate::namespace::{Namespace, path as paths};
use crate::policy::gatekeeper::Deed;

const CLIENT_PROTOCOL: &str = "org.apache.hadoop.hdfs.protocol.ClientProtocol";
const HA_PROTOCOL: &str = "org.apache.hadoop.ha.HAServiceProtocol";

/// Who asks, and of whom.
#[derive(Debug)]
pub struct Ask {
    /// What both ports share.
    pub hdfs: Arc<Hdfs>,
    /// Who asks.
    pub identity: Arc<Identity>,
    /// From where.
    pub peer: PeerInfo,
    /// The address by which the client reached the gateway.
    pub host: IpAddr,
}

/// A call, understood.
#[derive(Debug)]
struct Call<'a> {
    ask: &'a Ask,
    caller: Caller,
}

/// An answer with its length before it, or why there is none.
pub type Answer = Result<Vec<u8>, Refused>;

/// What a call touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// One path.
    One,
    /// All that is below it too.
    All,
}

/// Answers one call.
///
/// # Errors
/// The exception that the client throws.
pub async fn answer(ask: &Ask, request: &RequestHeaderProto, body: Bytes) -> Answer {
    let begun = Instant::now();
    let method = match find(request) {
        Ok(method) => method,
        Err(refused) => return Err(refused),
    };
    let received = body.len() as u64;
    let call = Call {
        ask,
        caller: caller::of(&ask.identity, ask.peer, method.name()),
    };
    let answered = match call.admitted() {
        Ok(()) => call.dispatch(method, body).await,
        Err(refused) => Err(refused),
    };
    let status = answered
        .as_ref()
        .map_or_else(|refused| refused.status, |_| 200);
    let sent = answered.as_ref().map_or(0, Vec::len) as u64;
    let metrics = &ask.hdfs.gateway.metrics;
    metrics.answered(method.operation(), status, begun.elapsed(), received, sent);
    tracing::debug!(
        target: "access", peer = %ask.peer.addr, user = %ask.identity.user, method = method.name(), status, sent_bytes = sent,
        took_us = begun.elapsed().as_micros() as u64
    );
    answered
}

fn find(request: &RequestHeaderProto) -> Result<Method, Refused> {
    let (protocol, name) = (&request.declaring_class_protocol_name, &request.method_name);
    let found = match protocol.as_str() {
        CLIENT_PROTOCOL => Method::named(name).filter(|method| *method != Method::GetServiceStatus),
        HA_PROTOCOL => Method::named(name).filter(|method| *method == Method::GetServiceStatus),
        _ => return Err(Refused::protocol(protocol)),
    };
    found.ok_or_else(|| Refused::method(name, protocol))
}

/// A request of this kind.
fn decode<M: Message + Default>(body: Bytes) -> Result<M, Refused> {
    M::decode(body).map_err(|_| super::frame::FrameError::Malformed.into())
}

fn encode(message: &impl Message) -> Vec<u8> {
    message.encode_length_delimited_to_vec()
}

/// An answer that says nothing but that it was done.
fn done() -> Vec<u8> {
    encode(&())
}

impl Call<'_> {
    fn namespace(&self) -> &Namespace {
        &self.ask.hdfs.gateway.namespace
    }

    fn admitted(&self) -> Result<(), Refused> {
        let tenants = &self.ask.hdfs.gateway.tenants;
        let admitted = tenants.admit(self.caller.tenant.as_deref(), Instant::now());
        admitted.map_err(|over| crate::tenancy::Fenced::from(over).into())
    }

    /// A path in its normal form, that this tenant may touch.
    fn path(&self, given: &str, reach: Reach) -> Result<String, Refused> {
        let path = paths::normal(given)?;
        let tenants = &self.ask.hdfs.gateway.tenants;
        let tenant = self.caller.tenant.as_deref();
        let touched = match reach {
            Reach::One => tenants.may_touch(tenant, &path),
            Reach::All => tenants.may_touch_all(tenant, &path),
        };
        touched.map_err(|fenced| Refused::from(crate::tenancy::Fenced::from(fenced)))?;
        Ok(path)
    }

    async fn may_look(&self, path: &str) -> Result<(), Refused> {
        drop(self.namespace().may(&self.caller, Deed::Look, path).await?);
        Ok(())
    }

    async fn dispatch(&self, method: Method, body: Bytes) -> Answer {
        match method {
            Method::GetFileInfo | Method::GetFileLinkInfo => self.file_info(body).await,
            Method::GetLocatedFileInfo => self.located_file_info(body).await,
            Method::GetListing => self.listing(body).await,
            Method::GetBlockLocations => self.block_locations(body).await,
            Method::GetContentSummary => self.content_summary(body).await,
            Method::GetQuotaUsage => self.quota_usage(body).await,
            Method::GetAclStatus => self.acl_status(body).await,
            Method::CheckAccess => self.check_access(body).await,
            Method::Create => self.create(body).await,
            Method::Append => self.append(body).await,
            Method::AddBlock => self.add_block(body).await,
            Method::AbandonBlock => self.abandon_block(body).await,
            Method::Complete => self.complete(body).await,
            Method::Fsync => self.fsync(body).await,
            Method::RenewLease => self.renew_lease(body),
            Method::RecoverLease => self.recover_lease(body).await,
            Method::IsFileClosed => self.is_file_closed(body).await,
            Method::GetPreferredBlockSize => self.preferred_block_size(body).await,
            Method::GetEZForPath => self.no_encryption_zone(body).await,
            Method::GetErasureCodingPolicy => self.no_erasure_coding(body).await,
            Method::GetStoragePolicy => self.storage_policy(body).await,
            Method::GetStoragePolicies => Ok(fixed::storage_policies()),
            Method::GetServerDefaults => Ok(fixed::server_defaults()),
            Method::GetFsStats => Ok(self.fs_stats()),
            Method::Msync | Method::GetDataEncryptionKey => Ok(done()),
            Method::GetDelegationToken => self.delegation_token(body),
            Method::RenewDelegationToken => self.renew_token(body).await,
            Method::CancelDelegationToken => self.cancel_token(body).await,
            Method::GetHAServiceState => Ok(fixed::active()),
            Method::GetServiceStatus => Ok(encode(&GetServiceStatusResponseProto {
                state: HaServiceStateProto::Active.into(),
                ready_to_become_active: Some(true),
                not_ready_reason: None,
            })),
            Method::Mkdirs => self.make_dirs(body).await,
            Method::Rename => self.rename(body).await,
            Method::Rename2 => self.rename_to(body).await,
            Method::Delete => self.delete(body).await,
            Method::SetPermission => self.set_permission(body).await,
            Method::SetOwner => self.set_owner(body).await,
            Method::SetTimes => self.set_times(body).await,
            Method::SetReplication => self.set_replication(body).await,
            Method::Truncate => self.truncate(body).await,
            Method::Concat => self.concat(body).await,
            Method::ModifyAclEntries
            | Method::RemoveAclEntries
            | Method::RemoveDefaultAcl
            | Method::RemoveAcl
            | Method::SetAcl => self.change_acl(method, body).await,
            Method::Pipeline(name) => Err(Refused::unsupported(format!(
                "{name}: the gateway is the whole pipeline and there is no other node to go on with: write the file anew"
            ))),
            Method::Lacking(name) => Err(Refused::unsupported(format!(
                "{name}: this cannot be had of a gateway: ask the cluster itself"
            ))),
        }
    }
}
