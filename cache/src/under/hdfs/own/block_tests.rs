//! DataNodes of our own that answer as is told, packet by packet.

use moongate_hdfs_wire::proto::hdfs::{ChecksumProto, ChecksumTypeProto, PacketHeaderProto};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

const SILENCE: Duration = Duration::from_secs(30);
const CRC32C: i32 = ChecksumTypeProto::ChecksumCrc32c as i32;
const CRC32: i32 = ChecksumTypeProto::ChecksumCrc32 as i32;
const NULL: i32 = ChecksumTypeProto::ChecksumNull as i32;

fn answer(kind: i32, chunk: u32, chunk_offset: u64) -> Vec<u8> {
    let answer = BlockOpResponseProto {
        read_op_checksum_info: Some(ReadOpChecksumInfoProto {
            checksum: ChecksumProto {
                r#type: kind,
                bytes_per_checksum: chunk,
            },
            chunk_offset,
        }),
        ..BlockOpResponseProto::default()
    };
    answer.encode_length_delimited_to_vec()
}

fn packet(kind: i32, chunk: usize, offset: u64, seqno: i64, data: &[u8]) -> Vec<u8> {
    let header = PacketHeaderProto {
        offset_in_block: offset.cast_signed(),
        seqno,
        last_packet_in_block: data.is_empty(),
        data_len: i32::try_from(data.len()).unwrap(),
        sync_block: None,
    };
    let header = header.encode_to_vec();
    let sum = |chunk: &[u8]| match kind {
        CRC32 => crc32(chunk),
        _ => crc32c::crc32c(chunk),
    };
    let sums: Vec<u8> = match kind {
        NULL => Vec::new(),
        _ => data
            .chunks(chunk)
            .flat_map(|c| sum(c).to_be_bytes())
            .collect(),
    };
    let payload = u32::try_from(4 + sums.len() + data.len()).unwrap();
    let len = u16::try_from(header.len()).unwrap();
    [
        &payload.to_be_bytes()[..],
        &len.to_be_bytes(),
        &header,
        &sums,
        data,
    ]
    .concat()
}

/// The polynomial of zip, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg())
        })
    })
}

/// All that a good DataNode says of `from..to` of a block.
pub fn good(
    kind: i32,
    chunk: usize,
    packet_bytes: usize,
    block: &[u8],
    part: (u64, u64),
) -> Vec<u8> {
    let begin = part.0 as usize / chunk * chunk;
    let end = (part.1 as usize).div_ceil(chunk) * chunk;
    let end = end.min(block.len());
    let mut said = answer(kind, chunk as u32, begin as u64);
    let (mut at, mut seqno) = (begin, 0);
    for data in block[begin..end].chunks(packet_bytes) {
        said.extend(packet(kind, chunk, at as u64, seqno, data));
        at += data.len();
        seqno += 1;
    }
    said.extend(packet(kind, chunk, at as u64, seqno, &[]));
    said
}

/// Reads a part of a block of a server that says this, in pages of `page_bytes`; whether the connection was good to the end.
async fn read(
    said: Vec<u8>,
    part: (u64, u64),
    page_bytes: usize,
) -> Result<(Vec<u8>, bool), Fault> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap());
    let (mut client, (server, _)) = (stream.await.unwrap(), listener.accept().await.unwrap());
    client.set_nodelay(true).unwrap();
    let (mut reader, mut writer) = server.into_split();
    let server = tokio::spawn(async move {
        // Who hangs up early is not written to.
        let _ = writer.write_all(&said).await;
        let _ = writer.shutdown().await;
        let mut heard = Vec::new();
        let _ = reader.read_to_end(&mut heard).await;
        heard
    });
    let asked = Asked {
        block: &ExtendedBlockProto::default(),
        token: &TokenProto::default(),
        from: part.0,
        to: part.1,
    };
    let mut got = Vec::new();
    let mut block = BlockRead::begin(client, &asked, SILENCE).await?;
    while !block.is_done() {
        let mut page = BytesMut::with_capacity(page_bytes);
        while page.len() < page_bytes && !block.is_done() {
            let (before, room) = (page.len(), page_bytes - page.len());
            if let Err(fault) = block.more(&mut page, room).await {
                assert_eq!(page.len(), before);
                return Err(fault);
            }
            assert!(page.len() > before && page.len() <= page_bytes);
        }
        got.extend_from_slice(&page);
    }
    client = block.finish().await?;
    drop(client);
    let heard = server.await.unwrap();
    Ok((
        got,
        heard.ends_with(&[2, 8, 6]) || heard.ends_with(&[2, 8, 0]),
    ))
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn parts_are_read_from_anywhere(
        len in 1usize..40_000, cut in any::<(prop::sample::Index, prop::sample::Index)>(), kind in prop::sample::select(vec![CRC32C, CRC32, NULL]),
        chunk in prop::sample::select(vec![1usize, 100, 512, 4096]), chunks in 1usize..20, page_bytes in 1usize..30_000,
    ) {
        let block: Vec<u8> = (0..len).map(|i| (i * 31 % 251) as u8).collect();
        let (a, b) = (cut.0.index(len), cut.1.index(len));
        let part = (a.min(b) as u64, a.max(b) as u64 + 1);
        let said = good(kind, chunk, chunk * chunks, &block, part);
        let (got, is_told) = run(read(said, part, page_bytes)).unwrap();
        prop_assert!(got == block[part.0 as usize..part.1 as usize]);
        prop_assert!(is_told);
    }

    #[test]
    fn a_flipped_bit_is_noticed_or_changes_nothing(at: prop::sample::Index, bit in 0u8..8) {
        let block = vec![7; 5000];
        let part = (600, 4000);
        let mut said = good(CRC32C, 512, 1024, &block, part);
        let at = at.index(said.len());
        said[at] ^= 1 << bit;
        if let Ok((got, _)) = run(read(said, part, 1500)) {
            prop_assert!(got == block[600..4000]);
        }
    }

    #[test]
    fn random_bytes_end_in_a_fault(bytes in proptest::collection::vec(any::<u8>(), 0..300), begins in 0u8..3) {
        let mut said = match begins {
            0 => Vec::new(),
            1 => answer(CRC32C, 512, 0),
            _ => [answer(CRC32C, 512, 0), vec![0, 0, 2, 8, 0, 25]].concat(),
        };
        said.extend(bytes);
        prop_assert!(run(read(said, (0, 100_000), 4096)).is_err());
    }
}

