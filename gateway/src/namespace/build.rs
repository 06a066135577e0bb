//! From a mount's settings to the store that they name: the one place that knows all kinds of stores.

use std::path::Path;
use std::sync::Arc;

use moongate_auth::kerberos::initiator;
use moongate_cache::under::{
    HdfsOptions, HdfsStore, LocalStore, S3Credentials, S3Options, S3Store,
};
use moongate_cache::{Backend, BackendError, Cache, CachedBackend, ErrorKind, MountTerms};

use super::guard::Guard;
use super::path;
use super::sharers::Sharers;
use super::subtree::{self, Subtree};
use crate::config::MountConfig;

/// What a `store` text names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store<'a> {
    /// A folder of this machine.
    Folder(&'a str),
    /// `hdfs://authority` and the folder in it.
    Hdfs(&'a str, &'a str),
    /// A bucket and the prefix in it.
    Bucket(&'a str, &'a str),
}

impl<'a> Store<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        if let Some(folder) = text.strip_prefix("file://") {
            return folder.starts_with('/').then_some(Self::Folder(folder));
        }
        let split = |rest: &'a str| rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if let Some(rest) = text.strip_prefix("hdfs://") {
            let (authority, folder) = split(rest);
            return (!authority.is_empty()).then_some(Self::Hdfs(authority, folder));
        }
        let (bucket, prefix) = split(text.strip_prefix("s3://")?);
        (!bucket.is_empty()).then_some(Self::Bucket(bucket, prefix))
    }
}

/// The settings with their path in its normal form.
///
/// # Errors
/// All that is wrong with them.
pub fn checked(mut config: MountConfig) -> Result<MountConfig, Vec<String>> {
    let mut wrong = Vec::new();
    match path::normal(&config.path) {
        Ok(path) => config.path = path,
        Err(error) => wrong.push(format!("path = {:?}: {}", config.path, error.message)),
    }
    let store = Store::parse(&config.store);
    if store.is_none() {
        wrong.push(format!(
            "store = {:?}: write hdfs://namenode:8020/folder, s3://bucket/prefix or file:///folder",
            config.store
        ));
    }
    let of_hdfs = matches!(store, Some(Store::Hdfs(..)));
    let of_s3 = matches!(store, Some(Store::Bucket(..)));
    wrong.extend(misplaced(&config, of_hdfs, of_s3));
    if config.calls_max == 0 {
        wrong.push("calls_max = 0: nothing could be asked of the store; write 1 or more".into());
    }
    if config.principal.is_empty() != config.keytab.as_os_str().is_empty() {
        wrong.push("principal and keytab belong together: write both or none".into());
    }
    let webhdfs = config.webhdfs.trim_end_matches('/').to_owned();
    if !webhdfs.is_empty() && !is_http_server(&webhdfs) {
        wrong.push(format!(
            "webhdfs = {webhdfs:?}: write an address such as http://namenode:9870"
        ));
    }
    config.webhdfs = webhdfs;
    if wrong.is_empty() {
        Ok(config)
    } else {
        Err(wrong)
    }
}

/// Keys that mean nothing to a store of this kind: mostly a mistake.
fn misplaced(config: &MountConfig, of_hdfs: bool, of_s3: bool) -> Vec<String> {
    let given = |path: &Path| !path.as_os_str().is_empty();
    let hdfs = [
        ("hadoop_conf", given(&config.hadoop_conf)),
        ("hadoop", !config.hadoop.is_empty()),
        ("principal", !config.principal.is_empty()),
        ("keytab", given(&config.keytab)),
        ("webhdfs", !config.webhdfs.is_empty()),
    ];
    let s3 = [
        ("endpoint", !config.endpoint.is_empty()),
        ("region", !config.region.is_empty()),
        ("path_style", config.path_style),
        ("credentials", given(&config.credentials)),
        ("anonymous", config.anonymous),
    ];
    let of_others = |keys: &[(&str, bool)], kind: &str, fits: bool| {
        let misplaced = keys.iter().filter(|(_, given)| *given && !fits);
        misplaced
            .map(|(key, _)| format!("{key} is for {kind} only: leave it out"))
            .collect::<Vec<_>>()
    };
    let mut wrong = of_others(&hdfs, "hdfs://", of_hdfs);
    wrong.extend(of_others(&s3, "s3://", of_s3));
    wrong
}

fn is_http_server(text: &str) -> bool {
    let authority = text.strip_prefix("http://");
    authority.is_some_and(|authority| {
        !authority.contains('/') && authority.parse::<http::uri::Authority>().is_ok()
    })
}

