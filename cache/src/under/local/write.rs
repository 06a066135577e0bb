//! Writing: a new file grows under a hidden name beside its own, and takes its own when it is whole and durable.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use rustix::fs::{AtFlags, Mode, OFlags, fchmod, openat, renameat, unlinkat};
use rustix::io::Errno;

use super::error::{changed, invalid, of_errno, of_io};
use super::read::open_file;
use super::root::Place;
use super::tree::sync;
use super::{Shared, WRITING_PREFIX, blocking, change, stat};
use crate::backend::{BackendError, BackendWriter, CreateOptions, ErrorKind};

/// Small pieces are collected up to this before the disk is asked.
const COLLECT_BYTES: usize = 256 << 10;
/// Folders that a file's missing parents become.
const PARENT_PERMISSION: u16 = 0o755;

/// A file being written, new or at its end.
pub(super) struct LocalWriter {
    target: Arc<Target>,
    collected: Vec<Bytes>,
    collected_bytes: usize,
}

struct Target {
    file: File,
    path: String,
    end: End,
}

/// What becomes of what was written.
enum End {
    /// The hidden name, which becomes the name.
    Publish {
        hidden: Place,
        place: Place,
        overwrite: bool,
        is_shown: AtomicBool,
    },
    /// How long the file is with what this writer has added, and was before, or when it was last made durable.
    Grow { len: AtomicU64, before: AtomicU64 },
}

pub(super) fn create(
    shared: &Shared,
    path: &str,
    options: &CreateOptions,
) -> Result<LocalWriter, BackendError> {
    refuse_what_is_there(shared, path, options.overwrite)?;
    let place = match shared.root.place(path) {
        Err(error) if error.kind == ErrorKind::NotFound && options.create_parents => {
            let parent = path.rsplit_once('/').map_or("/", |(parent, _)| parent);
            change::make_dirs(shared, parent, PARENT_PERMISSION)?;
            shared.root.place(path)?
        }
        place => place?,
    };
    let fail = |errno| of_errno(errno, path);
    let parent = place.parent.try_clone().map_err(|e| of_io(&e, path))?;
    let hidden = Place {
        parent,
        name: hidden_name(),
    };
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = openat(&hidden.parent, &hidden.name, flags, Mode::from(0o600)).map_err(fail)?;
    let overwrite = options.overwrite;
    let end = End::Publish {
        hidden,
        place,
        overwrite,
        is_shown: AtomicBool::new(false),
    };
    let writer = LocalWriter::new(file.into(), path, end);
    let mode = Mode::from(u32::from(options.permission) & 0o1777);
    fchmod(&writer.target.file, mode).map_err(fail)?;
    Ok(writer)
}

