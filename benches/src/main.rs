//! `moongate-bench` measures the real `moongate` binary beside floors that run in the same minutes on the same machine,
//! and writes what it saw as a Markdown report.
//!
//! It owns its load generator, the floors (a bare hyper server, a bare group-commit loop, a bare image resize) and the
//! report. It refuses to share code with the product: volumes are written from the format's description, requests are
//! plain bytes, so a mistake in the product cannot hide in its own benchmark.
//!
//! Life of one figure: [`bench`] starts the server ([`process`]) and its floor, [`rounds`] lets them take turns,
//! [`load`] drives each round and reads the server's CPU time ([`procfs`]) around the measured window, the medians become
//! [`figures`], and [`report`] prints them with what must be reached.

mod bench;
mod bulk;
mod chunked;
mod cli;
mod client;
mod connection;
mod fid;
mod figures;
mod floor_append;
mod floor_http;
mod images;
mod link;
mod load;
mod machine;
mod names;
mod needles;
mod process;
mod procfs;
mod report;
mod response;
mod rounds;
mod tar;
mod volume_file;

use clap::Parser;

// The same allocator as the gateway's, so that a floor is not slower for its allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let cli = cli::Cli::parse();
    match cli.part {
        Some(cli::Part::FloorHttp { listen }) => floor_http::serve(listen),
        Some(cli::Part::FloorAppend(options)) => floor_append::run(&options),
        Some(cli::Part::LinkNear(options)) => bench::near(&options),
        None => bench::run(&cli.options),
    }
}
