//! Several gateways under one logical name: each block is read at its owner, and where one is killed its readers go on at another.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use futures::StreamExt as _;
use hdfs_native::{Client, ClientBuilder};
use moongate_tests::beds::hdfs::Hdfs;
use moongate_tests::beds::ports;
use moongate_tests::{Gateway, Request, http, payload};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::bed::calls;

const FILE_BYTES: usize = 64 << 20;
const BLOCK_BYTES: usize = 4 << 20;
/// Less than the sockets on the way hold.
const BEGIN_BYTES: usize = 1 << 20;

/// Two gateways over the same cluster, with a file in many blocks.
struct Pair {
    hdfs: &'static Hdfs,
    gateways: [Gateway; 2],
    path: String,
    bytes: Vec<u8>,
    /// What a client is told of the logical name.
    config: Vec<(String, String)>,
    _secret: TempDir,
}

impl Pair {
    fn start(name: &str) -> Pair {
        let hdfs = Hdfs::shared();
        let secret = TempDir::new().unwrap();
        let file = secret.path().join("block-key");
        std::fs::write(&file, "a secret that both of them have, and nobody else").unwrap();
        let ports = [ports::free(), ports::free()];
        let names = ports.map(|port| format!("'127.0.0.1:{port}'")).join(", ");
        let gateways = ports.map(|port| {
            Gateway::fresh(&format!(
                "[hdfs]\nlisten = '127.0.0.1:0'\ndata_listen = '127.0.0.1:{port}'\ngateways = [{names}]\nsecret_file = '{}'\n\
                 [cache]\nmemory = '256 MiB'\n[[mount]]\npath = '/'\nstore = '{}'\nhadoop_conf = '{}'\n",
                file.display(),
                hdfs.url(),
                hdfs.config_dir().display()
            ))
        });
        let local = secret.path().join("file");
        let bytes = payload::bytes(11, FILE_BYTES);
        std::fs::write(&local, &bytes).unwrap();
        let path = format!("/several-{name}");
        let block = format!("-Ddfs.blocksize={BLOCK_BYTES}");
        hdfs.dfs(&[&block, "-put", local.to_str().unwrap(), &path]);
        Pair {
            hdfs,
            path,
            bytes,
            config: config(&gateways),
            gateways,
            _secret: secret,
        }
    }

    fn native(&self, runtime: &Runtime) -> Arc<Client> {
        let _inside = runtime.enter();
        let client = ClientBuilder::new()
            .with_url("hdfs://moon")
            .with_config(self.config.clone())
            .build();
        Arc::new(client.unwrap())
    }

    /// Bytes that a gateway has sent from its cache and its store.
    fn served(&self, n: usize) -> u64 {
        let said = http::send(self.gateways[n].admin(), &Request::get("/metrics"));
        let text = said.unwrap().status(200).text();
        let figure = |name: &str| -> u64 {
            let start = format!("moongate_{name} ");
            let line = text.lines().find_map(|line| line.strip_prefix(&start));
            line.unwrap().parse().unwrap()
        };
        figure("cache_ram_hit_bytes") + figure("cache_miss_bytes")
    }
}

fn config(gateways: &[Gateway; 2]) -> Vec<(String, String)> {
    let [a, b] = gateways
        .each_ref()
        .map(|gateway| calls(gateway).to_string());
    let provider = "org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider";
    [
        ("dfs.nameservices", "moon".to_owned()),
        ("dfs.ha.namenodes.moon", "a,b".to_owned()),
        ("dfs.namenode.rpc-address.moon.a", a),
        ("dfs.namenode.rpc-address.moon.b", b),
        (
            "dfs.client.failover.proxy.provider.moon",
            provider.to_owned(),
        ),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

#[test]
fn each_block_is_read_at_its_owner_whoever_is_asked() {
    let pair = Pair::start("owners");
    let runtime = Runtime::new().unwrap();
    for asked in &pair.gateways {
        let client = {
            let _inside = runtime.enter();
            let url = format!("hdfs://{}", calls(asked));
            ClientBuilder::new().with_url(url).build().unwrap()
        };
        runtime.block_on(async {
            let mut file = client.read(&pair.path).await.unwrap();
            let read = file.read_bytes(FILE_BYTES).await.unwrap();
            assert!(read == pair.bytes);
        });
    }
    // Twice the file, each block of it both times by the same one.
    let served = [pair.served(0), pair.served(1)];
    assert_eq!(served[0] + served[1], 2 * FILE_BYTES as u64, "{served:?}");
    for bytes in served {
        assert!(bytes >= 2 * BLOCK_BYTES as u64, "{served:?}");
        assert_eq!(bytes % (2 * BLOCK_BYTES as u64), 0, "{served:?}");
    }
}

#[test]
fn hadoops_client_goes_on_where_a_gateway_is_killed_in_the_middle() {
    for killed in 0..2 {
        let mut pair = Pair::start(&format!("shell-{killed}"));
        let settings = pair
            .config
            .iter()
            .map(|(key, value)| format!("-D{key}={value}"));
        let mut cat = Command::new("java")
            .args(["-Xmx256m", "-cp", &pair.hdfs.class_path()])
            .arg("org.apache.hadoop.fs.FsShell")
            .args(settings)
            .args(["-cat", &format!("hdfs://moon{}", pair.path)])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = cat.stdout.take().unwrap();
        let mut read = vec![0; BEGIN_BYTES];
        out.read_exact(&mut read).unwrap();
        pair.gateways[killed].kill9();
        out.read_to_end(&mut read).unwrap();
        let ended = cat.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{told}");
        assert!(read == pair.bytes, "{} bytes: {told}", read.len());
        // Who asks anew finds the other one.
        let left = hdfs_native_reads(&pair);
        assert!(left == pair.bytes);
    }
}

fn hdfs_native_reads(pair: &Pair) -> Vec<u8> {
    let runtime = Runtime::new().unwrap();
    let client = pair.native(&runtime);
    runtime.block_on(async {
        let mut file = client.read(&pair.path).await.unwrap();
        file.read_bytes(FILE_BYTES).await.unwrap().to_vec()
    })
}

#[test]
fn hdfs_native_goes_on_where_a_gateway_is_killed_in_the_middle() {
    for killed in 0..2 {
        let mut pair = Pair::start(&format!("native-{killed}"));
        let runtime = Runtime::new().unwrap();
        let client = pair.native(&runtime);
        let read = runtime.block_on(async {
            let file = client.read(&pair.path).await.unwrap();
            let mut stream = Box::pin(file.read_range_stream(0, FILE_BYTES));
            let mut read = Vec::new();
            let mut is_killed = false;
            while let Some(piece) = stream.next().await {
                read.extend_from_slice(&piece.unwrap());
                if read.len() >= BEGIN_BYTES && !is_killed {
                    is_killed = true;
                    pair.gateways[killed].kill9();
                }
            }
            read
        });
        assert!(read == pair.bytes, "{} bytes", read.len());
    }
}
