//! addBlock, abandonBlock, complete, fsync, and leases: what a writer says to the NameNode after it has begun a file.

use std::sync::Arc;

use bytes::Bytes;
use moongate_cache::BackendError;

use super::{Answer, Call, Reach, decode, done, encode};
use crate::namespace::now_ms;
use crate::policy::gatekeeper::Deed;
use crate::protocol::hdfs::lease::OpenFile;
use crate::protocol::hdfs::proto::hdfs::{
    AbandonBlockRequestProto, AddBlockRequestProto, AddBlockResponseProto, CompleteRequestProto,
    CompleteResponseProto, ExtendedBlockProto, FsyncRequestProto, RecoverLeaseRequestProto,
    RecoverLeaseResponseProto, RenewLeaseRequestProto,
};
use crate::protocol::hdfs::refused::Refused;
use crate::protocol::hdfs::token::BlockToken;
use crate::protocol::webhdfs::access;
use crate::protocol::webhdfs::locations::Block;

/// How long a client may take to come with a block.
const TOKEN_MS: u64 = 10 * 60 * 60 * 1000;
/// The bit of a mode that lets write.
const WRITE: u8 = 2;

/// Number and length, as a client has them.
fn told(block: Option<ExtendedBlockProto>) -> Option<(u64, u64)> {
    block.map(|block| (block.block_id, block.num_bytes()))
}

impl Call<'_> {
    fn written(&self, src: &str, client: String, id: u64) -> Result<Arc<OpenFile>, Refused> {
        let path = self.path(src, Reach::One)?;
        let leases = &self.ask.hdfs.leases;
        Ok(leases.of(&self.holder(client), &path, id)?)
    }

    pub(super) async fn add_block(&self, body: Bytes) -> Answer {
        let mut asked: AddBlockRequestProto = decode(body)?;
        let id = asked.file_id();
        let file = self.written(&asked.src, asked.client_name, id)?;
        let number = |salt| self.token(&file, salt).block_id();
        let placed = file.add_block(told(asked.previous.take()), number).await?;
        let token = self.token(&file, placed.salt);
        self.ask.hdfs.leases.place(&file, placed.id);
        let block = Block {
            start: placed.start,
            len: 0,
        };
        Ok(encode(&AddBlockResponseProto {
            block: self.told_block(&token, block),
        }))
    }

    /// Names a block of this file, in its writer's name. Nothing can be read with it: it is of a folder.
    fn token(&self, file: &OpenFile, salt: u64) -> BlockToken {
        BlockToken {
            path: "/".to_owned(),
            block_start: file.id,
            block_len: salt,
            user: self.caller.user.to_string(),
            real_user: self.caller.real_user.as_deref().map(str::to_owned),
            expires_ms: now_ms().saturating_add(TOKEN_MS),
            ..BlockToken::default()
        }
    }

    pub(super) async fn abandon_block(&self, body: Bytes) -> Answer {
        let asked: AbandonBlockRequestProto = decode(body)?;
        let (id, block) = (asked.file_id(), asked.b.block_id);
        let file = self.written(&asked.src, asked.holder, id)?;
        file.abandon(block).await?;
        Ok(done())
    }

    /// Goes on to its end if the client goes away: the store is at it.
    pub(super) async fn complete(&self, body: Bytes) -> Answer {
        let asked: CompleteRequestProto = decode(body)?;
        let id = asked.file_id();
        let complete = CompleteResponseProto { result: true };
        let file = match self.written(&asked.src, asked.client_name, id) {
            Err(_) if self.ask.hdfs.leases.was_closed(id) => return Ok(encode(&complete)),
            found => found?,
        };
        let (hdfs, last) = (Arc::clone(&self.ask.hdfs), told(asked.last));
        let completing = tokio::spawn(async move {
            let completed = file.complete(last).await;
            if completed.is_ok() {
                hdfs.leases.closed(&file);
            }
            if completed.is_ok() || file.is_over().await {
                hdfs.leases.end(&file);
            }
            completed
        });
        let completed = completing.await;
        completed.unwrap_or_else(|error| Err(broken(&error.to_string())))?;
        Ok(encode(&complete))
    }

    pub(super) async fn fsync(&self, body: Bytes) -> Answer {
        let asked: FsyncRequestProto = decode(body)?;
        let id = asked.file_id();
        let file = self.written(&asked.src, asked.client, id)?;
        file.sync().await?;
        Ok(done())
    }

    pub(super) fn renew_lease(&self, body: Bytes) -> Answer {
        let asked: RenewLeaseRequestProto = decode(body)?;
        let leases = &self.ask.hdfs.leases;
        leases.renew(&self.holder(asked.client_name));
        Ok(done())
    }

    /// Whether the caller may end what somebody writes: whoever does, and whoever may write what is there.
    pub(super) async fn may_end(&self, path: &str, file: &OpenFile) -> Result<(), Refused> {
        drop(
            self.namespace()
                .may(&self.caller, Deed::Write, path)
                .await?,
        );
        if file.holder.user == self.caller.user {
            return Ok(());
        }
        let found = self.look(path).await?;
        if !access::settled(self.namespace(), &self.caller, path, WRITE).await? {
            access::verdict(&found, &self.caller, path, WRITE)?;
        }
        Ok(())
    }

    /// Whoever may write the file may have it closed, at once.
    pub(super) async fn recover_lease(&self, body: Bytes) -> Answer {
        let asked: RecoverLeaseRequestProto = decode(body)?;
        let path = self.path(&asked.src, Reach::One)?;
        match self.ask.hdfs.leases.at(&path) {
            Some(file) => {
                self.may_end(&path, &file).await?;
                self.ask.hdfs.leases.recover(&file).await;
            }
            None => drop(self.look(&path).await?),
        }
        Ok(encode(&RecoverLeaseResponseProto { result: true }))
    }
}

fn broken(text: &str) -> BackendError {
    BackendError::new(moongate_cache::ErrorKind::Failed, text)
}
