//! `[policy]` and `[audit]`: who may do what, and what is written down of it. Doc comments here become `docs/config.md`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

#[cfg(test)]
use super::mount::names;
use super::units::{ByteSize, Span};

/// Who may do what: Ranger's policies, from a file or polled from Ranger Admin, and the files' own permissions. With nothing here, nobody
/// is refused anything but by a store itself. See docs/authorization.md.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a section of keys")]
pub struct PolicyConfig {
    /// File with policies, as Ranger Admin's download answers them. It is looked at again every `poll`.
    pub file: PathBuf,
    /// File with tags, likewise; only with `file`.
    pub tags_file: PathBuf,
    /// File with roles, likewise; only with `file`.
    pub roles_file: PathBuf,
    /// Addresses of Ranger Admin, such as `"http://ranger:6080"` or `"https://ranger:6182"`: the next is asked when one cannot be reached. Instead of `file`.
    #[cfg_attr(test, schemars(schema_with = "names"))]
    pub admin: Vec<String>,
    /// Authorities by which Ranger Admin's certificate is known (PEM), for `https://`. Empty: those of the system.
    pub ca: PathBuf,
    /// Kerberos principal that asks Ranger Admin by SPNEGO, such as `"moongate/host@REALM"`: it must be among `policy.download.auth.users`
    /// of the service. Empty: the downloads that need no login.
    pub principal: String,
    /// File with the principal's keys.
    pub keytab: PathBuf,
    /// Name of the service in Ranger.
    pub service: String,
    /// Folder in which what Ranger Admin said last is kept, for when it is away. Empty: `policies` in the first folder of `haystack.data`.
    pub cache_dir: PathBuf,
    /// How often Ranger Admin is asked, or the file looked at.
    pub poll: Span,
    /// How long a connection to Ranger Admin may take to be made.
    pub connect_timeout: Span,
    /// How long an answer of Ranger Admin may take.
    pub read_timeout: Span,
    /// What holds while there are no policies at all: refuse everything, or go by the files' own permissions.
    pub fail: PolicyFail,
    /// Who decides about the gateway's own files, images, and mounts that do not say (`mount.authz`). `auto`: `both` if there is a source of
    /// policies, else `none`.
    pub authz: Authz,
    /// Users who may do everything, as HDFS's superuser may.
    #[cfg_attr(test, schemars(schema_with = "names"))]
    pub superusers: Vec<String>,
    /// Groups whose members may.
    #[cfg_attr(test, schemars(schema_with = "names"))]
    pub supergroups: Vec<String>,
    /// Time zone of the NameNode's Java machine, by whose clocks schedules of policies recur.
    pub time_zone: String,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self {
            file: PathBuf::new(),
            tags_file: PathBuf::new(),
            roles_file: PathBuf::new(),
            admin: Vec::new(),
            ca: PathBuf::new(),
            principal: String::new(),
            keytab: PathBuf::new(),
            service: String::new(),
            cache_dir: PathBuf::new(),
            poll: Span::from_secs(30),
            connect_timeout: Span::from_secs(10),
            read_timeout: Span::from_secs(30),
            fail: PolicyFail::Closed,
            authz: Authz::Auto,
            superusers: Vec::new(),
            supergroups: Vec::new(),
            time_zone: "UTC".to_owned(),
        }
    }
}

impl PolicyConfig {
    /// Whether policies come from anywhere.
    pub fn has_source(&self) -> bool {
        !self.admin.is_empty() || !self.file.as_os_str().is_empty()
    }

    /// Who decides where a mount does not say.
    pub fn authz(&self) -> Authz {
        match self.authz {
            Authz::Auto if self.has_source() => Authz::Both,
            Authz::Auto => Authz::None,
            authz => authz,
        }
    }

    /// What is wrong, by key.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut wrong = Vec::new();
        let has_file = !self.file.as_os_str().is_empty();
        if has_file && !self.admin.is_empty() {
            wrong.push(("policy.file", "policies come from a file or from Ranger Admin: take one of policy.file and policy.admin out".to_owned()));
        }
        if !self.admin.is_empty() && self.service.is_empty() {
            wrong.push((
                "policy.service",
                "say which service of Ranger Admin this is".to_owned(),
            ));
        }
        for address in &self.admin {
            if !["http://", "https://"]
                .iter()
                .any(|scheme| address.starts_with(scheme))
            {
                wrong.push((
                    "policy.admin",
                    format!("{address}: write http://HOST:PORT or https://HOST:PORT"),
                ));
            }
        }
        if self.principal.is_empty() != self.keytab.as_os_str().is_empty() {
            wrong.push((
                "policy.principal",
                "policy.principal and policy.keytab belong together: write both or none".to_owned(),
            ));
        }
        let needs = matches!(self.authz, Authz::Ranger | Authz::Both);
        if needs && !self.has_source() {
            wrong.push(("policy.authz", "it asks for policies, but neither policy.file nor policy.admin says where they are".to_owned()));
        }
        wrong
    }
}

/// Who decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Authz {
    /// As said elsewhere: of a mount, as `policy.authz`; there, by whether there are policies.
    Auto,
    /// Nobody: all is allowed but what the store itself refuses.
    None,
    /// Policies; where they say nothing it is refused.
    Ranger,
    /// The files' owner, group, mode and access control list, as in HDFS.
    Native,
    /// Policies, and where they say nothing the files' own.
    Both,
    /// The NameNode, asked in the caller's name (`impersonate`).
    Namenode,
}

/// What holds without policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum PolicyFail {
    /// Nothing is allowed.
    Closed,
    /// What the files' own permissions allow.
    Native,
}

/// What is written down of who did what: one JSON line an operation, in Ranger's audit schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a section of keys")]
pub struct AuditConfig {
    /// Folder of the files: `audit.jsonl`, and those that are full. Empty: nothing is written.
    pub dir: PathBuf,
    /// Most records that wait to be written.
    pub queue_len_max: usize,
    /// Size at which another file is begun.
    pub file_bytes_max: ByteSize,
    /// Most bytes of all files: the oldest are removed. `0`: none is.
    pub total_bytes_max: ByteSize,
    /// Let operations wait rather than lose a record when the queue is full or the disk refuses. Otherwise lost records are counted, and a
    /// line says how many.
    pub strict: bool,
    /// `cluster_name` of the records.
    pub cluster_name: String,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self {
            dir: PathBuf::new(),
            queue_len_max: 65_536,
            file_bytes_max: ByteSize::mib(64),
            total_bytes_max: ByteSize::gib(4),
            strict: false,
            cluster_name: String::new(),
        }
    }
}
