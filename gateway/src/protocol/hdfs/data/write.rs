//! OP_WRITE_BLOCK: the gateway is the whole pipeline. A packet is answered when its checksums hold and the store has taken it.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use moongate_cache::{BackendError, ErrorKind};
use moongate_hdfs_wire::sums::Sums;
use prost::Message as _;
use tokio::io::AsyncReadExt as _;
use tokio::sync::watch;
use tokio::time::{timeout, timeout_at};

use super::arriving::{self, Arrived};
use super::whose::{No, refused};
use super::{Next, Talk};
use crate::metrics::Operation;
use crate::protocol::hdfs::lease::{Arriving, OpenFile};
use crate::protocol::hdfs::proto::hdfs::op_write_block_proto::BlockConstructionStage as Stage;
use crate::protocol::hdfs::proto::hdfs::{
    BlockOpResponseProto, OpWriteBlockProto, PipelineAckProto, Status as Outcome,
};
use crate::protocol::hdfs::server::{told, write_all};
use crate::tenancy;

/// How long a writer may be silent: clients send a heartbeat every 30 s.
const SILENCE: Duration = Duration::from_secs(150);
/// How long a writer that was told no may take to read it.
const LINGER: Duration = Duration::from_secs(3);
/// What is read of a socket at once.
const READ_BYTES: usize = 256 << 10;
/// A packet that only says that the writer is there.
const HEARTBEAT: i64 = -1;

/// A block that may be written.
struct Writable {
    file: Arc<OpenFile>,
    block: u64,
    sums: Sums,
}

impl Talk {
    pub(super) async fn write_block(
        &mut self,
        message: Bytes,
        stopped: &mut watch::Receiver<bool>,
    ) -> io::Result<Next> {
        let begun = Instant::now();
        let asked = OpWriteBlockProto::decode(message).map_err(io::Error::other)?;
        let writable = match self.writable(&asked).await {
            Ok(writable) => writable,
            Err((outcome, text)) => {
                self.wrote(begun, 400, 0);
                return self.refuse(outcome, text).await;
            }
        };
        self.answer(&BlockOpResponseProto {
            status: Outcome::Success.into(),
            first_bad_link: Some(String::new()),
            ..BlockOpResponseProto::default()
        })
        .await?;
        let mut received_bytes = 0;
        let taken = self
            .take_block(&writable, &mut received_bytes, stopped)
            .await;
        let tenants = &self.hdfs.gateway.tenants;
        let tenant = writable.file.tenant.as_deref();
        tenants.charge(tenant, received_bytes, Instant::now());
        self.wrote(begun, if taken.is_ok() { 200 } else { 500 }, received_bytes);
        taken.map(|()| Next::Close)
    }

    fn wrote(&self, begun: Instant, status: u16, bytes: u64) {
        let metrics = &self.hdfs.gateway.metrics;
        metrics.answered(Operation::HdfsWrite, status, begun.elapsed(), bytes, 0);
    }

    /// By the token that the client was given with the block.
    async fn writable(&self, asked: &OpWriteBlockProto) -> Result<Writable, No> {
        let header = &asked.header.base_header;
        let given = header.token.clone().unwrap_or_default();
        let block = header.block.block_id;
        let token = self.hdfs.tokens.open(&given);
        let token = token.filter(|token| token.block_id() == block);
        let file = self.hdfs.leases.of_block(block);
        let file = file.filter(|file| {
            let is_writer = |user: &str| *file.holder.user == *user;
            token.is_some_and(|token| is_writer(&token.user))
        });
        let Some(file) = file else {
            let text = "the block is of no file that is being written with this token".to_owned();
            return Err((Outcome::ErrorAccessToken, text));
        };
        if asked.stage() != Stage::PipelineSetupCreate {
            let text = "the gateway is the whole pipeline: what was lost of it cannot be mended, write the file anew";
            return Err((Outcome::ErrorUnsupported, text.to_owned()));
        }
        let sums = Sums::of(&asked.requested_checksum).ok_or_else(|| {
            let text = "a checksum of no bytes, or of too many".to_owned();
            (Outcome::ErrorInvalid, text)
        })?;
        file.begin_block(block).await.map_err(refused)?;
        Ok(Writable { file, block, sums })
    }

