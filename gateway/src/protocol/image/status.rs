//! Status pages: the master's and the volume server's, as JSON and as one HTML page.

use std::fmt::Write as _;
use std::sync::Arc;

use http::{HeaderValue, header};
use moongate_haystack::placement::ReplicaPlacement;
use moongate_haystack::store::layout::Layout;
use moongate_haystack::store::{DataDir, Mounted};
use serde_json::{Map, Value, json};

use super::master::DISK_TYPE;
use crate::http::{Body, Response};
use crate::state::{Gateway, Urls};

/// Version as the status pages tell it.
pub fn version() -> &'static str {
    concat!("Moongate ", env!("CARGO_PKG_VERSION"))
}

fn sorted(gateway: &Gateway) -> Vec<Mounted> {
    let mut volumes: Vec<Mounted> = gateway.store.volumes().values().cloned().collect();
    volumes.sort_by_key(|m| m.volume.id());
    volumes
}

/// `" 1-3 7"`: numbers in ranges, as SeaweedFS writes them.
fn ranges(ids: &[u32]) -> String {
    let mut text = String::new();
    for run in ids.chunk_by(|a, b| a + 1 == *b) {
        let (first, last) = (run[0], run[run.len() - 1]);
        let _ = if first == last {
            write!(text, " {first}")
        } else {
            write!(text, " {first}-{last}")
        };
    }
    text
}

fn max_volumes(gateway: &Gateway) -> u64 {
    u64::from(gateway.store.config.volumes_max) * gateway.store.dirs().len() as u64
}

fn layouts(volumes: &[Mounted]) -> Vec<Value> {
    let mut layouts: Vec<(Layout, Vec<u32>)> = Vec::new();
    for mounted in volumes {
        let block = mounted.volume.generation().block;
        let layout = Layout {
            collection: mounted.volume.files.collection.clone(),
            placement: block.placement,
            ttl: block.ttl,
        };
        let at = layouts
            .iter()
            .position(|(known, _)| *known == layout)
            .unwrap_or_else(|| {
                layouts.push((layout, Vec::new()));
                layouts.len() - 1
            });
        if mounted.takes_new_keys() {
            layouts[at].1.push(mounted.volume.id().0);
        }
    }
    let one = |(layout, writables): &(Layout, Vec<u32>)| {
        json!({ "collection": layout.collection, "diskType": DISK_TYPE, "replication": layout.placement.to_string(),
            "ttl": layout.ttl.to_string(), "writables": writables })
    };
    layouts.iter().map(one).collect()
}

/// Body of `/dir/status`, with what vacuum is doing.
pub fn dir_status(gateway: &Gateway) -> Value {
    let volumes = sorted(gateway);
    let ids: Vec<u32> = volumes.iter().map(|m| m.volume.id().0).collect();
    let (max, free) = (max_volumes(gateway), gateway.store.volumes_left());
    let node = json!({ "Url": gateway.url(), "PublicUrl": gateway.urls(None).public_url, "Volumes": ids.len(), "EcShards": 0, "Max": max, "VolumeIds": ranges(&ids) });
    let config = &gateway.store.config;
    json!({
        "Topology": {
            "Max": max,
            "Free": free,
            "DataCenters": [{ "Id": config.data_center, "Racks": [{ "Id": config.rack, "DataNodes": [node] }] }],
            "Layouts": layouts(&volumes),
        },
        "Version": version(),
        "Vacuum": vacuum(gateway),
    })
}

/// What vacuum is doing.
pub fn vacuum(gateway: &Gateway) -> Value {
    let progress = gateway.store.vacuum_progress();
    json!({
        "Running": gateway.store.vacuum_pending(),
        "Volume": progress.volume.map(|id| id.0),
        "ReadBytes": progress.read_bytes,
        "TotalBytes": progress.total_bytes,
        "VacuumedVolumes": progress.vacuumed,
        "FreedBytes": progress.freed_bytes,
        "LastError": progress.last_error,
    })
}

fn placement(placement: ReplicaPlacement) -> Value {
    let digits = [
        ("dc", placement.data_centers),
        ("node", placement.servers),
        ("rack", placement.racks),
    ];
    Value::Object(
        digits
            .into_iter()
            .filter(|(_, n)| *n > 0)
            .map(|(name, n)| (name.to_owned(), n.into()))
            .collect::<Map<_, _>>(),
    )
}

fn volume(gateway: &Gateway, mounted: &Mounted) -> Value {
    let (volume, counters) = (&mounted.volume, mounted.volume.counters());
    let block = volume.generation().block;
    let [ttl_count, ttl_unit] = block.ttl.to_bytes();
    let disk_id = gateway
        .store
        .dirs()
        .iter()
        .position(|dir| Arc::ptr_eq(dir, &mounted.dir))
        .unwrap_or(0);
    let mut status = json!({
        "Collection": volume.files.collection,
        "CompactRevision": block.revision,
        "DeleteCount": counters.deletes,
        "DeletedByteCount": counters.deleted_bytes,
        "DiskId": disk_id,
        "DiskType": "",
        "FileCount": counters.puts,
        "Id": volume.id().0,
        "ModifiedAtSecond": volume.modified_secs(),
        "ReadOnly": volume.read_only().is_some(),
        "RemoteStorageName": "",
        "ReplicaPlacement": placement(block.placement),
        "Size": volume.dat_bytes(),
        "Ttl": { "Count": ttl_count, "Unit": ttl_unit },
        "Version": block.version as u8,
    });
    if let Some(why) = volume.read_only() {
        status["ReadOnlyReason"] = (&*why).into();
    }
    status
}

