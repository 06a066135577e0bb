//! A TUN device: a network interface whose packets are read and written as a file.
//! (Linux, Documentation/networking/tuntap.rst.)

use std::fs::File;

use anyhow::{Context, Result, ensure};
use rustix::ioctl::{IntegerSetter, Setter, ioctl};

/// `_IOW('T', 202, int)`
const TUNSETIFF: u32 = 0x4004_54ca;
/// `_IOW('T', 208, unsigned int)`
const TUNSETOFFLOAD: u32 = 0x4004_54d0;
/// Whole IP packets, without a header of the device's own, with one that tells what is left to do: sums, and cutting into segments.
const IFF_TUN_NO_PI_VNET_HDR: u16 = 0x0001 | 0x1000 | 0x4000;
/// Sums, and segments of TCP over IPv4: packets of up to 64 KiB pass in one piece.
const TUN_F_CSUM_TSO4: usize = 0x01 | 0x02;
/// Of an interface, with its closing NUL.
const NAME_BYTES: usize = 16;

/// `struct ifreq`, as far as it is used.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Request {
    name: [u8; NAME_BYTES],
    flags: u16,
    rest: [u8; 22],
}

/// A device; it is gone when it is dropped.
#[derive(Debug)]
pub struct Tun(File);

impl Tun {
    /// Makes a device of this name.
    ///
    /// # Errors
    /// It is not allowed, or the name is taken or too long.
    pub fn open(name: &str) -> Result<Self> {
        ensure!(name.len() < NAME_BYTES, "{name} is no name of an interface");
        let mut request = Request {
            name: [0; NAME_BYTES],
            flags: IFF_TUN_NO_PI_VNET_HDR,
            rest: [0; 22],
        };
        request.name[..name.len()].copy_from_slice(name.as_bytes());
        let file = File::options().read(true).write(true).open("/dev/net/tun");
        let file = file.context("/dev/net/tun: the slow link needs TUN devices, and root")?;
        attach(&file, request).with_context(|| format!("making the TUN device {name}"))?;
        Ok(Self(file))
    }

    /// The same device once more.
    ///
    /// # Errors
    /// Too many files are open.
    pub fn again(&self) -> Result<File> {
        Ok(self.0.try_clone()?)
    }
}

#[allow(unsafe_code)]
fn attach(file: &File, request: Request) -> rustix::io::Result<()> {
    // SAFETY: TUNSETIFF reads (and writes back the name into) a `struct ifreq` of 40 bytes, which `Request` is, and keeps no pointer to it.
    unsafe { ioctl(file, Setter::<TUNSETIFF, Request>::new(request)) }?;
    // SAFETY: TUNSETOFFLOAD takes a number, no pointer.
    unsafe {
        ioctl(
            file,
            IntegerSetter::<TUNSETOFFLOAD>::new_usize(TUN_F_CSUM_TSO4),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_as_long_as_the_kernels() {
        assert_eq!(size_of::<Request>(), 40);
    }
}
