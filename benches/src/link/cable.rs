//! A cable: what goes in at one end comes out at the other, later.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::tun::Tun;

/// The longest packet with the header before it.
const PACKET_BYTES: usize = (64 << 10) + 64;
/// Packets on their way, in one direction; what comes beyond is lost, as on any cable. Rates are held before the cable, so that few are.
const PACKETS_MAX: usize = 4096;

/// A packet, and when it is to come out.
type Packet = (Instant, Vec<u8>);

/// Carries packets both ways until the devices are gone.
///
/// # Errors
/// Too many files are open.
pub fn carry(near: Tun, far: Tun, delay: Duration) -> Result<()> {
    for (from, to) in [(&near, &far), (&far, &near)] {
        let (from, to) = (from.again()?, to.again()?);
        let (sender, receiver) = sync_channel(PACKETS_MAX);
        thread::spawn(move || take_in(from, delay, &sender));
        thread::spawn(move || let_out(&receiver, to));
    }
    Ok(())
}

fn take_in(mut device: File, delay: Duration, sender: &SyncSender<Packet>) {
    let mut buffer = vec![0; PACKET_BYTES];
    // An error: the device is gone.
    while let Ok(len) = device.read(&mut buffer) {
        let packet = (Instant::now() + delay, buffer[..len].to_vec());
        if matches!(sender.try_send(packet), Err(TrySendError::Disconnected(_))) {
            return;
        }
    }
}

fn let_out(receiver: &Receiver<Packet>, mut device: File) {
    for (due, packet) in receiver {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        // One that is refused is lost.
        let _ = device.write(&packet);
    }
}
