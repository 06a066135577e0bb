//! The engine that works everywhere: threads that block in `pread`.

use super::queue::{Queue, Request};
use crate::disk::unexpected_eof;
use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

/// Starts one thread of the pool. It ends when the queue is closed and empty.
pub(super) fn start(number: usize, queue: Arc<Queue>) -> io::Result<JoinHandle<()>> {
    Builder::new()
        .name(format!("disk-read-{number}"))
        .spawn(move || serve(&queue))
}

/// Reads one request after the other until the queue is closed and empty.
pub(super) fn serve(queue: &Queue) {
    while let Some(request) = queue.pop_wait() {
        let result = read(&request);
        request.answer(result);
    }
}

fn read(request: &Request) -> io::Result<Vec<u8>> {
    let mut bytes = request.buffer()?;
    let start = bytes.len();
    bytes.resize(start + request.len, 0);
    let target = bytes.get_mut(start..).unwrap_or_default();
    if request.file.read_at(target, request.offset)? < request.len {
        return Err(unexpected_eof(request.offset, request.len));
    }
    Ok(bytes)
}
