//! A claim from provisioning to deletion, as external-provisioner and kubelet go about it.

use moongate_proto::csi as api;
use moongate_proto::csi::volume_capability::access_mode::Mode;
use tonic::Code;

use crate::driver::Driver;
use crate::kubelet::{Claim, Kubelet, LIMIT, delete, provision, text};
use crate::process::until;

const MIB: i64 = 1 << 20;

fn path(kubelet: &Kubelet, claim: &Claim, pod: &str, name: &str) -> String {
    text(&kubelet.target(claim, pod).join(name))
}

#[tokio::test]
async fn a_claim_lives_as_kubelet_has_it() {
    let driver = Driver::start();
    let mut controller = driver.controller().await;
    let kubelet = Kubelet::start(&driver.gluster, "");
    assert_eq!(kubelet.register().await, "kube-2");
    let mut claim = provision(&mut controller, "pod", 64, &[("gid", "2001")]).await;
    claim.flags = vec!["noatime".to_owned(), "nosuid".to_owned()];

    kubelet.stage(&claim).await.unwrap();
    kubelet.publish(&claim, "a", false).await.unwrap();
    kubelet.give_to_group(&claim, "a", 3003);
    let root = text(&kubelet.target(&claim, "a"));
    let seen = driver.gluster.client("stat", &["-c", "%a %g", &root]);
    assert_eq!(seen.trim(), "2775 3003");
    let file = path(&kubelet, &claim, "a", "by-user");
    let user = [
        "--reuid=1234",
        "--regid=1234",
        "--groups=3003",
        "touch",
        &file,
    ];
    driver.gluster.client("setpriv", &user);
    let options = driver
        .gluster
        .client("findmnt", &["-n", "-o", "OPTIONS", &root]);
    assert!(
        options.contains("nosuid") && options.contains("noatime"),
        "{options}"
    );

    // The volume is full: what follows works all the same.
    let of = format!("of={}", path(&kubelet, &claim, "a", "full"));
    let filled = ["if=/dev/zero", &of, "bs=64K", "conv=fsync"];
    let filled = driver.gluster.client_output("dd", &filled);
    let said = String::from_utf8_lossy(&filled.stderr).into_owned();
    assert!(said.contains("No space left on device"), "{said}");

    // A second pod reads only.
    kubelet.publish(&claim, "b", true).await.unwrap();
    kubelet.publish(&claim, "b", true).await.unwrap();
    let theirs = path(&kubelet, &claim, "b", "by-user");
    driver.gluster.client("stat", &[&theirs]);
    assert!(
        !driver
            .gluster
            .client_output("touch", &[&theirs])
            .status
            .success()
    );
    let other = kubelet.publish(&claim, "b", false).await.unwrap_err();
    assert_eq!(other.code(), Code::AlreadyExists);

    grow(&driver, &kubelet, &claim).await;
    for pod in ["a", "b"] {
        for _ in 0..2 {
            kubelet.unpublish(&claim, pod).await.unwrap();
        }
    }
    for _ in 0..2 {
        kubelet.unstage(&claim).await.unwrap();
    }
    kubelet.nothing_is_left();
    one_pod_alone(&kubelet, &claim).await;
    delete(&mut controller, &claim).await;
    driver.nothing_is_left();
}

