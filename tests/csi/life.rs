//! One volume from creation to deletion, each step twice.

use moongate_proto::csi as api;
use moongate_proto::csi::volume_capability::{
    AccessMode, AccessType, MountVolume, access_mode::Mode,
};
use tonic::Code;

use crate::driver::Driver;

const MIB: u64 = 1 << 20;

fn capability() -> api::VolumeCapability {
    api::VolumeCapability {
        access_type: Some(AccessType::Mount(MountVolume::default())),
        access_mode: Some(AccessMode {
            mode: Mode::MultiNodeMultiWriter.into(),
        }),
    }
}

fn range(mib: u64) -> Option<api::CapacityRange> {
    let required_bytes = i64::try_from(mib * MIB).unwrap();
    Some(api::CapacityRange {
        required_bytes,
        limit_bytes: 0,
    })
}

fn create(name: &str, mib: u64) -> api::CreateVolumeRequest {
    api::CreateVolumeRequest {
        name: name.to_owned(),
        capacity_range: range(mib),
        volume_capabilities: vec![capability()],
        parameters: [
            ("volumetype".to_owned(), "replicate:3".to_owned()),
            ("gid".to_owned(), "2001".to_owned()),
        ]
        .into(),
        ..Default::default()
    }
}

/// Where kubelet would have it.
struct Paths {
    staging: String,
    target: String,
}

fn stage(volume: &api::Volume, paths: &Paths) -> api::NodeStageVolumeRequest {
    api::NodeStageVolumeRequest {
        volume_id: volume.volume_id.clone(),
        staging_target_path: paths.staging.clone(),
        volume_capability: Some(capability()),
        volume_context: volume.volume_context.clone(),
        ..Default::default()
    }
}

fn publish(volume: &api::Volume, paths: &Paths) -> api::NodePublishVolumeRequest {
    api::NodePublishVolumeRequest {
        volume_id: volume.volume_id.clone(),
        staging_target_path: paths.staging.clone(),
        target_path: paths.target.clone(),
        volume_capability: Some(capability()),
        ..Default::default()
    }
}

/// Writes until the volume is full; MiB that went in.
fn fill(driver: &Driver, file: &str) -> u64 {
    let _ = driver.gluster.client_output(
        "dd",
        &[
            "if=/dev/zero",
            &format!("of={file}"),
            "bs=64K",
            "conv=fsync",
        ],
    );
    let size = driver.gluster.client("stat", &["-c", "%b", file]);
    size.trim().parse::<u64>().unwrap() * 512 / MIB
}

#[tokio::test]
async fn a_volume_lives_from_create_to_delete() {
    let driver = Driver::start();
    let (mut controller, mut node) = (driver.controller().await, driver.node().await);
    let paths = Paths {
        staging: driver.path("stage").display().to_string(),
        target: driver.path("pod").display().to_string(),
    };

    let first = controller
        .create_volume(create("pvc-life", 64))
        .await
        .unwrap()
        .into_inner()
        .volume
        .unwrap();
    let again = controller
        .create_volume(create("pvc-life", 64))
        .await
        .unwrap()
        .into_inner()
        .volume
        .unwrap();
    assert_eq!(first, again);
    assert_eq!(first.capacity_bytes, i64::try_from(64 * MIB).unwrap());
    let other = controller
        .create_volume(create("pvc-life", 100))
        .await
        .unwrap_err();
    assert_eq!(other.code(), Code::AlreadyExists);

    for _ in 0..2 {
        node.node_stage_volume(stage(&first, &paths)).await.unwrap();
    }
    for _ in 0..2 {
        node.node_publish_volume(publish(&first, &paths))
            .await
            .unwrap();
    }
    let root = driver
        .gluster
        .client("stat", &["-c", "%a %g", &paths.target]);
    assert_eq!(
        root.trim(),
        "2775 2001",
        "a group of its own may write, and nobody else"
    );

    let file = format!("{}/full", paths.target);
    let written = fill(&driver, &file);
    assert!((60..=64).contains(&written), "{written} MiB went into 64");
    let in_use = api::DeleteVolumeRequest {
        volume_id: first.volume_id.clone(),
        ..Default::default()
    };
    let refused = controller.delete_volume(in_use.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(
        refused.message().contains("192.0.2.100"),
        "{}",
        refused.message()
    );

    let grow = api::ControllerExpandVolumeRequest {
        volume_id: first.volume_id.clone(),
        capacity_range: range(400),
        ..Default::default()
    };
    for _ in 0..2 {
        let grown = controller
            .controller_expand_volume(grow.clone())
            .await
            .unwrap()
            .into_inner();
        assert_eq!(grown.capacity_bytes, i64::try_from(400 * MIB).unwrap());
    }
    // A brick's room is looked at again after some seconds only.
    moongate_tests::wait::until_true(
        "what was grown can be written to",
        std::time::Duration::from_secs(60),
        || (394..=400).contains(&fill(&driver, &file)),
    );

    let usage = api::NodeGetVolumeStatsRequest {
        volume_id: first.volume_id.clone(),
        volume_path: paths.target.clone(),
        ..Default::default()
    };
    let usage = node
        .node_get_volume_stats(usage)
        .await
        .unwrap()
        .into_inner()
        .usage;
    assert!(
        usage[0].available < i64::try_from(8 * MIB).unwrap(),
        "{usage:?}"
    );
    assert!(usage[1].total > 0, "inodes too: {usage:?}");

    take_away(&first, &paths, &mut node).await;
    for _ in 0..2 {
        controller.delete_volume(in_use.clone()).await.unwrap();
    }
    driver.nothing_is_left();
}

async fn take_away(
    volume: &api::Volume,
    paths: &Paths,
    node: &mut moongate_proto::csi::node_client::NodeClient<tonic::transport::Channel>,
) {
    let unpublish = api::NodeUnpublishVolumeRequest {
        volume_id: volume.volume_id.clone(),
        target_path: paths.target.clone(),
    };
    let unstage = api::NodeUnstageVolumeRequest {
        volume_id: volume.volume_id.clone(),
        staging_target_path: paths.staging.clone(),
    };
    for _ in 0..2 {
        node.node_unpublish_volume(unpublish.clone()).await.unwrap();
    }
    for _ in 0..2 {
        node.node_unstage_volume(unstage.clone()).await.unwrap();
    }
}
