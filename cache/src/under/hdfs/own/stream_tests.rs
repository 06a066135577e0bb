//! DataNodes that fail in every way, one after the other: what comes is the file, or an error.

use moongate_hdfs_wire::proto::common::TokenProto;
use moongate_hdfs_wire::proto::hdfs::{
    BlockOpResponseProto, ChecksumTypeProto, ExtendedBlockProto, OpReadBlockProto, Status,
};
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::super::block::tests::good;
use super::super::nodes::{Address, Nodes};
use super::super::rpc::Rpc;
use super::*;

const SILENCE: Duration = Duration::from_millis(300);
const BLOCK_BYTES: usize = 100_000;

/// What a DataNode does with an operation.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Does {
    Well,
    /// Sends half of what it should and closes the connection.
    Breaks,
    /// Sends half of it, and then nothing more.
    Stalls,
    /// Flips a bit near the end.
    Damages,
    HasNone,
    RefusesTheToken,
}

async fn datanode(does: Does, block: Arc<Vec<u8>>) -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, does, Arc::clone(&block)));
        }
    });
    ("127.0.0.1".into(), port)
}

async fn serve(mut stream: TcpStream, does: Does, block: Arc<Vec<u8>>) {
    let mut heard = vec![0; 4096];
    let len = stream.read(&mut heard).await.unwrap();
    let asked = OpReadBlockProto::decode_length_delimited(&heard[3..len]).unwrap();
    let kind = ChecksumTypeProto::ChecksumCrc32c.into();
    let part = (asked.offset, asked.offset + asked.len);
    let mut said = good(kind, 512, 8192, &block, part);
    let (half, late) = (said.len() / 2, said.len() - 40);
    let refuse = |status: Status| {
        let answer = BlockOpResponseProto {
            status: status.into(),
            ..BlockOpResponseProto::default()
        };
        answer.encode_length_delimited_to_vec()
    };
    match does {
        Does::Well => {}
        Does::Breaks | Does::Stalls => said.truncate(half),
        Does::Damages => said[late] ^= 1,
        Does::HasNone => said = refuse(Status::Error),
        Does::RefusesTheToken => said = refuse(Status::ErrorAccessToken),
    }
    let _ = stream.write_all(&said).await;
    if does != Does::Breaks {
        // Until the client has had enough of it.
        let _ = stream.read(&mut heard).await;
    }
}

/// Reads a file of two blocks, whose DataNodes do this.
async fn read(all: &[Does], page_bytes: u64) -> Result<(), BackendError> {
    let bytes: Vec<u8> = (0..2 * BLOCK_BYTES).map(|i| (i * 7 % 253) as u8).collect();
    let mut blocks = Vec::new();
    for (index, data) in bytes.chunks(BLOCK_BYTES).enumerate() {
        let mut replicas = Vec::new();
        for does in all {
            replicas.push(datanode(*does, Arc::new(data.to_vec())).await);
        }
        blocks.push(Block {
            start: (index * BLOCK_BYTES) as u64,
            len: BLOCK_BYTES as u64,
            id: ExtendedBlockProto::default(),
            token: TokenProto::default(),
            replicas,
        });
    }
    let len = bytes.len() as u64;
    let path = "/file".to_owned();
    let file = Arc::new(LocatedFile { path, len, blocks });
    let own = Arc::new(Own {
        rpc: Rpc::new(Vec::new(), SILENCE),
        nodes: Nodes::new(SILENCE),
        by_hostname: false,
        is_open: tokio::sync::OnceCell::new(),
        has_read: std::sync::atomic::AtomicBool::new(false),
    });
    let (from, to) = (777, len - 333);
    let mut pieces = stream(own, file, from..to, page_bytes);
    let mut at = from;
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        let end = at + piece.len() as u64;
        assert!(!piece.is_empty() && at / page_bytes == (end - 1) / page_bytes);
        assert!(piece[..] == bytes[at as usize..end as usize], "{all:?}");
        at = end;
    }
    assert_eq!(at, to);
    Ok(())
}

#[tokio::test]
async fn others_take_over_where_one_has_failed() {
    use Does::{Breaks, Damages, HasNone, Stalls, Well};
    for first in [Well, Breaks, Stalls, Damages, HasNone] {
        for page_bytes in [4096, 65_536, 1 << 20] {
            read(&[first, Well], page_bytes).await.unwrap();
        }
    }
    read(&[Breaks, Stalls, Damages, HasNone, Well], 65_536)
        .await
        .unwrap();
}

#[tokio::test]
async fn if_all_fail_it_is_said() {
    use Does::{Breaks, Damages, HasNone, RefusesTheToken, Stalls, Well};
    for all in [
        &[][..],
        &[Damages, HasNone],
        &[Stalls],
        &[Breaks, Damages],
        // The others would not take it either: a new one is to be had.
        &[RefusesTheToken, Well],
    ] {
        let error = read(all, 65_536).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{all:?}");
    }
}
