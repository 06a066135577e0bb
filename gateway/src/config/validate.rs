//! Checks that no type can make: ranges, and values that must agree with each other. All that is wrong is told at
//! once, each with its place.

use std::collections::HashSet;
use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

use moongate_auth::kerberos::{Mechanism, NameRules};
use moongate_auth::proxy::is_host_pattern;

use super::error::Problem;
use super::units::{ByteSize, Span};
use super::{AuthMethod, Config};

/// What a needle's offset (32 bits of 8 bytes) can reach.
const VOLUME_REACH: ByteSize = ByteSize::gib(32);
const ANY_TIMEOUT: RangeInclusive<Span> = Span::from_secs(1)..=Span::from_secs(24 * 3600);
/// A collection's name is part of its volumes' file names.
const NAME_BYTES_MAX: usize = 128;

/// All that is wrong with a configuration.
pub(super) fn problems(config: &Config) -> Vec<Problem> {
    let mut checks = Checks {
        config,
        problems: Vec::new(),
    };
    checks.listeners();
    checks.auth();
    checks.policy();
    checks.image();
    checks.volumes();
    checks.upkeep();
    checks.collections();
    checks.limits();
    checks.mounts();
    checks.problems
}

pub(super) struct Checks<'a> {
    pub(super) config: &'a Config,
    problems: Vec<Problem>,
}

