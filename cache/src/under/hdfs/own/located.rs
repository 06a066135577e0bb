//! Where the blocks of a file are, as the NameNode said at one moment.

use std::sync::Arc;

use moongate_hdfs_wire::proto::common::TokenProto;
use moongate_hdfs_wire::proto::hdfs::{
    DatanodeIdProto, ExtendedBlockProto, LocatedBlockProto, LocatedBlocksProto,
};

use super::nodes::Address;

/// A file whose bytes are in replicated blocks, all of them complete.
#[derive(Debug)]
pub(in crate::under::hdfs) struct LocatedFile {
    pub(super) path: String,
    pub(in crate::under::hdfs) len: u64,
    /// Without gaps, from 0 to `len`.
    pub(super) blocks: Vec<Block>,
}

/// A block.
#[derive(Debug)]
pub(super) struct Block {
    /// Where it begins in the file.
    pub(super) start: u64,
    pub(super) len: u64,
    pub(super) id: ExtendedBlockProto,
    pub(super) token: TokenProto,
    /// Who has it, in the NameNode's order.
    pub(super) replicas: Vec<Address>,
}

impl Block {
    pub(super) const fn end(&self) -> u64 {
        self.start + self.len
    }
}

impl LocatedFile {
    /// `None` of a file that is still being written, encrypted, in stripes, or told in another way than in blocks one after the other.
    pub(super) fn of(path: &str, said: LocatedBlocksProto, by_hostname: bool) -> Option<Self> {
        let is_plain = !said.under_construction
            && (said.is_last_block_complete || said.blocks.is_empty())
            && said.file_encryption_info.is_none()
            && said.ec_policy.is_none();
        if !is_plain {
            return None;
        }
        let mut blocks = Vec::with_capacity(said.blocks.len());
        let mut end = 0u64;
        for block in said.blocks {
            let block = one(block, by_hostname)?;
            if block.start != end {
                return None;
            }
            end = end.checked_add(block.len)?;
            blocks.push(block);
        }
        (end == said.file_length).then(|| Self {
            path: path.to_owned(),
            len: end,
            blocks,
        })
    }

    /// The block that holds a byte, and its number.
    pub(super) fn at(&self, byte: u64) -> Option<(usize, &Block)> {
        let index = self.blocks.partition_point(|block| block.end() <= byte);
        Some((index, self.blocks.get(index)?))
    }
}

fn one(said: LocatedBlockProto, by_hostname: bool) -> Option<Block> {
    if said.block_indices.is_some() {
        return None;
    }
    let address = |id: DatanodeIdProto| {
        let port = u16::try_from(id.xfer_port).ok()?;
        let host = if by_hostname {
            id.host_name
        } else {
            id.ip_addr
        };
        Some((Arc::<str>::from(host), port))
    };
    let replicas = said.locs.into_iter().map(|node| address(node.id));
    Some(Block {
        start: said.offset,
        len: said.b.num_bytes(),
        id: said.b,
        token: said.block_token,
        replicas: replicas.collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(lens: &[u64]) -> LocatedBlocksProto {
        let mut offset = 0;
        let mut one = |len: u64| {
            let block = LocatedBlockProto {
                b: ExtendedBlockProto {
                    num_bytes: Some(len),
                    ..ExtendedBlockProto::default()
                },
                offset,
                ..LocatedBlockProto::default()
            };
            offset += len;
            block
        };
        LocatedBlocksProto {
            blocks: lens.iter().map(|len| one(*len)).collect(),
            file_length: lens.iter().sum(),
            is_last_block_complete: true,
            ..LocatedBlocksProto::default()
        }
    }

    #[test]
    fn a_byte_is_found_in_its_block() {
        let file = LocatedFile::of("/f", blocks(&[10, 10, 3]), false).unwrap();
        let at = |byte| file.at(byte).map(|(index, _)| index);
        assert_eq!(
            [at(0), at(9), at(10), at(22), at(23)],
            [Some(0), Some(0), Some(1), Some(2), None]
        );
        assert_eq!(file.len, 23);
        assert!(
            LocatedFile::of("/f", blocks(&[]), false)
                .unwrap()
                .at(0)
                .is_none()
        );
    }

    #[test]
    fn what_is_not_plain_is_left_to_hdfs_native() {
        let refused = |change: fn(&mut LocatedBlocksProto)| {
            let mut said = blocks(&[10, 10]);
            change(&mut said);
            assert!(LocatedFile::of("/f", said, false).is_none());
        };
        refused(|said| said.under_construction = true);
        refused(|said| said.is_last_block_complete = false);
        refused(|said| said.file_encryption_info = Some(bytes::Bytes::new()));
        refused(|said| said.ec_policy = Some(bytes::Bytes::new()));
        refused(|said| said.blocks[1].block_indices = Some(bytes::Bytes::new()));
        refused(|said| said.blocks[1].offset = 11);
        refused(|said| said.file_length = 21);
        refused(|said| said.blocks[1].b.num_bytes = Some(u64::MAX));
    }
}
