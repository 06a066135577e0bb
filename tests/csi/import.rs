//! A volume of the in-tree driver, imported: the same content through a PV of ours, which is not ours to delete.

use std::collections::HashMap;
use std::process::Command;

use moongate_proto::csi as api;
use moongate_tests::beds::gluster::host;

use crate::driver::{Driver, binary};
use crate::kubelet::{Claim, Kubelet, delete, provision, text};

/// A PV of the in-tree driver and the Endpoints that it names.
fn in_tree(volume: &str) -> String {
    format!(
        "apiVersion: v1
kind: PersistentVolume
metadata: {{name: old}}
spec:
  accessModes: [ReadWriteMany]
  capacity: {{storage: 64Mi}}
  glusterfs: {{endpoints: gluster, path: {volume}}}
  mountOptions: [noatime]
---
apiVersion: v1
kind: Endpoints
metadata: {{name: gluster, namespace: default}}
subsets:
- addresses: [{{ip: {}}}, {{ip: {}}}]
",
        host(1),
        host(2)
    )
}

/// The value of a key that stands once in it.
fn value(yaml: &str, key: &str) -> String {
    let start = format!("{key}: ");
    let mut found = yaml
        .lines()
        .filter_map(|line| line.trim().strip_prefix(&start));
    let value = found.next().unwrap_or_else(|| panic!("{key}: {yaml}"));
    assert_eq!(found.next(), None, "{key} twice: {yaml}");
    value.to_owned()
}

#[tokio::test]
async fn a_volume_of_the_old_driver_is_mounted_by_this_one() {
    let driver = Driver::start();
    let mut controller = driver.controller().await;
    let kubelet = Kubelet::start(&driver.gluster, "");
    // As Heketi would have made it: a gluster volume that no PV of ours names.
    let made = provision(&mut controller, "old", 64, &[]).await;

    let file = driver.path("old.yaml");
    std::fs::write(&file, in_tree(&made.id())).unwrap();
    let output = Command::new(binary())
        .args(["import", &text(&file)])
        .output()
        .unwrap();
    let yaml = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    let context = ["servers", "volume"].map(|key| (key.to_owned(), value(&yaml, key)));
    let mut claim = Claim::new(api::Volume {
        volume_id: value(&yaml, "volumeHandle"),
        volume_context: HashMap::from(context),
        ..Default::default()
    });
    claim.flags = vec!["noatime".to_owned()];

    kubelet.stage(&made).await.unwrap();
    kubelet.publish(&made, "before", false).await.unwrap();
    let theirs = text(&kubelet.target(&made, "before").join("left"));
    driver.gluster.client("touch", &[&theirs]);
    kubelet.stage(&claim).await.unwrap();
    kubelet.publish(&claim, "after", false).await.unwrap();
    driver.gluster.client(
        "stat",
        &[&text(&kubelet.target(&claim, "after").join("left"))],
    );
    for (claim, pod) in [(&made, "before"), (&claim, "after")] {
        kubelet.unpublish(claim, pod).await.unwrap();
        kubelet.unstage(claim).await.unwrap();
    }

    delete(&mut controller, &claim).await;
    let listed = driver.gluster.node(1, "gluster", &["volume", "list"]);
    assert_eq!(listed.trim(), made.id(), "it is not ours to delete");
    delete(&mut controller, &made).await;
    kubelet.nothing_is_left();
    driver.nothing_is_left();
}