impl Checks<'_> {
    fn listeners(&mut self) {
        let config = self.config;
        let mut listeners = vec![
            ("image.listen", config.image.listen),
            ("file.listen", config.file.listen),
            ("admin.listen", config.admin.listen),
        ];
        if let Some((calls, data)) = config.hdfs.addresses() {
            listeners.extend([("hdfs.listen", calls), ("hdfs.data_listen", data)]);
        }
        for &(key, address) in &listeners {
            let near = address.ip().to_canonical().is_loopback();
            let allowed = near || config.allow_anonymous || config.auth.asks();
            self.check(allowed, key, || {
                (
                    format!("{key} = \"{address}\" can be reached from other machines, and nobody is asked who they are"),
                    "anyone who reaches it can read and delete everything. Switch authentication on (auth.methods), or, if the \
                     network is closed, say so with allow_anonymous = true (or --allow-anonymous); otherwise listen on 127.0.0.1"
                        .to_owned(),
                )
            });
        }
        for (index, (key, address)) in listeners.iter().enumerate() {
            let taken = listeners[..index]
                .iter()
                .find(|(_, other)| clash(*address, *other));
            self.check(taken.is_none(), key, || {
                let other = taken.map_or("", |(other, _)| other);
                (
                    format!("{key} and {other} both want {address}"),
                    "give each its own port".to_owned(),
                )
            });
        }
    }

    fn auth(&mut self) {
        self.kerberos();
        super::validate_tokens::check(self);
        for (name, rule) in &self.config.auth.proxy_user {
            for host in &rule.hosts {
                if !is_host_pattern(host) {
                    let message = format!("auth.proxy_user.{name}: {host:?} is no host");
                    let help = "write an address such as \"10.0.0.7\", a network such as \"10.0.0.0/8\", or \"*\"";
                    self.wrong(&["auth", "proxy_user", name], message, help.to_owned());
                }
            }
        }
    }

    fn kerberos(&mut self) {
        let (auth, kerberos) = (&self.config.auth, &self.config.auth.kerberos);
        let is_on = auth.methods.contains(&AuthMethod::Kerberos);
        let has_keytab = !kerberos.keytab.as_os_str().is_empty();
        self.check(!is_on || has_keytab, "auth.methods", || {
            let help = "write the file with the keys of HTTP/<host>, such as auth.kerberos.keytab = \"/etc/moongate/http.keytab\"";
            (
                "auth.methods names \"kerberos\", and there is no auth.kerberos.keytab".to_owned(),
                help.to_owned(),
            )
        });
        let parsed = NameRules::parse(&kerberos.auth_to_local, Mechanism::Hadoop, "");
        self.check(parsed.is_ok(), "auth.kerberos.auth_to_local", || {
            let why = parsed.err().map(|error| error.to_string());
            let help = "rules look like RULE:[2:$1@$0](nn@.*)s/.*/hdfs/ or DEFAULT, with white space between them";
            (why.unwrap_or_default(), help.to_owned())
        });
        for (key, span) in [
            ("auth.kerberos.cookie_validity", kerberos.cookie_validity),
            ("auth.kerberos.token_renew", kerberos.token_renew),
            ("auth.kerberos.token_max", kerberos.token_max),
            ("auth.kerberos.key_roll", kerberos.key_roll),
        ] {
            let year = Span::from_secs(366 * 24 * 3600);
            self.within(key, span, Span::from_secs(1)..=year);
        }
    }

    fn policy(&mut self) {
        for (key, message) in self.config.policy.problems() {
            let path: Vec<&str> = key.split('.').collect();
            self.wrong(
                &path,
                format!("{key}: {message}"),
                "see docs/authorization.md".to_owned(),
            );
        }
    }

    fn image(&mut self) {
        let image = &self.config.image;
        self.within(
            "image.upload_bytes_max",
            image.upload_bytes_max,
            ByteSize::from_bytes(1)..=ByteSize::gib(2),
        );
        self.within(
            "image.batch_list_bytes_max",
            image.batch_list_bytes_max,
            ByteSize::kib(1)..=ByteSize::gib(1),
        );
        self.within(
            "image.transform_pixels_max",
            image.transform_pixels_max,
            1..=10_000_000_000,
        );
        self.within(
            "image.transform_memory_max",
            image.transform_memory_max,
            ByteSize::mib(1)..=ByteSize::gib(1024),
        );
        self.within(
            "image.transform_concurrency",
            image.transform_concurrency,
            0..=1024,
        );
        self.within(
            "image.transform_queue_max",
            image.transform_queue_max,
            0..=1_000_000,
        );
        let url = image.public_url.as_str();
        self.check(url.is_empty() || is_host_and_port(url), "image.public_url", || {
            let help = "write host or host:port, such as \"images.example.com:9333\", without http:// and without a path";
            (format!("image.public_url = {url:?} is not a host with or without a port"), help.to_owned())
        });
    }

    fn volumes(&mut self) {
        let (haystack, upload) = (&self.config.haystack, self.config.image.upload_bytes_max);
        self.within(
            "haystack.volume_bytes_max",
            haystack.volume_bytes_max,
            ByteSize::mib(1)..=VOLUME_REACH,
        );
        let end = haystack
            .volume_bytes_max
            .bytes()
            .saturating_add(upload.bytes());
        let too_long = haystack.volume_bytes_max <= VOLUME_REACH && end > VOLUME_REACH.bytes();
        self.check(!too_long, "haystack.volume_bytes_max", || {
            let size = haystack.volume_bytes_max;
            let message = format!(
                "a volume of {size} with a last upload of {upload} ends beyond {VOLUME_REACH}"
            );
            (
                message,
                "make haystack.volume_bytes_max or image.upload_bytes_max smaller".to_owned(),
            )
        });
        self.within(
            "haystack.volumes_per_growth",
            haystack.volumes_per_growth,
            1..=1000,
        );
        self.within(
            "haystack.index_memory",
            haystack.index_memory,
            ByteSize::mib(8)..=ByteSize::gib(4096),
        );
        self.within("haystack.io_threads", haystack.io_threads, 0..=1024);
        self.within(
            "haystack.commit_batch_bytes_max",
            haystack.commit_batch_bytes_max,
            ByteSize::kib(4)..=ByteSize::gib(1),
        );
        self.within(
            "haystack.queue_len_max",
            haystack.queue_len_max,
            1..=1_000_000,
        );
        self.folders();
        for (key, name) in [
            ("haystack.data_center", &haystack.data_center),
            ("haystack.rack", &haystack.rack),
        ] {
            self.check(is_plain_name(name), key, || {
                (format!("{key} = {name:?} is not a name"), plain_name_help())
            });
        }
    }

    fn folders(&mut self) {
        let data = &self.config.haystack.data;
        let given = !data.is_empty() && data.iter().all(|folder| !folder.as_os_str().is_empty());
        self.check(given, "haystack.data", || {
            let help = "write the folder for the volumes, such as data = \"/var/lib/moongate\"";
            ("haystack.data names no folder".to_owned(), help.to_owned())
        });
        for (index, folder) in data.iter().enumerate() {
            let around = data
                .iter()
                .enumerate()
                .find(|(at, other)| *at != index && folder.starts_with(other));
            self.check(around.is_none(), "haystack.data", || {
                let other = around
                    .map(|(_, other)| other.display().to_string())
                    .unwrap_or_default();
                let message = format!(
                    "haystack.data: {} lies in {other}, or is the same",
                    folder.display()
                );
                (message, "give each disk one folder of its own".to_owned())
            });
        }
    }

    fn upkeep(&mut self) {
        let haystack = &self.config.haystack;
        let ratio = haystack.vacuum_garbage_ratio;
        self.check(ratio > 0.0 && ratio <= 1.0, "haystack.vacuum_garbage_ratio", || {
            let message = format!("haystack.vacuum_garbage_ratio = {ratio} is out of range");
            (message, "write a value more than 0, at most 1; at 0.3 a volume is rewritten when 30 % is garbage".to_owned())
        });
        self.within(
            "haystack.vacuum_interval",
            haystack.vacuum_interval,
            ANY_TIMEOUT,
        );
    }

    fn collections(&mut self) {
        for name in self.config.haystack.collections.keys() {
            if !is_plain_name(name) {
                let message = format!("haystack.collections: {name:?} is not a collection's name");
                self.wrong(
                    &["haystack", "collections", name],
                    message,
                    plain_name_help(),
                );
            }
        }
    }

    fn limits(&mut self) {
        let limits = &self.config.limits;
        self.within(
            "limits.connections_max",
            limits.connections_max,
            1..=10_000_000,
        );
        self.within(
            "limits.header_bytes_max",
            limits.header_bytes_max,
            ByteSize::kib(8)..=ByteSize::mib(1),
        );
        for (key, timeout) in [
            ("limits.header_timeout", limits.header_timeout),
            ("limits.body_stall_timeout", limits.body_stall_timeout),
            ("limits.write_stall_timeout", limits.write_stall_timeout),
        ] {
            self.within(key, timeout, ANY_TIMEOUT);
        }
        self.within(
            "limits.drain_timeout",
            limits.drain_timeout,
            Span::from_secs(0)..=*ANY_TIMEOUT.end(),
        );
        let (buffers, upload) = (limits.buffers_bytes_max, self.config.image.upload_bytes_max);
        self.check(buffers >= upload, "limits.buffers_bytes_max", || {
            let message = format!("limits.buffers_bytes_max = {buffers} is less than image.upload_bytes_max = {upload}");
            (message, "an upload is held whole: make the first larger or the second smaller".to_owned())
        });
    }

    fn mounts(&mut self) {
        let mounts = &self.config.mount;
        for (index, mount) in mounts.iter().enumerate() {
            let earlier = mounts.get(..index).unwrap_or_default();
            let mut wrong = crate::namespace::problems(mount);
            if earlier
                .iter()
                .any(|other| same_path(&other.path, &mount.path))
            {
                wrong.push("another mount has this path too: give each its own".to_owned());
            }
            for message in wrong {
                let message = format!("mount {}: {message}", mount.path);
                self.wrong(&["mount"], message, String::new());
            }
        }
        let cache = &self.config.cache;
        self.within(
            "cache.page_bytes",
            cache.page_bytes,
            ByteSize::kib(64)..=ByteSize::mib(16),
        );
        self.within(
            "cache.in_flight_bytes_max",
            cache.in_flight_bytes_max,
            ByteSize::mib(8)..=ByteSize::gib(1024),
        );
        self.gateways();
        let host = self.config.webhdfs.public_host.as_str();
        self.check(
            host.is_empty() || is_host_and_port(host),
            "webhdfs.public_host",
            || {
                let help = "write host or host:port, without http:// and without a path";
                (
                    format!("webhdfs.public_host = {host:?} is not a host with or without a port"),
                    help.to_owned(),
                )
            },
        );
    }

    fn gateways(&mut self) {
        let hdfs = &self.config.hdfs;
        let mut seen = HashSet::new();
        for name in &hdfs.gateways {
            let has_port = name
                .rsplit_once(':')
                .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
            let good = is_host_and_port(name) && has_port && seen.insert(name);
            self.check(good, "hdfs.gateways", || {
                let help =
                    "write HOST:PORT of each gateway's data port (hdfs.data_listen), each once";
                let message = format!(
                    "hdfs.gateways: {name:?} is not a host with a port, or stands there twice"
                );
                (message, help.to_owned())
            });
        }
        let shared = hdfs.gateways.is_empty() || !hdfs.secret_file.as_os_str().is_empty();
        self.check(shared, "hdfs.secret_file", || {
            let help = "write the same file at each, such as of: head -c 32 /dev/urandom | base64 > block-key";
            (
                "hdfs.gateways take each other's blocks only by a secret that they share".to_owned(),
                help.to_owned(),
            )
        });
    }

    fn within<T: PartialOrd + Display>(&mut self, key: &str, value: T, range: RangeInclusive<T>) {
        let message = format!("{key} = {value} is out of range");
        let help = format!("write a value from {} to {}", range.start(), range.end());
        self.check(range.contains(&value), key, || (message, help));
    }

    pub(super) fn check(&mut self, good: bool, key: &str, told: impl FnOnce() -> (String, String)) {
        if !good {
            let (message, help) = told();
            let key: Vec<&str> = key.split('.').collect();
            self.wrong(&key, message, help);
        }
    }

    pub(super) fn wrong(&mut self, key: &[&str], message: String, help: String) {
        self.problems.push(Problem {
            place: self.config.source.place_of(key),
            message,
            help,
        });
    }
}

/// Whether two listeners cannot both be bound: one port, and one address or all of them. Port 0 never clashes.
fn clash(a: SocketAddr, b: SocketAddr) -> bool {
    let same_address = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() == b.port() && a.port() != 0 && same_address
}

fn same_path(a: &str, b: &str) -> bool {
    let names = |path: &'_ str| {
        path.split('/')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    names(a) == names(b)
}

fn is_host_and_port(text: &str) -> bool {
    text.parse::<http::uri::Authority>().is_ok_and(|authority| {
        authority.port().is_none_or(|port| port.as_u16() > 0)
            && !authority.host().is_empty()
            && !authority.as_str().ends_with(':')
            && !text.contains('@')
    })
}

fn is_plain_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('.')
}

fn plain_name_help() -> String {
    format!("use letters, digits, '.', '_' and '-', at most {NAME_BYTES_MAX}, and no '.' in front")
}