/// Opens the store.
///
/// # Errors
/// [`ErrorKind::Invalid`] for settings that make none; what the store says.
pub async fn store(config: &MountConfig) -> Result<Arc<dyn Backend>, BackendError> {
    match Store::parse(&config.store) {
        Some(Store::Folder(folder)) => {
            let folder = folder.to_owned();
            let opened = tokio::task::spawn_blocking(move || LocalStore::open(folder)).await;
            let opened = opened.map_err(|error| failed(&error))??;
            Ok(Arc::new(opened))
        }
        Some(Store::Hdfs(authority, folder)) => {
            let store = HdfsStore::open(hdfs(config, authority))?;
            Ok(Subtree::of(Arc::new(store), subtree::folder(folder)?))
        }
        Some(Store::Bucket(bucket, prefix)) => {
            let store = S3Store::open(s3(config, bucket, prefix)).await?;
            Ok(Arc::new(store))
        }
        None => {
            let text = format!("store = {:?} cannot be mounted", config.store);
            Err(BackendError::new(ErrorKind::Invalid, text))
        }
    }
}

fn hdfs(config: &MountConfig, authority: &str) -> HdfsOptions {
    let given = |path: &Path| (!path.as_os_str().is_empty()).then(|| path.to_owned());
    HdfsOptions {
        config_dir: given(&config.hadoop_conf),
        config: config.hadoop.clone(),
        principal: Some(config.principal.clone()).filter(|principal| !principal.is_empty()),
        keytab: given(&config.keytab),
        tickets: given(&config.keytab).map(|_| initiator::cache_of(&config.principal)),
        impersonate: config.impersonate,
        request_timeout: config.timeout.duration(),
        truncates: config.truncates,
        streams_max: config.calls_max,
        ..HdfsOptions::new(format!("hdfs://{authority}"))
    }
}

fn s3(config: &MountConfig, bucket: &str, prefix: &str) -> S3Options {
    let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let credentials = if config.anonymous {
        S3Credentials::Anonymous
    } else if config.credentials.as_os_str().is_empty() {
        S3Credentials::Chain
    } else {
        S3Credentials::File {
            path: config.credentials.clone(),
            profile: given(&config.profile),
        }
    };
    let environment = || {
        ["AWS_REGION", "AWS_DEFAULT_REGION"]
            .iter()
            .find_map(|name| std::env::var(name).ok())
    };
    let defaults = S3Options::new(bucket);
    S3Options {
        endpoint: given(&config.endpoint),
        region: given(&config.region)
            .or_else(environment)
            .unwrap_or(defaults.region.clone()),
        prefix: prefix.trim_matches('/').to_owned(),
        path_style: config.path_style,
        credentials,
        request_timeout: config.timeout.duration(),
        ..defaults
    }
}

/// Whether the store decides by caller: an HDFS that is asked in the caller's name.
pub fn knows_callers(config: &MountConfig) -> bool {
    config.impersonate && matches!(Store::parse(&config.store), Some(Store::Hdfs(..)))
}

/// What keeps callers apart, where the store decides by caller and the cache does not.
pub fn guard(config: &MountConfig, store: &Arc<dyn Backend>) -> Option<Guard> {
    (knows_callers(config) && config.cache)
        .then(|| Guard::new(Arc::clone(store), config.ttl.duration()))
}

/// Puts the cache before a mount's store.
pub fn cached(
    cache: &Arc<Cache>,
    config: &MountConfig,
    store: Arc<dyn Backend>,
    sharers: &Sharers,
) -> Arc<CachedBackend> {
    let terms = MountTerms {
        ttl: config.ttl.duration(),
        read_ahead_bytes: config.read_ahead.bytes(),
        calls_max: config.calls_max,
        timeout: config.timeout.duration(),
        owners: sharers.of_mount(&config.path),
        ..MountTerms::default()
    };
    // Pages belong to a store, wherever it is mounted; but no two mounts share them at once.
    let id = format!("{}={}", config.path, config.store);
    cache.attach(&id, store, terms)
}

fn failed(error: &dyn std::fmt::Display) -> BackendError {
    BackendError::new(ErrorKind::Failed, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(path: &str, store: &str) -> MountConfig {
        MountConfig {
            path: path.into(),
            store: store.into(),
            ..MountConfig::default()
        }
    }

    #[test]
    fn stores_are_told_apart() {
        for (text, want) in [
            ("file:///a/b", Some(Store::Folder("/a/b"))),
            ("hdfs://nn:8020", Some(Store::Hdfs("nn:8020", ""))),
            ("hdfs://pair/x/y", Some(Store::Hdfs("pair", "/x/y"))),
            ("s3://b/p/", Some(Store::Bucket("b", "/p/"))),
            ("file://a", None),
            ("hdfs:///x", None),
            ("ftp://x/y", None),
            ("", None),
        ] {
            assert_eq!(Store::parse(text), want, "{text}");
        }
    }

    #[test]
    fn mistakes_are_told_all_at_once() {
        let good = checked(config("/a//b/", "file:///tmp")).unwrap();
        assert_eq!(good.path, "/a/b");
        let bad = MountConfig {
            keytab: "/k".into(),
            calls_max: 0,
            path_style: true,
            ..config("a", "file://x")
        };
        let wrong = checked(bad).unwrap_err();
        for part in [
            "path = ",
            "store = ",
            "keytab is for",
            "path_style is for",
            "calls_max",
            "principal and keytab",
        ] {
            assert!(
                wrong.iter().any(|text| text.contains(part)),
                "{part}: {wrong:?}"
            );
        }
    }
}
