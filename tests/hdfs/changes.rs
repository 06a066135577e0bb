//! Changes of the tree through the gateway.

use crate::bed::Bed;

#[test]
fn the_tree_is_changed_on_the_cluster() {
    let bed = Bed::start("tree");
    bed.put("/tree/a", b"a");
    bed.runtime.block_on(async {
        let (near, far) = (&bed.near, &bed.far);
        near.mkdirs("/tree/x/y", 0o750, true).await.unwrap();
        let made = far.get_file_info("/tree/x/y").await.unwrap();
        assert!(made.isdir);
        assert!(near.mkdirs("/tree/no/such", 0o755, false).await.is_err());
        near.rename("/tree/a", "/tree/x/b", false).await.unwrap();
        assert_eq!(far.get_file_info("/tree/x/b").await.unwrap().length, 1);
        near.set_permission("/tree/x/b", 0o600).await.unwrap();
        near.set_times("/tree/x/b", 1_000, 2_000).await.unwrap();
        near.set_replication("/tree/x/b", 2).await.unwrap();
        let changed = far.get_file_info("/tree/x/b").await.unwrap();
        let told = (
            changed.permission,
            changed.modification_time,
            changed.replication,
        );
        assert_eq!(told, (0o600, 1_000, Some(2)));
        let sum = near.get_content_summary("/tree").await.unwrap();
        assert_eq!((sum.file_count, sum.directory_count, sum.length), (1, 3, 1));
        assert!(near.delete("/tree/x", false).await.is_err());
        assert!(near.delete("/tree/x", true).await.unwrap());
        assert!(far.get_file_info("/tree/x").await.is_err());
    });
}
