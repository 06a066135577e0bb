//! Calls of the NameNode, none of which waits for ever.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hdfs_native::{Client, HdfsError};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::HdfsOptions;
use super::clients::{Clients, For};
use super::error::of_hdfs;
use super::own::Own;
use crate::backend::{BackendError, Caller, ErrorKind};

/// What refused impersonation looks like: hdfs-native does not pass on that the NameNode has hung up, and why.
const HANGS_UP: &str = "RPC listener disconnected";

/// What a NameNode that does tell calls it.
const NOT_ALLOWED: &str = "org.apache.hadoop.security.authorize.AuthorizationException";
/// A NameNode that refuses answers others at once.
const PROBE_MAX: Duration = Duration::from_secs(5);

/// The way to the NameNode.
#[derive(Debug)]
pub(super) struct Calls {
    clients: Clients,
    own: Option<Arc<Own>>,
}

impl Calls {
    pub(super) fn new(options: HdfsOptions, runtime: Handle) -> Result<Self, BackendError> {
        let own = Own::of(&options).map(Arc::new);
        let clients = Clients::new(options, runtime)?;
        Ok(Self { clients, own })
    }

    /// The reader that is not hdfs-native, where the cluster is one that it reads, and in whose name.
    pub(super) fn own(&self, caller: &Caller) -> Option<(&Arc<Own>, Arc<str>)> {
        let user = self.clients.effective(caller);
        // The process's own name is hdfs-native's to find.
        let own = self.own.as_ref().filter(|_| !user.is_empty());
        Some((own?, user))
    }

    pub(super) fn has_read_itself(&self) -> bool {
        self.own.as_ref().is_some_and(|own| own.has_read())
    }

    pub(super) fn url(&self) -> &str {
        &self.clients.options().url
    }

    pub(super) const fn timeout(&self) -> Duration {
        self.clients.options().request_timeout
    }

    pub(super) const fn may_be_cut(&self) -> bool {
        self.clients.options().truncates
    }

    /// A call that changes nothing. If it is not answered it is made once more, over a new connection and perhaps to the other NameNode.
    pub(super) async fn ask<T, F>(
        &self,
        caller: &Caller,
        path: &str,
        call: impl Fn(Client) -> F,
    ) -> Result<T, BackendError>
    where
        F: Future<Output = Result<T, HdfsError>>,
    {
        let half = self.timeout() / 2;
        match self.once(caller, path, (For::Reading, half), &call).await {
            Err(error) if error.kind == ErrorKind::TimedOut => {
                self.once(caller, path, (For::Reading, half), &call).await
            }
            done => done,
        }
    }

    /// A call that changes something: made once.
    pub(super) async fn tell<T, F>(
        &self,
        caller: &Caller,
        path: &str,
        call: impl FnOnce(Client) -> F,
    ) -> Result<T, BackendError>
    where
        F: Future<Output = Result<T, HdfsError>>,
    {
        let terms = (For::Reading, self.timeout());
        self.once(caller, path, terms, call).await
    }

    /// As [`Calls::tell`], of what begins to write.
    pub(super) async fn begin<T, F>(
        &self,
        caller: &Caller,
        path: &str,
        call: impl FnOnce(Client) -> F,
    ) -> Result<T, BackendError>
    where
        F: Future<Output = Result<T, HdfsError>>,
    {
        let terms = (For::Writing, self.timeout());
        self.once(caller, path, terms, call).await
    }

    async fn once<T, F>(
        &self,
        caller: &Caller,
        path: &str,
        (purpose, limit): (For, Duration),
        call: impl FnOnce(Client) -> F,
    ) -> Result<T, BackendError>
    where
        F: Future<Output = Result<T, HdfsError>>,
    {
        let client = self.clients.of(caller, purpose)?;
        match timeout(limit, call(client)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.explain(of_hdfs(error, path), caller).await),
            Err(_) => {
                self.clients.forget(caller);
                Err(self.timed_out(path))
            }
        }
    }

    fn timed_out(&self, path: &str) -> BackendError {
        let (url, limit) = (self.url(), self.timeout());
        let text = format!("{path}: {url} did not answer within {limit:?}; try again later");
        BackendError::new(ErrorKind::TimedOut, text)
    }

    /// A NameNode that refuses to be asked in another's name hangs up, and hdfs-native does not pass on why. If it answers the gateway's
    /// own name meanwhile, that was it.
    async fn explain(&self, error: BackendError, caller: &Caller) -> BackendError {
        let hung_up = error.message.contains(HANGS_UP);
        if !self.clients.options().impersonate || !hung_up || !self.answers_us().await {
            return error;
        }
        let gateway = self.clients.own_name();
        let user = &caller.user;
        let text = format!(
            "User: {gateway} is not allowed to impersonate {user}: the NameNode at {} hangs up. Its core-site.xml must let it: \
             hadoop.proxyuser.{gateway}.hosts must name this gateway's host, and hadoop.proxyuser.{gateway}.groups (or .users) a group of \
             {user}; then: hdfs dfsadmin -refreshSuperUserGroupsConfiguration",
            self.url()
        );
        let mut refused = BackendError::new(ErrorKind::PermissionDenied, text);
        refused.class = Some(NOT_ALLOWED.to_owned());
        refused
    }

    /// Whether the NameNode answers the gateway itself.
    async fn answers_us(&self) -> bool {
        let Ok(client) = self.clients.own() else {
            return false;
        };
        let asked = timeout(self.timeout().min(PROBE_MAX), client.get_file_info("/")).await;
        matches!(asked, Ok(Ok(_)))
    }
}