#[test]
fn what_only_promises_sets_nothing_aside() {
    // A packet of 16 MiB, of which nothing comes: the buffer has not grown by more than a step.
    let header = PacketHeaderProto {
        data_len: (16 << 20) - 4,
        ..PacketHeaderProto::default()
    };
    let header = header.encode_to_vec();
    let len = u16::try_from(header.len()).unwrap();
    let head = [
        &(16u32 << 20).to_be_bytes()[..],
        &len.to_be_bytes(),
        &header,
    ]
    .concat();
    let said = [answer(NULL, 512, 0), head].concat();
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap());
        let (client, (mut server, _)) = (stream.await.unwrap(), listener.accept().await.unwrap());
        server.write_all(&said).await.unwrap();
        server.shutdown().await.unwrap();
        let asked = Asked {
            block: &ExtendedBlockProto::default(),
            token: &TokenProto::default(),
            from: 0,
            to: 32 << 20,
        };
        let mut block = BlockRead::begin(client, &asked, SILENCE).await.unwrap();
        let mut page = BytesMut::new();
        let fault = block.more(&mut page, 32 << 20).await.unwrap_err();
        assert!(matches!(fault, Fault::Io(_)), "{fault}");
        assert!(page.capacity() <= 2 * STEP_BYTES, "{}", page.capacity());
        assert!(block.arrived.capacity() <= 2 * STEP_BYTES);
    });
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let data = [7; 512];
    let refused = |said: Vec<u8>| run(read(said, (0, 512), 512)).unwrap_err();
    let begun = || answer(CRC32C, 512, 0);
    let other_place = [begun(), packet(CRC32C, 512, 512, 0, &data)].concat();
    assert!(matches!(refused(other_place), Fault::Senseless(_)));
    let other_number = [begun(), packet(CRC32C, 512, 0, 1, &data)].concat();
    assert!(matches!(refused(other_number), Fault::Senseless(_)));
    let too_soon = [begun(), packet(CRC32C, 512, 0, 0, &[])].concat();
    assert!(matches!(refused(too_soon), Fault::Senseless(_)));
    let unsummed = [begun(), packet(NULL, 512, 0, 0, &data)].concat();
    assert!(matches!(refused(unsummed), Fault::Senseless(_)));
    let other_sums = [begun(), packet(CRC32, 512, 0, 0, &data)].concat();
    assert!(matches!(refused(other_sums), Fault::Damaged));
    assert!(matches!(
        refused(answer(CRC32C, 512, 1)),
        Fault::Senseless(_)
    ));
    assert!(matches!(refused(answer(CRC32C, 0, 0)), Fault::Senseless(_)));
    assert!(matches!(refused(answer(9, 512, 0)), Fault::Senseless(_)));
    let status = |status: Status| {
        let answer = BlockOpResponseProto {
            status: status.into(),
            ..BlockOpResponseProto::default()
        };
        refused(answer.encode_length_delimited_to_vec())
    };
    assert!(matches!(status(Status::ErrorAccessToken), Fault::Token));
    assert!(matches!(status(Status::Error), Fault::Refused(_)));
    assert!(matches!(status(Status::Success), Fault::Senseless(_)));
}
