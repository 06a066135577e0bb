//! The engine that works everywhere: threads that block in `pread`.

use super::queue::Queue;
use crate::disk::read_exact_at;
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
        let result = read_exact_at(&*request.file, request.offset, request.len);
        request.answer(result);
    }
}
