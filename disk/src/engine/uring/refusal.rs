//! What to do where io_uring does not work.

use rustix::io::Errno;
use std::io;

/// Says what an operator can do about a refusal.
pub(super) fn explain(error: io::Error) -> io::Error {
    let advice = match Errno::from_io_error(&error) {
        Some(Errno::PERM | Errno::ACCESS) => {
            "set the sysctl kernel.io_uring_disabled to 0 and allow io_uring_setup, io_uring_enter and \
             io_uring_register in the container's seccomp profile"
        }
        Some(Errno::NOSYS) => {
            "it needs Linux 5.6 or later built with CONFIG_IO_URING, and a container runtime that does not hide it"
        }
        Some(Errno::NOMEM) => "raise the limit of locked memory (ulimit -l, LimitMEMLOCK=)",
        Some(Errno::INVAL) => "it needs Linux 5.6 or later",
        Some(Errno::MFILE | Errno::NFILE) => {
            "raise the limit of open files (ulimit -n, LimitNOFILE=)"
        }
        _ => "see the kernel's log",
    };
    io::Error::new(
        error.kind(),
        format!("io_uring does not work here ({error}): {advice}; or choose the engine of threads"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_says_what_to_set() {
        let text = |errno: Errno| explain(errno.into()).to_string();
        assert!(text(Errno::PERM).contains("kernel.io_uring_disabled"));
        assert!(text(Errno::NOSYS).contains("Linux 5.6"));
        assert!(text(Errno::NOMEM).contains("LimitMEMLOCK"));
        assert!(text(Errno::IO).contains("the engine of threads"));
    }
}
