//! The wire contracts that Moongate speaks, stated in `.proto` files beside this crate: same package, service, message and field
//! names and numbers as the standard, of which only what is served is there.
//!
//! - [`csi`]: the Container Storage Interface 1.13 (<https://github.com/container-storage-interface/spec>)
//! - [`agent`]: our own, between the controller and the agents on the gluster nodes
//! - [`mounter`]: our own, between the node service and the process that holds its mounts
//! - [`registration`]: kubelet's, by which a plugin is found

/// CSI 1.13, package `csi.v1`.
pub mod csi {
    #![allow(clippy::all)]
    tonic::include_proto!("csi.v1");
}

/// The brick agent, package `moongate.agent.v1`.
pub mod agent {
    #![allow(clippy::all)]
    tonic::include_proto!("moongate.agent.v1");
}

/// The mounter, package `moongate.mounter.v1`.
pub mod mounter {
    #![allow(clippy::all)]
    tonic::include_proto!("moongate.mounter.v1");
}

/// kubelet's registration of plugins, package `pluginregistration`.
pub mod registration {
    #![allow(clippy::all)]
    tonic::include_proto!("pluginregistration");
}
