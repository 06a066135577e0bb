//! Free ports for servers that cannot say which one they were given.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::Mutex;

/// Given out already: a server may take a while before it listens.
static TAKEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A port that nobody listens on, and that this program was not given before.
pub fn free() -> u16 {
    let mut taken = TAKEN.lock().expect("no test panics while it holds this");
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
        let port = listener.local_addr().expect("it is bound").port();
        if taken.insert(port) {
            return port;
        }
    }
}
