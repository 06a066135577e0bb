//! A gateway with all of a real HDFS at its root, so that paths are the same, and clients of both.

use std::net::SocketAddr;
use std::sync::Arc;

use hdfs_native::{Client, ClientBuilder};
use moongate_tests::Gateway;
use moongate_tests::beds::hdfs::Hdfs;
use tokio::runtime::Runtime;

/// See the module.
pub struct Bed {
    pub hdfs: &'static Hdfs,
    pub gateway: Gateway,
    pub runtime: Runtime,
    /// A client of the gateway.
    pub near: Arc<Client>,
    /// A client of the cluster.
    pub far: Arc<Client>,
}

impl Bed {
    /// With an empty folder of this name, in which alone a test works.
    pub fn start(folder: &str) -> Bed {
        let hdfs = Hdfs::shared();
        let config = format!(
            "[hdfs]\nlisten = '127.0.0.1:0'\n[[mount]]\npath = '/'\nstore = '{}'\nhadoop_conf = '{}'\nttl = '0s'\n",
            hdfs.url(),
            hdfs.config_dir().display()
        );
        let gateway = Gateway::fresh(&config);
        let runtime = Runtime::new().unwrap();
        let client = |url: String| {
            let _inside = runtime.enter();
            Arc::new(ClientBuilder::new().with_url(url).build().unwrap())
        };
        let bed = Bed {
            near: client(format!("hdfs://{}", calls(&gateway))),
            far: client(hdfs.url()),
            runtime,
            hdfs,
            gateway,
        };
        let path = format!("/{folder}");
        let made = bed.far.mkdirs(&path, 0o755, true);
        bed.runtime.block_on(made).unwrap();
        bed
    }

    /// Writes a file beside the gateway.
    pub fn put(&self, path: &str, bytes: &[u8]) {
        let options = hdfs_native::WriteOptions::default().overwrite(true);
        self.runtime.block_on(async {
            let mut file = self.far.create(path, options).await.unwrap();
            file.write_bytes(bytes.to_vec().into()).await.unwrap();
            file.close().await.unwrap();
        });
    }

    pub fn url(&self) -> String {
        format!("hdfs://{}", calls(&self.gateway))
    }
}

fn address(gateway: &Gateway, key: &str) -> SocketAddr {
    gateway.ready_line()[key].as_str().unwrap().parse().unwrap()
}

/// The port of calls.
pub fn calls(gateway: &Gateway) -> SocketAddr {
    address(gateway, "hdfs")
}

/// The port of bytes.
pub fn data(gateway: &Gateway) -> SocketAddr {
    address(gateway, "hdfs_data")
}