    async fn take_block(
        &mut self,
        to: &Writable,
        received_bytes: &mut u64,
        stopped: &mut watch::Receiver<bool>,
    ) -> io::Result<()> {
        loop {
            let packet = tokio::select! {
                packet = self.packet() => packet?,
                () = told(stopped) => return Err(io::Error::other("the gateway stops")),
            };
            let (seqno, is_last) = (packet.header.seqno, packet.header.last_packet_in_block);
            *received_bytes += packet.data.len() as u64;
            if seqno == HEARTBEAT {
                self.acknowledge(seqno, Outcome::Success).await?;
                continue;
            }
            if !packet.is_sound(to.sums) {
                let text = format!(
                    "{}: the checksum of packet {seqno} does not hold",
                    to.file.path()
                );
                return self.no(seqno, Outcome::ErrorChecksum, text).await;
            }
            if let Err(error) = self.store(to, packet).await {
                let text = format!("{}: {error}", to.file.path());
                return self.no(seqno, Outcome::Error, text).await;
            }
            self.acknowledge(seqno, Outcome::Success).await?;
            if is_last {
                return Ok(());
            }
        }
    }

    async fn store(&self, to: &Writable, packet: Arrived) -> Result<(), BackendError> {
        let Writable { file, block, .. } = to;
        let gateway = &self.hdfs.gateway;
        let offset = u64::try_from(packet.header.offset_in_block);
        let offset = offset
            .map_err(|_| BackendError::new(ErrorKind::Invalid, "a place before the block"))?;
        let bytes = packet.data.len() as u64;
        let grown = tenancy::files::grows(gateway, file.tenant.as_deref(), &file.path(), bytes, 0);
        if let Err(fenced) = grown {
            let error = crate::protocol::hdfs::refused::Refused::from(fenced);
            let error = BackendError::of_class(ErrorKind::NoSpace, error.class, error.message);
            file.fail(&error).await;
            return Err(error);
        }
        let arriving = Arriving {
            offset,
            // At the end of a block it asks a DataNode to do what every store does when the file is closed.
            is_synced: packet.header.sync_block() && !packet.header.last_packet_in_block,
            has_more: !self.arrived.is_empty(),
            data: packet.data,
        };
        file.take(*block, arriving).await
    }

    /// The next packet, whole.
    async fn packet(&mut self) -> io::Result<Arrived> {
        let whole = async {
            loop {
                if let Some(packet) = arriving::take(&mut self.arrived).map_err(io::Error::other)? {
                    return Ok(packet);
                }
                self.arrived.reserve(READ_BYTES);
                if self.reader.read_buf(&mut self.arrived).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        };
        let silent = |_| io::Error::from(io::ErrorKind::TimedOut);
        timeout(SILENCE, whole).await.map_err(silent)?
    }

    async fn acknowledge(&mut self, seqno: i64, outcome: Outcome) -> io::Result<()> {
        let ack = PipelineAckProto {
            seqno,
            reply: vec![outcome.into()],
            ..PipelineAckProto::default()
        };
        let bytes = ack.encode_length_delimited_to_vec();
        let slices = &mut [io::IoSlice::new(&bytes)];
        write_all(&mut self.writer, slices, self.stall).await
    }

    /// Tells the writer that a packet was not taken, and lets it hear that: to close with unread bytes in the socket would reset it.
    async fn no(&mut self, seqno: i64, outcome: Outcome, text: String) -> io::Result<()> {
        tracing::warn!(peer = %self.peer.addr, "a write of hdfs:// is refused: {text}");
        self.acknowledge(seqno, outcome).await?;
        let until = tokio::time::Instant::now() + LINGER;
        while let Ok(Ok(1..)) = timeout_at(until, self.reader.read_buf(&mut self.arrived)).await {
            self.arrived.clear();
        }
        Err(io::Error::other(text))
    }
}
