//! Whose read an operation is, and of what: by the token that the client was given with the block's location.

use std::sync::Arc;

use moongate_cache::{Backend as _, BackendError, BackendFile, ErrorKind, Freshness};

use super::Talk;
use crate::login::{self, caller};
use crate::protocol::hdfs::opened::Key;
use crate::protocol::hdfs::proto::hdfs::{BaseHeaderProto, Status as Outcome};
use crate::protocol::hdfs::token::BlockToken;

/// A block that may be read.
pub(super) struct Block {
    pub token: BlockToken,
    pub file: Arc<dyn BackendFile>,
    pub key: Key,
    pub tenant: Option<Arc<str>>,
}

/// Why it may not.
pub(super) type No = (Outcome, String);

impl Talk {
    pub(super) async fn whose(&self, header: &BaseHeaderProto) -> Result<Block, No> {
        let given = header.token.clone().unwrap_or_default();
        let token = self.hdfs.tokens.open(&given).ok_or_else(|| {
            let text = "the block token is not of this gateway, or has expired";
            (Outcome::ErrorAccessToken, text.to_owned())
        })?;
        if token.block_id() != header.block.block_id {
            let text = "the block token is for another block".to_owned();
            return Err((Outcome::ErrorAccessToken, text));
        }
        let gateway = &self.hdfs.gateway;
        let identity = login::hdfs::again(gateway, &token.user, token.real_user.as_deref()).await;
        let key = Key {
            user: identity.user.clone(),
            real_user: identity.real_user.clone(),
            path: token.path.clone(),
            version: token.version(),
        };
        let caller = caller::of(&identity, self.peer, "OP_READ_BLOCK");
        let file = match self.hdfs.opened.get(&key) {
            Some(file) => file,
            None => self.reopen(&caller, &key).await?,
        };
        Ok(Block {
            token,
            file,
            key,
            tenant: identity.tenant,
        })
    }

    async fn reopen(
        &self,
        caller: &moongate_cache::Caller,
        key: &Key,
    ) -> Result<Arc<dyn BackendFile>, No> {
        let gateway = &self.hdfs.gateway;
        let touched = gateway
            .tenants
            .may_touch(caller.tenant.as_deref(), &key.path);
        touched.map_err(|fenced| (Outcome::ErrorAccessToken, fenced.to_string()))?;
        for freshness in [Freshness::Cached, Freshness::Now] {
            let opened = gateway.namespace.open(caller, &key.path, freshness).await;
            let file = opened.map_err(refused)?;
            if file.status().version() == key.version {
                self.hdfs.opened.keep(key.clone(), Arc::clone(&file));
                return Ok(file);
            }
        }
        Err(replaced(&key.path))
    }
}

/// The file is not what it was when its blocks were told.
pub(super) fn replaced(path: &str) -> No {
    let text = format!("{path} was changed since its blocks were told: open it again");
    (Outcome::Error, text)
}

pub(super) fn refused(error: BackendError) -> No {
    let outcome = match error.kind {
        ErrorKind::PermissionDenied => Outcome::ErrorAccessToken,
        _ => Outcome::Error,
    };
    (outcome, error.message)
}