fn refuse_what_is_there(shared: &Shared, path: &str, overwrite: bool) -> Result<(), BackendError> {
    match stat::of_path(shared, path) {
        Ok(found) if found.is_dir() => Err(of_errno(Errno::ISDIR, path)),
        Ok(_) if !overwrite => Err(of_errno(Errno::EXIST, path)),
        Ok(_) => Ok(()),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Unlike any other of this process or one before it.
fn hidden_name() -> String {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    let now = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap_or_default();
    let (process, serial) = (std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed));
    format!("{WRITING_PREFIX}{process}.{serial}.{:x}", now.as_nanos())
}

pub(super) fn append(shared: &Shared, path: &str) -> Result<LocalWriter, BackendError> {
    let file = open_file(shared, path, OFlags::WRONLY | OFlags::APPEND)?;
    let before = len_of(&file, path)?;
    let (len, before) = (AtomicU64::new(before), AtomicU64::new(before));
    Ok(LocalWriter::new(file, path, End::Grow { len, before }))
}

fn len_of(file: &File, path: &str) -> Result<u64, BackendError> {
    let metadata = file.metadata().map_err(|e| of_io(&e, path))?;
    Ok(metadata.len())
}

pub(super) fn truncate(shared: &Shared, path: &str, len: u64) -> Result<bool, BackendError> {
    let file = open_file(shared, path, OFlags::WRONLY)?;
    let now = len_of(&file, path)?;
    if len > now {
        let text = format!("it is {now} bytes long and cannot be cut to {len}");
        return Err(invalid(path, &text));
    }
    let cut = file.set_len(len).and_then(|()| file.sync_all());
    cut.map_err(|e| of_io(&e, path))?;
    Ok(true)
}

pub(super) fn concat(shared: &Shared, path: &str, sources: &[String]) -> Result<(), BackendError> {
    if sources.is_empty() {
        return Err(invalid(path, "name at least one source to concatenate"));
    }
    let mut seen = BTreeSet::from([path]);
    if let Some(twice) = sources.iter().find(|source| !seen.insert(source)) {
        return Err(invalid(
            twice,
            "a source is named once, and is not the target",
        ));
    }
    let open = |source: &String| open_file(shared, source, OFlags::RDONLY);
    let opened: Vec<File> = sources.iter().map(open).collect::<Result<_, _>>()?;
    let mut target = open_file(shared, path, OFlags::WRONLY | OFlags::APPEND)?;
    let len = len_of(&target, path)?;
    if let Err(error) = copy_all(&mut target, opened) {
        let _ = target.set_len(len);
        return Err(of_io(&error, path));
    }
    for source in sources {
        super::tree::delete(shared, source, false)?;
    }
    Ok(())
}

fn copy_all(target: &mut File, sources: Vec<File>) -> io::Result<()> {
    for mut source in sources {
        io::copy(&mut source, target)?;
    }
    target.sync_all()
}

impl LocalWriter {
    fn new(file: File, path: &str, end: End) -> Self {
        let path = path.to_owned();
        Self {
            target: Arc::new(Target { file, path, end }),
            collected: Vec::new(),
            collected_bytes: 0,
        }
    }

    async fn flush(&mut self) -> Result<(), BackendError> {
        self.collected_bytes = 0;
        let collected = std::mem::take(&mut self.collected);
        let target = self.target.clone();
        blocking(move || target.write(&collected)).await
    }
}

impl Target {
    fn write(&self, pieces: &[Bytes]) -> Result<(), BackendError> {
        for piece in pieces {
            let written = (&self.file).write_all(piece);
            written.map_err(|e| of_io(&e, &self.path))?;
            if let End::Grow { len, .. } = &self.end {
                len.fetch_add(piece.len() as u64, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Makes it durable, and gives it its name if it has not got it.
    fn show(&self) -> Result<(), BackendError> {
        let fail = |errno| of_errno(errno, &self.path);
        self.file.sync_all().map_err(|e| of_io(&e, &self.path))?;
        let End::Publish {
            hidden,
            place,
            overwrite,
            is_shown,
        } = &self.end
        else {
            return Ok(());
        };
        if is_shown.load(Ordering::Relaxed) {
            return Ok(());
        }
        if *overwrite {
            renameat(&hidden.parent, &hidden.name, &place.parent, &place.name).map_err(fail)?;
        } else {
            change::move_new(hidden, place).map_err(fail)?;
        }
        is_shown.store(true, Ordering::Relaxed);
        sync(&place.parent, &self.path)
    }

    /// An abort leaves what is there now.
    fn keep(&self) {
        if let End::Grow { len, before } = &self.end {
            before.store(len.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    fn abort(&self) -> Result<(), BackendError> {
        let fail = |e: &io::Error| of_io(e, &self.path);
        match &self.end {
            End::Publish { is_shown, .. } if is_shown.load(Ordering::Relaxed) => Ok(()),
            End::Publish { hidden, .. } => {
                let removed = unlinkat(&hidden.parent, &hidden.name, AtFlags::empty());
                removed.map_err(|errno| of_errno(errno, &self.path))
            }
            End::Grow { len, before } => {
                // What another one has added since is not cut off.
                if len_of(&self.file, &self.path)? != len.load(Ordering::Relaxed) {
                    return Err(changed(&self.path));
                }
                let before = before.load(Ordering::Relaxed);
                self.file.set_len(before).map_err(|e| fail(&e))
            }
        }
    }
}

/// A writer that was neither finished nor aborted leaves nothing that would have to be found later. After a finish the hidden name is gone.
impl Drop for Target {
    fn drop(&mut self) {
        if let End::Publish { hidden, .. } = &self.end {
            let _ = unlinkat(&hidden.parent, &hidden.name, AtFlags::empty());
        }
    }
}

impl fmt::Debug for LocalWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalWriter({})", self.target.path)
    }
}

#[async_trait]
impl BackendWriter for LocalWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<(), BackendError> {
        self.collected_bytes += bytes.len();
        self.collected.push(bytes);
        if self.collected_bytes >= COLLECT_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    async fn sync(&mut self) -> Result<(), BackendError> {
        self.flush().await?;
        let target = self.target.clone();
        blocking(move || target.show()).await?;
        self.target.keep();
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<(), BackendError> {
        self.flush().await?;
        let target = self.target.clone();
        blocking(move || target.show()).await
    }

    async fn abort(self: Box<Self>) {
        let target = self.target.clone();
        if let Err(error) = blocking(move || target.abort()).await {
            tracing::debug!(%error, "what was being written could not be taken back");
        }
    }
}