async fn grow(driver: &Driver, kubelet: &Kubelet<'_>, claim: &Claim) {
    let range = Some(api::CapacityRange {
        required_bytes: 400 * MIB,
        limit_bytes: 0,
    });
    let request = api::ControllerExpandVolumeRequest {
        volume_id: claim.id(),
        capacity_range: range,
        ..Default::default()
    };
    let mut controller = driver.controller().await;
    controller.controller_expand_volume(request).await.unwrap();
    let request = api::NodeExpandVolumeRequest {
        volume_id: claim.id(),
        volume_path: text(&kubelet.target(claim, "a")),
        staging_target_path: text(&kubelet.staging(claim)),
        capacity_range: range,
        ..Default::default()
    };
    let grown = kubelet.node().node_expand_volume(request).await.unwrap();
    assert_eq!(grown.into_inner().capacity_bytes, 400 * MIB);
    until("the pod sees the new size", LIMIT, async || {
        let stats = api::NodeGetVolumeStatsRequest {
            volume_id: claim.id(),
            volume_path: text(&kubelet.target(claim, "a")),
            ..Default::default()
        };
        let stats = kubelet.node().node_get_volume_stats(stats).await.unwrap();
        let stats = stats.into_inner();
        assert!(
            stats
                .volume_condition
                .is_some_and(|condition| !condition.abnormal)
        );
        stats.usage[0].available > 300 * MIB
    })
    .await;
}

/// ReadWriteOncePod.
async fn one_pod_alone(kubelet: &Kubelet<'_>, claim: &Claim) {
    let mut claim = claim.clone();
    claim.mode = Mode::SingleNodeSingleWriter;
    kubelet.stage(&claim).await.unwrap();
    for _ in 0..2 {
        kubelet.publish(&claim, "a", false).await.unwrap();
    }
    let second = kubelet.publish(&claim, "b", false).await.unwrap_err();
    assert_eq!(second.code(), Code::FailedPrecondition);
    kubelet.unpublish(&claim, "b").await.unwrap();
    kubelet.unpublish(&claim, "a").await.unwrap();
    kubelet.publish(&claim, "b", false).await.unwrap();
    kubelet.unpublish(&claim, "b").await.unwrap();
    kubelet.unstage(&claim).await.unwrap();
    kubelet.nothing_is_left();
}

#[tokio::test]
async fn an_inline_volume_comes_and_goes_with_its_pod() {
    let driver = Driver::start();
    let mut controller = driver.controller().await;
    let shared = provision(&mut controller, "scratch", 64, &[]).await;
    let folder = driver.path("kubelet/plugins/csi.moongate.io/ephemeral");
    let more = format!(
        "[node.ephemeral]\nvolume = \"{}\"\nservers = [\"192.0.2.11\", \"192.0.2.12\"]\nfolder = \"{}\"\n",
        shared.id(),
        folder.display()
    );
    let kubelet = Kubelet::start(&driver.gluster, &more);
    let inline = |digit: &str| {
        let mut claim = shared.clone();
        claim.volume.volume_id = format!("csi-{}", digit.repeat(64));
        let asked = ("csi.storage.k8s.io/ephemeral".to_owned(), "true".to_owned());
        claim.volume.volume_context = [asked].into();
        claim
    };
    let (first, second) = (inline("a"), inline("b"));
    for (claim, pod) in [(&first, "a"), (&second, "b")] {
        kubelet.publish(claim, pod, false).await.unwrap();
        driver
            .gluster
            .client("touch", &[&path(&kubelet, claim, pod, pod)]);
    }
    let seen = driver
        .gluster
        .client("ls", &[&text(&kubelet.target(&second, "b"))]);
    assert_eq!(seen.trim(), "b", "a pod sees its own folder alone");
    for _ in 0..2 {
        kubelet.unpublish(&first, "a").await.unwrap();
    }
    let kept = text(&folder.join("moongate-ephemeral"));
    let left = driver.gluster.client("ls", &[&kept]);
    assert_eq!(
        left.trim(),
        second.id(),
        "its content is gone, and nothing else"
    );
    let mut wrong = inline("c");
    wrong.volume.volume_id = "../escape".to_owned();
    let request = api::NodePublishVolumeRequest {
        volume_id: wrong.id(),
        target_path: text(&driver.path("kubelet/x")),
        volume_capability: Some(wrong.capability()),
        volume_context: wrong.volume.volume_context.clone(),
        ..Default::default()
    };
    let refused = kubelet
        .node()
        .node_publish_volume(request)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    kubelet.unpublish(&second, "b").await.unwrap();
}