fn volumes(gateway: &Gateway) -> Vec<Value> {
    sorted(gateway)
        .iter()
        .map(|mounted| volume(gateway, mounted))
        .collect()
}

/// Body of `/vol/status`.
pub fn vol_status(gateway: &Gateway) -> Value {
    let config = &gateway.store.config;
    let (dc, rack, url) = (&config.data_center, &config.rack, gateway.url());
    json!({ "Version": version(), "Volumes": { "DataCenters": { dc: { rack: { url: volumes(gateway) } } } }, "Vacuum": vacuum(gateway) })
}

/// A disk as the volume server's status tells it.
fn disk(dir: &Arc<DataDir>) -> Value {
    let space = dir.space();
    let used = space.total_bytes.saturating_sub(space.free_bytes);
    let percent = |n: u64| n as f64 * 100.0 / space.total_bytes.max(1) as f64;
    json!({ "dir": dir.path.display().to_string(), "all": space.total_bytes, "used": used, "free": space.free_bytes,
        "percent_free": percent(space.free_bytes), "percent_used": percent(used),
        "reserve": dir.reserve_bytes(), "full": dir.is_full(), "volume_bytes_max": dir.volume_bytes_max() })
}

/// Body of `/status` on the image port.
pub fn volume_server(gateway: &Gateway) -> Value {
    json!({ "DiskStatuses": disks(gateway), "Version": version(), "Volumes": volumes(gateway), "Vacuum": vacuum(gateway) })
}

/// The disks.
pub fn disks(gateway: &Gateway) -> Vec<Value> {
    gateway.store.dirs().iter().map(disk).collect()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

fn human(bytes: u64) -> String {
    bytesize::ByteSize::b(bytes).to_string()
}

/// The page for a browser.
pub fn page(gateway: &Gateway, urls: Urls<'_>) -> Response {
    let mut rows = String::new();
    for mounted in sorted(gateway) {
        let (volume, counters) = (&mounted.volume, mounted.volume.counters());
        let block = volume.generation().block;
        let state = volume.read_only().map_or_else(
            || "writable".to_owned(),
            |why| format!("read only: {}", escape(&why)),
        );
        let _ = write!(
            rows,
            "<tr><td class=n>{}<td>{}<td>{}<td>{}<td class=n>{}<td class=n>{}<td class=n>{:.0}&thinsp;%<td>{state}",
            volume.id(),
            escape(&volume.files.collection),
            block.placement,
            block.ttl,
            human(volume.dat_bytes()),
            counters.puts.saturating_sub(counters.deletes),
            volume.garbage_ratio() * 100.0
        );
    }
    let mut disks = String::new();
    for dir in gateway.store.dirs() {
        let space = dir.space();
        let state = if dir.is_full() {
            "full: writes wait for space"
        } else {
            "ok"
        };
        let _ = write!(
            disks,
            "<tr><td>{}<td class=n>{}<td class=n>{}<td class=n>{}<td>{state}",
            escape(&dir.path.display().to_string()),
            human(space.total_bytes),
            human(space.free_bytes),
            human(dir.reserve_bytes())
        );
    }
    let html = PAGE
        .replace("{version}", version())
        .replace("{url}", &escape(urls.public_url))
        .replace("{engine}", gateway.engine.name())
        .replace(
            "{damaged}",
            &gateway.store.bad_needles().known().to_string(),
        )
        .replace("{disks}", &disks)
        .replace(
            "{rows}",
            if rows.is_empty() {
                "<tr><td colspan=8>None yet: the first upload makes them."
            } else {
                &rows
            },
        );
    let mut response = Response::new(Body::full(html));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    response
}

const PAGE: &str = r#"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width,initial-scale=1">
<title>Moongate</title><style>
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1c2330;background:#fbfbfa}
h1{font-weight:600;margin-bottom:0}h2{font-size:1.05rem;margin-top:2rem}p{color:#566}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid #dde}
th{font-weight:600;color:#566}.n{text-align:right;font-variant-numeric:tabular-nums}pre{background:#f0f1ee;padding:.8rem;overflow:auto}
@media(prefers-color-scheme:dark){body{color:#dde;background:#15181d}th,p{color:#9ab}th,td{border-color:#334}pre{background:#20252c}}
</style><h1>Moongate</h1><p>{version} at {url}, reads by {engine}, damaged needles: {damaged}</p>
<pre>curl -F file=@cat.jpg http://{url}/submit</pre>
<h2>Disks</h2><table><tr><th>Folder<th class=n>Size<th class=n>Free<th class=n>Reserve<th>State{disks}</table>
<h2>Volumes</h2><table><tr><th class=n>Volume<th>Collection<th>Replication<th>TTL<th class=n>Size<th class=n>Images<th class=n>Garbage<th>State{rows}</table>
</html>"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_in_ranges() {
        assert_eq!(ranges(&[1, 2, 3, 7, 9, 10]), " 1-3 7 9-10");
        assert_eq!(ranges(&[]), "");
    }
}
