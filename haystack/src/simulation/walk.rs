//! An independent walk over a version 3 `.dat`, from the format's description: knows nothing of seals, commits and recovery.

/// A record as its header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    pub offset: usize,
    pub end: usize,
    pub key: u64,
    pub size: usize,
}

const SUPER_BLOCK_BYTES: usize = 8;
const HEADER_BYTES: usize = 16;
const TAIL_BYTES: usize = 12;

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b))
}

/// All records; an error where the file does not end with the last of them.
pub fn records(dat: &[u8]) -> Result<Vec<Record>, String> {
    let (mut at, mut found) = (SUPER_BLOCK_BYTES, Vec::new());
    while at < dat.len() {
        let header = dat
            .get(at..at + HEADER_BYTES)
            .ok_or_else(|| format!("half a header at {at} of {}", dat.len()))?;
        let size = number(&header[12..]) as usize;
        let unpadded = HEADER_BYTES + size + TAIL_BYTES;
        let end = at + unpadded + 8 - unpadded % 8;
        if end > dat.len() {
            return Err(format!("the record at {at} ends at {end} of {}", dat.len()));
        }
        found.push(Record {
            offset: at,
            end,
            key: number(&header[4..12]),
            size,
        });
        at = end;
    }
    Ok(found)
}

/// The `.idx` (4-byte offsets) that belongs to these records.
pub fn idx_of(records: &[Record]) -> Vec<u8> {
    let mut out = Vec::with_capacity(records.len() * 16);
    for record in records {
        out.extend_from_slice(&record.key.to_be_bytes());
        out.extend_from_slice(&((record.offset / 8) as u32).to_be_bytes());
        let size = if record.size == 0 {
            u32::MAX
        } else {
            record.size as u32
        };
        out.extend_from_slice(&size.to_be_bytes());
    }
    out
}
