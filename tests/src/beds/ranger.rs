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
    users: Option<Value>,
    asked: Vec<String>,
    /// Whether the session that was given out still counts.
    has_session: bool,
}

/// Whether what a request has after `Authorization:` lets it in.
pub type Door = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// A running one; it ends with the test.
#[derive(Debug)]
pub struct RangerAdmin {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl RangerAdmin {
    /// Starts one that holds these policies (the body of a download).
    pub fn start(policies: Value) -> RangerAdmin {
        Self::start_behind(policies, None)
    }

    /// One that asks for `Negotiate`, and has only the `secure` downloads.
    pub fn start_secure(policies: Value, door: Door) -> RangerAdmin {
        Self::start_behind(policies, Some(door))
    }

    fn start_behind(policies: Value, door: Option<Door>) -> RangerAdmin {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let state = Arc::new(Mutex::new(State {
            mood: Mood::Well,
            policies,
            users: None,
            asked: Vec::new(),
            has_session: false,
        }));
        let held = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (state, door) = (Arc::clone(&held), door.clone());
                thread::spawn(move || drop(serve(&stream, &state, door.as_ref())));
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

    /// From now on it has this user store (the body of its download).
    pub fn hold_users(&self, users: Value) {
        self.lock().users = Some(users);
    }

    /// The session that it gave counts no more.
    pub fn end_session(&self) {
        self.lock().has_session = false;
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

fn serve(stream: &TcpStream, state: &Mutex<State>, door: Option<&Door>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    loop {
        let Some(first) = lines.next().transpose()? else {
            return Ok(());
        };
        let (mut cookie, mut shown) = (String::new(), String::new());
        for line in lines.by_ref() {
            let line = line?;
            if line.is_empty() {
                break;
            }
            if line.to_lowercase().starts_with("cookie:") {
                cookie = line;
            } else if let Some(value) = line.to_lowercase().strip_prefix("authorization:") {
                shown = line[line.len() - value.len()..].trim().to_owned();
            }
        }
        let (mood, policies, users, has_session) = {
            let mut state = state.lock().map_err(|_| std::io::ErrorKind::Other)?;
            state.asked.push(format!("{first} {cookie}"));
            (
                state.mood,
                state.policies.clone(),
                state.users.clone(),
                state.has_session,
            )
        };
        if let Some(door) = door {
            let known = has_session && cookie.contains("RANGERADMINSESSIONID=S1");
            if !first.contains("/secure/") || !(known || door(&shown)) {
                let mut stream = stream;
                stream.write_all(
                    b"HTTP/1.1 401 x\r\nWWW-Authenticate: Negotiate\r\nContent-Length: 0\r\n\r\n",
                )?;
                continue;
            }
            state
                .lock()
                .map_err(|_| std::io::ErrorKind::Other)?
                .has_session = true;
        }
        if mood == Mood::Hanging {
            thread::sleep(Duration::from_secs(600));
        }
        let (status, body) = answer(mood, &policies, users.as_ref(), &first);
        let head = format!(
            "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nSet-Cookie: RANGERADMINSESSIONID=S1; Path=/; HttpOnly\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = stream;
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())?;
    }
}

fn answer(mood: Mood, policies: &Value, users: Option<&Value>, first: &str) -> (u16, String) {
    let known = first.split("lastKnownVersion=").nth(1);
    let known = known.and_then(|rest| rest.split(['&', ' ']).next());
    let is_policies = first.contains("/policies/download/");
    let is_users = first.contains("/service/xusers/");
    match mood {
        Mood::Status(status) => (status, "no luck".to_owned()),
        Mood::Gone => (404, json!({"msgDesc": "RANGER_ERROR_SERVICE_NOT_FOUND: service not found"}).to_string()),
        _ if is_users && users.is_some() => (200, users.map(Value::to_string).unwrap_or_default()),
        _ if !is_policies => (304, String::new()),
        Mood::Deltas => (200, json!({"serviceName": "hdfsdev", "policyVersion": 99, "policyDeltas": [{"changeType": 0, "policy": {"id": 9}}]}).to_string()),
        Mood::Torn => (200, "{\"serviceName\": \"hdfs".to_owned()),
        _ if known == Some(&policies["policyVersion"].to_string()) => (304, String::new()),
        _ => (200, policies.to_string()),
    }
}
