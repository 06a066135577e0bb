//! S3 as an under store.
//!
//! S3 has keys and no folders. Here a folder is what keys begin with, up to a `/`, as every S3 client shows it; an empty one is a marker, an
//! empty object whose key ends with `/`. A folder whose last file is deleted gets its marker, so that it stays until it is deleted itself.
//! A key that is both an object and the beginning of others is shown as the object.
//!
//! A file's version is its length, its ETag and its time of change in seconds, and every read names the ETag: S3 answers with bytes of that
//! object or refuses. S3 knows no append, truncate, concat, permissions and times: these are
//! [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported).

mod client;
mod copy;
mod error;
mod keys;
mod list;
mod read;
mod tree;
mod write;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;

use crate::backend::{
    Backend, BackendError, BackendFile, BackendWriter, Caller, CreateOptions, ErrorKind, FileKind,
    Freshness, Listing, RenameMode, Status, Summary,
};
use error::of_sdk;
use keys::Keys;
use read::S3File;
use write::S3Writer;

/// Whose rights are used.
#[derive(Clone)]
pub enum S3Credentials {
    /// Environment, profile files, web identity, ECS and EC2, whichever has some, as the AWS clients look for them.
    Chain,
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`.
    Environment,
    /// A file as `~/.aws/credentials` is, and a profile in it; `default` if none is named.
    File {
        /// The file.
        path: PathBuf,
        /// The profile.
        profile: Option<String>,
    },
    /// These.
    Static {
        /// Access key id.
        access_key_id: String,
        /// Its secret.
        secret_access_key: String,
        /// Of temporary ones.
        session_token: Option<String>,
    },
    /// Requests are not signed: for public buckets.
    Anonymous,
}

/// Says no secret.
impl fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chain => f.write_str("Chain"),
            Self::Environment => f.write_str("Environment"),
            Self::File { path, profile } => write!(f, "File({}, {profile:?})", path.display()),
            Self::Static { access_key_id, .. } => write!(f, "Static({access_key_id})"),
            Self::Anonymous => f.write_str("Anonymous"),
        }
    }
}

/// Where a bucket is, and whose rights are used.
#[derive(Clone, Debug)]
pub struct S3Options {
    /// `https://host:port`; AWS's own of the region if there is none.
    pub endpoint: Option<String>,
    /// Region; requests are signed for it.
    pub region: String,
    /// Bucket.
    pub bucket: String,
    /// What all keys begin with, as a folder; empty for the whole bucket.
    pub prefix: String,
    /// `host/bucket/key` instead of `bucket.host/key`: what most servers but AWS want.
    pub path_style: bool,
    /// Whose rights are used.
    pub credentials: S3Credentials,
    /// The longest that one attempt of a request may take, and the longest silence within a read.
    pub request_timeout: Duration,
    /// How often a request is made before it has failed; pauses between them grow.
    pub attempts_max: u32,
}

impl S3Options {
    /// A whole bucket, with what credentials can be found.
    pub fn new(bucket: impl Into<String>) -> Self {
        Self {
            endpoint: None,
            region: "us-east-1".to_owned(),
            bucket: bucket.into(),
            prefix: String::new(),
            path_style: false,
            credentials: S3Credentials::Chain,
            request_timeout: Duration::from_secs(30),
            attempts_max: 4,
        }
    }
}

/// What every operation of one store needs.
struct Shared {
    client: Client,
    bucket: String,
    keys: Keys,
    request_timeout: Duration,
}

/// A bucket, or a folder in it, as a [`Backend`].
#[derive(Clone)]
pub struct S3Store {
    shared: Arc<Shared>,
}

impl S3Store {
    /// Prepares a store. The server is first asked when there is something to ask.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] of options that make no sense.
    pub async fn open(options: S3Options) -> Result<Self, BackendError> {
        let keys = Keys::new(&options.prefix)?;
        if options.bucket.is_empty() {
            let text = "an S3 mount names a bucket: s3://BUCKET/FOLDER";
            return Err(BackendError::new(ErrorKind::Invalid, text));
        }
        let shared = Shared {
            client: client::build(&options).await,
            bucket: options.bucket,
            keys,
            request_timeout: options.request_timeout,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = self.shared.keys.prefix();
        write!(f, "S3Store({}/{prefix})", self.shared.bucket)
    }
}

impl Shared {
    /// What is at a path: an object of that key, or else a folder if keys begin with it.
    async fn status(&self, path: &str) -> Result<Status, BackendError> {
        match self.object(path).await {
            Err(error) if error.kind == ErrorKind::NotFound => {}
            found => return found,
        }
        if self.is_folder(path).await? {
            return Ok(folder(String::new()));
        }
        Err(BackendError::not_found(path))
    }

