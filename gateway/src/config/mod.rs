//! The configuration: one TOML file, every key with its default.
//!
//! Owns: the sections and their units, reading them, laying the command line over them, and telling what is wrong
//! with file, line and column. Refuses to own: acting on any of it.
//!
//! Life of one: [`Config::load`] (or [`Config::default`] without a file), [`Config::apply_overrides`],
//! [`Config::validate`]; or all of it by [`Config::for_serve`].
//!
//! `docs/config.md` is made from the doc comments and defaults in here, and a test keeps it so. After a change:
//! `UPDATE_DOCS=1 cargo test --release -p moongate reference`.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod auth;
mod error;
mod haystack;
mod mount;
mod policy;
#[cfg(test)]
mod reference;
mod sections;
mod source;
mod tenant;
#[cfg(test)]
mod tests;
mod tls;
mod tokens;
mod units;
mod validate;
mod validate_tokens;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::cli::ServeArgs;
use crate::transform::TransformLimits;

pub use auth::{
    AuthConfig, AuthMethod, KerberosConfig, NameMechanism, ProxyUserConfig, SimpleConfig,
};
pub use error::{ConfigError, Place, Problem};
pub use haystack::{CollectionConfig, Durability, HaystackConfig, IoEngine};
pub use mount::{CacheSection, JsonContentType, MountConfig, WebHdfsConfig};
pub use policy::{AuditConfig, Authz, PolicyConfig, PolicyFail};
pub use sections::{
    AccessLog, AdminConfig, FileConfig, HdfsConfig, ImageConfig, LimitsConfig, LogConfig,
    LogFormat, LogLevel, Protection,
};
pub use tenant::TenantConfig;
pub use tls::{ClientName, TlsConfig};
pub use tokens::{FidJwtConfig, GroupSource, GroupsConfig, JwtConfig, KeysConfig, LdapSection};
pub use units::{ByteSize, NotASize, NotASpan, Span};

/// Largest configuration file that is read, in bytes: a path mistaken for a data file should not fill memory.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// All settings of a gateway.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[allow(
    missing_docs,
    reason = "a section is documented on its own type, from where the reference takes it"
)]
pub struct Config {
    /// Serve everybody who can connect. Needed to listen on anything but loopback, where `auth.methods` asks nobody who they are.
    pub allow_anonymous: bool,
    pub image: ImageConfig,
    pub file: FileConfig,
    pub admin: AdminConfig,
    pub haystack: HaystackConfig,
    pub limits: LimitsConfig,
    pub log: LogConfig,
    pub tls: TlsConfig,
    pub auth: AuthConfig,
    pub policy: PolicyConfig,
    pub audit: AuditConfig,
    pub webhdfs: WebHdfsConfig,
    pub hdfs: HdfsConfig,
    pub cache: CacheSection,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mount: Vec<MountConfig>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tenant: Vec<TenantConfig>,
    #[serde(skip)]
    source: source::Source,
}

impl Config {
    /// Reads a file. What it leaves out has its default; values are in their types, but [`Config::validate`] has not
    /// been asked.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`], or what [`Config::parse`] says.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let bytes = read_bounded(path).map_err(unreadable)?;
        let name = path.display().to_string();
        match String::from_utf8(bytes) {
            Ok(text) => Self::parse(&text, &name),
            Err(error) => Err(not_text(&error, &name)),
        }
    }

    /// Reads `text`; errors call it `name`.
    ///
    /// # Errors
    /// [`ConfigError::Wrong`] with the first thing that is no TOML, an unknown key, or a value of the wrong type.
    pub fn parse(text: &str, name: &str) -> Result<Self, ConfigError> {
        let source = source::Source::new(text, name);
        match toml::from_str::<Self>(text) {
            Ok(config) => Ok(Self { source, ..config }),
            Err(error) => Err(ConfigError::Wrong(vec![source.explain(&error)])),
        }
    }

    /// Lays the flags of `moongate serve` over the file; what was not given stays.
    pub fn apply_overrides(&mut self, args: &ServeArgs) {
        let mut set = |key, flag, given: bool| {
            if given {
                self.source.overridden(key, flag);
            }
            given
        };
        if set("haystack.data", "--data", !args.data.is_empty()) {
            self.haystack.data.clone_from(&args.data);
        }
        set("allow_anonymous", "--allow-anonymous", args.allow_anonymous);
        set(
            "image.listen",
            "--image-listen",
            args.image_listen.is_some(),
        );
        set(
            "image.public_url",
            "--public-url",
            args.public_url.is_some(),
        );
        set("file.listen", "--file-listen", args.file_listen.is_some());
        set(
            "admin.listen",
            "--admin-listen",
            args.admin_listen.is_some(),
        );
        set("hdfs.listen", "--hdfs-listen", args.hdfs_listen.is_some());
        self.hdfs.listen = args.hdfs_listen.or(self.hdfs.listen);
        self.allow_anonymous |= args.allow_anonymous;
        self.image.listen = args.image_listen.unwrap_or(self.image.listen);
        self.file.listen = args.file_listen.unwrap_or(self.file.listen);
        self.admin.listen = args.admin_listen.unwrap_or(self.admin.listen);
        if let Some(url) = &args.public_url {
            self.image.public_url.clone_from(url);
        }
    }

    /// Checks ranges, and values against each other.
    ///
    /// # Errors
    /// [`ConfigError::Wrong`] with everything that was found.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let problems = validate::problems(self);
        if problems.is_empty() {
            Ok(())
        } else {
            Err(ConfigError::Wrong(problems))
        }
    }

    /// The configuration that `moongate serve` runs with: the file it names or the defaults, its flags over them,
    /// checked.
    ///
    /// # Errors
    /// Those of [`Config::load`] and [`Config::validate`].
    pub fn for_serve(args: &ServeArgs) -> Result<Self, ConfigError> {
        let mut config = args
            .config
            .as_deref()
            .map_or_else(|| Ok(Self::default()), Self::load)?;
        config.apply_overrides(args);
        config.validate()?;
        Ok(config)
    }
}

impl ImageConfig {
    /// The bounds on one transform.
    pub fn transform_limits(&self) -> TransformLimits {
        TransformLimits {
            pixels_max: self.transform_pixels_max,
            memory_bytes_max: self.transform_memory_max.bytes(),
        }
    }
}

fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!(
            "larger than {FILE_BYTES_MAX} bytes, so not a configuration"
        )));
    }
    Ok(bytes)
}

fn not_text(error: &std::string::FromUtf8Error, name: &str) -> ConfigError {
    let at = error.utf8_error().valid_up_to();
    let readable = String::from_utf8_lossy(error.as_bytes());
    ConfigError::Wrong(vec![Problem {
        place: Some(source::Source::new(&readable, name).place_at(at..at + 1)),
        message: "this byte is not UTF-8 text".to_owned(),
        help: "save the file as UTF-8".to_owned(),
    }])
}
