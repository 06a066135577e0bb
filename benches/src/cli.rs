//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::bench::NearOptions;

/// Measures moongate against bare floors and writes a report.
///
/// Every figure stands beside its floor from the same run. A partial or a quick run is printed, and replaces the report
/// only where --out says so. A missed target is reported and is no failure; a wrong answer of the server is one.
#[derive(Parser)]
#[command(
    name = "moongate-bench",
    version,
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    /// A part of the benchmarks that is a process of its own; they start it themselves.
    #[command(subcommand)]
    pub part: Option<Part>,
    /// What to measure and where.
    #[command(flatten)]
    pub options: Options,
}

/// Options of a benchmark run.
#[derive(Args)]
pub struct Options {
    /// Measure only these.
    #[arg(long, value_delimiter = ',', value_name = "NAME,...")]
    pub only: Vec<Name>,
    /// Length of one measured round in seconds [default: 2, quick: 0.5].
    #[arg(long, value_parser = positive_secs)]
    pub seconds: Option<f64>,
    /// The moongate binary [default: the one beside this program].
    #[arg(long, value_name = "PATH")]
    pub bin: Option<PathBuf>,
    /// Where the report goes; `-` is stdout [default: docs/benchmarks.md of a whole run, else stdout].
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Under this folder everything is stored while measuring, then removed. It decides which disk is measured.
    #[arg(long, value_name = "DIR", default_value = "target")]
    pub dir: PathBuf,
    /// Short rounds and a tenth of the needles: to see that everything works, not to quote.
    #[arg(long)]
    pub quick: bool,
}

/// The benchmarks, in the order in which they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// Random warm GETs of 5 KB images.
    Get,
    /// Durable PUTs of 5 KB images.
    Put,
    /// Many images in one call, up and down, on the image port.
    Batch,
    /// Folders on the file port: training shards, and a listing.
    Files,
    /// The read cache before a real HDFS.
    Cache,
    /// The read cache before an HDFS behind a slow link.
    CacheLink,
    /// The read cache's disk tier beside fio.
    CacheDisk,
    /// Memory of the read cache under many readers for ten minutes.
    CacheSoak,
    /// `hdfs://` itself, by the clients of a real HDFS beside it.
    Hdfs,
    /// Memory and speed with ten million needles.
    Index,
    /// What a decision of policies costs.
    Policy,
    /// Time to ready with ten million needles.
    Start,
    /// Thumbnails of 12-megapixel JPEGs.
    Resize,
}

/// The floors, each a process of its own so that its CPU time can be told apart, and what runs at the near end of a link.
#[derive(Subcommand)]
pub enum Part {
    /// A bare hyper server: GET answers 5 KB from memory, or /stream/BYTES as many; PUT reads its body and answers 201.
    #[command(hide = true)]
    FloorHttp {
        /// Address to listen on.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
    },
    /// A bare group-commit append loop.
    #[command(hide = true)]
    FloorAppend(AppendOptions),
    /// The near end of the slow link.
    #[command(hide = true)]
    LinkNear(NearOptions),
}

/// Options of the append floor.
#[derive(Args)]
pub struct AppendOptions {
    /// File to append to; it is replaced.
    #[arg(long)]
    pub file: PathBuf,
    /// Appends in flight.
    #[arg(long, default_value_t = 64)]
    pub depth: usize,
    /// Length of the measured window in seconds.
    #[arg(long, value_parser = positive_secs, default_value = "2")]
    pub seconds: f64,
}

impl Options {
    /// Whether `name` is to be measured.
    pub fn wants(&self, name: Name) -> bool {
        self.only.is_empty() || self.only.contains(&name)
    }

    /// Whether this run is whole and long enough to stand as the report.
    pub fn is_quotable(&self) -> bool {
        self.only.is_empty() && !self.quick
    }

    /// Length of one measured round.
    pub fn window(&self) -> Duration {
        Duration::from_secs_f64(self.seconds.unwrap_or(if self.quick { 0.5 } else { 2.0 }))
    }

    /// Rounds each subject and floor take in turn; odd, so that the median is one of them.
    pub fn rounds(&self) -> usize {
        if self.quick { 3 } else { 5 }
    }
}

fn positive_secs(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(secs) if secs > 0.0 && secs <= 3600.0 => Ok(secs),
        _ => Err("must be a number of seconds, above 0 and at most 3600".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn only_takes_a_list() {
        let cli = Cli::try_parse_from(["x", "--only", "get,resize"]).unwrap();
        assert_eq!(cli.options.only, [Name::Get, Name::Resize]);
        assert!(!cli.options.is_quotable());
        assert!(!cli.options.wants(Name::Put));
    }

    #[test]
    fn a_round_has_a_length() {
        for bad in ["0", "-1", "NaN", "1e9", "x"] {
            assert!(
                Cli::try_parse_from(["x", "--seconds", bad]).is_err(),
                "{bad}"
            );
        }
    }
}