    async fn object(&self, path: &str) -> Result<Status, BackendError> {
        let Some(key) = self.keys.of_file(path)? else {
            return Err(BackendError::not_found(path));
        };
        let head = self.client.head_object().bucket(&self.bucket).key(key);
        let head = head.send().await.map_err(|error| of_sdk(error, path))?;
        let of_object = list::Object {
            len: head.content_length.unwrap_or(0),
            modified_secs: head.last_modified.map_or(0, |time| time.secs()),
            etag: head.e_tag,
        };
        Ok(of_object.status(String::new()))
    }

    /// The root always is one.
    async fn is_folder(&self, path: &str) -> Result<bool, BackendError> {
        let prefix = self.keys.of_folder(path)?;
        if path == "/" {
            return Ok(true);
        }
        let listed = self.client.list_objects_v2().bucket(&self.bucket);
        let listed = listed.prefix(prefix).max_keys(1).send().await;
        let listed = listed.map_err(|error| of_sdk(error, path))?;
        Ok(!listed.contents().is_empty() || !listed.common_prefixes().is_empty())
    }

    async fn look(&self, path: &str) -> Result<Option<Status>, BackendError> {
        match self.status(path).await {
            Ok(status) => Ok(Some(status)),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes an empty object whose key ends with `/`.
    async fn put_marker(&self, path: &str) -> Result<(), BackendError> {
        let key = self.keys.of_folder(path)?;
        if key.is_empty() {
            return Ok(());
        }
        let put = self.client.put_object().bucket(&self.bucket).key(key);
        let put = put
            .content_type("application/x-directory")
            .content_length(0);
        put.send().await.map_err(|error| of_sdk(error, path))?;
        Ok(())
    }
}

/// What S3 says of a folder: nothing.
fn folder(name: String) -> Status {
    Status {
        name,
        kind: FileKind::Directory,
        len: 0,
        modified_ms: 0,
        accessed_ms: 0,
        owner: "s3".into(),
        group: "s3".into(),
        permission: 0o777,
        replication: 0,
        block_bytes: 0,
        etag: None,
    }
}

#[async_trait]
impl Backend for S3Store {
    fn kind(&self) -> &'static str {
        "s3"
    }

    async fn status(
        &self,
        _caller: &Caller,
        path: &str,
        _freshness: Freshness,
    ) -> Result<Status, BackendError> {
        self.shared.status(path).await
    }

    async fn list(
        &self,
        _caller: &Caller,
        path: &str,
        after: Option<&str>,
        limit: usize,
        _freshness: Freshness,
    ) -> Result<Listing, BackendError> {
        list::list(&self.shared, path, after, limit).await
    }

    async fn open(
        &self,
        _caller: &Caller,
        path: &str,
        _freshness: Freshness,
    ) -> Result<Arc<dyn BackendFile>, BackendError> {
        let status = self.shared.status(path).await?;
        if status.is_dir() {
            let text = format!("{path}: it is a folder");
            return Err(BackendError::new(ErrorKind::IsADirectory, text));
        }
        Ok(Arc::new(S3File::new(self.shared.clone(), path, status)?))
    }

    /// The object is there when it is finished, whole; up to 8 MiB in one request, and larger ones part by part. That nothing is replaced
    /// that came meanwhile is left to the server (`If-None-Match: *`), if it can do that.
    async fn create(
        &self,
        _caller: &Caller,
        path: &str,
        options: &CreateOptions,
    ) -> Result<Box<dyn BackendWriter>, BackendError> {
        match self.shared.look(path).await? {
            Some(found) if found.is_dir() => {
                let text = format!("{path}: it is a folder");
                return Err(BackendError::new(ErrorKind::IsADirectory, text));
            }
            Some(_) if !options.overwrite => return Err(error::already_exists(path)),
            Some(_) | None => {}
        }
        let writer = S3Writer::new(self.shared.clone(), path, options.overwrite)?;
        Ok(Box::new(writer))
    }

    async fn make_dirs(
        &self,
        _caller: &Caller,
        path: &str,
        _permission: u16,
    ) -> Result<(), BackendError> {
        match self.shared.look(path).await? {
            Some(found) if found.is_dir() => Ok(()),
            Some(_) => Err(error::already_exists(path)),
            None => self.shared.put_marker(path).await,
        }
    }

    /// Copies every object, and then deletes what was copied: it takes as long as that takes, others see it half done, and what fails in
    /// the middle leaves the sources and some copies.
    async fn rename(
        &self,
        _caller: &Caller,
        from: &str,
        to: &str,
        mode: RenameMode,
    ) -> Result<(), BackendError> {
        copy::rename(&self.shared, from, to, mode).await
    }

    async fn delete(
        &self,
        _caller: &Caller,
        path: &str,
        recursive: bool,
    ) -> Result<bool, BackendError> {
        tree::delete(&self.shared, path, recursive).await
    }

    async fn summary(&self, _caller: &Caller, path: &str) -> Result<Summary, BackendError> {
        tree::summary(&self.shared, path).await
    }
}
