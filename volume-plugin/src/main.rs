//! `moongate-csi`: one binary, a role each.

use std::path::PathBuf;

use clap::Parser;
use moongate_csi::config::Config;
use moongate_csi::import;
use moongate_csi::mounter::replace;
use moongate_csi::serve::{Listen, Role, endpoint, serve};
use tracing_subscriber::EnvFilter;

/// GlusterFS volumes for Kubernetes pods (CSI driver csi.moongate.io)
#[derive(Debug, Parser)]
#[command(
    name = "moongate-csi",
    version,
    after_help = "moongate-csi import --help: volumes of the in-tree driver"
)]
struct Arguments {
    /// What this process is
    role: Role,
    /// Where it listens: unix:///PATH, or for an agent with [tls] tcp://ADDRESS:PORT
    #[arg(long, env = "CSI_ENDPOINT", value_parser = endpoint)]
    endpoint: Listen,
    /// The configuration
    #[arg(long, default_value = "/etc/moongate-csi/moongate-csi.toml")]
    config: PathBuf,
}

fn main() -> anyhow::Result<()> {
    // Before there is a second thread.
    if let Some(order) = replace::order(std::env::args()) {
        return replace::carry_out(&order);
    }
    if std::env::args().nth(1).as_deref() == Some(import::NAME) {
        return import::run(&import::Arguments::parse_from(std::env::args().skip(1)));
    }
    run()
}

#[tokio::main]
async fn run() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).init();
    // Other crates may bring another provider; which one is used is said once.
    let _ = rustls::crypto::ring::default_provider().install_default();
    serve(
        arguments.role,
        arguments.endpoint,
        Config::read(&arguments.config)?,
    )
    .await
}
