//! A slow link on one machine: a network namespace ("near") and the machine itself ("far"), joined by a cable with a delay, each end held to a
//! rate by the kernel's token bucket.
//!
//! Not every kernel has netem; TUN devices and tbf are nearly everywhere. The delay is made by [`cable`], which carries packets between two
//! TUN devices ([`tun`]). Needs root. Everything is taken away again when the link is dropped.

mod cable;
mod tun;

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use tun::Tun;

/// Addresses for tests of networks (RFC 2544): nobody has them.
const FAR: &str = "198.18.77.2";
const NEAR: &str = "198.18.77.1";
/// Bytes that may go at once: what the kernel makes of one large send, and a timer's tick.
const BURST: &str = "256kb";
/// How long a packet may wait for its turn before it is dropped.
const QUEUE: &str = "50ms";

/// A link that is up.
#[derive(Debug)]
pub struct Link {
    namespace: String,
    far_device: String,
}

impl Link {
    /// Joins a new namespace to this machine.
    ///
    /// # Errors
    /// What is missing or not allowed: root, `ip` and `tc` (Debian: iproute2), /dev/net/tun.
    pub fn up(rate_mbit: u32, round_trip: Duration) -> Result<Self> {
        let id = std::process::id();
        let link = Self {
            namespace: format!("moongate-near-{id}"),
            far_device: format!("mgf{id}"),
        };
        let near_device = format!("mgn{id}");
        let far = Tun::open(&link.far_device)?;
        let near = Tun::open(&near_device)?;
        run("ip", &["netns", "add", &link.namespace])?;
        run(
            "ip",
            &["link", "set", &near_device, "netns", &link.namespace],
        )?;
        run("ip", &["-n", &link.namespace, "link", "set", "lo", "up"])?;
        link.set_up(&[], &link.far_device, FAR, rate_mbit)?;
        link.set_up(&["-n", &link.namespace], &near_device, NEAR, rate_mbit)?;
        cable::carry(near, far, round_trip / 2)?;
        Ok(link)
    }

    fn set_up(&self, place: &[&str], device: &str, address: &str, rate_mbit: u32) -> Result<()> {
        let address = format!("{address}/24");
        let rate = format!("{rate_mbit}mbit");
        run(
            "ip",
            &[place, &["addr", "add", &address, "dev", device]].concat(),
        )?;
        run(
            "ip",
            &[place, &["link", "set", device, "up", "txqueuelen", "2000"]].concat(),
        )?;
        let bucket = ["qdisc", "add", "dev", device, "root", "tbf", "rate", &rate];
        let bounds = ["burst", BURST, "latency", QUEUE];
        run("tc", &[place, &bucket, &bounds].concat())
    }

    /// The address of this machine as it is seen from the other end.
    pub const fn far(&self) -> &'static str {
        FAR
    }

    /// A program to be run at the near end.
    pub fn near(&self, program: &std::path::Path) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.namespace])
            .arg(program);
        command
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // The near device goes with its namespace; the cable ends with its devices.
        let _ = run("ip", &["netns", "del", &self.namespace]);
        let _ = run("ip", &["link", "del", &self.far_device]);
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("{program} cannot be run: install iproute2"))?;
    ensure!(
        output.status.success(),
        "{program} {}: {} (the slow link needs root with CAP_NET_ADMIN)",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
