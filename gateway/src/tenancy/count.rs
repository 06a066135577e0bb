//! What each tenant has stored: counted when the gateway starts and every few seconds after, from the volumes and the names themselves, so
//! that no crash and no restart can lose count. What is written between two counts is added at once; what is deleted, at the next.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moongate_auth::tenants::Tenant;
use moongate_filer::{FilePath, FilerError};
use moongate_haystack::store::now_ns;
use tokio::sync::watch;

use crate::state::Gateway;

/// How often is counted, or as long as a count lasts four times, if that is longer.
const COUNT_INTERVAL: Duration = Duration::from_secs(5);

/// How long a start waits for the first count. Where it takes longer, those with a quota write only when it is done.
const FIRST_COUNT_TIMEOUT: Duration = Duration::from_secs(2);

/// The first count, before anything is served.
pub async fn begin(gateway: &Gateway) {
    if tokio::time::timeout(FIRST_COUNT_TIMEOUT, all(gateway))
        .await
        .is_err()
    {
        tracing::info!(
            "what the tenants have stored is still being counted: those with a quota write when it is done"
        );
    }
}

/// Counts until the gateway stops.
pub async fn run(gateway: Arc<Gateway>, mut stopped: watch::Receiver<bool>) {
    if gateway.tenants.is_empty() {
        return;
    }
    loop {
        let began = Instant::now();
        all(&gateway).await;
        let pause = COUNT_INTERVAL.max(began.elapsed() * 4);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    }
}

async fn all(gateway: &Gateway) {
    for tenant in gateway.tenants.all() {
        count(gateway, tenant).await;
    }
}

async fn count(gateway: &Gateway, tenant: &Arc<Tenant>) {
    let count = tenant.begin_count();
    let (mut bytes, mut objects) = in_collections(gateway, tenant);
    let paths: Vec<String> = tenant.settings.paths.clone();
    let named = gateway.files.run(move |filer| {
        let mut sum = (0u64, 0u64);
        for path in &paths {
            match filer.usage(&FilePath::parse(path)?, now_ns()) {
                Ok(usage) => {
                    sum = (
                        sum.0.saturating_add(usage.bytes),
                        sum.1.saturating_add(usage.files),
                    );
                }
                // It is a mount, or nothing is there yet.
                Err(FilerError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(sum)
    });
    match named.await {
        Ok((named_bytes, files)) => {
            bytes = bytes.saturating_add(named_bytes);
            objects = objects.saturating_add(files);
            tenant.counted(count, bytes, objects);
        }
        Err(error) => {
            tracing::warn!(tenant = tenant.settings.name, %error, "what a tenant has stored cannot be counted: the last count stays");
        }
    }
}

/// Live bytes and images in the tenant's collections.
fn in_collections(gateway: &Gateway, tenant: &Tenant) -> (u64, u64) {
    let volumes = gateway.store.volumes();
    let own = volumes.values().filter(|mounted| {
        tenant
            .settings
            .collections
            .contains(&mounted.volume.files.collection)
    });
    own.fold((0, 0), |(bytes, objects), mounted| {
        let counters = mounted.volume.counters();
        let live = mounted
            .volume
            .dat_bytes()
            .saturating_sub(counters.deleted_bytes);
        (
            bytes + live,
            objects + counters.puts.saturating_sub(counters.deletes),
        )
    })
}
