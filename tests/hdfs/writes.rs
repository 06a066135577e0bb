//! hdfs-native writes through the gateway, into each kind of store.

use std::time::Duration;

use moongate_tests::small_disk::SmallDisk;
use moongate_tests::{Gateway, payload, wait};

use crate::bed::calls;
use crate::wide::{BLOCK_BYTES, Wide, options, read, try_read};

const LONG: Duration = Duration::from_secs(60);

#[test]
fn files_of_several_blocks_are_written_over_every_store() {
    let wide = Wide::start("blocks", "");
    let client = wide.client();
    let (bytes, other) = (payload::bytes(31, 3_600_001), payload::bytes(32, 700));
    wide.runtime.block_on(async {
        for folder in wide.folders("blocks") {
            let path = format!("{folder}/deep/er/file");
            let mut file = client.create(&path, options(false)).await.unwrap();
            for piece in bytes.chunks(123_457) {
                file.write_bytes(piece.to_vec().into()).await.unwrap();
            }
            file.close().await.unwrap();
            assert!(read(&client, &path).await == bytes, "{path}");
            let there = client.create(&path, options(false)).await.err().unwrap();
            assert!(there.to_string().contains("already exists"), "{there}");
            assert!(read(&client, &path).await == bytes, "{path}");
            let mut file = client.create(&path, options(true)).await.unwrap();
            file.write_bytes(other.clone().into()).await.unwrap();
            file.close().await.unwrap();
            assert!(read(&client, &path).await == other, "{path}");
            for _ in 0..2 {
                let mut file = client.append(&path).await.unwrap();
                file.write_bytes(bytes.clone().into()).await.unwrap();
                file.close().await.unwrap();
            }
            let want = [&other[..], &bytes, &bytes].concat();
            assert!(read(&client, &path).await == want, "{path}");
            let folder = client.create(&folder, options(true)).await.err().unwrap();
            assert!(folder.to_string().contains("directory"), "{folder}");
        }
    });
    // The blocks are those that the writer asked for, where the store has blocks.
    let output = wide.hdfs.shell(&[
        "-stat",
        "%o",
        &format!("{}/blocks/deep/er/file", wide.hdfs.url()),
    ]);
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(told.trim(), BLOCK_BYTES.to_string());
}

#[test]
fn what_was_flushed_is_seen_and_goes_on() {
    let wide = Wide::start("flushed", "");
    let (client, reader) = (wide.client(), wide.client());
    let bytes = payload::bytes(33, 2_500_000);
    wide.runtime.block_on(async {
        for folder in wide.folders("flushed") {
            let path = format!("{folder}/file");
            let mut file = client.create(&path, options(false)).await.unwrap();
            let mut len = 0;
            // In the middle of a chunk, at the end of one, and behind the end of a block.
            for end in [100, 1024, 1_300_333, 1_300_334] {
                file.write_bytes(bytes[len..end].to_vec().into())
                    .await
                    .unwrap();
                file.hsync().await.unwrap();
                len = end;
                let told = reader.get_file_info(&path).await.unwrap().length;
                assert_eq!(told, len, "{path}");
                // A block that the cluster has not closed is read of the cluster itself.
                if !path.starts_with("/h/") {
                    assert!(read(&reader, &path).await == bytes[..len], "{path}");
                }
            }
            if let Some(inside) = path.strip_prefix("/h") {
                let url = format!("{}{inside}", wide.hdfs.url());
                let got = wide.hdfs.shell(&["-cat", &url]);
                assert!(got.stdout == bytes[..len], "{got:?}");
            }
            file.write_bytes(bytes[len..].to_vec().into())
                .await
                .unwrap();
            file.close().await.unwrap();
            assert!(read(&reader, &path).await == bytes, "{path}");
        }
    });
}

