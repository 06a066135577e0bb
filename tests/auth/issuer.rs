//! An issuer of the tests' own: keys, tokens, and a server with the key set.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moongate_tests::Request;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

/// What tokens are for.
pub const AUDIENCE: &str = "moongate";

/// A key of an issuer's.
pub struct Signer {
    pair: EcdsaKeyPair,
    kid: String,
}

impl Signer {
    pub fn new(kid: &str) -> Signer {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let key = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref(), &random).unwrap();
        let kid = kid.to_owned();
        Signer { pair, kid }
    }

    pub fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let part = |from: usize| URL_SAFE_NO_PAD.encode(&point[from..from + 32]);
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": self.kid, "x": part(1), "y": part(33)})
    }

    pub fn public(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// A token with this header and these claims, signed by this key whatever the header says.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = unsigned(header, claims);
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.unwrap()))
    }

    pub fn token(&self, claims: &Value) -> String {
        self.sign(&json!({"alg": "ES256", "kid": self.kid}), claims)
    }
}

pub fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

pub fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap().as_secs()
}

/// A request that shows a token.
pub fn bearer(request: Request, token: &str) -> Request {
    request.header("Authorization", &format!("Bearer {token}"))
}

/// A server with a discovery document and a key set.
pub struct Issuer {
    pub url: String,
    set: Arc<Mutex<Option<String>>>,
    asked: Arc<AtomicUsize>,
}

impl Issuer {
    pub fn start(signers: &[&Signer]) -> Issuer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let issuer = Issuer {
            set: Arc::default(),
            asked: Arc::default(),
            url,
        };
        issuer.publish(signers);
        let (url, set, asked) = (
            issuer.url.clone(),
            Arc::clone(&issuer.set),
            Arc::clone(&issuer.asked),
        );
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = [0; 4096];
                let read = stream.read(&mut head).unwrap_or(0);
                asked.fetch_add(1, Ordering::Relaxed);
                let set = set.lock().unwrap().clone();
                let is_keys = head[..read].starts_with(b"GET /keys ");
                let (status, body) = match set {
                    None => ("500 Internal Server Error", String::new()),
                    Some(set) if is_keys => ("200 OK", set),
                    Some(_) => (
                        "200 OK",
                        json!({"issuer": url, "jwks_uri": format!("{url}/keys")}).to_string(),
                    ),
                };
                let answer = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        issuer
    }

    /// These are its keys from now on.
    pub fn publish(&self, signers: &[&Signer]) {
        let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk()).collect();
        *self.set.lock().unwrap() = Some(json!({ "keys": keys }).to_string());
    }

    /// It answers 500 from now on.
    pub fn fail(&self) {
        *self.set.lock().unwrap() = None;
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// Claims of a good token.
    pub fn claims(&self, subject: &str) -> Value {
        json!({"iss": self.url, "sub": subject, "aud": [AUDIENCE], "exp": now() + 300})
    }

    /// The gateway's configuration for it.
    pub fn config(&self, more: &str) -> String {
        format!(
            "[auth]\nmethods = ['jwt']\n[[auth.jwt]]\nissuer = '{}'\naudiences = ['{AUDIENCE}']\n{more}\n",
            self.url
        )
    }
}
