//! A Ranger Admin of our own: a small HTTP server that speaks the download contract, and misbehaves as it is told.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// As the contract says.
    Well,
    /// With this status and a text that says nothing.
    Status(u16),
    /// 404, as when the service was deleted.
    Gone,
    /// Not at all: it takes the request and stays silent.
    Hanging,
    /// Changes in place of policies, though none were asked for.
    Deltas,
    /// JSON that is cut off.
    Torn,
}

/// What it holds and how it answers.
#[derive(Debug)]
struct State {
    mood: Mood,
    policies: Value,
    asked: Vec<String>,
}

/// A running one; it ends with the test.
#[derive(Debug)]
pub struct RangerAdmin {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl RangerAdmin {
    /// Starts one that holds these policies (the body of a download).
    pub fn start(policies: Value) -> RangerAdmin {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let state = Arc::new(Mutex::new(State {
            mood: Mood::Well,
            policies,
            asked: Vec::new(),
        }));
        let held = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&held);
                thread::spawn(move || drop(serve(&stream, &state)));
            }
        });
        RangerAdmin { address, state }
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on it answers so.
    pub fn be(&self, mood: Mood) {
        self.lock().mood = mood;
    }

    /// From now on it holds these policies.
    pub fn hold(&self, policies: Value) {
        self.lock().policies = policies;
    }

    /// First lines and cookies of all requests so far.
    pub fn asked(&self) -> Vec<String> {
        self.lock().asked.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no test thread panics while it holds this")
    }
}

fn serve(stream: &TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    loop {
        let Some(first) = lines.next().transpose()? else {
            return Ok(());
        };
        let mut cookie = String::new();
        for line in lines.by_ref() {
            let line = line?;
            if line.is_empty() {
                break;
            }
            if line.to_lowercase().starts_with("cookie:") {
                cookie = line;
            }
        }
        let (mood, policies) = {
            let mut state = state.lock().map_err(|_| std::io::ErrorKind::Other)?;
            state.asked.push(format!("{first} {cookie}"));
            (state.mood, state.policies.clone())
        };
        if mood == Mood::Hanging {
            thread::sleep(Duration::from_secs(600));
        }
        let (status, body) = answer(mood, &policies, &first);
        let head = format!(
            "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nSet-Cookie: RANGERADMINSESSIONID=S1; Path=/; HttpOnly\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = stream;
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())?;
    }
}

fn answer(mood: Mood, policies: &Value, first: &str) -> (u16, String) {
    let known = first.split("lastKnownVersion=").nth(1);
    let known = known.and_then(|rest| rest.split(['&', ' ']).next());
    let is_policies = first.contains("/service/plugins/policies/download/");
    match mood {
        Mood::Status(status) => (status, "no luck".to_owned()),
        Mood::Gone => (404, json!({"msgDesc": "RANGER_ERROR_SERVICE_NOT_FOUND: service not found"}).to_string()),
        _ if !is_policies => (304, String::new()),
        Mood::Deltas => (200, json!({"serviceName": "hdfsdev", "policyVersion": 99, "policyDeltas": [{"changeType": 0, "policy": {"id": 9}}]}).to_string()),
        Mood::Torn => (200, "{\"serviceName\": \"hdfs".to_owned()),
        _ if known == Some(&policies["policyVersion"].to_string()) => (304, String::new()),
        _ => (200, policies.to_string()),
    }
}
