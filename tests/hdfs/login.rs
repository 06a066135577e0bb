//! Who is let in.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use moongate_tests::Gateway;

use crate::bed::calls;

/// A SIMPLE client's first bytes: preamble, and a context for alice.
fn hello() -> Vec<u8> {
    let header = b"\x08\x02\x10\x00\x18\x05\x22\x10aaaaaaaaaaaaaaaa\x28\x01";
    let context = b"\x12\x07\x0a\x05alice\x1a\x2eorg.apache.hadoop.hdfs.protocol.ClientProtocol";
    let mut frame = vec![u8::try_from(header.len()).unwrap()];
    frame.extend_from_slice(header);
    frame.push(u8::try_from(context.len()).unwrap());
    frame.extend_from_slice(context);
    let mut bytes = b"hrpc\x09\x00\x00".to_vec();
    bytes.extend_from_slice(&u32::try_from(frame.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(&frame);
    bytes
}

/// All that the gateway says until it closes, or has been silent for a moment.
fn said(gateway: &Gateway) -> String {
    let mut stream = TcpStream::connect(calls(gateway)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(2)))
        .unwrap();
    stream.write_all(&hello()).unwrap();
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    String::from_utf8_lossy(&said).into_owned()
}

#[test]
fn names_are_believed_only_where_that_is_configured() {
    let gateway = Gateway::fresh("[hdfs]\nlisten = '127.0.0.1:0'\n");
    assert_eq!(said(&gateway), "");
    let keys = tempfile::NamedTempFile::new().unwrap();
    let config = format!(
        "[hdfs]\nlisten = '127.0.0.1:0'\n[auth]\nmethods = ['access-key']\n[auth.keys]\nfile = '{}'\n",
        keys.path().display()
    );
    let gateway = Gateway::fresh(&config);
    let text = said(&gateway);
    assert!(
        text.contains("org.apache.hadoop.security.AccessControlException"),
        "{text}"
    );
    assert!(
        text.contains("SIMPLE authentication is not enabled"),
        "{text}"
    );
}

#[test]
fn it_is_off_until_it_is_asked_for_and_not_open_to_all() {
    let gateway = Gateway::fresh("");
    assert!(gateway.ready_line().get("hdfs").is_none());
    let folder = tempfile::TempDir::new().unwrap();
    let refused = Gateway::try_start(&[folder.path()], "[hdfs]\nlisten = '0.0.0.0:0'\n");
    let text = refused.err().unwrap().stderr;
    assert!(
        text.contains("hdfs.listen") && text.contains("hdfs.data_listen"),
        "{text}"
    );
}
