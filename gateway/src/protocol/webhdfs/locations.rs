//! Where a file can be read: at this gateway, block by block, so that jobs split it as they would in its store.

use moongate_cache::Status;
use serde_json::{Value, json};

use super::error::Refusal;
use super::json::named;
use super::{Asked, status};
use crate::http::Response;

/// What a store without blocks is split by.
pub const BLOCK_BYTES: u64 = 128 << 20;
/// Most blocks that one answer tells of: of more, several are told as one.
const BLOCKS_MAX: u64 = 1 << 17;

/// A stretch of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// First byte.
    pub start: u64,
    /// Bytes.
    pub len: u64,
}

/// The blocks that a range touches, each whole.
pub fn blocks_of(
    len: u64,
    block_bytes: u64,
    offset: u64,
    wanted: u64,
) -> impl Iterator<Item = Block> {
    let block_bytes = if block_bytes == 0 {
        BLOCK_BYTES
    } else {
        block_bytes
    };
    let block_bytes = block_bytes.max(len.div_ceil(BLOCKS_MAX));
    let end = offset.saturating_add(wanted).min(len);
    let first = if offset >= end {
        end.max(len)
    } else {
        offset - offset % block_bytes
    };
    let step = usize::try_from(block_bytes).unwrap_or(usize::MAX);
    (first..end).step_by(step).map(move |start| Block {
        start,
        len: block_bytes.min(len - start),
    })
}

async fn asked_blocks(asked: &Asked<'_>) -> Result<(Status, Vec<Block>), Refusal> {
    let offset = asked.params.number("offset", 0)?.unwrap_or(0);
    let wanted = asked.params.number("length", 0)?.unwrap_or(u64::MAX);
    let status = status::of(asked).await?;
    if status.is_dir() {
        return Err(status::not_a_file(asked));
    }
    let blocks = blocks_of(status.len, status.block_bytes, offset, wanted).collect();
    Ok((status, blocks))
}

/// The host without its port.
fn host_name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// GETFILEBLOCKLOCATIONS
pub async fn blocks(asked: &Asked<'_>) -> Result<Response, Refusal> {
    let (_, blocks) = asked_blocks(asked).await?;
    let host = asked.host();
    let location = |block: &Block| {
        json!({
            "topologyPaths": [format!("/default-rack/{host}")], "corrupt": false, "cachedHosts": [], "names": [host],
            "offset": block.start, "hosts": [host_name(&host)], "length": block.len, "storageTypes": ["DISK"],
        })
    };
    let locations: Vec<Value> = blocks.iter().map(location).collect();
    Ok(named(
        "BlockLocations",
        &json!({ "BlockLocation": locations }),
    ))
}

/// GET_BLOCK_LOCATIONS: what older clients ask, in the NameNode's own shape.
pub async fn located_blocks(asked: &Asked<'_>) -> Result<Response, Refusal> {
    let (status, blocks) = asked_blocks(asked).await?;
    let node = node(&asked.host());
    let located = |block: &Block| {
        let number = block.start / BLOCK_BYTES + 1;
        json!({
            "block": { "blockId": number, "blockPoolId": "moongate", "generationStamp": 1, "numBytes": block.len },
            "blockToken": { "urlString": "AAAAAA" }, "cachedLocations": [], "isCorrupt": false, "locations": [node],
            "startOffset": block.start, "storageTypes": ["DISK"],
        })
    };
    let last = blocks_of(
        status.len,
        status.block_bytes,
        status.len.saturating_sub(1),
        1,
    )
    .last();
    let listed: Vec<Value> = blocks.iter().map(located).collect();
    Ok(named(
        "LocatedBlocks",
        &json!({
            "fileLength": status.len, "isLastBlockComplete": true, "isUnderConstruction": false,
            "lastLocatedBlock": last.as_ref().map(located), "locatedBlocks": listed,
        }),
    ))
}

/// This gateway as a DataNode.
fn node(host: &str) -> Value {
    let name = host_name(host);
    let port: u16 = host
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok())
        .unwrap_or(80);
    json!({
        "adminState": "NORMAL", "blockPoolUsed": 0, "cacheCapacity": 0, "cacheUsed": 0, "capacity": 0, "dfsUsed": 0,
        "hostName": name, "infoPort": port, "infoSecurePort": 0, "ipAddr": name, "ipcPort": port,
        "lastBlockReportMonotonic": 0, "lastBlockReportTime": 0, "lastUpdate": 0, "lastUpdateMonotonic": 0,
        "name": host, "networkLocation": "/default-rack", "remaining": 0, "storageID": "moongate", "xceiverCount": 0,
        "xferPort": port,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(len: u64, block: u64, offset: u64, wanted: u64) -> Vec<(u64, u64)> {
        blocks_of(len, block, offset, wanted)
            .map(|block| (block.start, block.len))
            .collect()
    }

    #[test]
    fn blocks_are_told_whole() {
        assert_eq!(told(12, 128, 0, 100), [(0, 12)]);
        assert_eq!(told(25, 10, 0, u64::MAX), [(0, 10), (10, 10), (20, 5)]);
        assert_eq!(told(25, 10, 12, 1), [(10, 10)]);
        assert_eq!(told(25, 10, 9, 2), [(0, 10), (10, 10)]);
        for nothing in [
            told(12, 128, 12, 5),
            told(12, 128, 99, 5),
            told(0, 128, 0, 5),
            told(12, 4, 3, 0),
        ] {
            assert_eq!(nothing, []);
        }
        assert_eq!(told(5, 0, 0, 9), [(0, 5)]);
    }

    #[test]
    fn hosts() {
        for (host, name) in [
            ("a:80", "a"),
            ("a", "a"),
            ("[::1]:80", "[::1]"),
            ("10.0.0.1:8888", "10.0.0.1"),
        ] {
            assert_eq!(host_name(host), name);
        }
    }

    proptest! {
        #[test]
        fn they_cover_what_is_asked(len in 0u64..1 << 40, block in 0u64..1 << 30, offset in 0u64..1 << 40, wanted in 0u64..1 << 40) {
            let blocks = told(len, block, offset, wanted);
            prop_assert!(blocks.len() as u64 <= BLOCKS_MAX);
            prop_assert!(blocks.windows(2).all(|pair| pair[0].0 + pair[0].1 == pair[1].0));
            let end = offset.saturating_add(wanted).min(len);
            if offset < end {
                let (first, last) = (blocks[0], blocks[blocks.len() - 1]);
                prop_assert!(first.0 <= offset && last.0 + last.1 >= end && last.0 + last.1 <= len);
            } else {
                prop_assert!(blocks.is_empty());
            }
        }
    }
}
