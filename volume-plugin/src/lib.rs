//! GlusterFS volumes for Kubernetes pods, by the Container Storage Interface.
//!
//! It owns bricks as image files and the gluster command line on gluster nodes ([`agent`]), where volumes come from ([`provisioner`]), CSI's
//! [`identity`], [`controller`] and [`node`] services, and nothing of the gateway's. It has no database: gluster's volumes carry what is known of
//! them as `user.moongate.*` options, and names are made of the request's name, so that each call can be repeated after half of it was done.
//!
//! The life of a volume: `CreateVolume` asks as many agents as there are copies for a brick of the exact size, has one of them make a gluster
//! volume over them, and answers with its servers. `NodeStageVolume` has the [`mounter`] mount it by FUSE, `NodePublishVolume` shows it to a pod.
//! `DeleteVolume` refuses while a client is connected, then takes volume and bricks away.

pub mod agent;
pub mod bricks;
pub mod busy;
pub mod command;
pub mod config;
pub mod controller;
pub mod error;
pub mod gluster;
pub mod identity;
pub mod import;
pub mod mounter;
pub mod mountinfo;
pub mod node;
pub mod patience;
pub mod provisioner;
pub mod registration;
pub mod request;
pub mod serve;
pub mod tls;
pub mod tls_streams;
