//! The configuration of a cluster, in Hadoop's XML.

use std::fs;
use std::net::TcpStream;
use std::path::Path;

use super::NAMESERVICE;
use crate::beds::ports;

/// Small blocks, so that small files have many.
const BLOCK_BYTES_MIN: u64 = 64 << 10;

/// Ports of a NameNode.
#[derive(Debug)]
pub struct NameNode {
    pub rpc: u16,
    pub http: u16,
}

/// Ports of a DataNode.
#[derive(Debug)]
pub struct DataNode {
    data: u16,
    http: u16,
    ipc: u16,
}

/// Who is in the cluster.
#[derive(Debug)]
pub struct Nodes {
    pub namenodes: Vec<NameNode>,
    pub datanodes: Vec<DataNode>,
}

impl Nodes {
    pub fn new(namenodes: usize, datanodes: usize) -> Nodes {
        let namenode = |_| NameNode {
            rpc: ports::free(),
            http: ports::free(),
        };
        let datanode = |_| DataNode {
            data: ports::free(),
            http: ports::free(),
            ipc: ports::free(),
        };
        Nodes {
            namenodes: (0..namenodes).map(namenode).collect(),
            datanodes: (0..datanodes).map(datanode).collect(),
        }
    }

    pub fn url(&self) -> String {
        match &self.namenodes[..] {
            [one] => format!("hdfs://localhost:{}", one.rpc),
            _ => format!("hdfs://{NAMESERVICE}"),
        }
    }

