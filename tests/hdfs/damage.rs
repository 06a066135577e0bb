//! Bytes that are changed on their way to the data port.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use moongate_tests::{Gateway, payload, wait};
use tempfile::TempDir;

use crate::bed::calls;
use crate::wide::{options, read};

/// From here on a byte is another one.
const AT: usize = 300_000;

fn carry(mut from: TcpStream, mut to: TcpStream, damages: bool) {
    let (mut buffer, mut passed) = ([0; 8192], 0);
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        if damages && (passed..passed + len).contains(&AT) {
            buffer[AT - passed] ^= 0x10;
        }
        passed += len;
        if to.write_all(&buffer[..len]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
}

/// Stands where clients look for the data port, and damages what the first of them sends.
fn stand_between(listener: TcpListener, port: u16) {
    std::thread::spawn(move || {
        let mut damages = true;
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(("127.0.0.2", port)) else {
                return;
            };
            let (back, forth) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || carry(client, forth, damages));
            std::thread::spawn(move || carry(server, back, false));
            damages = false;
        }
    });
}

#[test]
fn bytes_that_were_changed_on_their_way_are_not_stored() {
    let between = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = between.local_addr().unwrap().port();
    let local = TempDir::new().unwrap();
    let gateway = Gateway::fresh(&format!(
        "[hdfs]\nlisten = '127.0.0.1:0'\ndata_listen = '127.0.0.2:{port}'\nlease_hard_limit = '3s'\n[[mount]]\npath = '/local'\n\
         store = 'file://{}'\nttl = '0s'\n",
        local.path().display()
    ));
    stand_between(between, port);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = {
        let _inside = runtime.enter();
        let url = format!("hdfs://{}", calls(&gateway));
        hdfs_native::ClientBuilder::new()
            .with_url(url)
            .build()
            .unwrap()
    };
    let bytes = payload::bytes(35, 900_000);
    let failed = runtime.block_on(async {
        let mut file = client.create("/local/file", options(false)).await.unwrap();
        let wrote = file.write_bytes(bytes.clone().into()).await;
        file.close().await.is_err() || wrote.is_err()
    });
    assert!(failed);
    wait::until_true("the log tells why", Duration::from_secs(60), || {
        gateway.log().contains("checksum of packet")
    });
    wait::until_true("the file is closed", Duration::from_secs(60), || {
        local.path().join("file").exists()
    });
    let got = runtime.block_on(read(&client, "/local/file"));
    assert!(
        got.len() < AT && got == bytes[..got.len()],
        "{} bytes",
        got.len()
    );
    runtime.block_on(async {
        let mut file = client.create("/local/file", options(true)).await.unwrap();
        file.write_bytes(bytes.clone().into()).await.unwrap();
        file.close().await.unwrap();
        assert!(read(&client, "/local/file").await == bytes);
    });
}
