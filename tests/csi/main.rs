//! `moongate-csi` from outside, on a real GlusterFS: a volume's life with its exact size, and csi-sanity. Root only; `make test-csi`.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod driver;
mod kubelet;
mod life;
mod mounts;
mod pods;
mod process;
mod sanity;
mod tenants;
mod tls;