    /// What tells one DataNode from the others.
    pub fn datanode_settings(&self, folder: &Path, n: usize) -> [(&'static str, String); 4] {
        let node = &self.datanodes[n];
        let at = |port: u16| format!("localhost:{port}");
        let data = folder.join(format!("datanode{n}"));
        [
            (
                "dfs.datanode.data.dir",
                format!("file://{}", data.display()),
            ),
            ("dfs.datanode.address", at(node.data)),
            ("dfs.datanode.http.address", at(node.http)),
            ("dfs.datanode.ipc.address", at(node.ipc)),
        ]
    }

    /// Whether a DataNode takes connections.
    pub fn datanode_listens(&self, n: usize) -> bool {
        TcpStream::connect(("127.0.0.1", self.datanodes[n].data)).is_ok()
    }

    fn namenode_settings(&self, folder: &Path) -> Vec<(String, String)> {
        let own = |key: &str, value: String| (key.to_owned(), value);
        let dir = |n: usize| format!("file://{}", folder.join(format!("namenode{n}")).display());
        let at = |port: u16| format!("localhost:{port}");
        if let [one] = &self.namenodes[..] {
            return vec![
                own("dfs.namenode.name.dir", dir(0)),
                own("dfs.namenode.rpc-address", at(one.rpc)),
                own("dfs.namenode.http-address", at(one.http)),
            ];
        }
        let provider = "org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider";
        let shared = folder.join("edits").display().to_string();
        let mut all = vec![
            own("dfs.nameservices", NAMESERVICE.into()),
            own(&format!("dfs.ha.namenodes.{NAMESERVICE}"), "nn1,nn2".into()),
            own("dfs.namenode.shared.edits.dir", format!("file://{shared}")),
            own(
                &format!("dfs.client.failover.proxy.provider.{NAMESERVICE}"),
                provider.into(),
            ),
            own("dfs.ha.fencing.methods", "shell(/bin/true)".into()),
            own("dfs.ha.automatic-failover.enabled", "false".into()),
            own("dfs.ha.tail-edits.period", "1".into()),
        ];
        for (n, node) in self.namenodes.iter().enumerate() {
            let key = |name: &str| format!("dfs.namenode.{name}.{NAMESERVICE}.nn{}", n + 1);
            all.push((key("name.dir"), dir(n)));
            all.push((key("rpc-address"), at(node.rpc)));
            all.push((key("http-address"), at(node.http)));
        }
        all
    }
}

/// Writes `conf/core-site.xml`, `conf/hdfs-site.xml` and what the logs are to look like.
pub fn write(folder: &Path, nodes: &Nodes, more: &[(String, String)]) {
    let conf = folder.join("conf");
    fs::create_dir_all(&conf).expect("an own folder");
    let me = whoami();
    let core = [
        ("fs.defaultFS".to_owned(), nodes.url()),
        (
            "hadoop.tmp.dir".into(),
            folder.join("tmp").display().to_string(),
        ),
        ("io.file.buffer.size".into(), "131072".into()),
        (format!("hadoop.proxyuser.{me}.hosts"), "*".into()),
        (format!("hadoop.proxyuser.{me}.groups"), "*".into()),
        ("hadoop.http.staticuser.user".into(), me.clone()),
        ("ipc.client.connect.max.retries".into(), "3".into()),
    ];
    let hdfs = [
        (
            "dfs.namenode.datanode.registration.ip-hostname-check",
            "false".to_owned(),
        ),
        ("dfs.namenode.safemode.extension", "0".into()),
        ("dfs.namenode.edits.noeditlogchannelflush", "true".into()),
        (
            "dfs.namenode.fs-limits.min-block-size",
            BLOCK_BYTES_MIN.to_string(),
        ),
        ("dfs.namenode.acls.enabled", "true".into()),
        ("dfs.permissions.superusergroup", me),
        ("dfs.replication", nodes.datanodes.len().min(3).to_string()),
        ("dfs.datanode.hostname", "localhost".into()),
        ("dfs.heartbeat.interval", "1".into()),
        ("dfs.namenode.heartbeat.recheck-interval", "1000".into()),
        // What is missing is copied at once, and again if that fails.
        ("dfs.namenode.redundancy.interval.seconds", "1".into()),
        (
            "dfs.namenode.reconstruction.pending.timeout-sec",
            "5".into(),
        ),
        ("dfs.webhdfs.enabled", "true".into()),
    ];
    let hdfs = hdfs.map(|(key, value)| (key.to_owned(), value));
    let hdfs = hdfs.into_iter().chain(nodes.namenode_settings(folder));
    let hdfs = hdfs.chain(more.iter().cloned());
    save(
        &conf.join("core-site.xml"),
        core.into_iter().chain(more.iter().cloned()),
    );
    save(&conf.join("hdfs-site.xml"), hdfs);
    fs::write(conf.join("log4j.properties"), LOG4J).expect("an own folder");
}

const LOG4J: &str = "\
log4j.rootLogger=${root.logger}
root.logger=INFO,console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.target=System.err
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d{HH:mm:ss.SSS} %p %c{2}: %m%n
log4j.logger.org.apache.hadoop.util.NativeCodeLoader=ERROR
";

/// Writes a folder of settings for a client that has no cluster.
pub fn write_client(folder: &Path, settings: &[(String, String)]) {
    let conf = folder.join("conf");
    fs::create_dir_all(&conf).expect("an own folder");
    save(&conf.join("core-site.xml"), settings.iter().cloned());
    fs::write(conf.join("log4j.properties"), LOG4J).expect("an own folder");
}

fn save(path: &Path, settings: impl IntoIterator<Item = (String, String)>) {
    let one = |(key, value): (String, String)| {
        format!("  <property><name>{key}</name><value>{value}</value></property>\n")
    };
    let all: String = settings.into_iter().map(one).collect();
    let text = format!("<?xml version=\"1.0\"?>\n<configuration>\n{all}</configuration>\n");
    fs::write(path, text).expect("an own folder");
}

/// The user who runs the tests, who is the superuser of the cluster.
pub fn whoami() -> String {
    let output = std::process::Command::new("id").arg("-un").output();
    let name = output.expect("id can be run").stdout;
    String::from_utf8_lossy(&name).trim().to_owned()
}
