//! Every metric of the gateway, in one place. Names carry their unit; docs/operations.md says which to watch.

mod cache;
mod login;
mod policy;
mod tenants;
pub mod tickets;

use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use self::cache::CacheFigures;
use self::login::LoginFigures;
use self::policy::PolicyFigures;
use self::tenants::TenantFigures;
use self::tickets::{TicketFigures, Tickets};
use crate::login::{Known, Refusal};
use crate::state::Gateway;

/// What a request asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(missing_docs)]
pub enum Operation {
    Read,
    Write,
    Delete,
    BatchPut,
    BatchGet,
    BatchDelete,
    Assign,
    Other,
    FileRead,
    FileWrite,
    FileDelete,
    FileChange,
    HdfsRead,
    HdfsWrite,
    HdfsStatus,
    HdfsChange,
}

const OPERATIONS: [Operation; 16] = [
    Operation::Read,
    Operation::Write,
    Operation::Delete,
    Operation::BatchPut,
    Operation::BatchGet,
    Operation::BatchDelete,
    Operation::Assign,
    Operation::Other,
    Operation::FileRead,
    Operation::FileWrite,
    Operation::FileDelete,
    Operation::FileChange,
    Operation::HdfsRead,
    Operation::HdfsWrite,
    Operation::HdfsStatus,
    Operation::HdfsChange,
];

impl Operation {
    /// As audit records have it, where the protocol has no name of its own.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Delete => "delete",
            Self::BatchPut => "batch-put",
            Self::BatchGet => "batch-get",
            Self::BatchDelete => "batch-delete",
            Self::Assign => "assign",
            Self::Other => "other",
            Self::FileRead => "file-read",
            Self::FileWrite => "file-write",
            Self::FileDelete => "file-delete",
            Self::FileChange => "file-change",
            Self::HdfsRead => "hdfs-read",
            Self::HdfsWrite => "hdfs-write",
            Self::HdfsStatus => "hdfs-status",
            Self::HdfsChange => "hdfs-change",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabel {
    operation: Operation,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReplyLabel {
    operation: Operation,
    /// First digit of the status.
    class: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DiskLabel {
    dir: String,
}

/// Counters of one operation, looked up once.
struct OperationMetrics {
    classes: [Counter; 6],
    seconds: Histogram,
    received: Counter,
    sent: Counter,
    done: Counter,
    failed: Counter,
    image_bytes: Counter,
}

/// See the module.
pub struct Metrics {
    registry: Registry,
    operations: [OperationMetrics; OPERATIONS.len()],
    disks: Vec<(Family<DiskLabel, Gauge>, DiskFigure)>,
    gauges: Vec<(Gauge, GatewayFigure)>,
    cache: CacheFigures,
    policy: PolicyFigures,
    logins: LoginFigures,
    tenants: TenantFigures,
    tickets: TicketFigures,
}

type DiskFigure = fn(&moongate_haystack::store::DataDir) -> u64;
type GatewayFigure = fn(&Gateway) -> u64;

/// Figures of each data folder: name, help, value.
const DISK_FIGURES: [(&str, &str, DiskFigure); 5] = [
    (
        "disk_free_bytes",
        "Bytes free on the disk of a data folder",
        |d| d.space().free_bytes,
    ),
    (
        "disk_total_bytes",
        "Size of the disk of a data folder",
        |d| d.space().total_bytes,
    ),
    (
        "disk_reserve_bytes",
        "Bytes that writes leave free, so that vacuum can run",
        |d| d.reserve_bytes(),
    ),
    ("write_queue_len", "Writes that wait for the disk", |d| {
        d.queue_len() as u64
    }),
    (
        "index_misses",
        "Look-ups that the index in memory could not answer, since the start",
        |d| d.index.misses(),
    ),
];

/// Figures of the whole gateway: name, help, value.
const GATEWAY_FIGURES: [(&str, &str, GatewayFigure); 15] = [
    ("volumes", "Volumes that are served", |g| {
        g.store.volumes().len() as u64
    }),
    ("needles", "Needles stored and not deleted", |g| {
        sum(g, |c| c.puts.saturating_sub(c.deletes))
    }),
    (
        "garbage_bytes",
        "Bytes of deleted and overwritten needles that vacuum has not freed",
        |g| sum(g, |c| c.deleted_bytes),
    ),
    (
        "corrupt_needles",
        "Different needles found damaged since the start",
        |g| g.store.bad_needles().known() as u64,
    ),
    (
        "corrupt_needle_reads",
        "How often a damaged needle was met by a reader or the scrubber",
        |g| g.store.bad_needles().met(),
    ),
    (
        "vacuumed_volumes",
        "Volumes vacuumed since the start",
        |g| g.store.vacuum_progress().vacuumed,
    ),
    (
        "vacuum_freed_bytes",
        "Bytes that vacuum freed since the start",
        |g| g.store.vacuum_progress().freed_bytes,
    ),
    ("read_engine_queue_len", "Reads that wait for a disk", |g| {
        g.engine.queue_len() as u64
    }),
    (
        "buffer_budget_free_bytes",
        "Bytes that bodies in flight may still take",
        |g| g.budget.free_bytes(),
    ),
    (
        "image_connections_open",
        "Open connections of the image port",
        |g| g.image_connections.open.load(Ordering::Relaxed),
    ),
    (
        "image_connections_refused",
        "Connections refused at the limit, since the start",
        |g| g.image_connections.refused.load(Ordering::Relaxed),
    ),
    (
        "image_lane_requests",
        "Requests answered on the short way of plain GETs and PUTs, since the start",
        |g| g.image_connections.by_lane.load(Ordering::Relaxed),
    ),
    (
        "hdfs_connections_open",
        "Open connections of the two ports of hdfs://",
        |g| g.hdfs_connections.open.load(Ordering::Relaxed),
    ),
    (
        "hdfs_connections_refused",
        "Connections of hdfs:// refused at the limit, since the start",
        |g| g.hdfs_connections.refused.load(Ordering::Relaxed),
    ),
    (
        "request_panics",
        "Requests that ended in a panic: report each as a bug",
        |g| g.image_connections.panics.load(Ordering::Relaxed),
    ),
];

fn sum(gateway: &Gateway, figure: impl Fn(&moongate_haystack::index::Counters) -> u64) -> u64 {
    gateway
        .store
        .volumes()
        .values()
        .map(|m| figure(&m.volume.counters()))
        .sum()
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("moongate");
        let replies = Family::<ReplyLabel, Counter>::default();
        registry.register(
            "requests",
            "Requests answered, by operation and first digit of the status",
            replies.clone(),
        );
        let seconds = Family::<OperationLabel, Histogram>::new_with_constructor(|| {
            Histogram::new(exponential_buckets(50e-6, 2.0, 18))
        });
        registry.register_with_unit(
            "request_duration",
            "From a request's header to its answer's",
            Unit::Seconds,
            seconds.clone(),
        );
        let (received, sent) = (
            Family::<OperationLabel, Counter>::default(),
            Family::<OperationLabel, Counter>::default(),
        );
        registry.register_with_unit(
            "received",
            "Bytes of request bodies",
            Unit::Bytes,
            received.clone(),
        );
        registry.register_with_unit(
            "sent",
            "Bytes of response bodies",
            Unit::Bytes,
            sent.clone(),
        );
        let batch = |registry: &mut Registry, name: &str, help: &str| {
            let family = Family::<OperationLabel, Counter>::default();
            registry.register(name, help, family.clone());
            family
        };
        let done = batch(
            &mut registry,
            "batch_images",
            "Images stored, sent or deleted by batches",
        );
        let failed = batch(
            &mut registry,
            "batch_failures",
            "Entries of batches that failed: each was told to its client",
        );
        let image_bytes = batch(
            &mut registry,
            "batch_image_bytes",
            "Bytes of the images of batches",
        );
        let operations = OPERATIONS.map(|operation| {
            let label = OperationLabel { operation };
            OperationMetrics {
                classes: [0, 1, 2, 3, 4, 5].map(|class| {
                    replies
                        .get_or_create(&ReplyLabel { operation, class })
                        .clone()
                }),
                seconds: seconds.get_or_create(&label).clone(),
                received: received.get_or_create(&label).clone(),
                sent: sent.get_or_create(&label).clone(),
                done: done.get_or_create(&label).clone(),
                failed: failed.get_or_create(&label).clone(),
                image_bytes: image_bytes.get_or_create(&label).clone(),
            }
        });
        let disks = DISK_FIGURES.map(|(name, help, figure)| {
            let family = Family::<DiskLabel, Gauge>::default();
            registry.register(name, help, family.clone());
            (family, figure)
        });
        let gauges = GATEWAY_FIGURES.map(|(name, help, figure)| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            (gauge, figure)
        });
        Self {
            cache: CacheFigures::register(&mut registry),
            policy: PolicyFigures::register(&mut registry),
            logins: LoginFigures::register(&mut registry),
            tenants: TenantFigures::register(&mut registry),
            tickets: TicketFigures::register(&mut registry),
            registry,
            operations,
            disks: disks.into(),
            gauges: gauges.into(),
        }
    }
}

impl Metrics {
    /// One request was answered.
    pub fn answered(
        &self,
        operation: Operation,
        status: u16,
        took: Duration,
        received_bytes: u64,
        sent_bytes: u64,
    ) {
        let metrics = &self.operations[operation as usize];
        metrics.classes[usize::from(status / 100).min(5)].inc();
        metrics.seconds.observe(took.as_secs_f64());
        metrics.received.inc_by(received_bytes);
        metrics.sent.inc_by(sent_bytes);
    }

