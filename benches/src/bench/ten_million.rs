//! The folder that `index` and `start` share: ten million needles, imported once.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Bench, progress};
use crate::figures::mib;
use crate::needles::Needles;
use crate::process::Server;

/// How long the first start may take, which reads the whole folder.
const IMPORT_PATIENCE: Duration = Duration::from_secs(600);

/// A folder that has been opened once and stopped cleanly.
pub struct TenMillion {
    /// What is in it.
    pub needles: Needles,
    /// Where it is.
    pub data: PathBuf,
    /// Time to ready of the first start.
    pub import: Duration,
}

impl TenMillion {
    /// Writes and imports it.
    pub fn make(bench: &Bench) -> Result<Self> {
        let needles = Needles {
            count: if bench.quick { 1_000_000 } else { 10_000_000 },
        };
        Self::make_with(bench, needles, "ten-million")
    }

    /// Writes and imports a folder of any size.
    pub fn make_with(bench: &Bench, needles: Needles, name: &str) -> Result<Self> {
        let data = bench.folder(name)?;
        let begun = Instant::now();
        let bytes = needles.write(&data)?;
        progress(&format!(
            "wrote {} needles, {} MiB, in {:.1?}",
            needles.count,
            mib(bytes),
            begun.elapsed()
        ));
        let server = Server::moongate(
            &bench.bin,
            &data,
            &bench.path("moongate.log"),
            IMPORT_PATIENCE,
        )?;
        let import = server.started_in();
        progress(&format!("imported in {import:.1?}"));
        server.stop()?;
        Ok(Self {
            needles,
            data,
            import,
        })
    }
}
