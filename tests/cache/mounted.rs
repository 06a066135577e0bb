//! A gateway with one store mounted twice: at `/m` through the cache, and at `/behind` without it, which is how somebody else changes it.

use std::path::Path;

use moongate_tests::beds::hdfs::Hdfs;
use moongate_tests::beds::s3::S3;
use moongate_tests::{Gateway, Request, http};
use tempfile::TempDir;

use crate::door::WebHdfs;

/// See the module.
pub struct Mounted {
    pub gateway: Gateway,
    _keys: Option<TempDir>,
}

impl Mounted {
    /// A folder of HDFS, with more TOML at the head and more keys of the cached mount.
    pub fn hdfs(hdfs: &Hdfs, folder: &str, config: &str, more: &str) -> Mounted {
        let settings = format!("hadoop_conf = '{}'\n", hdfs.config_dir().display());
        let store = format!("{}/{folder}", hdfs.url());
        Mounted::start(&store, &settings, config, more, None)
    }

    /// A prefix of the S3 server's bucket.
    pub fn s3(s3: &S3, prefix: &str) -> Mounted {
        let keys = TempDir::new().unwrap();
        let file = keys.path().join("credentials");
        write_keys(&file);
        let settings = format!(
            "endpoint = '{}'\npath_style = true\ncredentials = '{}'\n",
            s3.endpoint(),
            file.display()
        );
        let store = format!("s3://{}/{prefix}", S3::BUCKET);
        Mounted::start(&store, &settings, "", "ttl = '1h'\n", Some(keys))
    }

    fn start(
        store: &str,
        settings: &str,
        config: &str,
        more: &str,
        keys: Option<TempDir>,
    ) -> Mounted {
        let mount = |path: &str, more: &str| {
            format!("[[mount]]\npath = '{path}'\nstore = '{store}'\n{settings}{more}")
        };
        let user = Hdfs::superuser();
        let gateway = Gateway::fresh(&format!(
            "[webhdfs]\nanonymous_user = '{user}'\n{config}\n{}{}",
            mount("/m", more),
            mount("/behind", "cache = false\n"),
        ));
        Mounted {
            gateway,
            _keys: keys,
        }
    }

    pub fn hdfs_api(&self) -> WebHdfs {
        WebHdfs(self.gateway.file())
    }

    /// A file of the store, changed by somebody else.
    #[track_caller]
    pub fn put_behind(&self, name: &str, bytes: &[u8]) {
        self.gateway.files().put(&format!("/behind/{name}"), bytes);
    }

    /// POST to the admin port.
    #[track_caller]
    pub fn admin(&self, target: &str) {
        let request = Request::new("POST", target);
        http::send(self.gateway.admin(), &request)
            .unwrap()
            .status(200);
    }

    pub fn metric(&self, name: &str) -> u64 {
        metric(&self.gateway, name)
    }
}

fn write_keys(file: &Path) {
    let (id, secret) = (S3::ACCESS_KEY, S3::SECRET_KEY);
    let text = format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
    std::fs::write(file, text).unwrap();
}

/// A metric without labels, as it is now.
#[track_caller]
pub fn metric(gateway: &Gateway, name: &str) -> u64 {
    let text = http::send(gateway.admin(), &Request::get("/metrics"))
        .unwrap()
        .status(200)
        .text();
    let start = format!("moongate_{name} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&start));
    line.unwrap_or_else(|| panic!("{name}: {text}"))
        .parse()
        .unwrap()
}
