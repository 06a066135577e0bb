//! getListing: a folder, a thousand names at a time, in HDFS's order.

use std::sync::Arc;

use bytes::Bytes;
use moongate_cache::{ErrorKind, Freshness, Status};

use super::{Answer, Call, Reach, decode, encode, status};
use crate::namespace::path as paths;
use crate::protocol::hdfs::proto::hdfs::{
    DirectoryListingProto, GetListingRequestProto, GetListingResponseProto, HdfsFileStatusProto,
};
use crate::protocol::hdfs::refused::Refused;
use crate::protocol::webhdfs::error::Refusal;
use crate::protocol::webhdfs::status::{BATCH_LEN, all_entries, start_after};

/// Most blocks of one answer that tells locations; one entry's are always told.
const BLOCKS_MAX: usize = 10_000;

impl Call<'_> {
    pub(super) async fn listing(&self, body: Bytes) -> Answer {
        let asked: GetListingRequestProto = decode(body)?;
        let path = self.path(&asked.src, Reach::One)?;
        let after = std::str::from_utf8(&asked.start_after)
            .map_err(|_| Refused::from(Refusal::Illegal("startAfter is not UTF-8".to_owned())))?;
        let Some(entries) = self.entries(&path, after).await? else {
            return Ok(encode(&GetListingResponseProto::default()));
        };
        let start = if after.is_empty() {
            0
        } else {
            start_after(&entries, after)
        };
        let rest = entries.get(start..).unwrap_or_default();
        let told = self.told(&path, rest, asked.need_location);
        let left = rest.len() - told.len();
        let kept = &self.ask.hdfs.gateway.listings;
        kept.keep(&self.caller.user, &path, &entries, left > 0);
        let list = DirectoryListingProto {
            partial_listing: told,
            remaining_entries: u32::try_from(left).unwrap_or(u32::MAX),
        };
        Ok(encode(&GetListingResponseProto {
            dir_list: Some(list),
        }))
    }

    /// All of a folder; `None` if it is not there. What follows a first answer is of the listing that the first one was of.
    async fn entries(&self, path: &str, after: &str) -> Result<Option<Arc<[Status]>>, Refused> {
        let kept = &self.ask.hdfs.gateway.listings;
        if !after.is_empty()
            && let Some(entries) = kept.get(&self.caller.user, path)
        {
            return Ok(Some(entries));
        }
        let listed = all_entries(self.namespace(), &self.caller, path, Freshness::Cached).await;
        match listed {
            Ok(entries) => Ok(Some(entries.into())),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn told(&self, path: &str, rest: &[Status], located: bool) -> Vec<HdfsFileStatusProto> {
        let mut told: Vec<HdfsFileStatusProto> = Vec::new();
        let mut blocks = 0;
        for entry in rest.iter().take(BATCH_LEN) {
            let at = match entry.name.as_str() {
                "" => path.to_owned(),
                name => paths::join(path, name),
            };
            if !located {
                told.push(status::message(entry, &at, &entry.name));
                continue;
            }
            let with = self.located_status(entry, &at, &entry.name);
            blocks += with.locations.as_ref().map_or(0, |told| told.blocks.len());
            if blocks > BLOCKS_MAX && !told.is_empty() {
                break;
            }
            told.push(with);
        }
        told
    }
}