    /// Somebody was let in, or was not.
    pub fn login(&self, known: &Result<Known, Refusal>) {
        self.logins.count(known);
    }

    /// Somebody was let in who was known already.
    pub fn login_again(&self, method: moongate_auth::Method) {
        self.logins.count_known(method);
    }

    /// A batch has ended: entries done, entries failed, and the bytes of those that were done.
    pub fn batch(&self, operation: Operation, done: u64, failed: u64, image_bytes: u64) {
        let metrics = &self.operations[operation as usize];
        metrics.done.inc_by(done);
        metrics.failed.inc_by(failed);
        metrics.image_bytes.inc_by(image_bytes);
    }

    /// All metrics in the text format of OpenMetrics, which Prometheus reads.
    pub fn render(&self, gateway: &Gateway, tickets: &Tickets) -> String {
        for (family, figure) in &self.disks {
            for dir in gateway.store.dirs() {
                let label = DiskLabel {
                    dir: dir.path.display().to_string(),
                };
                family.get_or_create(&label).set(as_gauge(figure(dir)));
            }
        }
        for (gauge, figure) in &self.gauges {
            gauge.set(as_gauge(figure(gateway)));
        }
        self.cache.set(&gateway.namespace.cache().stats());
        let shares = gateway.namespace.cache().share_stats();
        self.tenants.set(&gateway.tenants, &shares);
        self.tickets.set(tickets);
        self.policy.set(gateway.namespace.gatekeeper());
        let mut text = String::new();
        if let Err(error) = encode(&mut text, &self.registry) {
            let _ = writeln!(text, "# {error}");
        }
        text
    }
}

fn as_gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
