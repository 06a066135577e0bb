//! The real binary: an agent on each gluster node, controller and node service where the clients are.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use moongate_proto::csi::controller_client::ControllerClient;
use moongate_proto::csi::node_client::NodeClient;
use moongate_tests::beds::gluster::{Gluster, NODES, host};
use moongate_tests::wait;
use tonic::transport::{Channel, Endpoint};

const START_LIMIT: Duration = Duration::from_secs(30);

/// Cluster and driver. Dropped, both are gone.
pub struct Driver {
    processes: Vec<Child>,
    pub gluster: Gluster,
}

impl Driver {
    pub fn start() -> Self {
        let mut driver = Self {
            processes: Vec::new(),
            gluster: Gluster::start(),
        };
        let mut config = format!(
            "[node]\nid = \"kube-1\"\nlog_folder = \"{0}\"\nstate_folder = \"{0}/state\"\n",
            driver.path("").display()
        );
        for node in 1..=NODES {
            let disk = driver.gluster.folder(node).join("disk");
            driver.launch(
                node,
                "agent",
                &format!("[agent]\ndisk = \"{}\"\n", disk.display()),
            );
            let socket = driver.socket(node);
            config += &format!(
                "[[agents]]\nhost = \"{}\"\naddress = \"unix://{}\"\n",
                host(node),
                socket.display()
            );
        }
        driver.launch(0, "all", &config);
        driver
    }

    fn launch(&mut self, node: usize, role: &str, config: &str) {
        let (file, socket) = (self.path(&format!("{node}.toml")), self.socket(node));
        fs::write(&file, config).unwrap();
        let log = fs::File::create(self.path(&format!("{node}.log"))).unwrap();
        let child = self
            .gluster
            .command(node, binary().to_str().unwrap())
            .args([
                role,
                "--endpoint",
                &format!("unix://{}", socket.display()),
                "--config",
                file.to_str().unwrap(),
            ])
            .stdout(log.try_clone().unwrap())
            .stderr(Stdio::from(log))
            .spawn()
            .unwrap();
        self.processes.push(child);
        wait::until_true("it listens", START_LIMIT, || {
            fs::metadata(&socket).is_ok_and(|file| file.file_type().is_socket())
        });
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.gluster.path().join(name)
    }

    /// 0 is the driver's, the others the agents'.
    pub fn socket(&self, node: usize) -> PathBuf {
        self.path(&format!("{node}.sock"))
    }

    pub async fn controller(&self) -> ControllerClient<Channel> {
        ControllerClient::new(self.channel().await)
    }

    pub async fn node(&self) -> NodeClient<Channel> {
        NodeClient::new(self.channel().await)
    }

    async fn channel(&self) -> Channel {
        let address = format!("unix://{}", self.socket(0).display());
        Endpoint::from_shared(address)
            .unwrap()
            .connect()
            .await
            .unwrap()
    }

    /// No volume, image, loop device or mount of a brick is there.
    pub fn nothing_is_left(&self) {
        assert_eq!(
            self.gluster.node(1, "gluster", &["volume", "list"]).trim(),
            ""
        );
        for node in 1..=NODES {
            let disk = self.gluster.folder(node).join("disk");
            let images = self
                .gluster
                .node(node, "ls", &[disk.join("img").to_str().unwrap()]);
            assert_eq!(images.trim(), "", "node {node}");
            let points = self
                .gluster
                .node(node, "ls", &[disk.join("mnt").to_str().unwrap()]);
            assert_eq!(points.trim(), "", "node {node}");
            let mounts = self.gluster.node(node, "cat", &["/proc/self/mountinfo"]);
            assert!(!mounts.contains("disk/mnt/"), "node {node}: {mounts}");
        }
        let mounts = self.gluster.client("cat", &["/proc/self/mountinfo"]);
        assert!(!mounts.contains("fuse.glusterfs"), "{mounts}");
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        for child in &mut self.processes {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Beside the test program, where `cargo build -p moongate-csi` puts it.
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap();
    let binary = folder.join("moongate-csi");
    assert!(
        binary.exists(),
        "{} is missing: cargo build -p moongate-csi",
        binary.display()
    );
    binary
}