#[test]
fn one_writer_has_a_file_until_it_is_replaced_or_deleted() {
    let wide = Wide::start("two", "");
    let (one, two) = (wide.client(), wide.client());
    wide.runtime.block_on(async {
        for folder in wide.folders("two") {
            let path = format!("{folder}/file");
            let mut first = one.create(&path, options(false)).await.unwrap();
            first.write_bytes(vec![1; 3000].into()).await.unwrap();
            for refused in [
                two.create(&path, options(false)).await.err(),
                two.append(&path).await.err(),
            ] {
                let refused = refused.unwrap().to_string();
                assert!(refused.contains("lease is currently owned by"), "{refused}");
            }
            let mut second = two.create(&path, options(true)).await.unwrap();
            second.write_bytes(vec![2; 30].into()).await.unwrap();
            second.close().await.unwrap();
            assert!(first.close().await.is_err());
            assert_eq!(read(&two, &path).await, [2; 30]);
            let mut third = one.create(&path, options(true)).await.unwrap();
            third.write_bytes(vec![3; 30].into()).await.unwrap();
            assert!(two.delete(&path, false).await.unwrap());
            assert!(third.close().await.is_err());
            assert!(two.get_file_info(&path).await.is_err());
        }
    });
}

/// What a writer leaves that goes without a word.
#[test]
fn a_writer_that_dies_leaves_what_it_flushed() {
    let wide = Wide::start("dies", "lease_soft_limit = '2s'\nlease_hard_limit = '8s'\n");
    let reader = wide.client();
    let bytes = payload::bytes(34, 1_700_000);
    let folders = wide.folders("dies");
    for folder in &folders {
        let writer = wide.client();
        wide.runtime.block_on(async {
            for name in ["hard", "soft"] {
                let path = format!("{folder}/{name}");
                let mut file = writer.create(&path, options(false)).await.unwrap();
                file.write_bytes(bytes.clone().into()).await.unwrap();
                file.hsync().await.unwrap();
                drop(file);
            }
        });
    }
    for folder in &folders {
        // Whoever wants it has it when the first limit has passed.
        let path = format!("{folder}/soft");
        wait::until_true("the file can be had", LONG, || {
            wide.runtime.block_on(async {
                let Ok(mut file) = reader.append(&path).await else {
                    return false;
                };
                file.write_bytes(vec![7].into()).await.is_ok() && file.close().await.is_ok()
            })
        });
        let got = wide.runtime.block_on(read(&reader, &path));
        assert!(
            got == [&bytes[..], &[7]].concat(),
            "{path}: {} bytes",
            got.len()
        );
        // What nobody wants is closed when the second has.
        let path = format!("{folder}/hard");
        wait::until_true("the file is closed", LONG, || {
            wide.gateway.log().contains(&path)
                && wide.runtime.block_on(try_read(&reader, &path)).is_some()
        });
        let got = wide.runtime.block_on(read(&reader, &path));
        assert!(got == bytes, "{path}: {} bytes", got.len());
    }
}

#[test]
fn a_full_disk_is_told_and_leaves_no_file() {
    let disk = SmallDisk::mount(8);
    let config = format!(
        "[hdfs]\nlisten = '127.0.0.1:0'\n[[mount]]\npath = '/local'\nstore = 'file://{}'\n",
        disk.path().display()
    );
    let gateway = Gateway::fresh(&config);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = {
        let _inside = runtime.enter();
        let url = format!("hdfs://{}", calls(&gateway));
        hdfs_native::ClientBuilder::new()
            .with_url(url)
            .build()
            .unwrap()
    };
    runtime.block_on(async {
        let mut file = client.create("/local/large", options(false)).await.unwrap();
        let mut failed = false;
        for _ in 0..20 {
            failed |= file.write_bytes(vec![0; 1 << 20].into()).await.is_err();
        }
        assert!(file.close().await.is_err() || failed);
        let mut small = client.create("/local/small", options(false)).await.unwrap();
        small.write_bytes(vec![5; 1000].into()).await.unwrap();
        small.close().await.unwrap();
        assert!(client.get_file_info("/local/large").await.is_err());
        assert_eq!(read(&client, "/local/small").await, [5; 1000]);
    });
    assert!(gateway.log().contains("a write of hdfs:// is refused"));
}
