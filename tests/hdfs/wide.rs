//! A gateway with a folder of each kind of store: HDFS, a local folder, and its own files.

use std::sync::Arc;

use hdfs_native::{Client, ClientBuilder, WriteOptions};
use moongate_tests::Gateway;
use moongate_tests::beds::hdfs::Hdfs;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::bed::calls;

/// Small blocks, so that a few megabytes are several.
pub const BLOCK_BYTES: u64 = 1 << 20;

/// See the module.
pub struct Wide {
    pub hdfs: &'static Hdfs,
    pub gateway: Gateway,
    pub runtime: Runtime,
    pub local: TempDir,
}

impl Wide {
    /// With a folder `name` in each store, in which alone a test works; `hdfs` is more of the section `[hdfs]`.
    pub fn start(name: &str, hdfs: &str) -> Wide {
        let local = TempDir::new().unwrap();
        Self::over(name, hdfs, local)
    }

    fn over(name: &str, section: &str, local: TempDir) -> Wide {
        let hdfs = Hdfs::shared();
        let config = format!(
            "[hdfs]\nlisten = '127.0.0.1:0'\n{section}\n[[mount]]\npath = '/h'\nstore = '{}'\nhadoop_conf = '{}'\nttl = '0s'\n\
             [[mount]]\npath = '/local'\nstore = 'file://{}'\nttl = '0s'\n",
            hdfs.url(),
            hdfs.config_dir().display(),
            local.path().display()
        );
        let wide = Wide {
            hdfs,
            gateway: Gateway::fresh(&config),
            runtime: Runtime::new().unwrap(),
            local,
        };
        let client = wide.client();
        for folder in wide.folders(name) {
            let made = client.mkdirs(&folder, 0o755, true);
            wide.runtime.block_on(made).unwrap();
        }
        wide
    }

    /// The test's folder in each store.
    pub fn folders(&self, name: &str) -> [String; 3] {
        ["/h", "/local", "/own"].map(|store| format!("{store}/{name}"))
    }

    pub fn url(&self) -> String {
        format!("hdfs://{}", calls(&self.gateway))
    }

    /// A client of its own, with leases of its own.
    pub fn client(&self) -> Arc<Client> {
        let _inside = self.runtime.enter();
        Arc::new(ClientBuilder::new().with_url(self.url()).build().unwrap())
    }
}

/// Of several blocks.
pub fn options(overwrite: bool) -> WriteOptions {
    WriteOptions::default()
        .block_size(BLOCK_BYTES)
        .overwrite(overwrite)
}

/// All of a file.
pub async fn read(client: &Client, path: &str) -> Vec<u8> {
    try_read(client, path).await.unwrap()
}

/// All of a file, if it can be read.
pub async fn try_read(client: &Client, path: &str) -> Option<Vec<u8>> {
    let len = client.get_file_info(path).await.ok()?.length;
    let mut file = client.read(path).await.ok()?;
    let bytes = file.read_bytes(len).await.ok()?;
    Some(bytes.to_vec())
}
